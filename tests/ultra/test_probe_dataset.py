"""The probe's dataset gives what the real one gives, also where label files hold boxes and polygons."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("ultralytics")

from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils import DEFAULT_CFG

from sanitizer.archives.finding import find_dataset
from sanitizer.ultra.probe_dataset import ReadOnlyDataset
from sanitizer.ultra.samples import read_samples

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.ultralytics

KEYPOINTS = (2, 3)
N_IMAGES = 10


def box(rng: np.random.Generator) -> str:
    w, h = rng.uniform(0.02, 0.5, 2)
    x, y = rng.uniform(w / 2, 1 - w / 2), rng.uniform(h / 2, 1 - h / 2)
    return f"{rng.integers(2)} {x:.6f} {y:.6f} {w:.6f} {h:.6f}"


def polygon(rng: np.random.Generator, points: int = 0) -> str:
    corners = rng.uniform(0.05, 0.95, 2 * (points or int(rng.integers(3, 9))))
    return f"{rng.integers(2)} " + " ".join(f"{v:.6f}" for v in corners)


def pose(rng: np.random.Generator) -> str:
    points = [(*rng.uniform(0, 1, 2), int(rng.integers(3))) for _ in range(KEYPOINTS[0])]
    return box(rng) + "".join(f" {x:.6f} {y:.6f} {flag}" for x, y, flag in points)


WRITERS: dict[str, list[Any]] = {
    "detect": [box, polygon],
    "segment": [polygon],
    "pose": [pose],
    "obb": [lambda rng: polygon(rng, 4)],
}


def write_set(folder: Path, task: str, seed: int) -> Path:
    """Images of several sizes; each label file has rows of one kind, or none, or a row twice, or is missing."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for i in range(N_IMAGES):
        pixels = rng.integers(
            0, 256, (int(rng.integers(40, 90)), int(rng.integers(40, 90)), 3), dtype=np.uint8
        )
        Image.fromarray(pixels).save(folder / "images" / "train" / f"{i}.png")
        write = WRITERS[task][i % len(WRITERS[task])]
        rows = [write(rng) for _ in range(int(rng.integers(1, 5)))]
        rows = {6: [], 7: [*rows, rows[0]]}.get(i, rows)
        if i != 8:
            (folder / "labels" / "train" / f"{i}.txt").write_text("\n".join(rows))
    data = {"path": str(folder), "train": "images/train", "val": "images/train", "names": ["a", "b"]}
    if task == "pose":
        data |= {"kpt_shape": list(KEYPOINTS)}
    (folder / "data.yaml").write_text(yaml.safe_dump(data))
    return folder


def both(folder: Path, task: Any, augment: bool) -> tuple[ReadOnlyDataset, YOLODataset]:
    """The probe's dataset and the real one over the same files."""
    dataset = find_dataset([str(folder / "data.yaml")])
    spec = dataset.task_spec(task)
    data = {"names": dict(spec.names), "nc": spec.nc, "channels": 3, "kpt_shape": list(spec.kpt_shape)}
    hyp = get_cfg(DEFAULT_CFG, {"imgsz": 64, "task": task, "mosaic": 1.0})
    settings = {"data": data, "task": task, "imgsz": 64, "augment": augment}
    ours = ReadOnlyDataset(read_samples(dataset, spec, "train"), hyp=get_cfg(hyp), **settings)
    theirs = YOLODataset(img_path=str(folder / "images" / "train"), hyp=get_cfg(hyp), **settings)
    return ours, theirs


def assert_same_labels(ours: ReadOnlyDataset, theirs: YOLODataset) -> None:
    """Image by image and row by row: class, box, polygon, keypoints."""
    assert ours.im_files == theirs.im_files
    for mine, other in zip(ours.labels, theirs.labels, strict=True):
        np.testing.assert_array_equal(ours.class_of_row.reshape(-1)[mine["cls"].astype(int)], other["cls"])
        np.testing.assert_array_equal(mine["bboxes"], other["bboxes"])
        for a, b in zip(mine["segments"], other["segments"], strict=True):
            np.testing.assert_array_equal(a, b)
        assert (mine["keypoints"] is None) == (other["keypoints"] is None)
        if mine["keypoints"] is not None:
            np.testing.assert_array_equal(mine["keypoints"], other["keypoints"])
        assert tuple(mine["shape"]) == tuple(other["shape"])


def assert_same_item(mine: dict[str, Any], other: dict[str, Any]) -> None:
    for key in other.keys() - {"im_file", "ori_shape", "resized_shape", "ratio_pad"}:
        np.testing.assert_array_equal(np.asarray(mine[key]), np.asarray(other[key]), err_msg=key)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", list(WRITERS))
def test_rows_and_mosaics_are_those_of_the_real_dataset(tmp_path: Path, task: str, seed: int) -> None:
    ours, theirs = both(write_set(tmp_path, task, seed), task, augment=True)
    assert_same_labels(ours, theirs)
    for i in range(len(ours)):
        items = []
        for dataset in (ours, theirs):
            random.seed(i)
            np.random.seed(i)
            dataset.buffer = list(range(len(dataset)))
            items.append(dataset[i])
        assert_same_item(*items)


def test_a_detection_set_of_boxes_and_polygons_goes_through_many_mosaics(tmp_path: Path) -> None:
    ours, _ = both(write_set(tmp_path, "detect", 2), "detect", augment=True)
    random.seed(0)
    np.random.seed(0)
    for _ in range(3):
        for i in range(len(ours)):
            item = ours[i]
            assert len(item["row"]) == len(item["bboxes"])
