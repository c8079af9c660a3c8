"""Annotation texts of VisDrone and KITTI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.labels.number_text import MIN_DECIMALS, written
from sanitizer.labels.readings.columns import split_at_commas
from sanitizer.labels.readings.reading import class_id_of, is_normalised, numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.readings.reading import SizePx

VISDRONE_COLUMNS = 8
VISDRONE_NAMES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
)
"""Of its categories 1 to 10, as Ultralytics numbers them from 0. Category 0 is an ignored region, 11 is "others"."""
KITTI_COLUMNS = (15, 16)
KITTI_IGNORED = "DontCare"


def visdrone_text(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """x,y,w,h of the top-left corner and size in pixels, score, category, truncation, occlusion."""
    columns = split_at_commas(tokens)
    if size_px is None or spec.task != "detect" or not is_visdrone_row(columns):
        return None
    if tuple(n.casefold() for _, n in sorted(spec.names.items())) != VISDRONE_NAMES:
        return None
    x, y, w, h, score, category = (int(float(c)) for c in columns[:6])
    if score == 0 or category in (0, 11):
        return []
    return _row(category - 1, (x, y, x + w, y + h), size_px)


def is_visdrone_row(columns: Sequence[str]) -> bool:
    """Whether eight whole numbers are box, score 0 or 1, category to 11, truncation to 1, occlusion to 2."""
    numbers = numbers_of(columns)
    if numbers is None or len(columns) != VISDRONE_COLUMNS or any(v % 1 or v < 0 for v in numbers):
        return False
    score, category, truncation, occlusion = numbers[4:]
    return score <= 1 and category <= 11 and truncation <= 1 and occlusion <= 2


def kitti_text(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """Class name, truncation, occlusion, angle, left top right bottom in pixels, and a box in space."""
    if size_px is None or spec.task != "detect" or not is_kitti_row(tokens):
        return None
    if tokens[0] == KITTI_IGNORED:
        return []
    class_id = class_id_of(tokens[0], spec)
    edges = numbers_of(tokens[4:8])
    return None if class_id is None or edges is None else _row(class_id, edges, size_px)


def is_kitti_row(tokens: Sequence[str]) -> bool:
    """Whether a row is a word, 14 or 15 numbers, an occlusion to 3, an angle within a turn, and two corners."""
    numbers = numbers_of(tokens[1:])
    if len(tokens) not in KITTI_COLUMNS or numbers is None or numbers_of(tokens[:1]) is not None:
        return False
    occlusion, (left, top, right, bottom) = numbers[1], numbers[3:7]
    return occlusion in (-1, 0, 1, 2, 3) and right > left and bottom > top


def _row(class_id: int, edges: Sequence[float], size_px: SizePx) -> list[str] | None:
    """A row of centre and size from left, top, right, bottom in pixels."""
    left, top, right, bottom = edges
    width, height = size_px
    box = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return [str(class_id), *(written(v, MIN_DECIMALS) for v in box)] if is_normalised(box) else None
