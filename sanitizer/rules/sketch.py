"""Sizes and shapes of all boxes by class, in little space: histograms, and the most extreme boxes with their place.

Sketches of chunks merge into exactly the sketch that one pass over everything would have made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ImageTable, LabelTable, TaskSpec

AREA, ASPECT = 0, 1
"""The two measures: log2 of w × h as a share of the image, and log2 of long over short side in pixels.

Which side is the longer does not count: many objects lie as often as they stand."""
LEAST_SIDE_PX = 2.0
"""Boxes with a shorter side are reported for that (B005), so they are left out here."""
KEPT_PER_END = 8
"""Boxes kept with their place at each end of each measure of each class."""
BINS_PER_OCTAVE = 8
_LOWEST = -64
_BINS = 1024
_MAX_CLASS = 2**31


@dataclass(frozen=True, slots=True, eq=False)
class ShapeSketch:
    """Histograms of H occupied bins and E extreme boxes.

    Attributes:
        n_files: Image/label pairs that went in, so that merging can count on.
        key: int64 (H,) ascending; class id, measure and bin in one number.
        count: int64 (H,) boxes in the bin.
        class_id, file, line: int64 (E,) of the extreme boxes, in order of file and line. `file` counts pairs.
        measures: float64 (E, 2) their AREA and ASPECT.
    """

    n_files: int
    key: NDArray[np.int64]
    count: NDArray[np.int64]
    class_id: NDArray[np.int64]
    file: NDArray[np.int64]
    line: NDArray[np.int64]
    measures: NDArray[np.float64]

    def classes(self) -> list[int]:
        """Class ids with any box, ascending."""
        return sorted(set((self.key // (2 * _BINS)).tolist()))  # np.unique would import numpy.ma

    def histogram(self, class_id: int, measure: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(middles of the occupied bins in octaves, boxes in each), ascending."""
        first = (class_id * 2 + measure) * _BINS
        low, high = np.searchsorted(self.key, [first, first + _BINS])
        middles = _LOWEST + (self.key[low:high] - first + 0.5) / BINS_PER_OCTAVE
        return middles, self.count[low:high]


def collect(labels: LabelTable, images: ImageTable, spec: TaskSpec) -> ShapeSketch:
    """Sketch of one chunk. Boxes with next to no size, and rows that are no normalised box, are left out.

    Oriented boxes are left out too: their upright bounds say little about their shape.
    """
    w, h = labels.xywh[:, 2], labels.xywh[:, 3]
    class_id = labels.class_id
    usable = (labels.kind != RowKind.FAULTY) & (labels.kind != RowKind.OBB) & (w > 0) & (h > 0)
    usable &= (w <= 1.01) & (h <= 1.01) & (class_id == np.floor(class_id))
    usable &= (class_id >= 0) & (class_id < _MAX_CLASS)
    img_w, img_h = images.upright_size()
    known = (img_w > 0) & (img_h > 0)
    side_px = np.minimum(w * img_w[labels.file], h * img_h[labels.file])
    usable &= ~(known[labels.file] & (np.round(side_px, 2) <= LEAST_SIDE_PX))
    rows = np.flatnonzero(usable)
    w, h, file = w[rows], h[rows], labels.file[rows].astype(np.int64)
    image_aspect = np.where(known, img_w, 1) / np.where(known, img_h, 1)
    # Logarithms are added up, as a product of two tiny sides would vanish.
    log_w, log_h = np.log2(w), np.log2(h)
    measures = np.stack([log_w + log_h, np.abs(log_w - log_h + np.log2(image_aspect)[file])], axis=1)
    ids = class_id[rows].astype(np.int64)
    bins = np.clip(((measures - _LOWEST) * BINS_PER_OCTAVE).astype(np.int64), 0, _BINS - 1)
    key, count = np.unique((ids[:, None] * 2 + np.arange(2)) * _BINS + bins, return_counts=True)
    line = labels.line[rows].astype(np.int64)
    return ShapeSketch(labels.n_files, key, count, *_extremes(ids, file, line, measures))


def merge_sketches(sketches: Sequence[ShapeSketch]) -> ShapeSketch:
    """One sketch of all: chunk after chunk, so that `file` becomes the number of the pair in the whole."""
    starts = np.cumsum([0, *(s.n_files for s in sketches)])
    nothing = np.zeros(0, np.int64)
    keys = np.concatenate([nothing, *(s.key for s in sketches)])
    counts = np.concatenate([nothing, *(s.count for s in sketches)])
    # Merges the keys of sketches, which are sorted, sooner than np.unique does.
    order = np.argsort(keys, kind="stable")
    new = np.flatnonzero(np.diff(keys[order], prepend=-1))
    key, count = keys[order[new]], np.add.reduceat(counts[order], new)
    file = np.concatenate([nothing, *(s.file + n for s, n in zip(sketches, starts, strict=False))])
    class_id = np.concatenate([nothing, *(s.class_id for s in sketches)])
    line = np.concatenate([nothing, *(s.line for s in sketches)])
    measures = np.concatenate([np.zeros((0, 2)), *(s.measures for s in sketches)])
    return ShapeSketch(int(starts[-1]), key, count, *_extremes(class_id, file, line, measures))


def _extremes(
    class_id: NDArray[np.int64],
    file: NDArray[np.int64],
    line: NDArray[np.int64],
    measures: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The boxes at both ends of both measures of every class.

    Boxes come in order of file and line. Of equal ones the first are at the low end and the last at the high end.
    """
    keep = np.zeros(len(class_id), np.bool_)
    for measure in (AREA, ASPECT):
        # One number to sort by: measures lie between -2**12 and 2**12, as float64 has no smaller sides than 2**-1074.
        order = np.argsort(class_id * 2.0**13 + measures[:, measure], kind="stable")
        ids = class_id[order]
        rank = np.arange(len(ids))
        from_low = rank - np.searchsorted(ids, ids)
        from_high = np.searchsorted(ids, ids, side="right") - 1 - rank
        keep[order[(from_low < KEPT_PER_END) | (from_high < KEPT_PER_END)]] = True
    kept = np.flatnonzero(keep)
    return class_id[kept], file[kept], line[kept], measures[kept]
