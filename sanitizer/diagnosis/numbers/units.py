"""Rows that are not normalised: percent, pixels, thousandths; as centre and size, top-left corner, or two corners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.diagnosis.numbers.belief import SURE_FILES, SURE_SHARE, almost_all, at_least
from sanitizer.diagnosis.numbers.boxes import gather, place
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.telling import COORDINATES, SHAPES, Writing, told
from sanitizer.labels.readings import coordinates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.boxes import Boxes, Placed, Unit
    from sanitizer.diagnosis.numbers.parts import Part
    from sanitizer.findings.cause import Hypothesis

RULES = ("B003", "B011", "S004", "K003", "O002", "B002")
UNITS: dict[str, Unit] = {
    "percent": coordinates.percent,
    "pixels": coordinates.pixels,
    "thousandths": coordinates.thousandths,
}
LAYOUTS = {
    "": coordinates.centre,
    "top-left": coordinates.top_left,
    "corners": coordinates.corners,
}
ONE_LAYOUT = {"": coordinates.centre}
"""Of polygons."""
RARER_LAYOUTS = {"corners-by-axis": coordinates.corners_by_axis, "swapped": coordinates.swapped}
"""Asked only where no usual one fits."""
RIVAL_REACH = 0.5
"""A unit whose boxes end in the first half of all images, while those of another unit reach on, is the wrong one: by
chance, that many boxes do not all lie there. Nearer ones leave it open."""
SURE_REACH = 0.7
"""How far the furthest box of a unit must reach: a lower one may be pixels of a picture that was larger or smaller."""
MIN_AGAINST = 3
"""Rows that a layout must contradict before it is ruled out."""
_IN = {
    "percent": "in percent (0 to 100)",
    "pixels": "in pixels",
    "thousandths": "in thousandths (0 to 1000)",
}
_LAYOUT_IS = {
    "": "x and y are the centre",
    "top-left": "x and y are the top-left corner",
    "corners": "the columns are two corners, x1 y1 x2 y2",
    "corners-by-axis": "the columns are left, right, top, bottom",
    "swapped": "y stands before x, and height before width",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """What the rows of a part may be.

    Attributes:
        boxes: The rows.
        units: Units that are open, the likeliest first.
        layouts: Layouts that are open in that unit, the likeliest first.
        placed: (unit, layout) to the rows as they read them.
    """

    boxes: Boxes
    units: Sequence[str]
    layouts: Sequence[str]
    placed: Mapping[tuple[str, str], Placed]

    @property
    def best(self) -> Placed:
        return self.placed[self.units[0], self.layouts[0]]

    @property
    def has_sure_unit(self) -> bool:
        best, n = self.best, len(self.boxes)
        enough = at_least(int(best.fits.sum()), n) >= SURE_SHARE and len(self.boxes.files) >= SURE_FILES
        return enough and len(self.units) == 1 and best.reach >= SURE_REACH

    @property
    def is_sure(self) -> bool:
        return self.has_sure_unit and len(self.layouts) == 1


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes for files whose coordinates are mostly far over 1."""
    if not evidence.count(*RULES):
        return
    spec = evidence.spec
    files = [file for file in evidence.labels.files if _is_over_one(file, spec)]
    for part, found in parts_where(files, lambda part: _judge(part, spec)):
        yield told(_writing(part, found), evidence)


def _is_over_one(file: SampleFile, spec: TaskSpec) -> bool:
    """Whether half the rows or more have a coordinate over 2: one wild number does not make other units."""
    boxes = gather([file], spec)
    return len(boxes) > 0 and 2 * int((boxes.four.max(axis=1) > 2).sum()) >= len(file.rows)


def _judge(part: Part, spec: TaskSpec) -> _Found | None:
    boxes = gather(part.files, spec)
    for layouts in (LAYOUTS, RARER_LAYOUTS) if boxes.is_box.any() else (ONE_LAYOUT,):
        placed = {
            (unit, layout): place(boxes, read, UNITS[unit])
            for unit in UNITS
            for layout, read in layouts.items()
        }
        fitting = {key: n for key, p in placed.items() if almost_all(n := _n_fitting(p), len(boxes))}
        if fitting:
            return _weighed(boxes, placed, fitting)
    return None


