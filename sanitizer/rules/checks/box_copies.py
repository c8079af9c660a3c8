"""Rows that label one object twice: exact copies, near copies, and two classes on one box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref
from zlib import adler32, crc32

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.rules.checks import row_check
from sanitizer.rules.checks.geometry import Vertices, ragged
from sanitizer.rules.checks.overlap import Boxes, Search, earlier_partners
from sanitizer.rules.hits import Hits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable, TaskSpec
    from sanitizer.rules.checks.overlap import Index
    from sanitizer.rules.hits import Params

SAME_SIZE = 0.999
"""Sides within this factor are the same size: six written digits and a click's rounding apart."""
MAX_BOXES = 200_000
"""In a file of more boxes than any image can hold, near copies are not looked for."""
MAX_COLUMNS = 100_000
"""Wider rows are hashed one at a time."""
TOKENS_AT_ONCE = 1 << 20
SHAPE_DIFFERENCE = 0.05
"""Polygons with IoU over 0.95 differ by no more than this in area, centre and slant, as shares of their box."""


def exact_copies(labels: LabelTable, task: str) -> tuple[Index, Index]:
    """(copies, originals): rows that equal an earlier row of their file as training compares them, in float32.

    Training compares class and box, all columns in a pose set, class and vertices where rows are polygons.
    """
    # Three rules ask in turn for the copies of one chunk.
    asked = _last_answer.get("tokens")
    if asked is None or asked() is not labels.tokens or _last_answer["task"] != task:
        _last_answer.update(tokens=ref(labels.tokens), task=task, copies=_find_copies(labels, task))
    copies: tuple[Index, Index] = _last_answer["copies"]
    return copies


_last_answer: dict[str, Any] = {}


def _find_copies(labels: LabelTable, task: str) -> tuple[Index, Index]:
    rows = np.flatnonzero(labels.kind != RowKind.FAULTY)
    counts = labels.n_columns[rows]
    if task != "pose":  # other tasks cut keypoints off before they compare
        counts = np.where(labels.kind[rows] == RowKind.POSE, np.int32(5), counts)
    bits = _float32_bits(labels.tokens)
    hashes = _row_hashes(bits, labels.first_token[rows], counts)
    hashes ^= labels.file[rows].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + counts.astype(np.uint64)
    in_order = np.sort(hashes)  # several times faster than argsort, and mostly there is nothing to find
    if not (in_order[1:] == in_order[:-1]).any():
        return rows[:0], rows[:0]
    del in_order
    copy, original = _equal_numbers(hashes)
    equal = (labels.file[rows[copy]] == labels.file[rows[original]]) & (counts[copy] == counts[original])
    copy, original = copy[equal], original[equal]
    equal = _equal_tokens(bits, labels.first_token[rows], counts, copy, original)
    copy, original = copy[equal], original[equal]
    by_row = np.argsort(copy)
    return rows[copy[by_row]], rows[original[by_row]]


def _equal_numbers(numbers: NDArray[np.uint64]) -> tuple[Index, Index]:
    """(later, first): places of numbers that stand further ahead already, and where they do first."""
    order = np.argsort(numbers, kind="stable")
    in_order = numbers[order]
    again = np.concatenate(([False], in_order[1:] == in_order[:-1]))
    run_start = np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))
    later = np.flatnonzero(again)
    return order[later], order[run_start[later]]


def _float32_bits(tokens: NDArray[np.float64]) -> NDArray[np.uint32]:
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = tokens.astype(np.float32)
    numbers += np.float32(0)  # turns -0 into 0
    return numbers.view(np.uint32)


