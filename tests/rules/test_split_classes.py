"""D013: splits whose class ids mean other classes than those of train, and classes that training never sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ("truck", "car", "bike", "sign")
SHAPES = ((0.5, 0.4), (0.3, 0.2), (0.1, 0.2), (0.04, 0.05), (0.06, 0.4))
SHARES = (0.5, 0.3, 0.15, 0.05, 0)


def rows_of(
    rng: np.random.Generator,
    ids: Sequence[int],
    shares: Sequence[float],
    scale: float = 1.0,
) -> str:
    """Three objects; class c is written as `ids[c]`."""
    text = ""
    for c in rng.choice(len(SHAPES), 3, p=shares).tolist():
        w, h = np.array(SHAPES[c]) * np.exp(rng.normal(0, 0.25, 2)) * scale
        x, y = rng.uniform(0.35, 0.65, 2)
        text += f"{ids[c]} {x:.4f} {y:.4f} {min(w, 0.6):.4f} {min(h, 0.6):.4f}\n"
    return text


def findings(
    folder: Path,
    val_ids: Sequence[int] = (0, 1, 2, 3, 4),
    val_shares: Sequence[float] = SHARES,
    n: tuple[int, int] = (80, 30),
    names: Sequence[str] = NAMES,
    val_scale: float = 1.0,
) -> list[str]:
    rng = np.random.default_rng(3)
    for split, count in zip(("train", "val"), n, strict=True):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"images/{split}/{split}{i}x.png")
            own = (val_ids, val_shares, val_scale) if split == "val" else (range(5), SHARES)
            (folder / f"labels/{split}/{split}{i}x.txt").write_text(rows_of(rng, *own))
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {list(names)}\n")
    return [f.message for f in scan(folder / "data.yaml", cache=False).findings if f.rule == "D013"]


def test_val_in_another_order(tmp_path: Path) -> None:
    (message,) = findings(tmp_path, val_ids=(2, 0, 3, 1, 4))
    assert message.startswith(
        "the class ids of val look like those of another class list: 0 looks like 1 (car), 1 looks like 3 (sign), "
        "2 looks like 0 (truck), 3 looks like 2 (bike); read so, the shares of label files that hold "
    )


def test_val_in_alphabetical_order(tmp_path: Path) -> None:
    (message,) = findings(tmp_path, val_ids=[*(sorted(NAMES).index(name) for name in NAMES), 4])
    assert "another class list, in alphabetical order: 0 looks like 2 (bike)" in message


def test_many_classes_in_an_order_that_tools_make(tmp_path: Path) -> None:
    names = [*NAMES, "wall", "tree", "lamp", "dog"]
    ids = [sorted(names).index(name) for name in names]
    (message,) = findings(tmp_path, val_ids=ids, names=names)
    assert "in alphabetical order" in message


@pytest.mark.parametrize(
    "val_shares",
    [SHARES, (0.05, 0.15, 0.3, 0.5, 0), (0.3, 0.5, 0.05, 0.15, 0)],
    ids=["alike", "reversed", "swapped"],
)
def test_another_mix_of_classes_is_no_other_list(tmp_path: Path, val_shares: Sequence[float]) -> None:
    assert not findings(tmp_path, val_shares=val_shares)


@pytest.mark.parametrize("val_scale", [0.5, 0.7, 1.5])
def test_other_scenes_by_another_camera_are_no_other_list(tmp_path: Path, val_scale: float) -> None:
    assert not findings(tmp_path, val_shares=(0.15, 0.4, 0.4, 0.05, 0), val_scale=val_scale)


def test_a_class_that_train_never_has(tmp_path: Path) -> None:
    (message,) = findings(tmp_path, val_shares=(0.3, 0.3, 0.1, 0, 0.3), names=[*NAMES, "pole"])
    assert "of classes that no label file of train holds: 4 (pole); training never sees them" in message


def test_small_splits_say_nothing(tmp_path: Path) -> None:
    assert not findings(tmp_path, val_shares=(0.2, 0.2, 0, 0, 0.6), n=(4, 4), names=[*NAMES, "pole"])


def test_elsewhere_no_label_file_is_asked_for_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    ids = (2, 0, 3, 1, 4)
    (here,) = findings(tmp_path, val_ids=ids)
    memory.put(str(tmp_path), "/otherlist", recursive=True)
    asked: list[str] = []
    real = type(memory).cat_file

    def counted(self: object, path: str, *args: object, **kwargs: object) -> bytes:
        asked.append(path)
        return bytes(real(self, path, *args, **kwargs))

    monkeypatch.setattr(type(memory), "cat_file", counted)
    try:
        report = scan("memory://otherlist/data.yaml", cache=False, jobs=1)
    finally:
        memory.rm("/otherlist", recursive=True)
    (there,) = [f.message for f in report.findings if f.rule == "D013"]
    assert there == here
    labels = [path for path in asked if path.endswith("x.txt")]
    assert len(labels) == len(set(labels)) == 110
