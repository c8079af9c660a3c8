"""Pairs of boxes that overlap almost entirely, found without comparing every box with every other.

Two boxes with IoU over t have left edges within (1 - t) of the wider width, and so for the top edges. Sorted by
left edge, a box's partners therefore lie in a short window; where many boxes of one image have the same left edge,
they are sorted by top edge instead. How many pairs are compared in all is capped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.rules.checks.geometry import ragged

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Index = NDArray[np.int64]
    Relation = Callable[[Index, Index, NDArray[np.float64]], NDArray[np.bool_]]

LONG_WINDOW = 64
"""Partners to look at per box, on average over a file, above which sorting by top edge may be better."""
PATIENCE = 16
"""Candidates after which a box that has a partner is no longer compared, so that a pile of thousands of almost
equal boxes costs n log n and not n². Up to there the partner named is the earliest."""
MAX_PAIRS = 20_000_000
"""Pairs compared at most by the search after the sweep, a second: a tenth of the pairs of 20,000 boxes. A pair so
close that its areas must be looked at counts for `CLOSE_PAIR`. In a file of more boxes on one spot some boxes may
therefore go without their partner; all others name one."""
CLOSE_PAIR = 4
PAIRS_AT_ONCE = 1 << 18
_X_BITS = 24
_X_MASK = (1 << _X_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """N boxes to compare, in order of file and line. All arrays (N,).

    Attributes:
        row: int64, label row.
        file: int32, only boxes of one file are compared.
        x1, y1, w, h: float64, w and h over zero.
    """

    row: Index
    file: NDArray[np.int32]
    x1: NDArray[np.float64]
    y1: NDArray[np.float64]
    w: NDArray[np.float64]
    h: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What makes two boxes partners.

    Attributes:
        least_iou: Over 0, under 1.
        least_ratio: Widths differ by no more than this factor, and so do heights; at least `least_iou`.
        related: Says of pairs (later, earlier, their IoU), each (K,), which ones count.
    """

    least_iou: float
    least_ratio: float
    related: Relation


def iou(boxes: Boxes, a: Index, b: Index) -> NDArray[np.float64]:
    """float64 (K,): intersection over union of boxes a[k] and b[k]."""
    x1, y1, w, h = boxes.x1, boxes.y1, boxes.w, boxes.h
    across = np.minimum(x1[a] + w[a], x1[b] + w[b]) - np.maximum(x1[a], x1[b])
    down = np.minimum(y1[a] + h[a], y1[b] + h[b]) - np.maximum(y1[a], y1[b])
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    result: NDArray[np.float64] = shared / (w[a] * h[a] + w[b] * h[b] - shared)
    return result


def earlier_partners(boxes: Boxes, search: Search) -> tuple[Index, Index, NDArray[np.float64]]:
    """For each box that has one, an earlier box of its file that is its partner.

    Returns:
        (later, earlier, IoU), each (K,), one per later box and in ascending order: indices into `boxes`. The
        earlier box is the earliest unless there are more than `PATIENCE` candidates.
    """
    partner = np.full(len(boxes), -1, np.int64)
    if len(boxes):
        order, window = _nearby(boxes, search)
        _sweep(boxes, order, window, search, partner)
        _search_on(boxes, order, window, search, partner)
    later = np.flatnonzero(partner >= 0)
    return later, partner[later], iou(boxes, later, partner[later])


def _nearby(boxes: Boxes, search: Search) -> tuple[Index, Index]:
    """Boxes sorted by file and by left or top edge, and how many that follow each one may overlap it enough."""
    order, window = _windows(boxes.file, boxes.x1, boxes.w, search)
    of_file = np.bincount(boxes.file[order], window)
    crowded = of_file > LONG_WINDOW * np.bincount(boxes.file)
    if not crowded.any():
        return order, window
    by_top, of_top = _windows(boxes.file, boxes.y1, boxes.h, search)
    better = (crowded & (np.bincount(boxes.file[by_top], of_top) < of_file))[boxes.file[order]]
    return np.where(better, by_top, order), np.where(better, of_top, window)


