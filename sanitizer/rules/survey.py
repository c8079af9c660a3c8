"""What is kept of every chunk for the rules that need the whole dataset: a few dozen bytes an image, on disk when
there are very many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sanitizer.rules.sketch import merge_sketches
from sanitizer.util.spill import ColumnBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.rules.sketch import ShapeSketch
    from sanitizer.rules.split_parts import SplitBuilder
    from sanitizer.util.spill import Column

PAIRS_HELD = 200_000
"""Image/label pairs whose columns (about sixty bytes a pair) stay in memory; those of more go to files."""


@dataclass(frozen=True, slots=True, eq=False)
class ChunkSummary:
    """One chunk, summed up. F images; all arrays are aligned with the chunk's pairs.

    Attributes:
        image_digest, label_digest, phash: uint64 (F,) as in ImageTable and LabelTable.
        image_bytes: int64 (F,) file size, -1 where none.
        decoded: bool (F,) phash is meaningful.
        width, height: int32 (F,) upright pixels, -1 unknown.
        n_rows: int32 (F,) label rows that are no fault.
        dropped: bool (F,) training drops the image.
        background: bool (F,) training reads the image as background: no label file, or an empty one.
        rewritten: bool (F,) training rewrites the image file.
        found: bool (F,) the image is good and has a label file.
        boxed: bool (F,) training keeps the image with boxes where its task wants polygons.
        loaded: uint8 (F,) channels that training gets of the image, as `loaded_channels` gives them.
        class_counts: Class id to number of rows.
        shapes: Sketch of box sizes and shapes by class, for B012.
        n_label_files: Label files read.
        n_boxes: Rows of any kind that are no fault.
        label_heads: As in ChunkTables.
    """

    image_digest: NDArray[np.uint64]
    label_digest: NDArray[np.uint64]
    phash: NDArray[np.uint64]
    image_bytes: NDArray[np.int64]
    decoded: NDArray[np.bool_]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    n_rows: NDArray[np.int32]
    dropped: NDArray[np.bool_]
    background: NDArray[np.bool_]
    rewritten: NDArray[np.bool_]
    found: NDArray[np.bool_]
    boxed: NDArray[np.bool_]
    loaded: NDArray[np.uint8]
    class_counts: Mapping[int, int]
    shapes: ShapeSketch
    n_label_files: int
    n_boxes: int
    label_heads: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class SplitSums:
    """One split in numbers, as `sanitizer.findings.report.SplitCounts` tells them, and what decides whether it trains.

    `found`, `boxed` and `loaded` count images: `loaded` those that training keeps, by their number of channels.
    `class_rows` counts label rows by class id.
    """

    name: str
    images: int = 0
    labels: int = 0
    boxes: int = 0
    dropped: int = 0
    background: int = 0
    rewritten: int = 0
    found: int = 0
    boxed: int = 0
    loaded: Counter[int] = field(default_factory=Counter)
    class_rows: Counter[int] = field(default_factory=Counter)

    def add(self, chunk: ChunkSummary, pairs: slice, has_image: NDArray[np.bool_]) -> None:
        """Count these pairs of a chunk; `has_image` bool (pairs,)."""
        self.images += int(has_image.sum())
        self.labels += int((chunk.label_digest[pairs] != 0).sum())
        self.boxes += int(chunk.n_rows[pairs].sum())
        self.dropped += int((chunk.dropped[pairs] & has_image).sum())
        self.background += int((chunk.background[pairs] & has_image).sum())
        self.rewritten += int(chunk.rewritten[pairs].sum())
        self.found += int((chunk.found[pairs] & has_image).sum())
        self.boxed += int((chunk.boxed[pairs] & has_image).sum())
        per_channels = np.bincount(chunk.loaded[pairs][has_image & ~chunk.dropped[pairs]])
        self.loaded.update({int(c): int(per_channels[c]) for c in np.flatnonzero(per_channels)})


class PackedFiles(Protocol):
    """Single files of packed ones (`shard.tar/a.jpg`), for rules that come back to a few of many."""

    def contents(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(path, bytes) of those that can be read, in the order of the packed files."""
        ...

    def open(self, path: str) -> BinaryIO | None:
        """One file; None where it is gone or damaged."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """The whole dataset, summed up. Pair i counts through the splits in order. N pairs.

    The columns are those of `ChunkSummary`, one after the other: arrays, or files for very many pairs. Both know
    `column[i]` and `column[a:b]`; go through them with `sanitizer.util.spill.blocks`.

    Attributes:
        split_start: int64 (number of splits + 1,) where each split begins.
        splits: Each split in numbers.
        label_heads: Pair to the first bytes of its label file, of a bounded number of files (`sanitizer.labels.heads`);
            empty on a disk.
        packed_files: Reads files of a packed dataset; None where all files are loose.
        answers: What one rule computed and another one needs.
    """

    dataset: Dataset
    spec: TaskSpec
    split_start: NDArray[np.int64]
    image_digest: Column
    label_digest: Column
    phash: Column
    image_bytes: Column
    decoded: Column
    width: Column
    height: Column
    n_rows: Column
    dropped: Column
    background: Column
    rewritten: Column
    found: Column
    boxed: Column
    loaded: Column
    class_counts: Mapping[int, int]
    shapes: ShapeSketch
    n_label_files: int
    n_boxes: int
    splits: Sequence[SplitSums] = ()
    label_heads: Mapping[int, bytes] = field(default_factory=dict)
    packed_files: PackedFiles | None = None
    answers: dict[object, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image_digest)

    def split_of(self, i: int) -> int:
        """Number of the split that pair i is in."""
        return int(np.searchsorted(self.split_start, i, side="right")) - 1

    def split_name(self, i: int) -> str:
        """Name of the split that pair i is in."""
        return self.dataset.splits[self.split_of(i)].name

    def image_path(self, i: int) -> str | None:
        """Absolute path of pair i's image."""
        s = self.split_of(i)
        return self.dataset.splits[s].image_path(i - int(self.split_start[s]))

    def class_of(self, i: int) -> int | None:
        """Class of pair i's image by its folder, in a classification set; None for other tasks."""
        s = self.split_of(i)
        split = self.dataset.splits[s]
        if split.dir_classes is None:
            return None
        return split.dir_classes[int(split.dir_index[i - int(self.split_start[s])])]

    def label_path(self, i: int) -> str | None:
        """Absolute path of pair i's label file, None where there is none."""
        s = self.split_of(i)
        return self.dataset.splits[s].label_path(i - int(self.split_start[s]))


