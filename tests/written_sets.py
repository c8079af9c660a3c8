"""Datasets whose truth is known, written down in another way: percent, corners, other tools' text."""

from __future__ import annotations

import functools
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import yaml
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Size = tuple[int, int]
Row = tuple[int, float, float, float, float]
"""Class id, then centre and size, normalised."""
NAMES = ("car", "ship", "large vehicle")
SIZES: Sequence[Size] = ((640, 480), (500, 700), (800, 600))


@dataclass(frozen=True, slots=True)
class Truth:
    """The label files of a dataset as they should be.

    Attributes:
        sizes: Of each image.
        rows: Of each label file.
    """

    sizes: Sequence[Size]
    rows: Sequence[Sequence[Row]]


def truth(
    rng: np.random.Generator,
    n_files: int = 8,
    n_rows: int = 6,
    side: float = 0.2,
    sizes: Sequence[Size] = SIZES,
    n_classes: int = len(NAMES),
) -> Truth:
    """Random boxes all over their images, `side` of them long on average, with three decimals of a pixel."""
    rows = []
    chosen = [sizes[int(i)] for i in rng.integers(len(sizes), size=n_files)]
    for _ in range(n_files):
        w, h = np.clip(side * np.exp(rng.normal(0, 0.4, (2, n_rows))), 0.02, 0.9)
        x, y = w / 2 + rng.uniform(0, 1, n_rows) * (1 - w), h / 2 + rng.uniform(0, 1, n_rows) * (1 - h)
        classes = rng.integers(n_classes, size=n_rows)
        rows.append([(int(c), *map(float, box)) for c, *box in zip(classes, x, y, w, h, strict=True)])
    return Truth(chosen, rows)


def plain(row: Row, size: Size) -> str:
    """A row as training reads it."""
    class_id, *box = row
    return " ".join([str(class_id), *(f"{v:.6f}" for v in box)])


def _in(divide: Callable[[Size], tuple[float, float]], layout: str) -> Callable[[Row, Size], str]:
    def write(row: Row, size: Size) -> str:
        class_id, x, y, w, h = row
        along_x, along_y = divide(size)
        x, y, w, h = x * along_x, y * along_y, w * along_x, h * along_y
        x1, y1, x2, y2 = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        four = {
            "centre": (x, y, w, h),
            "corners": (x1, y1, x2, y2),
            "top-left": (x1, y1, w, h),
            "corners-by-axis": (x1, x2, y1, y2),
            "swapped": (y, x, h, w),
            "swapped-centre": (y, x, w, h),
            "swapped-size": (x, y, h, w),
        }[layout]
        return f"{class_id} " + " ".join(f"{max(v, 0):.6f}" for v in four)

    return write


def _one(size: Size) -> tuple[float, float]:
    return 1, 1


def _hundred(size: Size) -> tuple[float, float]:
    return 100, 100


def _thousand(size: Size) -> tuple[float, float]:
    return 1000, 1000


def _pixels(size: Size) -> tuple[float, float]:
    return size


def _wrong_side(size: Size) -> tuple[float, float]:
    return size[0] / size[1], size[1] / size[0]


def visdrone(row: Row, size: Size) -> str:
    """x,y,w,h,score,category,truncation,occlusion."""
    class_id, x1, y1, x2, y2 = _edges(row, size)
    return f"{x1:.0f},{y1:.0f},{x2 - x1:.0f},{y2 - y1:.0f},1,{class_id + 1},0,1"


def kitti(row: Row, size: Size) -> str:
    """Name, truncation, occlusion, angle, corners, a box in space."""
    class_id, *edges = _edges(row, size)
    name = NAMES[int(class_id)].split()[0].capitalize()
    return f"{name} 0.00 0 -1.57 {' '.join(f'{v:.2f}' for v in edges)} 1.57 1.73 4.15 1.00 1.75 13.22 1.62"


