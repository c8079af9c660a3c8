"""Which polygons cross themselves: a sweep over edges sorted along the axis on which they overlap least."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.rules.checks.geometry import ragged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sanitizer.rules.checks.geometry import Vertices

MAX_PAIRS = 2_000_000
"""Pairs of edges compared at most per polygon: every pair of 2,000 edges, and all that come near each other in
any real outline. A polygon with more is judged by as many as these."""
_BATCH = 1_000_000


def first_crossings(vertices: Vertices, tolerance: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 (P,): the vertex where the earliest edge begins that crosses another, counted from 0; -1 for none.

    Edges cross where each has its ends on both sides of the other, further from it than the tolerance. A touch,
    a shared vertex, a repeated point or an edge drawn back over itself is no crossing.

    Args:
        vertices: P polygons, closed from the last vertex to the first.
        tolerance: float64 (P,) in the unit of the vertices.
    """
    after = vertices.following()
    ax, ay, bx, by = vertices.x, vertices.y, vertices.x[after], vertices.y[after]
    edges = np.stack([ax, ay, bx, by], axis=1)
    result = np.full(len(vertices.row), np.iinfo(np.int64).max)
    owner = vertices.owner
    order, window = _shorter_windows(edges, owner)
    for one, other in _batches(order, _capped(window, owner)):
        near = _boxes_touch(edges, one, other)
        one, other = one[near], other[near]
        cross = _cross(edges, one, other, tolerance[owner[one]])
        first = np.minimum(one[cross], other[cross])
        np.minimum.at(result, owner[first], first - vertices.start[owner[first]])
    return np.where(result == np.iinfo(np.int64).max, -1, result)


def _shorter_windows(
    edges: NDArray[np.float64], owner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges sorted by polygon and lower end, and how many of the next ones each may meet; better axis for each."""
    choices = []
    for axis in (0, 1):
        low = np.minimum(edges[:, axis], edges[:, axis + 2])
        high = np.maximum(edges[:, axis], edges[:, axis + 2])
        order = np.lexsort((low, owner))
        choices.append((order, _reach(low[order], high[order], owner[order])))
    (order, window), (other_order, other_window) = choices
    n = int(owner[-1]) + 1 if len(owner) else 0
    # Both orders keep the polygons in place, so one may take a polygon's part from the other.
    swap = np.bincount(owner, other_window, minlength=n) < np.bincount(owner, window, minlength=n)
    swapped = swap[owner]
    return np.where(swapped, other_order, order), np.where(swapped, other_window, window)


def _reach(
    low: NDArray[np.float64], high: NDArray[np.float64], owner: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64 (E,): how many following edges of the polygon begin before this one ends."""
    if not len(low):
        return np.zeros(0, np.int64)
    start, end = low.min(), high.max()
    # One axis for all polygons: each gets a stretch of it a little longer than what is drawn on it.
    stretch = (end - start) * 1.001 + 1e-9
    margin = stretch * 1e-9 + np.spacing(stretch * (owner[-1] + 2)) * 4
    stop = np.searchsorted(
        owner * stretch + (low - start), owner * stretch + (high - start) + margin, "right"
    )
    stop = np.minimum(stop, np.searchsorted(owner, owner, side="right"))
    return np.asarray(np.maximum(stop - np.arange(len(low)) - 1, 0))


def _capped(window: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """The windows, shortened where a polygon would have more than `MAX_PAIRS` pairs."""
    counts = np.bincount(owner) if len(owner) else np.zeros(0, np.int64)
    pairs = np.bincount(owner, window) if len(owner) else np.zeros(0)
    limit = np.where(pairs > MAX_PAIRS, MAX_PAIRS // np.maximum(counts, 1), np.iinfo(np.int64).max)
    return np.minimum(window, limit[owner])


def _batches(
    order: NDArray[np.int64], window: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs (edge, later edge in its window), about a million at a time so that memory stays flat."""
    ends = np.cumsum(window)
    start = 0
    while start < len(ends):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _BATCH, side="right")))
        at, counts = np.arange(start, stop), window[start:stop]
        yield order[np.repeat(at, counts)], order[ragged(at + 1, counts)]
        start = stop


def _boxes_touch(
    edges: NDArray[np.float64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """bool (K,): the edges' bounding boxes overlap."""
    result = np.ones(len(one), np.bool_)
    for axis in (0, 1):
        a, b = edges[:, axis], edges[:, axis + 2]
        low, high = np.minimum(a, b), np.maximum(a, b)
        result &= (low[one] <= high[other]) & (low[other] <= high[one])
    return result


def _cross(
    edges: NDArray[np.float64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    tolerance: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """bool (K,): each edge separates the ends of the other by more than the tolerance on both sides."""
    return _separates(edges[one], edges[other], tolerance) & _separates(edges[other], edges[one], tolerance)


def _separates(
    line: NDArray[np.float64], ends: NDArray[np.float64], tolerance: NDArray[np.float64]
) -> NDArray[np.bool_]:
    dx, dy = line[:, 2] - line[:, 0], line[:, 3] - line[:, 1]
    length = np.hypot(dx, dy)
    left = dx * (ends[:, 1] - line[:, 1]) - dy * (ends[:, 0] - line[:, 0])
    right = dx * (ends[:, 3] - line[:, 1]) - dy * (ends[:, 2] - line[:, 0])
    apart = tolerance * length
    return np.asarray(((left > apart) & (right < -apart)) | ((left < -apart) & (right > apart)))
