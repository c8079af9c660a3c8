"""Normalised rows that are read in the wrong layout: corners or the top-left corner for the centre, x and y swapped,
divided by the wrong side. Training takes most of them, and learns boxes in the wrong place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.diagnosis.numbers.boxes import box_columns, gather, place
from sanitizer.diagnosis.numbers.enough_rows import MOST_AGAINST, SURE_FILES, SURE_SHARE, almost_all, at_least
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.writing import COORDINATES, SHAPES, Writing
from sanitizer.labels.readings import coordinates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.boxes import Boxes, Layout, Placed, Unit
    from sanitizer.diagnosis.numbers.parts import Part

USUAL: dict[str, tuple[Layout, Unit]] = {
    "corners": (coordinates.corners, coordinates.whole),
    "top-left": (coordinates.top_left, coordinates.whole),
    "corners-by-axis": (coordinates.corners_by_axis, coordinates.whole),
    "swapped-centre": (coordinates.swapped_centre, coordinates.whole),
    "swapped-size": (coordinates.swapped_size, coordinates.whole),
    "wrong-side": (coordinates.centre, coordinates.wrong_side),
    "swapped-wrong-side": (coordinates.swapped, coordinates.wrong_side),
}
MIN_DEEP, FEW_DEEP = 10, 3
"""Rows that must lie deep beyond an edge as they are read now, to be sure and to speak of it at all: objects that
people draw beyond the border by a little are in every set."""
SURE_REACH = 0.9
"""Boxes of a right reading end near the image's far edge and never beyond: where none comes near it, nothing tells
whether a shift to the right is the truth."""
MIN_SIDE = 3
"""Rows deep beyond the left edge, and beyond the top edge, that tell the top-left corner from a shift along one
axis."""
_ARE = {
    "corners": "are two corners, x1 y1 x2 y2, in place of centre and size",
    "top-left": "have the top-left corner in place of the centre",
    "corners-by-axis": "are left, right, top, bottom in place of centre and size",
    "swapped-centre": "have y before x",
    "swapped-size": "have height before width",
    "wrong-side": "are divided by the wrong side: x by the image's height, y by its width",
    "swapped-wrong-side": "have y before x and height before width, each divided by the wrong side",
}
_SAME_SIZES = ("top-left", "swapped-centre")
"""Readings under which boxes keep their size and shape."""
_NAMES = {
    "corners": "two corners for centre and size",
    "top-left": "top-left corner for the centre",
    "corners-by-axis": "edges for centre and size",
    "swapped-centre": "x and y swapped",
    "swapped-size": "width and height swapped",
    "wrong-side": "divided by the wrong side",
    "swapped-wrong-side": "x and y swapped",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """Boxes of a part: as they are read now, and by each other reading that fits."""

    boxes: Boxes
    now: Placed
    open: Mapping[str, Placed]
    ruled_out: Mapping[str, int]
    is_sure: bool
    has_polygons: bool


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Normalised boxes of which many lie far beyond the edge of their image."""
    if spec.task in ("detect", "pose"):
        yield from parts_where(files, partial(_judge, spec))


def _judge(spec: TaskSpec, part: Part) -> Writing | None:
    files = [file for file in part.files if all(len(row.tokens) in box_columns(spec) for row in file.rows)]
    has_polygons = len(files) < len(part.files)
    boxes = gather(files, spec)
    if not len(boxes) or np.median(boxes.four.max(axis=1)) > 2:
        return None
    now = place(boxes, coordinates.centre, coordinates.whole)
    n, outside, n_deep = len(boxes), int((~now.fits).sum()), int(now.deep.sum())
    if n_deep < FEW_DEEP:
        return None
    placed = {name: place(boxes, *reading) for name, reading in USUAL.items() if _is_known(boxes, name)}
    against = {name: n - int(p.fits.sum()) for name, p in placed.items()}
    fitting = {
        name: p
        for name, p in placed.items()
        if almost_all(n - against[name], n)
        and against[name] <= MOST_AGAINST * outside
        and (name != "top-left" or _is_corner(now, p))
    }
    if not fitting:
        return None
    enough = at_least(n - min(against[f] for f in fitting), n) >= SURE_SHARE and len(files) >= SURE_FILES
    is_sure = enough and len(fitting) == 1 and n_deep >= MIN_DEEP
    is_sure &= all(p.reach >= SURE_REACH for p in fitting.values())
    if not is_sure and outside < 0.3 * n:  # a few odd rows, of which something else may be true
        return None
    ruled_out = {name: count for name, count in against.items() if name not in fitting}
    return _writing(part, _Found(boxes, now, fitting, ruled_out, is_sure, has_polygons))


