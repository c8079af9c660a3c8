"""Splits whose pairs become known chunk by chunk: joined to whole splits, on disk when they are long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sanitizer.dataset.model import Split
from sanitizer.util.spill import BytesBuilder, ColumnBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HOLDS = "the names of the dataset's files"


class SplitBuilder:
    """One split, made of parts of it in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._folders: dict[tuple[str, str], int] = {}
        self._dir_index = ColumnBuilder(np.int32, HOLDS)
        self._names = BytesBuilder(HOLDS)
        self._offsets = ColumnBuilder(np.int64, HOLDS)
        self._has_image = ColumnBuilder(np.bool_, HOLDS)
        self._has_label = ColumnBuilder(np.bool_, HOLDS)
        self._offsets.add(np.zeros(1, np.int64))
        self._n_bytes = self._n_pairs = 0
        self._odd_labels: dict[int, str] = {}

    def add(self, part: Split) -> None:
        """Put the pairs of a part at the end."""
        folders = zip(part.image_dirs, part.label_dirs, strict=True)
        numbers = [self._folders.setdefault(pair, len(self._folders)) for pair in folders]
        self._dir_index.add(np.array(numbers, np.int32)[part.dir_index])
        first, last = int(part.offsets[0]), int(part.offsets[-1])
        self._names.add(bytes(part.names[first:last]))
        self._offsets.add(part.offsets[1:] - first + self._n_bytes)
        self._n_bytes += last - first
        self._has_image.add(part.has_image)
        self._has_label.add(part.has_label)
        self._odd_labels |= {self._n_pairs + i: name for i, name in part.odd_labels.items()}
        self._n_pairs += len(part)

    def spill(self) -> None:
        """Move everything to files, where all that comes later goes, too."""
        for part in (self._dir_index, self._names, self._offsets, self._has_image, self._has_label):
            part.spill()

    def finish(self) -> Split:
        """The split. Where it was spilled, its columns are read from files and know indices and slices alone."""
        images, labels = zip(*self._folders, strict=True) if self._folders else ((), ())
        columns: Sequence[Any] = [
            b.finish()
            for b in (self._dir_index, self._names, self._offsets, self._has_image, self._has_label)
        ]
        dir_index, names, offsets, has_image, has_label = columns
        split = Split(
            self.name, images, labels, dir_index, cast("bytes", names), offsets, has_image, has_label
        )
        return replace(split, odd_labels=self._odd_labels)


def with_found(splits: Sequence[Split], found: Iterable[SplitBuilder]) -> tuple[Split, ...]:
    """The splits of a dataset, with those that were found chunk by chunk in their places, others at the end."""
    made = {builder.name: builder.finish() for builder in found}
    placed = [made.pop(s.name, s) if not len(s) else s for s in splits]
    return (*placed, *made.values())
