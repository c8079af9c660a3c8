"""The label rows that `leaps.py` tries, and the made pictures that they stand on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sanitizer.ultra.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 160
"""Pixels of a picture, and imgsz."""
PICTURES = 4
MASK_STEP = 4
"""Pixels of the network's input for one of the mask: the stride of the prototypes, and the default of mask_ratio."""
KEYPOINTS = 5
SHAPES = ("box", "diamond", "triangle")


@dataclass(frozen=True, slots=True)
class Row:
    """One label row, in pixels.

    Attributes:
        x, y: Centre.
        w, h: Sides.
        shape: Of its polygon, one of `SHAPES`.
        angle: Of an oriented box, degrees.
        visible: How many of its keypoints are labelled.
        away: Distance of its keypoints from its centre, in pixels, beyond those inside the box.
    """

    x: float
    y: float
    w: float
    h: float
    shape: str = "box"
    angle: float = 0.0
    visible: int = KEYPOINTS
    away: float = 0.0

    def words(self, task: str) -> str:
        """As the table names it."""
        text = f"{self.w:.3g} × {self.h:.3g} px at {self.x:.1f}, {self.y:.1f}"
        if task == "segment" and self.shape != "box":
            text += f", {self.shape}"
        if task == "obb" and self.angle:
            text += f", {self.angle:.0f}°"
        if task == "pose":
            text += f", {self.visible} of {KEYPOINTS} keypoints"
            if self.away >= 1:
                text += f", {self.away:.0f} px away"
        return text


MEDIAN = Row(112, 108, 40, 36)
"""The row that the one tried takes the place of."""
OTHERS = (Row(40, 42, 44, 36), Row(116, 44, 34, 42), Row(44, 116, 36, 40))
"""The other rows of each picture."""

_NAMED: Mapping[str, Row] = {
    "as large as the picture": replace(MEDIAN, x=80, y=80, w=160, h=160),
    "aspect 50:1": replace(MEDIAN, x=80, w=150, h=3),
    "aspect 75:1": replace(MEDIAN, x=80, w=150, h=2),
    "aspect 150:1": replace(MEDIAN, x=80, w=150, h=1),
    "aspect 750:1": replace(MEDIAN, x=80, w=150, h=0.2),
    "2.5 × 2.5 px": replace(MEDIAN, w=2.5, h=2.5),
    "1 × 1 px": replace(MEDIAN, w=1, h=1),
    "0.4 × 0.4 px": replace(MEDIAN, w=0.4, h=0.4),
    "0.1 × 0.1 px": replace(MEDIAN, w=0.1, h=0.1),
    "no width": replace(MEDIAN, w=0),
}
_OF_TASK: Mapping[str, Mapping[str, Row]] = {
    "pose": {
        "one keypoint labelled": replace(MEDIAN, visible=1),
        "no keypoint labelled": replace(MEDIAN, visible=0),
        "keypoints one box away": replace(MEDIAN, away=40),
        "keypoints across the picture": replace(MEDIAN, away=100),
        "4 × 4 px, keypoints 40 px away": replace(MEDIAN, w=4, h=4, away=40),
        "4 × 4 px, keypoints across the picture": replace(MEDIAN, w=4, h=4, away=100),
    },
    "obb": {
        "aspect 50:1, turned by 45°": replace(MEDIAN, x=80, y=80, w=150, h=3, angle=45),
        "2.5 × 2.5 px, turned by 45°": replace(MEDIAN, w=2.5, h=2.5, angle=45),
    },
}


def named_rows(task: str) -> dict[str, Row]:
    """Rows that stories are told of, each tried as it stands."""
    return {**_NAMED, **_OF_TASK.get(task, {})}


