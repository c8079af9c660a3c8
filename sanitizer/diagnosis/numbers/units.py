"""Rows that are not normalised: percent, pixels, thousandths; as centre and size, top-left corner, or two corners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.diagnosis.numbers.boxes import gather, place
from sanitizer.diagnosis.numbers.enough_rows import SURE_FILES, SURE_SHARE, almost_all, at_least
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.writing import COORDINATES, SHAPES, Writing
from sanitizer.labels.readings import coordinates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.boxes import Boxes, Layout, Placed, Unit
    from sanitizer.diagnosis.numbers.parts import Part

UNITS: dict[str, Unit] = {
    "percent": coordinates.percent,
    "pixels": coordinates.pixels,
    "thousandths": coordinates.thousandths,
}
USUAL_UNITS = ("percent", "pixels")
LAYOUTS: dict[str, Layout] = {
    "": coordinates.centre,
    "top-left": coordinates.top_left,
    "corners": coordinates.corners,
}
RARER_LAYOUTS: dict[str, Layout] = {
    "corners-by-axis": coordinates.corners_by_axis,
    "swapped": coordinates.swapped,
}
"""Asked only where no usual one fits in a usual unit."""
RULED_OUT = 0.01
"""Chance at which a unit is ruled out: that in each file, edges spread over the image end where no box of another unit
does. A file counts once, as objects of one image stand together."""
RARE_UNIT_FACTOR = 0.25
"""Thousandths are rare: they rule a usual unit out only where that one would leave three quarters of images empty."""
SURE_REACH = 0.7
"""How far the furthest box of a unit must reach: a lower one may be pixels of a picture that was larger or smaller."""
MIN_AGAINST = 3
"""Rows that a layout must contradict before it is ruled out."""
_IN = {
    "percent": "in percent (0 to 100)",
    "pixels": "in pixels",
    "thousandths": "in thousandths (0 to 1000)",
}
_DIVIDE = {
    "percent": "all four by 100",
    "pixels": "x and width by the image's width, y and height by its height",
    "thousandths": "all four by 1000",
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


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Files whose coordinates are mostly far over 1."""
    yield from parts_where([f for f in files if is_over_one(f, spec)], partial(_judge, spec))


def is_over_one(file: SampleFile, spec: TaskSpec) -> bool:
    """Whether half the rows or more have a coordinate over 2: one wild number does not make other units."""
    boxes = gather([file], spec)
    return len(boxes) > 0 and 2 * int((boxes.four.max(axis=1) > 2).sum()) >= len(file.rows)


def _judge(spec: TaskSpec, part: Part) -> Writing | None:
    boxes = gather(part.files, spec)
    usual, rarer = _placed(boxes, LAYOUTS), {}
    fitting = _fitting(usual, len(boxes))
    if boxes.is_box.any() and not any(
        unit in USUAL_UNITS and _reaches(usual[unit, at]) for unit, at in fitting
    ):
        rarer = _placed(boxes, RARER_LAYOUTS)
        fitting |= _fitting(rarer, len(boxes))
    return _writing(part, _weighed(boxes, usual | rarer, fitting)) if fitting else None


def _reaches(placed: Placed) -> bool:
    """Whether boxes reach as far as those of a right unit; taken for granted where images are not known."""
    return not placed.reach < SURE_REACH


def _placed(boxes: Boxes, layouts: Mapping[str, Layout]) -> dict[tuple[str, str], Placed]:
    """Polygons have no other layout than the usual one, and where sides do not count, x and y swapped is no other."""
    asked = layouts if boxes.is_box.any() else {"": coordinates.centre}
    return {
        (unit, name): place(boxes, read, UNITS[unit])
        for unit in UNITS
        for name, read in asked.items()
        if name != "swapped" or unit == "pixels"
    }


def _fitting(placed: Mapping[tuple[str, str], Placed], n_rows: int) -> dict[tuple[str, str], int]:
    return {key: n for key, p in placed.items() if almost_all(n := _n_fitting(p), n_rows)}


def _n_fitting(placed: Placed) -> int:
    return int((placed.fits & placed.is_over_one).sum())


