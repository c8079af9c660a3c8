"""Reads the label rows that training would use for each image, with the line number of every row.

Ultralytics' own loader cannot be used: it rewrites some images in place and writes a cache beside the labels. So the
rows come from the same tables as in a scan. Tests compare them with the results of the real loader on copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import ChunkTables, ImageStatus
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import read_labels
from sanitizer.ultra.label_check import BOX_COLUMNS, LONGEST_BOX_COLUMNS, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Chunk, LabelTable, TaskSpec

_PAIRS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """One image that training keeps, with its R label rows in the order of training.

    Attributes:
        image: Absolute path.
        label: Absolute path of the label file, or None if there is none.
        split: Name of the split.
        height, width: Pixels, after the rotation that EXIF asks for.
        lines: int32 (R,) line number of each row in the label file, from 1.
        class_id: float32 (R, 1) class ids.
        xywh: float32 (R, 4) normalised centre and size; for polygons and oriented boxes, those of the box around them.
        segments: If the rows are polygons or corners, a float32 (V, 2) array of normalised x, y per row; else empty.
        keypoints: float32 (R, K, 3) normalised x, y and visibility, or None.
    """

    image: str
    label: str | None
    split: str
    height: int
    width: int
    lines: NDArray[np.int32]
    class_id: NDArray[np.float32]
    xywh: NDArray[np.float32]
    segments: Sequence[NDArray[np.float32]]
    keypoints: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.lines)


def read_samples(dataset: Dataset, spec: TaskSpec, split_name: str) -> list[Sample]:
    """The images of a split that training would keep, sorted by path as in training. Writes nothing."""
    samples = [s for tables in read_split(dataset, spec, split_name) for s in samples_of(tables, spec)]
    return sorted(samples, key=lambda s: s.image)


def read_split(dataset: Dataset, spec: TaskSpec, split_name: str) -> Iterator[ChunkTables]:
    """Label rows and image headers of a split, in chunks of some thousand pairs."""
    for split in dataset.splits:
        if split.name == split_name:
            for start in range(0, len(split), _PAIRS_AT_ONCE):
                yield read_chunk(split.chunk(start, min(start + _PAIRS_AT_ONCE, len(split))), spec)


def read_chunk(chunk: Chunk, spec: TaskSpec) -> ChunkTables:
    """Label rows and image headers of a chunk."""
    return ChunkTables(chunk, read_labels(chunk.labels, spec), read_images(chunk.images, "header"))


def samples_of(tables: ChunkTables, spec: TaskSpec) -> Iterator[Sample]:
    """The images of a chunk that training would keep, in the order of the chunk."""
    chunk, labels, images = tables.chunk, tables.labels, tables.images
    dropped = verdicts(labels, images, spec).dropped | (images.status != ImageStatus.OK)
    widths, heights = images.upright_size()
    first_row = np.searchsorted(labels.file, np.arange(len(chunk) + 1))
    for i, (image, label) in enumerate(zip(chunk.images, chunk.labels, strict=True)):
        if image is None or dropped[i]:
            continue
        rows = _rows(labels, slice(first_row[i], first_row[i + 1]), spec)
        yield Sample(image, label, chunk.split, int(heights[i]), int(widths[i]), *rows)


_Rows = tuple[
    "NDArray[np.int32]",
    "NDArray[np.float32]",
    "NDArray[np.float32]",
    "list[NDArray[np.float32]]",
    "NDArray[np.float32] | None",
]


def _rows(labels: LabelTable, rows: slice, spec: TaskSpec) -> _Rows:
    """(lines, class ids, boxes, segments, keypoints) of one file's rows, without exact duplicates, as in training.

    Source: `verify_image_label` in ultralytics/data/utils.py, version 8.4.
    """
    lines = labels.line[rows]
    class_id = labels.class_id[rows].astype(np.float32)[:, None]
    tokens = [
        labels.tokens[a:b].astype(np.float32)
        for a, b in zip(
            labels.first_token[rows].tolist(),
            labels.first_token[rows.start + 1 : rows.stop + 1].tolist(),
            strict=True,
        )
    ]
    n_keypoints, dimensions = spec.kpt_shape
    if spec.task != "pose" and n_keypoints and spec.behaviour.cuts_keypoints:
        whole = BOX_COLUMNS + n_keypoints * dimensions
        tokens = [t[:BOX_COLUMNS] if len(t) == whole else t for t in tokens]
    segments: list[NDArray[np.float32]] = []
    if spec.task != "pose" and any(len(t) > LONGEST_BOX_COLUMNS for t in tokens):
        segments = [t[1:].reshape(-1, 2) for t in tokens]
        boxes = _boxes_around(segments)
    else:
        boxes = np.array([t[1:BOX_COLUMNS] for t in tokens], np.float32).reshape(-1, 4)
    table = np.concatenate([class_id, boxes], 1)
    if spec.task == "pose":
        table = np.array(tokens, np.float32).reshape(-1, BOX_COLUMNS + n_keypoints * dimensions)
    kept = _without_duplicates(table, segments if spec.behaviour.compares_polygons else [])
    keypoints = _keypoints(table[kept], spec) if spec.task == "pose" else None
    if spec.single_cls:  # after the search for duplicates, as in training
        class_id = np.zeros_like(class_id)
    return lines[kept], class_id[kept], boxes[kept], [segments[i] for i in kept if segments], keypoints


def _without_duplicates(
    table: NDArray[np.float32], segments: Sequence[NDArray[np.float32]]
) -> NDArray[np.intp]:
    """Numbers of the rows to keep, in the order of training: as in the file, or sorted by value if rows repeat."""
    everything = np.arange(len(table))
    if len(table) < 2:
        return everything
    unique = np.unique(table, axis=0, return_index=True)[1]
    if len(unique) < len(table) and segments:  # different polygons may have one box and one class
        keys = [c.tobytes() + s.tobytes() for c, s in zip(table[:, 0], segments, strict=True)]
        unique = np.unique(np.array(keys, dtype=object), return_index=True)[1]
    return unique if len(unique) < len(table) else everything


def _boxes_around(segments: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """float32 (R, 4): normalised centre and size of each segment's bounding box."""
    low = np.array([s.min(0) for s in segments], np.float32)
    high = np.array([s.max(0) for s in segments], np.float32)
    return np.concatenate([(low + high) / np.float32(2), high - low], axis=1)


def _keypoints(table: NDArray[np.float32], spec: TaskSpec) -> NDArray[np.float32]:
    """float32 (R, K, 3): x, y, visibility. Without visibility in the file: 0 if x or y is negative, else 1."""
    points = table[:, BOX_COLUMNS:].reshape(-1, *spec.kpt_shape)
    if spec.kpt_shape[1] == 3:
        return points
    seen = np.where((points[..., :1] < 0) | (points[..., 1:2] < 0), 0.0, 1.0)
    return np.concatenate([points, seen.astype(np.float32)], axis=-1)
