"""Checks on polygon rows: too few points, no area, crossing themselves, outside the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.rules.checks import row_check
from sanitizer.rules.checks.crossing import first_crossings
from sanitizer.rules.checks.geometry import Vertices, no_hits
from sanitizer.rules.hits import Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable, TaskSpec
    from sanitizer.rules.hits import Params

WRITTEN_DIGIT = 1e-6
"""Labels are written with six digits: an outline no thicker than that is a line."""


def polygons(labels: LabelTable) -> Vertices:
    """All polygon rows."""
    return Vertices.of(labels, np.flatnonzero(labels.kind == RowKind.POLYGON))


def outside_hits(labels: LabelTable, vertices: Vertices, tolerance: float) -> Hits:
    """Rows with a vertex further outside the image than the tolerance, and how many they have."""
    outside = np.maximum(np.abs(vertices.x - 0.5), np.abs(vertices.y - 0.5)) - 0.5
    furthest = vertices.highest(outside)
    which = np.flatnonzero(furthest > tolerance)
    if not len(which):
        return no_hits()
    n_outside = vertices.total((outside > tolerance).astype(np.float64))
    first = _first_true(vertices, outside > tolerance)[which]
    rows = vertices.row[which]
    return Hits(
        rows,
        furthest[which],
        np.full(len(which), tolerance),
        {"n_outside": n_outside[which], "n_vertices": vertices.count[which]},
        column=labels.token_column[labels.first_token[rows] + 1 + 2 * first].astype(np.int64),
    )


def _first_true(vertices: Vertices, flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 (P,): number of each polygon's first flagged vertex, counted from 0; its vertex count if none is."""
    at = np.arange(len(flags)) - np.repeat(vertices.start, vertices.count)
    return np.minimum.reduceat(np.where(flags, at, np.repeat(vertices.count, vertices.count)), vertices.start)


@row_check("few-points")
def few_points(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Polygons with fewer than three different points."""
    v = polygons(tables.labels)
    if not len(v.row):
        return no_hits()
    from_first = (v.x != np.repeat(v.x[v.start], v.count)) | (v.y != np.repeat(v.y[v.start], v.count))
    second = v.start + np.minimum(_first_true(v, from_first), v.count - 1)
    from_second = (v.x != np.repeat(v.x[second], v.count)) | (v.y != np.repeat(v.y[second], v.count))
    distinct = np.where(v.total((from_first & from_second).astype(np.float64)) > 0, 3, 2)
    distinct[v.total(from_first.astype(np.float64)) == 0] = 1
    which = np.flatnonzero(distinct < 3)
    return Hits(
        v.row[which],
        distinct[which].astype(np.float64),
        np.full(len(which), 3.0),
        {"n_vertices": v.count[which]},
    )


@row_check("no-area")
def no_area(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Polygons whose points lie on one line, as far as written digits tell."""
    v = polygons(tables.labels)
    area = np.abs(v.signed_area())
    length = tables.labels.xywh[v.row, 2:].max(axis=1, initial=0)
    which = np.flatnonzero(area <= WRITTEN_DIGIT * length)
    return Hits(v.row[which], area[which], WRITTEN_DIGIT * length[which], {"n_vertices": v.count[which]})


@row_check("self-crossing")
def self_crossing(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Polygons with two edges that cross."""
    labels = tables.labels
    v = polygons(labels)
    first = first_crossings(v, np.full(len(v.row), params["tolerance"]))
    which = np.flatnonzero(first >= 0)
    rows, vertex = v.row[which], first[which]
    return Hits(
        rows,
        fields={"vertex": vertex + 1, "n_vertices": v.count[which]},
        column=labels.token_column[labels.first_token[rows] + 1 + 2 * vertex].astype(np.int64),
    )


@row_check("polygon-outside")
def polygon_outside(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Polygons with a vertex outside the image."""
    return outside_hits(tables.labels, polygons(tables.labels), params["tolerance"])
