"""What is kept of every chunk for the rules that need the whole dataset: a few dozen bytes an image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.dataset.model import Split
from sanitizer.rules.sketch import merge_sketches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.rules.sketch import ShapeSketch


@dataclass(frozen=True, slots=True)
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
        class_counts: Class id to number of rows.
        shapes: Sketch of box sizes and shapes by class, for B012.
        n_label_files: Label files read.
        n_boxes: Rows of any kind that are no fault.
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
    class_counts: Mapping[int, int]
    shapes: ShapeSketch
    n_label_files: int
    n_boxes: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The whole dataset, summed up. Pair i counts through the splits in order. N pairs.

    The arrays are those of `ChunkSummary`, one after the other; `split_start` int64 (number of splits + 1,) says
    where each split begins.
    """

    dataset: Dataset
    spec: TaskSpec
    split_start: NDArray[np.int64]
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
    class_counts: Mapping[int, int]
    shapes: ShapeSketch
    n_label_files: int
    n_boxes: int

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

    def label_path(self, i: int) -> str | None:
        """Absolute path of pair i's label file, None where there is none."""
        s = self.split_of(i)
        return self.dataset.splits[s].label_path(i - int(self.split_start[s]))


_COLUMNS = {
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
}


class SurveyBuilder:
    """Joins the summaries of all chunks, given one after the other in the order of the dataset."""

    def __init__(self, dataset: Dataset, spec: TaskSpec) -> None:
        self._dataset, self._spec = dataset, spec
        self._columns: dict[str, list[NDArray[Any]]] = {
            name: [np.zeros(0, dtype)] for name, dtype in _COLUMNS.items()
        }
        self._class_counts: Counter[int] = Counter()
        self._shapes: list[ShapeSketch] = []
        self._n_label_files = 0
        self._n_boxes = 0
        self._pairs: dict[str, list[Split]] = {}

    def add(self, chunk: ChunkSummary, pairs: Split | None = None) -> None:
        """Take the next chunk's summary, and the names of its pairs where the dataset does not know them."""
        if pairs is not None:
            self._pairs.setdefault(pairs.name, []).append(pairs)
        for name, parts in self._columns.items():
            parts.append(getattr(chunk, name))
        self._class_counts.update(chunk.class_counts)
        self._shapes.append(chunk.shapes)
        if len(self._shapes) >= _SKETCHES_HELD:
            self._shapes = [merge_sketches(self._shapes)]
        self._n_label_files += chunk.n_label_files
        self._n_boxes += chunk.n_boxes

    def finish(self) -> Survey:
        """The survey of all that was added."""
        dataset = self._dataset
        if self._pairs:
            found = {name: Split.joined(name, parts) for name, parts in self._pairs.items()}
            dataset = replace(dataset, splits=[found.get(s.name, s) for s in dataset.splits])
        starts = np.zeros(len(dataset.splits) + 1, np.int64)
        np.cumsum([len(s) for s in dataset.splits], out=starts[1:])
        return Survey(
            dataset=dataset,
            spec=self._spec,
            split_start=starts,
            **{name: np.concatenate(parts) for name, parts in self._columns.items()},
            class_counts=dict(sorted(self._class_counts.items())),
            shapes=merge_sketches(self._shapes),
            n_label_files=self._n_label_files,
            n_boxes=self._n_boxes,
        )


_SKETCHES_HELD = 64


def merge(dataset: Dataset, spec: TaskSpec, summaries: Iterable[ChunkSummary]) -> Survey:
    """The survey of these chunks, which are all of the dataset in its order."""
    builder = SurveyBuilder(dataset, spec)
    for summary in summaries:
        builder.add(summary)
    return builder.finish()
