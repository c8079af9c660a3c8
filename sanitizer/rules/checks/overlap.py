"""Pairs of boxes that overlap almost entirely, found without comparing every box with every other.

Two boxes with IoU over t have left edges within (1 - t) of the wider width, and so for the top edges. Sorted by
left edge, a box's partners therefore lie in a short window. Where one image holds so many boxes that even this
window is long, its boxes are first put into cells of similar size and top edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.rules.checks.geometry import ragged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Index = NDArray[np.int64]
    Relation = Callable[[Index, Index, NDArray[np.float64]], NDArray[np.bool_]]

DENSE_WINDOW = 64
"""Partners to look at per box, on average over a file, above which the file is cut into cells."""
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
        kin: float64 (N,) the boxes' families, or None for no matter. It spares crowded files most pairs that
            `related` would refuse.
        within: Partners are of one family; else of two.
    """

    least_iou: float
    least_ratio: float
    related: Relation
    kin: NDArray[np.float64] | None = None
    within: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes to compare each entry with: a stretch of a list. E entries, T places in the list.

    Attributes:
        mine: int64 (E,) the entry's box.
        other: int64 (T,) the list, boxes too.
        start, count: int64 (E,) the entry's stretch of it.
    """

    mine: Index
    other: Index
    start: Index
    count: Index


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
        order, window = _windows(boxes, np.arange(len(boxes)), boxes.file.astype(np.uint64), search)
        crowded = np.bincount(boxes.file[order], window) > DENSE_WINDOW * np.bincount(boxes.file)
        in_crowd = crowded[boxes.file]
        nearby = _followers(order, np.where(in_crowd[order], 0, window))
        _sweep(boxes, nearby, search, partner)
        budget = _search_on(boxes, nearby, search, partner, PATIENCE, MAX_PAIRS)
        if in_crowd.any():
            for candidates in _in_crowd(boxes, np.flatnonzero(in_crowd), search):
                budget = _search_on(boxes, candidates, search, partner, 0, budget)
    later = np.flatnonzero(partner >= 0)
    return later, partner[later], iou(boxes, later, partner[later])


def _windows(boxes: Boxes, entry: Index, group: NDArray[np.uint64], search: Search) -> tuple[Index, Index]:
    """Entries sorted by group and left edge, and how many that follow each one may overlap it enough.

    Group and left edge share one integer, so that one sort and one binary search serve all groups. Left edges
    are rounded to a millionth of the image, windows to the safe side.
    """
    left = boxes.x1[entry]
    reach = left + (1 - search.least_iou) * boxes.w[entry]
    base = group << np.uint64(_X_BITS)
    key = base | _ticks(left)
    order = np.argsort(key)
    limit = (base | np.minimum(_ticks(reach) + np.uint64(1), np.uint64(_X_MASK)))[order]
    stop = np.searchsorted(key[order], limit, side="right")
    return entry[order], stop - np.arange(len(order)) - 1


def _ticks(x: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Where x lies between -1 and 2, in 2**24 steps; what lies beyond is put at the ends."""
    return ((np.clip(x, -1.0, 2.0) + 1.0) / 3.0 * (_X_MASK - 1)).astype(np.uint64)


def _cells(boxes: Boxes, chosen: Index, search: Search) -> tuple[Index, NDArray[np.uint64]]:
    """(entry, cell): each chosen box in the one to eight cells that it shares with all its possible partners.

    A cell is a range of log width, of log height, and of top edge in steps of part of that height. A box is
    entered wherever half the greatest difference between partners may take it, so that two partners always meet.
    A cell's number is a hash: two cells under one number cost time, not truth.
    """
    slack = -np.log(search.least_ratio) / 2
    step = 4 * slack
    log_w, log_h = np.log(boxes.w), np.log(boxes.h)
    entry, cell_w = _spread(chosen, (log_w[chosen] - slack) / step, (log_w[chosen] + slack) / step)
    again, cell_h = _spread(
        np.arange(len(entry)), (log_h[entry] - slack) / step, (log_h[entry] + slack) / step
    )
    entry, cell_w = entry[again], cell_w[again]
    height = np.exp(cell_h * step) * 2 * (1 - search.least_iou)
    half = (1 - search.least_iou) / search.least_ratio * boxes.h[entry] / 2 * (1 + 1e-9)
    top = boxes.y1[entry]
    again, cell_y = _spread(np.arange(len(entry)), (top - half) / height, (top + half) / height)
    entry = entry[again]
    number = boxes.file[entry].astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    for part in (cell_w[again], cell_h[again], cell_y):
        number = _mixed(number, part)
    return entry, number >> np.uint64(_X_BITS)