def mot(row: Row, size: Size) -> str:
    """frame,id,x,y,w,h,conf,class,visibility."""
    class_id, x1, y1, x2, y2 = _edges(row, size)
    return f"{class_id + 1:.0f},7,{x1:.1f},{y1:.1f},{x2 - x1:.1f},{y2 - y1:.1f},1,1,0.86"


def _edges(row: Row, size: Size) -> tuple[float, ...]:
    class_id, x, y, w, h = row
    return (
        class_id,
        (x - w / 2) * size[0],
        (y - h / 2) * size[1],
        (x + w / 2) * size[0],
        (y + h / 2) * size[1],
    )


WAYS: Mapping[str, Callable[[Row, Size], str]] = {
    "percent": _in(_hundred, "centre"),
    "pixels": _in(_pixels, "centre"),
    "thousandths": _in(_thousand, "centre"),
    "corners": _in(_one, "corners"),
    "corners-by-axis": _in(_one, "corners-by-axis"),
    "corners-pixels": _in(_pixels, "corners"),
    "corners-percent": _in(_hundred, "corners"),
    "top-left": _in(_one, "top-left"),
    "top-left-pixels": _in(_pixels, "top-left"),
    "top-left-percent": _in(_hundred, "top-left"),
    "swapped-centre": _in(_one, "swapped-centre"),
    "swapped-size": _in(_one, "swapped-size"),
    "swapped-pixels": _in(_pixels, "swapped"),
    "wrong-side": _in(_wrong_side, "centre"),
    "swapped-wrong-side": _in(_wrong_side, "swapped"),
    "confidence": lambda row, size: f"{plain(row, size)} {0.25 + row[1] * 0.7:.4f}",
    "track-id": lambda row, size: f"{plain(row, size)} {1 + round(row[1] * 50)}",
    "confidence-and-track-id": lambda row, size: f"{plain(row, size)} {row[2]:.4f} {2 + round(row[1] * 50)}",
    "instance-id": lambda row, size: plain(row, size).replace(" ", f" {100 + round(row[1] * 900)} ", 1),
    "class-names": lambda row, size: f"{NAMES[row[0]]} {plain(row, size).partition(' ')[2]}",
    "comma-separated": lambda row, size: plain(row, size).replace(" ", ","),
    "decimal-commas": lambda row, size: plain(row, size).replace(".", ","),
    "ids-from-one": lambda row, size: plain((row[0] + 1, *row[1:]), size),
}
"""Name of a reading to a function that writes a row in this way."""


def write_set(
    folder: Path,
    labels: Sequence[str],
    sizes: Sequence[Size],
    splits: Sequence[str] | None = None,
    **more: object,
) -> Path:
    """A dataset with these texts as label files; returns its data.yaml. Every fourth image is val unless told."""
    splits = splits or ["val" if i % 4 == 3 else "train" for i in range(len(labels))]
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for i, (text, size, split) in enumerate(zip(labels, sizes, splits, strict=True)):
        (folder / "images" / split / f"{i}.png").write_bytes(blank(size, i))
        (folder / "labels" / split / f"{i}.txt").write_text(text)
    content = {"train": "images/train", "val": "images/val", "names": list(NAMES), **more}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


@functools.cache
def blank(size: Size, shade: int) -> bytes:
    """The bytes of a grey PNG of this size."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade % 256,) * 3).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def texts(rows: Sequence[Sequence[Row]], sizes: Sequence[Size], way: Callable[[Row, Size], str]) -> list[str]:
    """Label files in which every row is written in this way."""
    return [
        "".join(way(row, size) + "\n" for row in of_file) for of_file, size in zip(rows, sizes, strict=True)
    ]


def turned(row: Row, size: Size, in_degrees: bool, turn: float) -> str:
    """Centre, size and angle."""
    return f"{plain(row, size)} {math.degrees(turn) if in_degrees else turn:.4f}"
