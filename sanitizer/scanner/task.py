"""Which task the labels were made for, when neither the user nor the data.yaml says."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.model import DatasetError
from sanitizer.dataset.tables import LABEL_TASKS
from sanitizer.labels.heads import whole_lines
from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, OBB_COLUMNS
from sanitizer.storage.read_ahead import map_ahead
from sanitizer.util.bounded_read import open_descriptor
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task

SAMPLE_FILES = 200
SAMPLE_BYTES = 1 << 16


def infer_task(dataset: Dataset) -> tuple[Task, str | None]:
    """(task, sentence that says how it was found, or None where the data.yaml decides).

    A sample of label files votes: mostly polygons make a segment set, mostly nine-column rows and no other
    polygon an obb set, anything else a detect set.
    """
    if dataset.declared_task:
        return dataset.declared_task, None
    columns = _sample_column_counts(dataset)
    polygons = columns[(columns >= 7) & (columns % 2 == 1)]
    if len(polygons) * 2 <= len(columns):
        return "detect", None
    if (polygons == 9).all():
        return "obb", "every sampled row has a class and four corners: judged as obb (--task segment if not)"
    return "segment", "most sampled rows are polygons: judged as segment (--task detect if not)"


def require_layout(dataset: Dataset, task: Task) -> None:
    """DatasetError where a dataset was not found as one for this task: masks and class folders are found as such."""
    found = dataset.declared_task or "detect"
    if found != task and not {found, task} <= set(LABEL_TASKS) and not dataset.files_only:
        raise DatasetError(
            f"{shown(dataset.data)} was read as a set for the task {found}, and not for {task}"
        )


def _sample_column_counts(dataset: Dataset) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """int64 (R,): number of columns of each row in up to `SAMPLE_FILES` label files, spread evenly."""
    heads = _read_heads(dataset, list(sampled_labels(dataset)))
    if dataset.packs:
        from sanitizer.archives.sampling import sample_labels

        heads = itertools.chain(heads, sample_labels(dataset, SAMPLE_FILES))
    counts = [n for head in heads for line in head.splitlines() if (n := _columns_meant(line))]
    return np.array(counts, np.int64)


def _columns_meant(line: bytes) -> int:
    """Columns of the label row that a line stands for: text of other tools has as many as a polygon, and is none."""
    tokens = line.split()
    n = len(tokens)
    if n < MIN_POLYGON_COLUMNS:
        return n
    # Not at the top: sets of boxes need none of it.
    from sanitizer.labels.readings.columns import TRACKING_COLUMNS
    from sanitizer.labels.readings.oriented import is_dota_row
    from sanitizer.labels.readings.other_tools import KITTI_COLUMNS, is_kitti_row

    if n == TRACKING_COLUMNS and tokens[-1].isdigit() and tokens[-1] not in (b"0", b"1"):
        return BOX_COLUMNS
    if n > KITTI_COLUMNS[-1] or not any(token[:1].isalpha() for token in tokens):
        return n
    words = [token.decode("utf-8", "replace") for token in tokens]
    if is_kitti_row(words):
        return BOX_COLUMNS
    return OBB_COLUMNS if is_dota_row(words) else n


def sampled_labels(dataset: Dataset) -> Iterator[str]:
    """Paths of up to `SAMPLE_FILES` loose label files, spread evenly over each split."""
    with_label = [(s, np.flatnonzero(s.has_label)) for s in dataset.splits]
    total = sum(len(pairs) for _, pairs in with_label)
    for split, pairs in with_label:
        share = -(-SAMPLE_FILES * len(pairs) // max(total, 1))
        for i in pairs[np.linspace(0, len(pairs) - 1, min(share, len(pairs)), dtype=np.int64)]:
            yield split.expected_label_path(int(i))


def _read_heads(dataset: Dataset, paths: list[str]) -> Iterator[bytes]:
    """As `_read_head`, of every path."""
    if not dataset.storage.remote:
        return map_ahead(_read_head, paths)
    from sanitizer.storage.concurrent import first_bytes

    heads = first_bytes(dataset.storage, paths, SAMPLE_BYTES)
    return (whole_lines(head, SAMPLE_BYTES) for head in heads)


def _read_head(path: str) -> bytes:
    """The first bytes of a file, cut after the last whole line; nothing where it cannot be read."""
    try:
        descriptor = open_descriptor(path)
        try:
            head = os.read(descriptor, SAMPLE_BYTES)
        finally:
            os.close(descriptor)
    except OSError:
        return b""
    return whole_lines(head, SAMPLE_BYTES)
