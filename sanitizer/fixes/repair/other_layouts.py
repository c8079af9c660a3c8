"""Whether the boxes of a file lie in their image in another layout, so that clipping them may be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.labels.readings import coordinates
from sanitizer.labels.readings.reading import is_normalised, numbers_of
from sanitizer.labels.row_kinds import BOX_COLUMNS, pose_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.fixes.repair.document import Document
    from sanitizer.labels.readings import SizePx
    from sanitizer.labels.readings.coordinates import Four

_LAYOUTS = (
    (coordinates.corners, coordinates.whole),
    (coordinates.corners_by_axis, coordinates.whole),
    (coordinates.top_left, coordinates.whole),
    (coordinates.swapped_centre, coordinates.whole),
    (coordinates.swapped_size, coordinates.whole),
)
_WRONG_SIDES = (
    (coordinates.centre, coordinates.wrong_side),
    (coordinates.swapped, coordinates.wrong_side),
)
_MIN_ROWS = 3
"""Of files that are tried with the wrong sides: nearly any single box lies in its image then."""


def fits_other_layout(document: Document, size_px: SizePx | None, spec: TaskSpec) -> bool:
    """Whether all rows are boxes that lie in their image in one and the same other layout."""
    rows = [line.text.decode().split() for line in document.lines if line.is_row()]
    if any(len(row) not in (BOX_COLUMNS, pose_columns(spec)) for row in rows):
        return False
    boxes = [numbers_of(row[1:BOX_COLUMNS]) for row in rows]
    for layout, unit in _LAYOUTS + (_WRONG_SIDES if len(rows) >= _MIN_ROWS else ()):
        divisors = unit(size_px)
        if divisors and all(box is not None and _is_inside(layout(*box), divisors) for box in boxes):
            return True
    return False


def _is_inside(box: Four, divisors: Sequence[float]) -> bool:
    """Whether a box of centre and size has a size, and edges in the image."""
    x, y, w, h = (v / divisors[i % 2] for i, v in enumerate(box))
    edges = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    return w > 0 and h > 0 and is_normalised(edges)
