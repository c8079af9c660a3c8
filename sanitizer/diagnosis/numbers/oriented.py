"""Rows of an oriented-box set that are centre, size and angle: training needs four corners."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.diagnosis.numbers.belief import SURE_SHARE, almost_all, at_least
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.telling import UNREADABLE, Writing
from sanitizer.labels.readings.oriented import ANGLE_COLUMNS, turned_corners
from sanitizer.labels.row_kinds import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile, SampleRow
    from sanitizer.diagnosis.numbers.parts import Part

RULES = ("L002",)
FULL_TURN = {"degrees": 360.0, "radians": 2 * math.pi}
MOST_SMALL = 0.1
"""Share of angles in degrees that lie within 3.2 of 0 without being it: one or two in a hundred by chance, and more
where objects stand nearly upright."""
MIN_AGAINST = 3
"""Rows that a direction must turn out of their image before the other one is certain."""


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Rows of six columns in an oriented-box set."""
    if spec.task == "obb":
        yield from parts_where([file for file in files if _rows(file)], _judge)


def _rows(file: SampleFile) -> list[SampleRow]:
    return [row for row in file.rows if len(row.tokens) == ANGLE_COLUMNS]


def _judge(part: Part) -> Writing | None:
    rows = [(file, row) for file in part.files for row in _rows(file)]
    numbers = np.array([row.numbers for _, row in rows])
    sizes = np.array([file.size_px or (np.nan, np.nan) for file, _ in rows])
    normalised, pixels = _fits(numbers, np.ones_like(sizes)), _fits(numbers, sizes)
    if not almost_all(int(max(normalised.sum(), pixels.sum())), len(rows)):
        return None
    in_pixels = bool(pixels.sum() > normalised.sum())
    fits = pixels if in_pixels else normalised
    others = sum(len(file.rows) for file in part.files) - len(rows)
    angles = numbers[:, 5]
    units, on_units = _units(angles)
    reading: str | None = None
    on_direction: list[str] = []
    if len(units) == 1:
        turns, on_direction = _direction(rows, FULL_TURN[units[0]], in_pixels)
        enough = at_least(int(fits.sum()), len(rows)) >= SURE_SHARE and fits.all() and not others
        if turns and enough:
            reading = f"angle-{units[0]}{'-pixels' if in_pixels else ''}"
    where = "in pixels" if in_pixels else "normalised"
    in_units = f", in {units[0]}" if len(units) == 1 else ""
    return Writing(
        reading or "centre-size-angle",
        "centre, size and angle for four corners",
        part,
        part.files,
        len(rows) + others,
        int(fits.sum()),
        f"are a centre and size, {where}, and an angle{in_units}, where an oriented-box set needs four corners",
        [
            f"{int(fits.sum()):,} of {len(rows):,} rows of 6 columns are a class, a box {where}, and a number from "
            f"{angles.min():g} to {angles.max():g}",
            *on_units,
            *on_direction,
        ],
        "every image with such a row is left out",
        "export the labels again with four corners (YOLO OBB: class x1 y1 x2 y2 x3 y3 x4 y4, normalised); the last "
        "column is no confidence: without it, the boxes would be upright",
        UNREADABLE - {"C001", "C002"},
        reading,
        misfits={},
        claims=lambda finding: finding.rule != "L002" or finding.value == ANGLE_COLUMNS,
    )


def _fits(numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """bool (R,): centre in the image, sizes that a turned box in it can have."""
    xy, wh = numbers[:, 1:3] / sizes, numbers[:, 3:5] / sizes
    inside = (xy >= -TOLERANCE).all(axis=1) & (xy <= 1 + TOLERANCE).all(axis=1)
    has_size = (numbers[:, 3:5] > 0).all(axis=1) & (wh <= 2).all(axis=1)
    whole = (numbers[:, 0] >= 0) & (numbers[:, 0] % 1 == 0)
    turn = np.abs(numbers[:, 5]) <= FULL_TURN["degrees"]
    result: np.ndarray = inside & has_size & whole & turn
    return result


def _units(angles: np.ndarray) -> tuple[Sequence[str], Sequence[str]]:
    """(units that the angles may have, what speaks for them)."""
    half_turn = math.pi + TOLERANCE
    if (np.abs(angles) <= 2 * math.pi + TOLERANCE).all():
        if (angles >= 0).all() and (angles <= 1).all():
            return ("radians", "confidence"), ["all are 0 to 1: angles in radians, or a confidence"]
        return ("radians",), ["none is over a full turn in radians (6.28)"]
    small = int(((np.abs(angles) <= half_turn) & (angles % 1 != 0)).sum())
    if small > max(1, MOST_SMALL * len(angles)):
        return ("degrees", "radians"), [
            f"{small:,} of {len(angles):,} angles are fractions under 3.15 and others reach "
            f"{np.abs(angles).max():g}: degrees and radians seem to be mixed"
        ]
    return ("degrees",), [f"angles reach {np.abs(angles).max():g}, far over a full turn in radians (6.28)"]


def _direction(
    rows: Sequence[tuple[SampleFile, SampleRow]], full_turn: float, in_pixels: bool
) -> tuple[bool, list[str]]:
    """(whether angles turn clockwise for sure, what speaks for it): the other way, boxes would leave their image."""
    leave = [0, 0]
    for file, row in rows:
        if file.size_px is None:
            return False, ["the size of images is not known, so no box can be turned"]
        for way, sign in enumerate((1, -1)):
            box = (*row.numbers[1:5], sign * row.numbers[5])
            points = turned_corners(box, full_turn, in_pixels, file.size_px)
            leave[way] += min(points) < -TOLERANCE or max(points) > 1 + TOLERANCE
    clockwise, counter = leave
    if not almost_all(len(rows) - clockwise, len(rows)) or counter - clockwise < MIN_AGAINST:
        return False, [
            f"clockwise {clockwise:,}, counter-clockwise {counter:,} of {len(rows):,} boxes would leave their image: "
            "the numbers do not tell which way the angle turns"
        ]
    return True, [
        f"turned clockwise, {clockwise:,} boxes leave their image; counter-clockwise {counter:,} would"
    ]