def _n_fitting(placed: Placed) -> int:
    return int((placed.fits & placed.is_over_one).sum())


def _weighed(
    boxes: Boxes, placed: Mapping[tuple[str, str], Placed], fitting: Mapping[tuple[str, str], int]
) -> _Found:
    """Which units and layouts are open: those that no row and no place speaks against."""
    reach: dict[str, float] = {}
    for unit, layout in fitting:
        found = placed[unit, layout].reach
        reach[unit] = max(reach.get(unit, 0), 1 if np.isnan(found) else found)
    furthest = max(reach.values())
    units = sorted((u for u in reach if reach[u] >= RIVAL_REACH * furthest), key=lambda u: -reach[u])
    best = max(n for (unit, _), n in fitting.items() if unit == units[0])
    layouts = [
        layout
        for (unit, layout), p in placed.items()
        if unit == units[0] and ((unit, layout) in fitting or best - _n_fitting(p) < MIN_AGAINST)
    ]
    layouts.sort(key=lambda layout: -_n_fitting(placed[units[0], layout]))
    return _Found(boxes, units, layouts, placed)


def _writing(part: Part, found: _Found) -> Writing:
    best, unit = found.best, found.units[0]
    n, fitting = len(found.boxes), int(best.fits.sum())
    if len(found.units) > 1:
        cause_id, name = "coordinates-not-normalised", "coordinates are not normalised"
        are = "are not normalised: " + " or ".join(_IN[u] for u in found.units)
    else:
        cause_id, name = f"{unit}-coordinates", f"coordinates in {unit}"
        are = f"are{'' if found.has_sure_unit else ' probably'} written {_IN[unit]}"
        if len(found.layouts) == 1:
            cause_id = f"{found.layouts[0]}-{unit}".strip("-") if found.layouts[0] else cause_id
            are += f", and {_LAYOUT_IS[found.layouts[0]]}"
    reading = "-".join(filter(None, (found.layouts[0], unit)))
    return Writing(
        cause_id,
        name,
        part,
        part.files,
        n,
        fitting,
        are,
        [*_on_units(found), *_on_layouts(found)],
        "every such image is left out, as its coordinates are over 1.01",
        "export the labels again as YOLO: class, centre and size, divided by the image's width and height"
        + ("" if found.is_sure else "; fix leaves these rows alone, as the numbers do not tell enough"),
        COORDINATES | (SHAPES if unit == "pixels" or found.layouts[0] else frozenset()),
        reading if found.is_sure else None,
        misfits=found.boxes.lines_where(~best.fits),
    )


def _on_units(found: _Found) -> Iterator[str]:
    """What speaks for the unit and against the others."""
    n, layout = len(found.boxes), found.layouts[0]
    unit = found.units[0]
    if len(found.units) > 1:
        yield f"nothing tells {' from '.join(found.units)}: either way the boxes lie in their images"
    elif not np.isnan(found.best.reach):
        yield f"{_IN[unit]}, the furthest box ends at {found.best.reach:.0%} of its image"
    for other in UNITS:
        if other in found.units:
            continue
        p = found.placed[other, layout]
        leave = n - int(p.fits.sum())
        if almost_all(int(p.fits.sum()), n):
            yield f"{_IN[other]}, no box would reach beyond {p.reach:.0%} of its image"
        else:
            yield f"{_IN[other]}, {leave:,} of {n:,} boxes would leave their image"


def _on_layouts(found: _Found) -> Iterator[str]:
    """What speaks for the layout and against the others."""
    unit, n = found.units[0], len(found.boxes)
    if len(found.layouts) > 1:
        ways = ", or ".join(_LAYOUT_IS[layout] for layout in found.layouts)
        yield f"nothing tells whether {ways}: either way the boxes lie in their images"
        return
    for layout in dict.fromkeys(layout for _, layout in found.placed):
        if layout != found.layouts[0]:
            wrong = n - int(found.placed[unit, layout].fits.sum())
            yield f"if {_LAYOUT_IS[layout]}, {wrong:,} of {n:,} rows would be no box in their image"