def _row_hashes(bits: NDArray[np.uint32], first: Index, counts: NDArray[np.int32]) -> NDArray[np.uint64]:
    """uint64 (R,): sum of each row's numbers, each times an odd factor of its column, then stirred."""
    sums = np.zeros(len(first), np.uint64)
    wide = np.flatnonzero(counts > MAX_COLUMNS)
    for row in wide.tolist():
        numbers = bits[first[row] : first[row] + counts[row]]
        sums[row] = adler32(numbers.data) << 32 | crc32(numbers.data)
    widest = int(counts.max(initial=0, where=counts <= MAX_COLUMNS))
    factors = np.arange(1, widest + 1, dtype=np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    factors = (factors ^ factors >> np.uint64(27)) * np.uint64(0x94D049BB133111EB) | np.uint64(1)
    usual = np.flatnonzero(counts <= MAX_COLUMNS)
    for part in _in_parts(counts[usual]):
        part = usual[part]
        length = counts[part].astype(np.int64)
        column = ragged(np.zeros(len(part), np.int64), length)
        weighed = bits[ragged(first[part], length)] + np.uint64(0x632BE59BD9B4E019)
        weighed *= factors[column]
        sums[part] = np.add.reduceat(weighed, np.cumsum(length) - length)
    sums ^= sums >> np.uint64(31)
    sums *= np.uint64(0x9E3779B97F4A7C15)
    return sums


def _equal_tokens(
    bits: NDArray[np.uint32], first: Index, counts: NDArray[np.int32], one: Index, other: Index
) -> NDArray[np.bool_]:
    """bool (K,): rows one[k] and other[k], of equal length, hold the same numbers."""
    result = np.zeros(len(one), np.bool_)
    for part in _in_parts(counts[one]):
        length = counts[one[part]].astype(np.int64)
        differ = bits[ragged(first[one[part]], length)] != bits[ragged(first[other[part]], length)]
        result[part] = ~np.logical_or.reduceat(differ, np.cumsum(length) - length)
    return result


def _in_parts(counts: NDArray[np.int32]) -> Iterator[Index]:
    """Rows of so many columns in parts of about `TOKENS_AT_ONCE` tokens, so that memory stays flat."""
    ends = np.cumsum(counts, dtype=np.int64)
    start = 0
    while start < len(ends):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + TOKENS_AT_ONCE, side="right")))
        yield np.arange(start, stop)
        start = stop