COLUMNS = {
    "image_digest": np.uint64,
    "label_digest": np.uint64,
    "phash": np.uint64,
    "image_bytes": np.int64,
    "decoded": np.bool_,
    "width": np.int32,
    "height": np.int32,
    "n_rows": np.int32,
    "dropped": np.bool_,
    "background": np.bool_,
    "rewritten": np.bool_,
    "found": np.bool_,
    "boxed": np.bool_,
    "loaded": np.uint8,
}


class SurveyBuilder:
    """Joins the summaries of all chunks, given one after the other in the order of the dataset."""

    def __init__(self, dataset: Dataset, spec: TaskSpec) -> None:
        self._dataset, self._spec = dataset, spec
        self._columns = {
            name: ColumnBuilder(dtype, "what rules over the whole dataset need")
            for name, dtype in COLUMNS.items()
        }
        self._splits = _SplitCounter(dataset.splits)
        self._n = 0
        self._class_counts: Counter[int] = Counter()
        self._shapes: list[ShapeSketch] = []
        self._label_heads: dict[int, bytes] = {}
        self._n_label_files = 0
        self._n_boxes = 0

    def add(self, chunk: ChunkSummary, pairs: Split | None = None) -> None:
        """Take the next chunk's summary.

        Args:
            chunk: The summary.
            pairs: Its pairs, where they are found chunk by chunk and not by listing: a part of the split of that
                name, which the dataset holds without any pair, or not at all.
        """
        for name, column in self._columns.items():
            column.add(getattr(chunk, name))
        self._splits.add(chunk, pairs)
        self._label_heads.update((self._n + i, head) for i, head in chunk.label_heads.items())
        self._n += len(chunk.image_digest)
        if self._n > PAIRS_HELD:
            for column in self._columns.values():
                column.spill()
            self._splits.spill()
        self._class_counts.update(chunk.class_counts)
        self._shapes.append(chunk.shapes)
        if len(self._shapes) >= _SKETCHES_HELD:
            self._shapes = [merge_sketches(self._shapes)]
        self._n_label_files += chunk.n_label_files
        self._n_boxes += chunk.n_boxes

    def finish(self, packed_files: PackedFiles | None = None) -> Survey:
        """The survey of all that was added. Its dataset has the pairs that came with chunks, too."""
        dataset = self._dataset
        if self._splits.found:
            from sanitizer.rules.split_parts import with_found

            dataset = replace(dataset, splits=with_found(dataset.splits, self._splits.found.values()))
        starts = np.zeros(len(dataset.splits) + 1, np.int64)
        np.cumsum([len(s) for s in dataset.splits], out=starts[1:])
        columns: dict[str, Any] = {name: column.finish() for name, column in self._columns.items()}
        return Survey(
            **columns,
            dataset=dataset,
            spec=self._spec,
            split_start=starts,
            class_counts=dict(sorted(self._class_counts.items())),
            shapes=merge_sketches(self._shapes),
            n_label_files=self._n_label_files,
            n_boxes=self._n_boxes,
            splits=[self._splits.sums.get(s.name, SplitSums(s.name)) for s in dataset.splits],
            label_heads=self._label_heads,
            packed_files=packed_files,
        )