def _is_known(boxes: Boxes, name: str) -> bool:
    """Whether a reading can be tried: sides of images must be known, and differ."""
    if not name.endswith("wrong-side"):
        return True
    width, height = boxes.size_px.T
    return bool(np.isfinite(width).all() and (np.abs(np.log(width / height)) > 0.05).mean() > 0.5)


def _is_corner(now: Placed, read: Placed) -> bool:
    """Whether boxes leave the image deep at the left and at the top, and as top-left corners fill it to its end."""
    beyond = -now.xyxy[:, :2] > 0.25 * (now.xyxy[:, 2:] - now.xyxy[:, :2])
    both = bool((beyond.sum(axis=0) >= MIN_SIDE).all())
    return both and bool((read.xyxy[:, 2:].max(axis=0) >= SURE_REACH).all())


def _writing(part: Part, found: _Found) -> Writing:
    names, n = list(found.open), len(found.boxes)
    best = max(found.open.values(), key=lambda p: int(p.fits.sum()))
    if len(names) == 1:
        cause_id = names[0]
        are = ("" if found.is_sure else "probably ") + _ARE[names[0]]
        title = _NAMES[names[0]]
    else:
        cause_id, title = "boxes-in-another-layout", "boxes in another layout"
        are = "do not start with the centre: they " + ", or they ".join(_ARE[name] for name in names)
    return Writing(
        cause_id,
        title,
        part,
        found.boxes.files,
        n,
        int(best.fits.sum()),
        are,
        list(_evidence(found)),
        "the rows are read as centre and size all the same: where no number is over 1.01, nothing is said and the "
        f"network learns boxes in the wrong place{'' if cause_id in _SAME_SIZES else ' and of the wrong size'}",
        "export the labels again as YOLO: class, centre and size, divided by the image's width and height; fix "
        "leaves these rows alone, as the numbers do not tell enough",
        COORDINATES if cause_id in _SAME_SIZES else COORDINATES | SHAPES,
        names[0] if found.is_sure and not found.has_polygons else None,
        silent=True,
        misfits=found.boxes.lines_where(~best.fits),
    )


def _evidence(found: _Found) -> Iterator[str]:
    n, now = len(found.boxes), found.now
    left, top, right, bottom = (
        int((~now.fits & side).sum())
        for side in (now.xyxy[:, 0] < 0, now.xyxy[:, 1] < 0, now.xyxy[:, 2] > 1, now.xyxy[:, 3] > 1)
    )
    yield (
        f"read as centre and size, {int((~now.fits).sum()):,} of {n:,} boxes leave their image: {left:,} at the "
        f"left, {top:,} at the top, {right:,} at the right, {bottom:,} at the bottom"
    )
    for name, p in found.open.items():
        wrong = n - int(p.fits.sum())
        yield f"read as rows that {_ARE[name]}, {f'{wrong:,}' if wrong else 'none'} do"
    if found.has_polygons:
        yield "against a fix: other files of the same part hold polygons, which have no such layout"
    if len(found.open) > 1:
        yield "nothing tells these readings apart"
    for name in ("corners", "top-left"):
        if count := found.ruled_out.get(name):
            yield f"read as rows that {_ARE[name]}, {count:,} would be no box in their image"
