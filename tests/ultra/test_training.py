"""`verdicts` says of every image what the real Ultralytics loader does with it."""

from __future__ import annotations

import os
import shutil
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import yaml
from hostile_labels import label_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from task_specs import SPECS, images_not_read

from sanitizer import scan
from sanitizer.dataset.tables import ImageStatus, Task, TaskSpec
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import parse_labels, read_labels
from sanitizer.ultra.label_check import verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILES_PER_EXAMPLE = 10
EXAMPLES = 100
assert len(SPECS) * EXAMPLES * FILES_PER_EXAMPLE >= 8000


class Verdict(NamedTuple):
    dropped: bool
    background: bool


def our_verdicts(contents: Sequence[bytes | None], spec: TaskSpec) -> list[Verdict]:
    """What we say of label files beside good images."""
    table = parse_labels(contents, spec)
    result = verdicts(table, images_not_read(len(contents)), spec)
    return [Verdict(*pair) for pair in zip(result.dropped.tolist(), result.background.tolist(), strict=True)]


def ultralytics_verdict(image: str, label: str, spec: TaskSpec) -> Verdict:
    """What the real loader does with one image."""
    from ultralytics.data.utils import verify_image_label

    n_classes = float("inf") if spec.nc is None else spec.nc
    arguments = (image, label, "", spec.task == "pose", n_classes, *spec.kpt_shape, False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers over the range of float32
        kept, *_, n_missing, _, n_empty, _, _ = verify_image_label(arguments)
    return Verdict(kept is None, kept is not None and bool(n_missing or n_empty))


@pytest.fixture(scope="module")
def good_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("good") / "good.bmp"
    Image.new("RGB", (10, 10)).save(path)
    return str(path)


@pytest.mark.ultralytics
@pytest.mark.parametrize("name", SPECS)
def test_hostile_label_files_are_judged_as_ultralytics_judges_them(
    name: str, good_image: str, tmp_path: Path
) -> None:
    spec = SPECS[name]
    label = str(tmp_path / "label.txt")
    seen: dict[Verdict, int] = {}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(st.lists(label_files(spec), min_size=FILES_PER_EXAMPLE, max_size=FILES_PER_EXAMPLE))
    def compare(contents: list[bytes]) -> None:
        for content, ours in zip(contents, our_verdicts(contents, spec), strict=True):
            with open(label, "wb") as f:
                f.write(content)
            theirs = ultralytics_verdict(good_image, label, spec)
            seen[theirs] = seen.get(theirs, 0) + 1
            assert ours == theirs, content

    compare()
    assert sum(seen.values()) >= EXAMPLES * FILES_PER_EXAMPLE
    # Comparing only files that are all dropped, or all kept, would show nothing.
    n_dropped = sum(n for verdict, n in seen.items() if verdict.dropped)
    assert 0.2 < n_dropped / sum(seen.values()) < 0.9, seen


PUBLISHED_SETS: dict[str, Task] = {
    "bccd": "detect",
    "dronetraffic": "detect",
    "lfs_pointers20": "detect",
    "ltvideo12_pose": "pose",
    "mcore14_obb": "obb",
    "neudet600": "detect",
    "nuinsseg18_seg": "segment",
    "ships_dirty": "detect",
    "ultralytics_coco8": "detect",
    "ultralytics_coco8-pose": "pose",
    "ultralytics_coco8-seg": "segment",
    "ultralytics_dota8": "obb",
}


def spec_of(folder: Path, task: Task) -> TaskSpec:
    data = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    return TaskSpec(task, len(data["names"]), kpt_shape=tuple(data.get("kpt_shape", (0, 0))))


@pytest.mark.ultralytics
@pytest.mark.parametrize("name", PUBLISHED_SETS)
def test_published_sets_are_judged_as_ultralytics_judges_them(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    from ultralytics.data.utils import IMG_FORMATS, img2label_paths

    if not (shared_data / name).is_dir():
        pytest.skip(f"{name} is not there")
    folder = tmp_path / name
    shutil.copytree(shared_data / name, folder, copy_function=shutil.copyfile)  # the loader rewrites images
    spec = spec_of(folder, PUBLISHED_SETS[name])
    images = sorted(str(p) for p in folder.rglob("*.*") if p.suffix[1:].lower() in IMG_FORMATS)
    labels = img2label_paths(images)
    assert images

    table = read_labels([p if os.path.isfile(p) else None for p in labels], spec)
    ours = {
        mode: verdicts(table, read_images(images, mode), spec) for mode in ("header", "decode")
    }  # before the loader gets at the images
    theirs = [ultralytics_verdict(*pair, spec) for pair in zip(images, labels, strict=True)]

    for mode, result in ours.items():
        judged = zip(images, result.dropped.tolist(), result.background.tolist(), theirs, strict=True)
        differing = [(image, *ours_, t) for image, *ours_, t in judged if Verdict(*ours_) != t]
        assert not differing, mode
    if name == "ships_dirty":
        assert sum(t.dropped for t in theirs) == 120
        assert sum(t.background for t in theirs) == 88
    if name == "lfs_pointers20":
        assert all(t.dropped for t in theirs)


def test_a_label_without_image_is_judged_by_itself() -> None:
    assert our_verdicts([b"0 0.5 0.5 0.1 0.1\n", b"7 0.5 0.5 0.1 0.1\n"], SPECS["detect"]) == [
        Verdict(dropped=False, background=False),
        Verdict(dropped=True, background=False),
    ]


@pytest.mark.parametrize(
    ("content", "about"),
    [
        (None, "no label file"),
        (b"", "zero bytes"),
        (b" \n\t\r\n", "blanks"),
        (b"\xef\xbb\xbf", "a BOM alone"),
    ],
)
def test_an_image_without_label_rows_is_background(content: bytes | None, about: str) -> None:
    assert our_verdicts([content], SPECS["detect"]) == [Verdict(dropped=False, background=True)], about


def test_a_bad_image_is_dropped_whatever_its_label_says() -> None:
    labels = parse_labels([b"0 0.5 0.5 0.1 0.1\n", None], SPECS["detect"])
    images = replace(
        images_not_read(2),
        dropped=np.array([True, True]),
        status=np.full(2, ImageStatus.NOT_IMAGE, np.uint8),
    )
    result = verdicts(labels, images, SPECS["detect"])
    assert result.dropped.tolist() == [True, True]
    assert result.background.tolist() == [False, False]


def test_pose_without_keypoint_shape_leaves_nothing_to_train_on() -> None:
    assert our_verdicts([b"0 0.5 0.5 0.1 0.1\n", None], TaskSpec("pose", 3)) == [Verdict(True, False)] * 2


@pytest.mark.ultralytics
@pytest.mark.parametrize("name", PUBLISHED_SETS)
def test_scan_counts_the_images_that_the_loader_drops(
    name: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.data import utils

    if not (shared_data / name).is_dir():
        pytest.skip(f"{name} is not there")
    monkeypatch.setattr(utils, "check_font", lambda *_: None)  # it would look on the net
    folder = tmp_path / name
    shutil.copytree(shared_data / name, folder, copy_function=shutil.copyfile)
    report = scan(folder / "data.yaml", task=PUBLISHED_SETS[name], images="header")
    data = utils.check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    for counts in report.summary.splits:
        if counts.split == "val" and data["val"] == data["train"]:
            continue  # the same images again: they are counted once, in train
        wanted, kept = load_split(data, counts.split, PUBLISHED_SETS[name])
        assert (counts.images, counts.dropped) == (wanted, wanted - kept), counts.split


def load_split(data: dict[str, Any], split: str, task: Task) -> tuple[int, int]:
    """(images in the split, images that the real loader keeps)."""
    from ultralytics.data.dataset import YOLODataset

    wanted = 0

    class Loader(YOLODataset):
        def get_img_files(self, img_path: str) -> list[str]:
            nonlocal wanted
            files: list[str] = super().get_img_files(img_path)
            wanted = len(files)
            return files

    try:
        kept = len(Loader(img_path=data[split], data=data, task=task, augment=False))
    except RuntimeError as error:
        assert "No valid images found" in str(error)
        kept = 0
    return wanted, kept
