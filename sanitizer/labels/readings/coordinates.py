"""Coordinates in other units (percent, pixels, thousandths) and boxes in other layouts (corners, top-left corner)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sanitizer.labels.number_text import MIN_DECIMALS, decimals_of, written
from sanitizer.labels.readings.reading import is_normalised, numbers_of
from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, pose_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.readings.reading import Convert, SizePx

Four = tuple[float, float, float, float]
Unit = Callable[["SizePx | None"], "tuple[float, float] | None"]


# Layouts: what the four numbers of a box are, to centre and size.


def centre(x: float, y: float, w: float, h: float) -> Four:
    """As training reads them."""
    return x, y, w, h


def corners(x1: float, y1: float, x2: float, y2: float) -> Four:
    """Two corners, x before y."""
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def corners_by_axis(x1: float, x2: float, y1: float, y2: float) -> Four:
    """Left, right, top, bottom."""
    return corners(x1, y1, x2, y2)


def top_left(x: float, y: float, w: float, h: float) -> Four:
    """The upper left corner, then the size."""
    return x + w / 2, y + h / 2, w, h


def swapped(y: float, x: float, h: float, w: float) -> Four:
    """Centre and size, y before x in both."""
    return x, y, w, h


def swapped_centre(y: float, x: float, w: float, h: float) -> Four:
    """Centre with y before x, then the size as training reads it."""
    return x, y, w, h


def swapped_size(x: float, y: float, h: float, w: float) -> Four:
    """Centre as training reads it, then height before width."""
    return x, y, w, h


# Units: by what x and y are divided.


def whole(size_px: SizePx | None) -> tuple[float, float]:
    """Normalised: nothing to divide."""
    return 1, 1


def percent(size_px: SizePx | None) -> tuple[float, float]:
    """0 to 100."""
    return 100, 100


def thousandths(size_px: SizePx | None) -> tuple[float, float]:
    """0 to 1000."""
    return 1000, 1000


def pixels(size_px: SizePx | None) -> tuple[float, float] | None:
    """0 to the image's width, and to its height."""
    return size_px


def wrong_side(size_px: SizePx | None) -> tuple[float, float] | None:
    """x was divided by the height, y by the width."""
    if size_px is None:
        return None
    width, height = size_px
    return width / height, height / width


def coordinates(layout: Callable[..., Four], unit: Unit) -> Convert:
    """A conversion of boxes in that layout and unit; of polygons and keypoints where only the unit differs.

    Visibility is no coordinate: it stays. Keypoints of a row are taken to have the box's unit.
    """

    def convert(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
        numbers = numbers_of(tokens[1:])
        divisors = unit(size_px)
        if numbers is None or divisors is None:
            return None
        along_x, along_y = divisors
        n = len(tokens)
        is_pose = n == pose_columns(spec)
        if n == BOX_COLUMNS or is_pose:
            x, y, w, h = layout(*numbers[:4])
            box = [x / along_x, y / along_y, w / along_x, h / along_y]
            points, dimensions = numbers[4:], spec.kpt_shape[1] if is_pose else 2
        elif layout is centre and n >= MIN_POLYGON_COLUMNS and n % 2 == 1:
            box, points, dimensions = [], numbers, 2
        else:
            return None
        by = (along_x, along_y, 1.0)
        rest = [v / by[i % dimensions] for i, v in enumerate(points)]
        places = [v for i, v in enumerate(rest) if i % dimensions < 2]
        if min(box[2:], default=0) < 0 or not is_normalised([*box, *places]):
            return None
        decimals = _decimals(tokens, divisors)
        kept = [
            tokens[1 + len(box) + i] if i % dimensions == 2 else written(v, decimals)
            for i, v in enumerate(rest)
        ]
        return [tokens[0], *(written(v, decimals) for v in box), *kept]

    return convert


def _decimals(tokens: Sequence[str], divisors: tuple[float, float]) -> int:
    """Enough for the exact quotient where the divisor is a power of ten, else enough for a hundredth of a pixel."""
    exact: dict[tuple[float, float], int] = {(1, 1): 1, (100, 100): 3, (1000, 1000): 4}
    more = exact.get(divisors)
    return MIN_DECIMALS if more is None else decimals_of(tokens[1:], more)
