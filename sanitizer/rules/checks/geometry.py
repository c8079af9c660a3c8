"""Vectorised plumbing that the geometry checks share: ragged slices of tokens, sizes, empty hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.rules.hits import Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable

DROPS = "training drops the whole image"
"""What `{fate}` of a message says of a row that Ultralytics refuses."""


def no_hits() -> Hits:
    """The check found nothing."""
    return Hits(np.zeros(0, np.int64))


def ragged(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (sum of counts,): starts[i], starts[i] + 1, … counts[i] of them, for each i in turn."""
    total = int(counts.sum())
    ends = np.cumsum(counts)
    return np.asarray(np.arange(total) + np.repeat(starts - (ends - counts), counts))


def row_image_size(tables: ChunkTables) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(width, height) of each row's upright image in pixels, float64 (R,); NaN where unknown."""
    width, height = tables.images.upright_size()
    known = (width > 0) & (height > 0)
    file = tables.labels.file
    return np.where(known, width, np.nan)[file], np.where(known, height, np.nan)[file]


@dataclass(frozen=True, slots=True, eq=False)
class Vertices:
    """The vertices of P polygons, one after the other. V vertices.

    Attributes:
        row: int64 (P,) label row of each polygon.
        start: int64 (P,) where each polygon begins in `x` and `y`.
        count: int64 (P,) number of its vertices, at least one.
        x, y: float64 (V,) normalised, as written.
    """

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def of(cls, labels: LabelTable, rows: NDArray[np.int64]) -> Vertices:
        """The vertices of those rows, which must be polygons or oriented boxes."""
        count = (labels.n_columns[rows].astype(np.int64) - 1) // 2
        at_x = ragged(np.zeros(len(rows), np.int64), count) * 2 + np.repeat(
            labels.first_token[rows] + 1, count
        )
        start = np.cumsum(count) - count
        return cls(rows, start, count, labels.tokens[at_x], labels.tokens[at_x + 1])

    @property
    def owner(self) -> NDArray[np.int64]:
        """int64 (V,): which polygon each vertex belongs to."""
        return np.repeat(np.arange(len(self.row)), self.count)

    def following(self) -> NDArray[np.int64]:
        """int64 (V,): the next vertex of the same polygon; the first one after the last."""
        after = np.arange(1, len(self.x) + 1, dtype=np.int64)
        after[self.start + self.count - 1] = self.start
        return after

    def total(self, per_vertex: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (P,): sum over the vertices of each polygon."""
        return np.add.reduceat(per_vertex, self.start) if len(self.start) else np.zeros(0)

    def highest(self, per_vertex: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (P,): maximum over the vertices of each polygon."""
        return np.maximum.reduceat(per_vertex, self.start) if len(self.start) else np.zeros(0)

    def signed_area(self) -> NDArray[np.float64]:
        """float64 (P,): shoelace formula around each polygon's first vertex, so that rounding stays small."""
        x = self.x - np.repeat(self.x[self.start], self.count)
        y = self.y - np.repeat(self.y[self.start], self.count)
        after = self.following()
        return self.total(x * y[after] - x[after] * y) / 2
