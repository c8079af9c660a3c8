"""The verdict on a run is what the real Ultralytics does with the dataset."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import real_training
import yaml
from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N_SETS = 500
N_TRAINED = 16
TASKS = ("detect", "segment", "pose", "obb")
SIDE_PX = 32

ROWS = {
    "detect": "0 0.5 0.5 0.4 0.4",
    "segment": "0 0.2 0.2 0.8 0.2 0.8 0.8",
    "pose": "0 0.5 0.5 0.4 0.4 0.4 0.5 2 0.6 0.5 2",
    "obb": "0 0.2 0.2 0.8 0.2 0.8 0.8 0.2 0.8",
}
BAD_ROWS = ("", "0 0.5 0.5", "9 0.5 0.5 0.4 0.4", "0 50 50 40 40", "0 nan 0.5 0.4 0.4", "cat 0.5 0.5 0.4 0.4")
YAML_SLIPS: tuple[Callable[[dict[str, Any]], object], ...] = (
    lambda y: y.pop("names"),
    lambda y: y.pop("train"),
    lambda y: y.pop("val"),
    lambda y: y.update(val=None),
    lambda y: y.update(val=True),
    lambda y: y.update(train="images/nowhere"),
    lambda y: y.update(val="images/nowhere"),
    lambda y: y.update(nc=7),
    lambda y: y.update(nc="two"),
    lambda y: y.update(names=[]),
    lambda y: y.update(names={1: "a", 2: "b"}),
    lambda y: y.update(names={"a": "a", "b": "b"}),
    lambda y: y.update(names="a"),
    lambda y: y.update(channels=1),
    lambda y: y.update(channels=4),
    lambda y: y.update(channels="three"),
    lambda y: y.update(kpt_shape=[2]),
    lambda y: y.update(kpt_shape=[2, 5]),
    lambda y: y.update(kpt_shape=[3, 3]),
    lambda y: y.update(flip_idx=[1, 0]),
    lambda y: y.update(flip_idx=[1, 2]),
    lambda y: y.update(flip_idx=[0]),
    lambda y: y.update(flip_idx=["a", "b"]),
    lambda y: y.update(flip_idx=None),
    lambda y: y.update(path="nowhere"),
)
MODES = ("RGB", "RGB", "RGB", "L", "RGBA", "F", "I;16", "pages")


def write_set(folder: Path, rng: random.Random) -> tuple[Path, str]:
    """A small dataset with some slips; returns its data.yaml and its task."""
    task = rng.choice(TASKS)
    content: dict[str, Any] = {"train": "images/train", "val": "images/val", "names": ["a", "b"]}
    if task == "pose" or rng.random() < 0.1:
        content["kpt_shape"] = [2, 3]
    if rng.random() < 0.35:
        rng.choice(YAML_SLIPS)(content)
    slip = rng.choice(("none", "rows", "rows", "labels", "pictures", "kinds", "empty"))
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        n = rng.choice((0, 1, 2)) if slip == "empty" else rng.choice((2, 3))
        for i in range(n):
            mode = rng.choice(MODES) if slip == "pictures" else "RGB"
            write_picture(folder / "images" / split, str(i), mode, rng)
            if slip == "labels" and rng.random() < 0.7:
                continue
            row = ROWS[task]
            if slip == "rows" and rng.random() < 0.7:
                row = rng.choice(BAD_ROWS)
            elif slip == "kinds" and rng.random() < 0.5:
                row = ROWS[rng.choice(TASKS)]
            (folder / "labels" / split / f"{i}.txt").write_text(f"{row}\n" if row else "")
    (folder / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "data.yaml", task


def write_picture(folder: Path, name: str, mode: str, rng: random.Random) -> None:
    if rng.random() < 0.03:
        (folder / f"{name}.jpg").write_bytes(b"no picture")
        return
    pixels = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 255, (SIDE_PX, SIDE_PX, 4), np.uint8)
    if mode == "pages":
        first, *rest = [Image.fromarray(pixels[..., c]) for c in range(4)]
        first.save(folder / f"{name}.tif", save_all=True, append_images=rest)
    elif mode == "F":
        Image.fromarray(pixels[..., 0].astype(np.float32)).save(folder / f"{name}.tif")
    elif mode == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16)).save(folder / f"{name}.png")
    else:
        Image.fromarray(pixels).convert(mode).save(folder / f"{name}.png")


def differences(data: Path, task: str, real: real_training.RealOutcome) -> str | None:
    """How the report of a scan differs from what really happened; None where it does not."""
    report = scan(data, task=task, cache=False)  # type: ignore[arg-type]
    training = report.training
    assert training is not None
    if training.starts != real.starts:
        return f"real {real.error}, said {training}"
    if training.stops_with and not real_training.says_the_same(training.stops_with, real.error or ""):
        return f"real {real.error!r}, said {training.stops_with!r}"
    kept = {s.split: s.images - s.dropped for s in report.summary.splits}
    if real.starts and kept != real.kept:
        return f"kept {real.kept}, said {kept}"
    return None


@pytest.mark.ultralytics
@pytest.mark.slow
def test_the_verdict_is_what_really_happens(tmp_path: Path) -> None:
    wrong, n_started = [], 0
    for seed in range(N_SETS):
        data, task = write_set(tmp_path / str(seed), random.Random(seed))
        ours_first = tmp_path / str(seed)
        real = real_training.tried(data, task)
        n_started += real.starts
        difference = differences(data, task, real)
        if difference:
            wrong.append(f"{ours_first.name} {task}: {difference}")
    assert not wrong, "\n".join([f"{len(wrong)} of {N_SETS}", *wrong[:20]])
    assert 0.2 < n_started / N_SETS < 0.8


@pytest.mark.ultralytics
@pytest.mark.slow
def test_the_verdict_is_what_the_whole_trainer_does(tmp_path: Path) -> None:
    for seed in range(N_SETS, N_SETS + N_TRAINED):
        data, task = write_set(tmp_path / str(seed), random.Random(seed))
        assert not differences(data, task, real_training.trained(data, task, fliplr=1.0)), seed


def test_a_box_row_stops_training_only_where_training_opens_its_file(tmp_path: Path) -> None:
    rng = random.Random(0)
    for split in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        write_picture(tmp_path / "images" / split, "0", "RGB", rng)
        (tmp_path / "labels" / split / "0.txt").write_text(ROWS["segment"] + "\n")
    for stray in ("test/0.txt", "train/no_image.txt"):
        (tmp_path / "labels" / stray).write_text(ROWS["detect"] + "\n")
    splits = {split: f"images/{split}" for split in ("train", "val", "test")}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({**splits, "names": ["a"]}))
    report = scan(tmp_path / "data.yaml", task="segment", cache=False)
    assert report.training is not None and report.training.starts is True
    said = {f.label: f.message for f in report.findings if f.rule == "L006"}
    assert said == {
        "labels/test/0.txt": "box row in a segmentation set: training reads no test split; a validation on it stops",
        "labels/train/no_image.txt": (
            "box row in a segmentation set: training never opens this file, as it has no image"
        ),
    }
    (tmp_path / "labels" / "val" / "0.txt").write_text(ROWS["detect"] + "\n")
    stopped = scan(tmp_path / "data.yaml", task="segment", cache=False)
    assert stopped.training is not None
    assert (
        stopped.training.stops_with
        == "ValueError: Segment dataset requires equal numbers of boxes and segments"
    )
    assert stopped.head()["training"]["starts"] is False
