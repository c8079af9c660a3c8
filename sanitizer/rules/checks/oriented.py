"""Checks on oriented boxes: four corners that form no rectangle, or lie outside the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.rules.checks import row_check
from sanitizer.rules.checks.geometry import Vertices, no_hits, row_image_size
from sanitizer.rules.checks.polygons import WRITTEN_DIGIT, outside_hits
from sanitizer.rules.hits import Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable, TaskSpec
    from sanitizer.rules.hits import Params


def _corners(labels: LabelTable) -> Vertices:
    return Vertices.of(labels, np.flatnonzero(labels.kind == RowKind.OBB))


@row_check("not-a-rectangle")
def not_a_rectangle(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Corners that form no rectangle, or one without area.

    The diagonals of a rectangle are equally long and meet in their middles. The measure is how far they are from
    that, in pixels: the distance between the middles, or half the difference of the lengths, whichever is more.
    Without an image size only the second kind is judged, as a rectangle in normalised units is none in pixels.
    """
    labels = tables.labels
    v = _corners(labels)
    if not len(v.row):
        return no_hits()
    img_w, img_h = row_image_size(tables)
    x = v.x.reshape(-1, 4) * img_w[v.row, None]
    y = v.y.reshape(-1, 4) * img_h[v.row, None]
    off, short = _off_rectangle(x, y), _shorter_side(x, y)
    flat = np.abs(v.signed_area()) <= WRITTEN_DIGIT * labels.xywh[v.row, 2:].max(axis=1)
    crossed = _order_crosses(v)  # such corners may enclose as much to the left as to the right
    limit = np.maximum(params["tolerance_px"], params["tolerance"] * short)
    skewed = ~flat & ~crossed & (off > limit)
    which = np.flatnonzero(flat | crossed | skewed)
    problem = [
        "has its corners in crossing order"
        if crossed[i]
        else "has no area"
        if flat[i]
        else f"is no rectangle: its corners are off by {off[i]:.1f} px"
        for i in which.tolist()
    ]
    value = np.where(skewed, off, np.nan)[which]
    return Hits(v.row[which], value, np.where(skewed, limit, np.nan)[which], {"problem": problem})


def _off_rectangle(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (P,): how far corners (P, 4) are from a rectangle, in their unit."""
    middles = np.hypot(x[:, 0] + x[:, 2] - x[:, 1] - x[:, 3], y[:, 0] + y[:, 2] - y[:, 1] - y[:, 3]) / 2
    one = np.hypot(x[:, 0] - x[:, 2], y[:, 0] - y[:, 2])
    other = np.hypot(x[:, 1] - x[:, 3], y[:, 1] - y[:, 3])
    return np.asarray(np.maximum(middles, np.abs(one - other) / 2))


def _shorter_side(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.hypot(x - np.roll(x, -1, axis=1), y - np.roll(y, -1, axis=1))
    return np.asarray(sides.min(axis=1))


def _order_crosses(v: Vertices) -> NDArray[np.bool_]:
    """bool (P,): the corners go round like a bow tie; then two of the four turns go left and two go right."""
    x, y = v.x.reshape(-1, 4), v.y.reshape(-1, 4)
    dx, dy = np.roll(x, -1, axis=1) - x, np.roll(y, -1, axis=1) - y
    turn = dx * np.roll(dy, -1, axis=1) - dy * np.roll(dx, -1, axis=1)
    return np.asarray(((turn > 0).sum(axis=1) == 2) & ((turn < 0).sum(axis=1) == 2))


@row_check("oriented-outside")
def oriented_outside(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Oriented boxes with a corner outside the image."""
    return outside_hits(tables.labels, _corners(tables.labels), params["tolerance"])