def _windows(
    file: NDArray[np.int32], start: NDArray[np.float64], length: NDArray[np.float64], search: Search
) -> tuple[Index, Index]:
    """Boxes sorted by file and one of their edges, and how many that follow each one may overlap it enough.

    File and edge share one integer, so that one sort and one binary search serve all files. Edges are rounded to a
    millionth of the image, windows to the safe side.
    """
    base = file.astype(np.uint64) << np.uint64(_X_BITS)
    key = base | _ticks(start)
    order = np.argsort(key)
    reach = _ticks(start + (1 - search.least_iou) * length)
    limit = (base | np.minimum(reach + np.uint64(1), np.uint64(_X_MASK)))[order]
    stop = np.searchsorted(key[order], limit, side="right")
    return order, stop - np.arange(len(order)) - 1


def _ticks(x: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Where x lies between -1 and 2, in 2**24 steps; what lies beyond is put at the ends."""
    return ((np.clip(x, -1.0, 2.0) + 1.0) / 3.0 * (_X_MASK - 1)).astype(np.uint64)


def _sweep(boxes: Boxes, order: Index, window: Index, search: Search, partner: Index) -> None:
    """Compare each box with `PATIENCE` that follow it; write the earlier partners into `partner`."""
    active = np.flatnonzero(window > 0)
    for step in range(1, PATIENCE + 1):
        if not len(active):
            return
        _compare(boxes, order[active], order[active + step], search, partner)
        active = active[window[active] > step]


def _search_on(boxes: Boxes, order: Index, window: Index, search: Search, partner: Index) -> None:
    """Go on from there, only with pairs of which one box has no partner yet, and with `MAX_PAIRS` at most."""
    step, budget = PATIENCE, MAX_PAIRS
    active = np.flatnonzero(window > step)
    while len(active) and budget > 0:
        lonely = partner < 0
        alone = lonely[order[active]]
        places = np.flatnonzero(lonely[order])
        width = max(1, PAIRS_AT_ONCE // max(len(places), int(np.count_nonzero(alone)), 1))
        first = active + 1 + step
        last = first + np.minimum(window[active] - step, width)
        # Who is alone looks at all; who is not, only at those that are.
        low = np.where(alone, first, np.searchsorted(places, first))
        length = np.where(alone, last, np.searchsorted(places, last)) - low
        at = ragged(low, length)
        from_places = np.repeat(~alone, length)
        at[from_places] = places[at[from_places]]
        n_close = _compare(boxes, np.repeat(order[active], length), order[at], search, partner)
        budget -= len(at) + (CLOSE_PAIR - 1) * n_close
        step += width
        active = active[window[active] > step]


def _compare(boxes: Boxes, one: Index, other: Index, search: Search, partner: Index) -> int:
    """Write those pairs of boxes one[k] and other[k] that are partners into `partner`.

    Returns how many pairs were so close that their areas were compared.
    """
    apart = np.abs(boxes.y1[one] - boxes.y1[other])
    near = apart <= (1 - search.least_iou) * np.maximum(boxes.h[one], boxes.h[other]) * (1 + 1e-9)
    one, other = one[near], other[near]
    if not len(one):
        return 0
    w, other_w = boxes.w[one], boxes.w[other]
    like = np.minimum(w, other_w) > search.least_ratio * np.maximum(w, other_w) * (1 - 1e-9)
    earlier, later = np.minimum(one[like], other[like]), np.maximum(one[like], other[like])
    overlap = iou(boxes, later, earlier)
    keep = overlap > search.least_iou
    keep[keep] = search.related(later[keep], earlier[keep], overlap[keep])
    _take_earliest(partner, later[keep], earlier[keep])
    return len(overlap)


def _take_earliest(partner: Index, later: Index, earlier: Index) -> None:
    known = partner[later]
    better = (known < 0) | (earlier < known)
    later, earlier = later[better], earlier[better]
    order = np.argsort(-earlier, kind="stable")  # the earliest is written last, so it stays
    partner[later[order]] = earlier[order]
