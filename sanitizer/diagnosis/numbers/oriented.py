"""Rows of an oriented-box set that are centre, size and angle: training needs four corners."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.diagnosis.numbers.enough_rows import almost_all
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.writing import UNREADABLE, Writing
from sanitizer.labels.readings import READINGS
from sanitizer.labels.readings.oriented import ANGLE_COLUMNS
from sanitizer.labels.row_kinds import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile, SampleRow
    from sanitizer.diagnosis.numbers.parts import Part

SQUARE_PX = (1000, 1000)
"""Taken for an image whose size is not known."""
MOST_SMALL = 0.1
"""Share of angles in degrees that lie within 3.2 of 0 without being it: one or two in a hundred by chance, and more
where objects stand nearly upright."""


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Rows of six columns in an oriented-box set."""
    if spec.task == "obb":
        yield from parts_where([file for file in files if _rows(file)], partial(_judge, spec))


def _rows(file: SampleFile) -> list[SampleRow]:
    return [row for row in file.rows if len(row.tokens) == ANGLE_COLUMNS]


def _judge(spec: TaskSpec, part: Part) -> Writing | None:
    rows = [(file, row) for file in part.files for row in _rows(file)]
    angles = np.array([row.numbers[-1] for _, row in rows])
    if not np.isfinite(angles).all():
        return None
    units, on_units = _units(angles)
    fits = {where: _fits(rows, units[0], suffix, spec) for where, suffix in _PLACES.items()}
    where = max(fits, key=lambda place: sum(fits[place]))
    n = sum(fits[where])
    if not almost_all(n, len(rows)):
        return None
    others = sum(len(file.rows) for file in part.files) - len(rows)
    in_units = f", in {units[0]}" if len(units) == 1 else ""
    return Writing(
        "centre-size-angle",
        "centre, size and angle for four corners",
        part,
        part.files,
        len(rows) + others,
        n,
        f"are a centre and size, {where}, and an angle{in_units}, where an oriented-box set needs four corners",
        [
            f"{n:,} of {len(rows):,} rows of 6 columns are a class, a box {where}, and a number from {angles.min():g} "
            f"to {angles.max():g}",
            *on_units,
            "against a fix: a box that turns the other way covers the same width and height, so no row tells which "
            "way the angles turn",
        ],
        "every image with such a row is left out",
        "export the labels again with four corners (YOLO OBB: class x1 y1 x2 y2 x3 y3 x4 y4, normalised), or, where "
        "angles turn clockwise, make corners of pixels and radians by `ultralytics.utils.ops.xywhr2xyxyxyxy`; the "
        "last column is no confidence, and without it boxes would be upright",
        UNREADABLE - {"C001", "C002"},
        claims=lambda finding: finding.rule != "L002" or finding.value == ANGLE_COLUMNS,
    )


_PLACES = {"normalised": "", "in pixels": "-pixels"}


def _fits(
    rows: Sequence[tuple[SampleFile, SampleRow]], unit: str, suffix: str, spec: TaskSpec
) -> Sequence[bool]:
    """Which rows make a turned box at their image."""
    convert = READINGS[f"angle-{unit}{suffix}"].convert
    return [convert(row.tokens, file.size_px or SQUARE_PX, spec) is not None for file, row in rows]


def _units(angles: NDArray[np.float64]) -> tuple[Sequence[str], Sequence[str]]:
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
            f"{np.abs(angles).max():g}: degrees and radians are mixed, or many boxes are nearly upright"
        ]
    return ("degrees",), [f"angles reach {np.abs(angles).max():g}, far over a full turn in radians (6.28)"]
