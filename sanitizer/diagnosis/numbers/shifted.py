"""Boxes that all lie a little to one side of their objects: some leave the image there, and none comes near the other
edge. How far they were moved is seen where boxes were cut at the edge of the image before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.diagnosis.numbers.boxes import gather, place
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.writing import Writing
from sanitizer.labels.readings.coordinates import centre, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.parts import Part
    from sanitizer.findings.finding import Finding

FEWEST_OUTSIDE = 8
"""Boxes that leave the image on one side, and none on the other: by chance once in 2 ** 7 sets."""
SAME_PLACE = 0.5
"""Share of them that end at the same place: objects that are drawn beyond the edge end anywhere."""
LEAST = {"share": 0.01, "pixels": 3.0}
"""Smaller shifts are a matter of rounding."""
SLACK = {"share": 0.002, "pixels": 1.5}
"""How far boxes that were cut at one edge may end from each other."""
_SIDES = (("left", "right"), ("top", "bottom"))


@dataclass(frozen=True, slots=True)
class _Shift:
    """Of all boxes along one axis.

    Attributes:
        side, opposite: The edge beyond which boxes lie, and the other one.
        by: In words, such as "5.0 % of the image" or "24 px".
        outside, together: Boxes that leave the image, and those of them that end at the same place.
        touching: Boxes that touch the opposite edge once all are moved back.
    """

    side: str
    opposite: str
    by: str
    outside: int
    together: int
    touching: int


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Parts all of whose boxes are shifted the same way."""
    if spec.task in ("detect", "pose"):
        yield from parts_where(files, partial(_judge, spec))


def _judge(spec: TaskSpec, part: Part) -> Writing | None:
    boxes = gather(part.files, spec)
    xyxy, size_px = place(boxes, centre, whole).xyxy, boxes.size_px
    if not boxes.is_box.all():
        return None
    shifts = [shift for axis in (0, 1) if (shift := _along(axis, xyxy, size_px)) is not None]
    if not shifts:
        return None
    told = []
    for shift in shifts:
        told += [
            f"{shift.outside:,} of {len(xyxy):,} boxes leave their image at the {shift.side} edge, and none at the "
            f"{shift.opposite} edge",
            f"{shift.together:,} of them end at the same place, as boxes do that were cut at the edge before",
            f"moved back, none leaves its image along this axis, and {shift.touching:,} touch the "
            f"{shift.opposite} edge",
        ]
    by = " and ".join(f"by {shift.by} to the {shift.side}" for shift in shifts)
    return Writing(
        "shifted-boxes",
        "boxes that are shifted",
        part,
        part.files,
        len(boxes),
        len(boxes),
        f"seem to be shifted {by}",
        told,
        "boxes in the wrong place are learned; images with a centre over 1.01 are left out",
        "look at some images; where the boxes lie beside their objects, export the labels again, and look for an "
        "offset, a margin or a crop in the export",
        frozenset({"B003", "B004"}),
        claims=partial(_leaves, frozenset(shift.side for shift in shifts)),
    )


def _leaves(sides: frozenset[str], finding: Finding) -> bool:
    """Whether the box of a finding lies beyond one of these edges."""
    x, y, w, h = finding.x_center, finding.y_center, finding.width, finding.height
    if x is None or y is None or w is None or h is None:
        return False
    beyond = {"left": w / 2 - x, "right": x + w / 2 - 1, "top": h / 2 - y, "bottom": y + h / 2 - 1}
    return any(beyond[side] > 0 for side in sides)


def _along(axis: int, xyxy: NDArray[np.float64], size_px: NDArray[np.float64]) -> _Shift | None:
    if len(xyxy) < FEWEST_OUTSIDE:
        return None
    for unit, scale in (("share", np.ones(len(xyxy))), ("pixels", size_px[:, axis])):
        if not np.isfinite(scale).all():
            continue
        low, high = xyxy[:, axis] * scale, (xyxy[:, 2 + axis] - 1) * scale
        for towards, (beyond, margin) in enumerate(((-low, -high), (high, low))):
            by = float(beyond.max())
            outside = beyond > SLACK[unit]
            together = outside & (beyond >= by - SLACK[unit])
            is_shift = by >= LEAST[unit] and outside.sum() >= FEWEST_OUTSIDE
            if is_shift and together.sum() >= SAME_PLACE * outside.sum() and margin.min() >= by - SLACK[unit]:
                return _Shift(
                    _SIDES[axis][towards],
                    _SIDES[axis][1 - towards],
                    f"{by:.1%} of the image" if unit == "share" else f"{by:.0f} px",
                    int(outside.sum()),
                    int(together.sum()),
                    int((margin <= by + SLACK[unit]).sum()),
                )
    return None
