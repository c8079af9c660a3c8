"""The rows that a probe trains on are those that the real loader gives, each with its line, and nothing is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("ultralytics")

from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils import DEFAULT_CFG

from sanitizer.archives.finding import find_dataset
from sanitizer.ultra.probe_dataset import ReadOnlyDataset
from sanitizer.ultra.samples import read_samples

if TYPE_CHECKING:
    from sanitizer.dataset.tables import TaskSpec

pytestmark = pytest.mark.ultralytics

SETS = [
    ("bccd", "detect"),
    ("neudet600", "detect"),
    ("ships_dirty", "detect"),
    ("dronetraffic", "detect"),
    ("ultralytics_coco8", "detect"),
    ("ultralytics_coco8-seg", "segment"),
    ("ultralytics_coco8-seg", "detect"),
    ("nuclei_corrected", "detect"),
    ("nuinsseg18_seg", "segment"),
    ("ultralytics_coco8-pose", "pose"),
    ("ltvideo12_pose", "pose"),
    ("ultralytics_dota8", "obb"),
    ("mcore14_obb", "obb"),
]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file's size and time of change."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def pieces(folder: Path, task: Any) -> tuple[Any, TaskSpec, dict[str, Any], Any]:
    dataset = find_dataset([str(folder / "data.yaml")])
    spec = dataset.task_spec(task)
    data = {"names": dict(spec.names), "nc": spec.nc, "channels": 3, "kpt_shape": list(spec.kpt_shape)}
    return dataset, spec, data, get_cfg(DEFAULT_CFG, {"imgsz": 64, "task": task})


@pytest.mark.parametrize(("name", "task"), SETS)
def test_rows_are_those_of_the_real_loader(shared_data: Path, tmp_path: Path, name: str, task: str) -> None:
    folder = tmp_path / name
    shutil.copytree(shared_data / name, folder, copy_function=shutil.copyfile)
    dataset, spec, data, hyp = pieces(folder, task)
    before = snapshot(folder)
    samples = read_samples(dataset, spec, "train")
    ours = ReadOnlyDataset(samples, data=data, task=task, imgsz=64, augment=False, hyp=hyp)
    first = ours[0]
    assert snapshot(folder) == before
    split = next(s for s in dataset.splits if s.name == "train")
    images = [s.image for s in samples]
    theirs = YOLODataset(
        img_path=[p for i in range(len(split)) if (p := split.image_path(i))][0:0] or list(split.image_dirs),
        data=data, task=task, imgsz=64, augment=False, hyp=hyp,
    )  # fmt: skip
    assert [os.path.realpath(p) for p in theirs.im_files] == [os.path.realpath(p) for p in images]
    for sample, mine, label in zip(samples, ours.labels, theirs.labels, strict=True):
        np.testing.assert_array_equal(sample.class_id, label["cls"])
        np.testing.assert_array_equal(sample.xywh, label["bboxes"])
        assert (sample.height, sample.width) == tuple(label["shape"])
        for a, b in zip(mine["segments"], label["segments"], strict=True):
            np.testing.assert_array_equal(a, b)
        if sample.keypoints is not None:
            np.testing.assert_array_equal(sample.keypoints, label["keypoints"])
        rows = Path(sample.label).read_text("utf-8-sig").splitlines() if sample.label else []
        for line, class_id in zip(sample.lines.tolist(), sample.class_id[:, 0].tolist(), strict=True):
            assert float(rows[line - 1].split()[0]) == class_id
    item = theirs[0]
    for key in ("img", "cls", "bboxes", *(["masks"] if task == "segment" else [])):
        assert (first[key] == item[key]).all(), key


@pytest.mark.parametrize(
    ("name", "task"), [("ultralytics_coco8", "detect"), ("ultralytics_coco8-seg", "segment")]
)
def test_rows_keep_their_numbers_through_mosaic_and_mask_sorting(
    shared_data: Path, name: str, task: str
) -> None:
    dataset, spec, data, hyp = pieces(shared_data / name, task)
    samples = read_samples(dataset, spec, "train")
    hyp.mosaic = 1.0
    items = ReadOnlyDataset(samples, data=data, task=task, imgsz=64, augment=True, hyp=hyp)
    classes = np.concatenate([s.class_id[:, 0] for s in samples])
    seen = set()
    for i in range(len(items)):
        item = items[i]
        rows = item["row"].numpy()
        np.testing.assert_array_equal(classes[rows], item["cls"][:, 0].numpy())
        seen |= set(rows.tolist())
        if task == "segment":
            assert set(np.unique(item["sem_masks"])) <= set(classes.tolist())
    assert len(seen) > len(samples[0])


def test_a_broken_picture_becomes_grey_and_is_remembered(tmp_path: Path, shared_data: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(shared_data / "ultralytics_coco8", folder, copy_function=shutil.copyfile)
    dataset, spec, data, hyp = pieces(folder, "detect")
    samples = read_samples(dataset, spec, "train")
    Path(samples[0].image).write_bytes(b"no picture")
    items = ReadOnlyDataset(samples, data=data, task="detect", imgsz=64, augment=False, hyp=hyp)
    assert len(np.unique(items[0]["img"])) == 1
    assert items[1]["img"].float().std() > 0
    assert list(items.unreadable) == [0]
