"""Coordinates of many rows as arrays, and where boxes lie when they are read in a layout and a unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.labels.readings.coordinates import centre
from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, TOLERANCE, pose_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile

Layout = Callable[..., tuple[Any, Any, Any, Any]]
Unit = Callable[..., "tuple[Any, Any] | None"]
"""Those of `sanitizer.labels.readings.coordinates`, which take arrays as well as numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """R rows of numbers that have the columns of a box, of a box with keypoints, or of a polygon.

    Attributes:
        files: Their files.
        file: int64 (R,) index of the file of each.
        line: int64 (R,) 1-based.
        four: float64 (R, 4) the first four coordinates; of a polygon the centre and size of its bounds.
        points: float64 (R, 4) lowest x, lowest y, highest x, highest y of the keypoints; NaN without.
        is_box: bool (R,) no polygon.
        size_px: float64 (R, 2) width and height of the image, NaN where unknown.
    """

    files: Sequence[SampleFile]
    file: NDArray[np.int64]
    line: NDArray[np.int64]
    four: NDArray[np.float64]
    points: NDArray[np.float64]
    is_box: NDArray[np.bool_]
    size_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.file)

    def lines_where(self, which: NDArray[np.bool_]) -> dict[str, frozenset[int]]:
        """Label to lines of these rows."""
        lines: dict[str, set[int]] = {}
        for i in np.flatnonzero(which).tolist():
            lines.setdefault(self.files[int(self.file[i])].label, set()).add(int(self.line[i]))
        return {label: frozenset(of_label) for label, of_label in lines.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Rows as one layout and unit reads them, normalised. Where a unit needs the image's size and that is unknown,
    edges are NaN and nothing speaks against the row.

    Attributes:
        xyxy: float64 (R, 4) edges.
        fits: bool (R,) the box has a size and lies in the image, with its keypoints.
        deep: bool (R,) more than a quarter of the box lies beyond one edge, which no careless drawing explains.
        is_over_one: bool (R,) as written, right and bottom edge lie beyond 1.
    """

    xyxy: NDArray[np.float64]
    fits: NDArray[np.bool_]
    deep: NDArray[np.bool_]
    is_over_one: NDArray[np.bool_]

    @property
    def reach(self) -> float:
        """The furthest right or bottom edge; NaN where most are unknown."""
        return float(self.extent[2:].max())

    @property
    def extent(self) -> NDArray[np.float64]:
        """float64 (4,): the edges of the smallest box around all; NaN where most are unknown."""
        known = np.isfinite(self.xyxy[:, 2])
        if 2 * known.sum() <= len(known):
            return np.full(4, np.nan)
        return np.concatenate((self.xyxy[known, :2].min(axis=0), self.xyxy[known, 2:].max(axis=0)))


def gather(files: Sequence[SampleFile], spec: TaskSpec) -> Boxes:
    """The rows of these files that have the columns of a box or a polygon and numbers only."""
    places: list[tuple[int, int]] = []
    fours, points, is_box, sizes = [], [], [], []
    for number, file in enumerate(files):
        size = file.size_px or (np.nan, np.nan)
        for row in file.rows:
            made = _coordinates(row.numbers, spec)
            if made is None:
                continue
            places.append((number, row.line))
            fours.append(made[0])
            points.append(made[1])
            is_box.append(made[2])
            sizes.append(size)
    at = np.array(places, np.int64).reshape(-1, 2)
    return Boxes(
        files,
        at[:, 0],
        at[:, 1],
        np.array(fours, np.float64).reshape(-1, 4),
        np.array(points, np.float64).reshape(-1, 4),
        np.array(is_box, np.bool_),
        np.array(sizes, np.float64).reshape(-1, 2),
    )


def box_columns(spec: TaskSpec) -> tuple[int, int]:
    """Numbers of columns of a box, and of one with keypoints."""
    return BOX_COLUMNS, pose_columns(spec)


_NO_POINTS = (float("nan"),) * 4


def _coordinates(
    numbers: Sequence[float], spec: TaskSpec
) -> tuple[Sequence[float], Sequence[float], bool] | None:
    """(four numbers, bounds of keypoints, whether it is a box) of a row; None where it is none of them."""
    n = len(numbers)
    if not all(map(math.isfinite, numbers)):
        return None
    if n == BOX_COLUMNS:
        return numbers[1:], _NO_POINTS, True
    if n == pose_columns(spec):
        dimensions = spec.kpt_shape[1]
        xs, ys = numbers[BOX_COLUMNS::dimensions], numbers[BOX_COLUMNS + 1 :: dimensions]
        return numbers[1:BOX_COLUMNS], (min(xs), min(ys), max(xs), max(ys)), True
    if n >= MIN_POLYGON_COLUMNS and n % 2:
        (x1, x2), (y1, y2) = ((min(v), max(v)) for v in (numbers[1::2], numbers[2::2]))
        return ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), _NO_POINTS, False
    return None


def place(
    boxes: Boxes,
    layout: Layout,
    unit: Unit,
) -> Placed:
    """Read all rows in a layout and a unit. Polygons have no layout: they fit where the layout is `centre`."""
    along = unit((boxes.size_px[:, 0], boxes.size_px[:, 1]))
    assert along is not None
    x, y, w, h = layout(*boxes.four.T)
    raw = np.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), axis=1)
    by = np.stack(np.broadcast_arrays(*along * 2, np.zeros(len(boxes)))[:4], axis=1)
    xyxy, points = raw / by, boxes.points / by
    beyond = np.maximum(-xyxy[:, :2], xyxy[:, 2:] - 1)
    points_leave = np.maximum(-points[:, :2], points[:, 2:] - 1).max(axis=1) > TOLERANCE
    fits = (w > 0) & (h > 0) & ~(beyond.max(axis=1) > TOLERANCE) & ~points_leave
    if layout is not centre:
        fits &= boxes.is_box
    deep = (beyond > TOLERANCE) & (beyond > 0.25 * (xyxy[:, 2:] - xyxy[:, :2]))
    return Placed(xyxy, fits, np.any(deep, axis=1), np.all(raw[:, 2:] > 1, axis=1))
