"""Oriented boxes in other forms: centre, size and angle; the text of DOTA."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sanitizer.labels.number_text import MIN_DECIMALS, decimals_of, written
from sanitizer.labels.readings.reading import class_id_of, numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.readings.reading import Convert, SizePx

ANGLE_COLUMNS = 6
DOTA_HEADERS = ("imagesource:", "gsd:")
_FURTHEST = 0.5
"""How far a corner of an oriented box may lie outside of 0 to 1: boxes of objects that the image cuts do so."""


def turned_box(full_turn: float, in_pixels: bool) -> Convert:
    """Centre, size and angle to four corners in an OBB set.

    The angle turns the box within the image's pixels, from x to y (clockwise as one looks at the image), as
    `xywhr2xyxyxyxy` of Ultralytics does.

    Args:
        full_turn: 360 for degrees, 2 pi for radians.
        in_pixels: Centre and size are pixels, not normalised.
    """

    def convert(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
        numbers = numbers_of(tokens)
        if numbers is None or len(tokens) != ANGLE_COLUMNS or size_px is None or spec.task != "obb":
            return None
        points = _turned_corners(numbers[1:], full_turn, in_pixels, size_px)
        if abs(numbers[5]) > full_turn or min(numbers[3:5]) < 0 or not _near_image(points):
            return None
        decimals = MIN_DECIMALS if in_pixels else decimals_of(tokens[1:], 1)
        return [tokens[0], *(written(v, decimals) for v in points)]

    return convert


def _turned_corners(
    box: Sequence[float], full_turn: float, in_pixels: bool, size_px: SizePx
) -> tuple[float, ...]:
    """Normalised x y of the four corners of a box `x y w h angle`."""
    x, y, w, h, turn = box
    width, height = size_px
    if not in_pixels:
        x, y, w, h = x * width, y * height, w * width, h * height
    angle = turn / full_turn * 2 * math.pi
    cos, sin = math.cos(angle), math.sin(angle)
    points: list[float] = []
    for along, across in ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)):
        points += [
            (x + along * cos - across * sin) / width,
            (y + along * sin + across * cos) / height,
        ]
    return tuple(points)


def dota_text(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """Four corners in pixels, the class's name, and the difficulty; two header lines."""
    if tokens[0].startswith(DOTA_HEADERS):
        return []
    if size_px is None or spec.task != "obb" or not is_dota_row(tokens):
        return None
    numbers = numbers_of(tokens[:8])
    class_id = class_id_of(dota_name(tokens), spec)
    if numbers is None or class_id is None:
        return None
    points = [v / size_px[i % 2] for i, v in enumerate(numbers)]
    return [str(class_id), *(written(v, MIN_DECIMALS) for v in points)] if _near_image(points) else None


def is_dota_row(tokens: Sequence[str]) -> bool:
    """Whether a row is eight numbers, a word that is none, and 0, 1 or 2 or nothing."""
    if len(tokens) < 9 or numbers_of(tokens[:8]) is None:
        return False
    return numbers_of([tokens[8]]) is None and (len(tokens) == 9 or tokens[-1] in ("0", "1", "2"))


def dota_name(tokens: Sequence[str]) -> str:
    """The class of a row, of one word or several."""
    return " ".join(tokens[8:-1] if len(tokens) > 9 else tokens[8:])


def _near_image(points: Sequence[float]) -> bool:
    return all(-_FURTHEST <= v <= 1 + _FURTHEST for v in points)
