"""Makes twins of label rows: the same row with an error of a known kind, to learn what errors look like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL, CLASS, SHIFT, SCALE, MERGE, BACKGROUND = range(6)
"""Kinds of candidates: the label row itself, and the errors that a twin can have."""
MOST_ROWS = 12
"""Rows of an image that get twins: more rows of one image teach little more."""
SHIFTS = (0.3, 0.7)
"""Length of a shift, in sides of the box."""
SCALES = (0.5, 2.0)
_TRIES = 8
_STILL_THE_SAME_IOU = 0.7
"""A scaled box that the image's edge cuts back to more than this IoU with its row has no error."""
_NEAR = 2.0
"""Rows are merged with their nearest neighbour if its centre is at most so many box sides away."""
_BACKGROUND_IOU = 0.3
"""A box is on background if its IoU with every row is smaller."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """C rows of one image, as they are and with errors. Every one is compared with the image's other rows.

    Attributes:
        kind: int64 (C,) LABEL for the rows themselves, which come first and in order, or the kind of error.
        row: int64 (C,) number of the row.
        without: int64 (C, 2) numbers of rows that are not there beside the candidate, -1 for none: the row itself, and
            for merged rows the second one. A box on background replaces no row.
        class_id: int64 (C,).
        boxes: float64 (C, 4) xyxy, or (C, 5) xywh and angle of oriented boxes, input pixels.
    """

    kind: NDArray[np.int64]
    row: NDArray[np.int64]
    without: NDArray[np.int64]
    class_id: NDArray[np.int64]
    boxes: NDArray[np.float64]


def make_candidates(
    class_id: NDArray[np.int64],
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    area: tuple[float, float, float, float],
    random: np.random.Generator,
) -> Candidates:
    """The rows of an image, and twins of up to `MOST_ROWS` of them.

    Args:
        class_id: int64 (R,).
        boxes: float64 (R, 4) xyxy, or (R, 5) xywh and angle in radians, input pixels.
        classes: int64 (K,) the classes that the dataset uses, in order: nobody gives a row a class that no row has.
            With one class there are no twins of another class.
        area: Left, top, right and bottom of the image in the network's input, pixels.
        random: Says which rows get twins, and how far they differ.
    """
    n = len(class_id)
    found = [(LABEL, i, (i, -1), int(class_id[i]), boxes[i]) for i in range(n)]
    maker = _Maker(boxes, area, random)
    for i in random.permutation(n)[:MOST_ROWS].tolist():
        if len(classes) > 1:
            place = np.searchsorted(classes, class_id[i]) + random.integers(1, len(classes))
            other = int(classes[place % len(classes)])
            found.append((CLASS, i, (i, -1), other, boxes[i]))
        for kind, make in ((SHIFT, maker.shifted), (SCALE, maker.scaled), (BACKGROUND, maker.on_background)):
            box = make(i)
            if box is not None:
                gone = (-1, -1) if kind == BACKGROUND else (i, -1)
                found.append((kind, i, gone, int(class_id[i]), box))
        merged = maker.merged(i)
        if merged is not None:
            found.append((MERGE, i, (i, merged[0]), int(class_id[i]), merged[1]))
    kinds, rows, without, class_ids, all_boxes = zip(*found, strict=True) if found else ((), (), (), (), ())
    return Candidates(
        np.array(kinds, np.int64),
        np.array(rows, np.int64),
        np.array(without, np.int64).reshape(-1, 2),
        np.array(class_ids, np.int64),
        np.array(all_boxes, np.float64).reshape(-1, boxes.shape[1]),
    )


class _Maker:
    """Alters the boxes of one image. A box that cannot have the error is None."""

    def __init__(
        self,
        boxes: NDArray[np.float64],
        area: tuple[float, float, float, float],
        random: np.random.Generator,
    ) -> None:
        self.oriented = boxes.shape[1] == 5
        self.low, self.high, self.random = np.array(area[:2]), np.array(area[2:]), random
        if self.oriented:
            self.centre, self.size, self.angle = boxes[:, :2], boxes[:, 2:4], boxes[:, 4:]
        else:
            self.centre, self.size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        self.upright = np.concatenate([self.centre - self.size / 2, self.centre + self.size / 2], 1)

    def shifted(self, i: int) -> NDArray[np.float64] | None:
        for _ in range(_TRIES):
            direction, length = self.random.uniform(0, 2 * math.pi), self.random.uniform(*SHIFTS)
            step = length * np.array([math.cos(direction), math.sin(direction)]) * self.size[i]
            centre = self.centre[i] + self._turned(step, i)
            if (centre >= self.low).all() and (centre <= self.high).all():
                return self._box(centre, self.size[i], i)
        return None

    def scaled(self, i: int) -> NDArray[np.float64] | None:
        box = self._box(self.centre[i], self.size[i] * self.random.choice(SCALES), i)
        upright = box if not self.oriented else np.r_[box[:2] - box[2:4] / 2, box[:2] + box[2:4] / 2]
        return box if _iou(upright, self.upright[[i]])[0] < _STILL_THE_SAME_IOU else None

    def merged(self, i: int) -> tuple[int, NDArray[np.float64]] | None:
        """The number of the nearest row, and a box around both."""
        if self.oriented or len(self.centre) < 2:
            return None
        distance = np.hypot(*(self.centre - self.centre[i]).T)
        distance[i] = math.inf
        j = int(distance.argmin())
        if distance[j] > _NEAR * max(self.size[i].max(), self.size[j].max()):
            return None
        pair = self.upright[[i, j]]
        box = np.r_[pair[:, :2].min(0), pair[:, 2:].max(0)]
        return (j, box) if _iou(box, pair).max() < _STILL_THE_SAME_IOU else None

    def on_background(self, i: int) -> NDArray[np.float64] | None:
        """A box of the row's size where no row is."""
        low = self.low + self.size[i] / 2
        high = np.maximum(self.high - self.size[i] / 2, low)
        for _ in range(_TRIES):
            centre = self.random.uniform(low, high)
            half = self.size[i] / 2
            if _iou(np.r_[centre - half, centre + half], self.upright).max() < _BACKGROUND_IOU:
                return self._box(centre, self.size[i], i)
        return None

    def _turned(self, step: NDArray[np.float64], i: int) -> NDArray[np.float64]:
        if not self.oriented:
            return step
        cos, sin = math.cos(self.angle[i, 0]), math.sin(self.angle[i, 0])
        return np.array([cos * step[0] - sin * step[1], sin * step[0] + cos * step[1]])

    def _box(self, centre: NDArray[np.float64], size: NDArray[np.float64], i: int) -> NDArray[np.float64]:
        """A box in the form of the labels; an upright one is cut at the image's edges, as labels are."""
        if self.oriented:
            return np.asarray(np.r_[centre, size, self.angle[i]])
        low, high = np.maximum(centre - size / 2, self.low), np.minimum(centre + size / 2, self.high)
        return np.asarray(np.r_[low, high])


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (N,): IoU of one upright box (4,) with others (N, 4), xyxy."""
    sides = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None)
    inter = sides.prod(1)
    areas = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1)
    return np.asarray(inter / np.maximum(areas - inter, 1e-12))
