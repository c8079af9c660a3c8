"""What is kept of every chunk for the rules that need the whole dataset: a few dozen bytes an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def merge(dataset: Dataset, spec: TaskSpec, summaries: Sequence[ChunkSummary]) -> Survey:
    """Join the summaries of all chunks, in the order of `Dataset.chunks`."""
    from sanitizer.rules.sketch import merge_sketches

    def joined(name: str, dtype: type) -> NDArray[np.generic]:
        parts = [getattr(s, name) for s in summaries]
        return np.concatenate(parts) if parts else np.zeros(0, dtype)

    counts: dict[int, int] = {}
    for s in summaries:
        for cls, n in s.class_counts.items():
            counts[cls] = counts.get(cls, 0) + n
    starts = np.zeros(len(dataset.splits) + 1, np.int64)
    np.cumsum([len(s) for s in dataset.splits], out=starts[1:])
    return Survey(
        dataset=dataset,
        spec=spec,
        split_start=starts,
        image_digest=joined("image_digest", np.uint64),  # type: ignore[arg-type]
        label_digest=joined("label_digest", np.uint64),  # type: ignore[arg-type]
        phash=joined("phash", np.uint64),  # type: ignore[arg-type]
        image_bytes=joined("image_bytes", np.int64),  # type: ignore[arg-type]
        decoded=joined("decoded", np.bool_),  # type: ignore[arg-type]
        width=joined("width", np.int32),  # type: ignore[arg-type]
        height=joined("height", np.int32),  # type: ignore[arg-type]
        n_rows=joined("n_rows", np.int32),  # type: ignore[arg-type]
        dropped=joined("dropped", np.bool_),  # type: ignore[arg-type]
        background=joined("background", np.bool_),  # type: ignore[arg-type]
        rewritten=joined("rewritten", np.bool_),  # type: ignore[arg-type]
        class_counts=dict(sorted(counts.items())),
        shapes=merge_sketches([s.shapes for s in summaries]),
        n_label_files=sum(s.n_label_files for s in summaries),
        n_boxes=sum(s.n_boxes for s in summaries),
    )