def _weighed(
    boxes: Boxes, placed: Mapping[tuple[str, str], Placed], fitting: Mapping[tuple[str, str], int]
) -> _Found:
    """Which units and layouts are open: those that no row and no place speaks against."""
    placed_best = {
        unit: placed[unit, max((at for u, at in fitting if u == unit), key=lambda at: fitting[unit, at])]
        for unit in dict.fromkeys(unit for unit, _ in fitting)
    }
    fullest = max((_n_fitting(p) for p in placed_best.values() if _reaches(p)), default=0)
    placed_best = {u: p for u, p in placed_best.items() if fullest - _n_fitting(p) < MIN_AGAINST}
    units = sorted(placed_best, key=lambda unit: -_filled(placed_best[unit]))
    first = units[0]
    units = [u for u in units if u == first or not _is_ruled_out(u, first, placed_best, len(boxes.files))]
    best = max(n for (unit, _), n in fitting.items() if unit == units[0])
    layouts = [
        layout
        for (unit, layout), p in placed.items()
        if unit == units[0] and ((unit, layout) in fitting or best - _n_fitting(p) < MIN_AGAINST)
    ]
    layouts.sort(key=lambda layout: -_n_fitting(placed[units[0], layout]))
    return _Found(boxes, units, layouts, placed)


def _filled(placed: Placed) -> float:
    """Share of the images that lies left of and above the furthest edges; 1 where that is not known."""
    right, bottom = placed.extent[2:]
    return 1.0 if np.isnan(right) else float(max(right, 0) * max(bottom, 0))


def _is_ruled_out(unit: str, by: str, placed: Mapping[str, Placed], n_files: int) -> bool:
    """Whether boxes in a unit all lie at the upper left of their images, while those of another unit fill them."""
    left, top, right, bottom = placed[unit].extent
    if np.isnan(left) or np.isnan(placed[by].extent).any():
        return False
    factor = _filled(placed[unit]) / _filled(placed[by])
    is_off_balance = 2 * max(left, 0) < 1 - right and 2 * max(top, 0) < 1 - bottom
    is_rare = by not in USUAL_UNITS and factor > RARE_UNIT_FACTOR
    return bool(is_off_balance and not is_rare and factor**n_files <= RULED_OUT)


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
        _way_out(found),
        COORDINATES | (SHAPES if unit == "pixels" or found.layouts[0] else frozenset()),
        reading if found.is_sure else None,
        misfits=found.boxes.lines_where(~best.fits),
    )


def _way_out(found: _Found) -> str:
    """What to do where fix leaves the rows alone."""
    if found.has_sure_unit and set(found.layouts) == {"", "top-left"}:
        by = _DIVIDE[found.units[0]]
        return (
            f"look at one image: if x and y are the centre of a box, divide {by}; if they are its top-left corner, add "
            "half of width and height first; fix leaves these rows alone, as the numbers do not tell which"
        )
    return (
        "export the labels again as YOLO: class, centre and size, divided by the image's width and height; fix leaves "
        "these rows alone, as the numbers do not tell enough"
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
        p = found.placed.get((other, layout)) or found.placed[other, ""]
        leave = n - int(p.fits.sum())
        if almost_all(int(p.fits.sum()), n):
            yield f"{_IN[other]}, no box would reach beyond {p.reach:.0%} of its image"
        else:
            yield f"{_IN[other]}, {leave:,} of {n:,} boxes would leave their image"


def _on_layouts(found: _Found) -> Iterator[str]:
    """What speaks for the layout and against the others."""
    unit, n = found.units[0], len(found.boxes)
    width, height = found.boxes.size_px.T
    if unit == "pixels" and np.array_equal(width, height):
        yield "that x stands before y, as all tools write it, is taken for granted: images are square"
    if len(found.layouts) > 1:
        ways = ", or ".join(_LAYOUT_IS[layout] for layout in found.layouts)
        yield f"nothing tells whether {ways}: either way the boxes lie in their images"
        return
    for layout in dict.fromkeys(layout for _, layout in found.placed):
        if layout != found.layouts[0] and (unit, layout) in found.placed:
            wrong = n - int(found.placed[unit, layout].fits.sum())
            yield f"if {_LAYOUT_IS[layout]}, {wrong:,} of {n:,} rows would be no box in their image"