def row_of(point: NDArray[np.float64], task: str) -> Row:
    """The row at a point of the unit cube of 7 dimensions; sides from 0.05 px to the whole picture, on a log scale."""
    u = np.clip(point, 0, 1).tolist()
    w, h = (0.05 * (SIDE / 0.05) ** v for v in u[2:4])
    row = moved(Row(0, 0, w, h), u[0], u[1], u[6])
    if task == "segment":
        return replace(row, shape=SHAPES[min(int(u[4] * len(SHAPES)), len(SHAPES) - 1)])
    if task == "pose":
        return replace(row, visible=min(int(u[4] * (KEYPOINTS + 1)), KEYPOINTS), away=u[5] * SIDE)
    return replace(row, angle=u[4] * 90) if task == "obb" else row


def moved(row: Row, across: float, down: float, grid: float) -> Row:
    """The same row at another place of the picture, from 0 (left, top) to 1. Below one half, `grid` lets the row cover
    a pixel of the mask, however small it is; else chance decides.
    """
    x, y = row.w / 2 + across * (SIDE - row.w), row.h / 2 + down * (SIDE - row.h)
    if grid < 0.5:
        x, y = (
            round(v / MASK_STEP) * MASK_STEP if side < MASK_STEP else v
            for v, side in ((x, row.w), (y, row.h))
        )
    return replace(row, x=x, y=y)


def sample_of(image: str, rows: Sequence[Row], task: str) -> Sample:
    """One picture with these label rows, as the label reader would give them."""
    xywh = np.array([(r.x / SIDE, r.y / SIDE, r.w / SIDE, r.h / SIDE) for r in rows], np.float32)
    segments = [_corners(r, task) for r in rows] if task in ("segment", "obb") else []
    if segments:
        low, high = (np.array([edge(s, axis=0) for s in segments], np.float32) for edge in (np.min, np.max))
        xywh = np.concatenate([(low + high) / np.float32(2), high - low], 1)
    points = np.array([_keypoints(r) for r in rows], np.float32) if task == "pose" else None
    n = len(rows)
    lines, classes = np.arange(1, n + 1, dtype=np.int32), np.zeros((n, 1), np.float32)
    return Sample(image, None, "train", SIDE, SIDE, lines, classes, xywh, segments, points)


def _corners(row: Row, task: str) -> NDArray[np.float32]:
    """float32 (3 or 4, 2), normalised."""
    unit = {
        "box": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "diamond": [(0, -1), (1, 0), (0, 1), (-1, 0)],
        "triangle": [(-1, -1), (1, -1), (1, 1)],
    }[row.shape]
    corners = np.array(unit) * (row.w / 2, row.h / 2)
    if task == "obb":
        c, s = np.cos(np.radians(row.angle)), np.sin(np.radians(row.angle))
        corners = corners @ np.array([[c, s], [-s, c]])
    return np.asarray(np.clip((corners + np.array([row.x, row.y])) / SIDE, 0, 1), np.float32)


def _keypoints(row: Row) -> NDArray[np.float32]:
    """float32 (K, 3), normalised x, y and visibility: spread in the box, all moved by `away` to where there is room."""
    at = np.linspace(-0.4, 0.4, KEYPOINTS)
    x = row.x + at * row.w + row.away * (1 if row.x < SIDE / 2 else -1)
    y = row.y + at[::-1] * row.h
    flags = np.where(np.arange(KEYPOINTS) < row.visible, 2, 0)
    return np.stack([np.clip(x / SIDE, 0, 1), np.clip(y / SIDE, 0, 1), flags], 1).astype(np.float32)


def paint(folder: Path, seed: int = 0) -> list[str]:
    """Write the pictures: noise, with a brighter patch for each row that all of them have."""
    rng = np.random.default_rng(seed)
    paths = []
    for i in range(PICTURES):
        pixels = rng.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
        for k, row in enumerate((*OTHERS, MEDIAN)):
            left, top = int(row.x - row.w / 2), int(row.y - row.h / 2)
            pixels[top : top + int(row.h), left : left + int(row.w), k % 3] += np.uint8(120)
        paths.append(str(folder / f"{i}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return paths