def _mixed(number: NDArray[np.uint64], part: Index) -> NDArray[np.uint64]:
    number = (number ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    return number ^ number >> np.uint64(29)


def _spread(entry: Index, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[Index, Index]:
    """Each entry once for every whole number between floor(low) and floor(high), with that number."""
    first = np.floor(np.clip(low, -(2.0**60), 2.0**60)).astype(np.int64)
    count = np.floor(np.clip(high, -(2.0**60), 2.0**60)).astype(np.int64) - first + 1
    return np.repeat(entry, count), ragged(first, count)


def _followers(order: Index, window: Index) -> Candidates:
    """Every entry with those that follow it."""
    return Candidates(order, order, np.arange(1, len(order) + 1), window)


def _across(order: Index, window: Index, side: NDArray[np.bool_]) -> Candidates:
    """Every entry with those that follow it on the other side."""
    left, right = np.flatnonzero(~side), np.flatnonzero(side)
    n_left = np.concatenate(([0], np.cumsum(~side)))
    ahead = np.arange(1, len(order) + 1)
    until = ahead + window
    start = np.where(side, n_left[ahead], len(left) + ahead - n_left[ahead])
    stop = np.where(side, n_left[until], len(left) + until - n_left[until])
    return Candidates(order, order[np.concatenate([left, right])], start, stop - start)


def _in_crowd(boxes: Boxes, chosen: Index, search: Search) -> Iterator[Candidates]:
    """Candidates of boxes in crowded files, cell by cell.

    Two families differ in some bit of their numbers: where partners are of two, one pass a bit meets every such
    pair, and none of one family.
    """
    kin = np.zeros(len(boxes), np.int64)
    if search.kin is not None:
        kin[chosen] = np.unique(search.kin[chosen], return_inverse=True)[1]
    entry, cell = _cells(boxes, chosen, search)
    if search.within:
        cell = _mixed(cell, kin[entry]) >> np.uint64(_X_BITS)
    order, window = _windows(boxes, entry, cell, search)
    if search.within:
        yield _followers(order, window)
        return
    for bit in range(int(kin.max()).bit_length()):
        yield _across(order, window, (kin[order] >> bit & 1).astype(np.bool_))


def _sweep(boxes: Boxes, candidates: Candidates, search: Search, partner: Index) -> None:
    """Compare each entry with `PATIENCE` candidates; write the earlier partners into `partner`."""
    c = candidates
    active = np.flatnonzero(c.count > 0)
    for step in range(PATIENCE):
        if not len(active):
            return
        _compare(boxes, c.mine[active], c.other[c.start[active] + step], search, partner)
        active = active[c.count[active] > step + 1]


def _search_on(
    boxes: Boxes, candidates: Candidates, search: Search, partner: Index, step: int, budget: int
) -> int:
    """Go on from that candidate, only with pairs of which one box has no partner yet.

    Compares so many pairs at most; returns how many are left.
    """
    c = candidates
    active = np.flatnonzero(c.count > step)
    while len(active) and budget > 0:
        lonely = partner < 0
        alone = lonely[c.mine[active]]
        places = np.flatnonzero(lonely[c.other])
        width = max(1, PAIRS_AT_ONCE // max(len(places), int(np.count_nonzero(alone)), 1))
        first = c.start[active] + step
        last = first + np.minimum(c.count[active] - step, width)
        # Who is alone looks at all; who is not, only at those that are.
        low = np.where(alone, first, np.searchsorted(places, first))
        length = np.where(alone, last, np.searchsorted(places, last)) - low
        at = ragged(low, length)
        from_places = np.repeat(~alone, length)
        at[from_places] = places[at[from_places]]
        n_close = _compare(boxes, np.repeat(c.mine[active], length), c.other[at], search, partner)
        budget -= len(at) + (CLOSE_PAIR - 1) * n_close
        step += width
        active = active[c.count[active] > step]
    return budget


def _compare(boxes: Boxes, one: Index, other: Index, search: Search, partner: Index) -> int:
    """Write those pairs of boxes one[k] and other[k] that are partners into `partner`.

    Returns how many pairs were so close that their areas were compared.
    """
    apart = np.abs(boxes.y1[one] - boxes.y1[other])
    near = apart <= (1 - search.least_iou) * np.maximum(boxes.h[one], boxes.h[other]) * (1 + 1e-9)
    near &= (one != other) & (boxes.file[one] == boxes.file[other])  # cells may share a number
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