class _SplitCounter:
    """Which split each chunk belongs to, what each split adds up to, and the pairs that come with chunks."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self.sums: dict[str, SplitSums] = {}
        self.found: dict[str, SplitBuilder] = {}
        self._listed = [s for s in splits if len(s)]
        self._done = 0
        """Pairs of the first listed split that chunks were about."""

    def add(self, chunk: ChunkSummary, pairs: Split | None) -> None:
        n = len(chunk.image_digest)
        if pairs is None:
            start = 0
            for name, has_image in self._next_listed(n):
                if not start:  # a chunk lies in one split
                    self._of(name).class_rows.update(chunk.class_counts)
                self._of(name).add(chunk, slice(start, start + len(has_image)), has_image)
                start += len(has_image)
            return
        if len(pairs) != n:
            raise ValueError(f"a chunk of {n} pairs comes with {len(pairs)} of split {pairs.name!r}")
        if pairs.name not in self.found:
            from sanitizer.rules.split_parts import SplitBuilder

            self.found[pairs.name] = SplitBuilder(pairs.name)
        self.found[pairs.name].add(pairs)
        self._of(pairs.name).add(chunk, slice(0, n), pairs.has_image)
        self._of(pairs.name).class_rows.update(chunk.class_counts)

    def spill(self) -> None:
        for builder in self.found.values():
            builder.spill()

    def _of(self, name: str) -> SplitSums:
        return self.sums.setdefault(name, SplitSums(name))

    def _next_listed(self, n: int) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """(name, has_image) of the next n pairs of the splits that were listed, a part for each split."""
        while n and self._listed:
            split = self._listed[0]
            here = split.has_image[self._done : self._done + n]
            yield split.name, here
            n -= len(here)
            self._done += len(here)
            if self._done == len(split):
                self._listed.pop(0)
                self._done = 0


_SKETCHES_HELD = 64