@row_check("duplicate-row")
def duplicate_row(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Later copies of a row."""
    copies, originals = exact_copies(tables.labels, spec.task)
    return Hits(copies, fields={"first_line": tables.labels.line[originals]})


@row_check("near-duplicate")
def near_duplicate(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Boxes of one class that all but coincide, or are the same size and a little shifted: pasted twice."""
    labels, shapes = tables.labels, _Shapes(tables.labels)
    boxes = _comparable(labels, spec, np.ones(len(labels), np.bool_))
    least, shifted = _share(params["min_iou"]), _share(params["min_iou_same_size"])

    def related(later: Index, earlier: Index, overlap: NDArray[np.float64]) -> NDArray[np.bool_]:
        a, b = boxes.row[later], boxes.row[earlier]
        enough = (overlap > least) | (
            _same_size(boxes.w, later, earlier) & _same_size(boxes.h, later, earlier)
        )
        return np.asarray((labels.class_id[a] == labels.class_id[b]) & enough & shapes.alike(a, b))

    search = Search(min(least, shifted), min(least, SAME_SIZE), related)
    later, earlier, overlap = earlier_partners(boxes, search)
    # A shifted box of the same size may lie under the usual limit: then the lower one is what it broke.
    limits = np.where(overlap > least, least, search.least_iou)
    return Hits(boxes.row[later], overlap, limits, {"other_line": labels.line[boxes.row[earlier]]})


@row_check("two-classes")
def two_classes(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Boxes of different classes that all but coincide."""
    labels, shapes = tables.labels, _Shapes(tables.labels)
    boxes = _comparable(labels, spec, _in_mixed_files(labels))
    least = _share(params["min_iou"])

    def related(later: Index, earlier: Index, overlap: NDArray[np.float64]) -> NDArray[np.bool_]:
        a, b = boxes.row[later], boxes.row[earlier]
        return np.asarray((labels.class_id[a] != labels.class_id[b]) & shapes.alike(a, b))

    search = Search(least, least, related)
    later, earlier, overlap = earlier_partners(boxes, search)
    other = boxes.row[earlier]
    names = [str(spec.names.get(int(i), f"class {i:g}")) for i in labels.class_id[other].tolist()]
    return Hits(
        boxes.row[later],
        overlap,
        np.full(len(later), least),
        {"other_line": labels.line[other], "other_class": names},
    )


def _in_mixed_files(labels: LabelTable) -> NDArray[np.bool_]:
    """bool (R,): rows of files that hold more than one class."""
    changes = (labels.class_id[1:] != labels.class_id[:-1]) & (labels.file[1:] == labels.file[:-1])
    return np.asarray((np.bincount(labels.file[1:], changes, minlength=labels.n_files) > 0)[labels.file])


def _share(number: float) -> float:
    """An IoU limit that the search can work with."""
    return min(max(number, 0.05), 0.9999)


def _same_size(side: NDArray[np.float64], a: Index, b: Index) -> NDArray[np.bool_]:
    return np.asarray(np.minimum(side[a], side[b]) >= SAME_SIZE * np.maximum(side[a], side[b]))


def _comparable(labels: LabelTable, spec: TaskSpec, which: NDArray[np.bool_]) -> Boxes:
    """Those boxes of bool (R,) `which` that can have a near copy: with a size, and no exact copies of others."""
    x, y, w, h = labels.xywh.T
    usable = (labels.kind != RowKind.FAULTY) & (w > 0) & (h > 0) & np.isfinite(x + y + w + h)
    usable &= which
    usable[exact_copies(labels, spec.task)[0]] = False
    usable &= (np.bincount(labels.file, usable, minlength=labels.n_files) <= MAX_BOXES)[labels.file]
    rows = np.flatnonzero(usable)
    x, y, w, h = labels.xywh[rows].T
    return Boxes(rows, labels.file[rows], x - w / 2, y - h / 2, w, h)


class _Shapes:
    """Area, centre and slant of outlines: two thin polygons on the two diagonals of one box are no copies."""

    def __init__(self, labels: LabelTable) -> None:
        self._labels = labels
        self._moments = np.zeros((4, 0))
        self._known = np.zeros(0, np.bool_)

    def alike(self, a: Index, b: Index) -> NDArray[np.bool_]:
        """bool (K,): rows a[k] and b[k] may be the same shape; always so if both are plain boxes."""
        kind = self._labels.kind
        outline = (kind == RowKind.POLYGON) | (kind == RowKind.OBB)
        result = outline[a] == outline[b]
        both = np.flatnonzero(result & outline[a])
        if len(both):
            self._learn(np.concatenate([a[both], b[both]]))
            result[both] = False
            for moment in self._moments:
                # NaN, of no area, is unlike all
                both = both[np.abs(moment[a[both]] - moment[b[both]]) <= SHAPE_DIFFERENCE]
            result[both] = True
        return np.asarray(result)

    def _learn(self, rows: Index) -> None:
        """Compute the moments of those rows that were not asked for before."""
        if not len(self._known):
            self._known = np.zeros(len(self._labels), np.bool_)
            self._moments = np.zeros((4, len(self._labels)))
        new = np.unique(rows[~self._known[rows]])
        if len(new):
            self._moments[:, new] = _moments(self._labels, new).T
            self._known[new] = True


def _moments(labels: LabelTable, rows: Index) -> NDArray[np.float64]:
    """float64 (K, 4): logarithm of the area, its centre x and y, and its mean x times y.

    All within the bounding box as a unit square around the origin; NaN where the area is zero.
    """
    v = Vertices.of(labels, rows)
    x, y, w, h = (np.repeat(column, v.count) for column in labels.xywh[rows].T)
    px, py = (v.x - x) / w, (v.y - y) / h
    after = v.following()
    qx, qy = px[after], py[after]
    cross = px * qy - qx * py
    area = v.total(cross) / 2
    first_x, first_y = v.total((px + qx) * cross) / 6, v.total((py + qy) * cross) / 6
    mixed = v.total((2 * px * py + px * qy + qx * py + 2 * qx * qy) * cross) / 24
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([np.log(np.abs(area)), first_x / area, first_y / area, mixed / area], axis=1)
