"""Rows that can be read but are of the wrong kind: for the task, or beside the other rows of their file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.findings.finding import Severity
from sanitizer.rules.checks import file_check, row_check
from sanitizer.rules.hits import Hits, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable, TaskSpec

_STOPS = "training stops with 'requires equal numbers of boxes and segments'"

# Task and kind of row: what training makes of it, and how bad that is.
_MISFITS = {
    ("detect", RowKind.POLYGON): ("training uses only the box around it", Severity.WARNING),
    ("segment", RowKind.BOX): (_STOPS, Severity.ERROR),
    ("segment", RowKind.POSE): (f"its keypoints are cut off, then {_STOPS}", Severity.ERROR),
    ("obb", RowKind.BOX): (_STOPS, Severity.ERROR),
    ("obb", RowKind.POSE): (f"its keypoints are cut off, then {_STOPS}", Severity.ERROR),
    ("obb", RowKind.POLYGON): ("training uses the smallest rotated box around it", Severity.WARNING),
    ("pose", RowKind.BOX): ("it has no keypoints, so training drops the whole image", Severity.ERROR),
}
_TASK_TEXT = {
    "detect": "a detection",
    "segment": "a segmentation",
    "pose": "a pose",
    "obb": "an oriented-box",
}
_KIND_TEXT = {RowKind.BOX: "box row", RowKind.POSE: "keypoint row"}


@row_check("row-kind-fits-task")
def row_kind_fits_task(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Rows whose kind is not the task's. Message field `problem`; the severity depends on the case."""
    labels = tables.labels
    wrong = np.zeros(len(labels), np.bool_)
    for task, kind in _MISFITS:
        if task == spec.task:
            wrong |= labels.kind == kind
    if wrong.any():
        # Both kinds in one file have the image dropped (L005), so nothing else comes of either.
        mixed = np.zeros(labels.n_files, np.bool_)
        mixed[_mixed_files(labels, spec)] = True
        wrong &= ~mixed[labels.file]
    index = np.flatnonzero(wrong)
    severities, problems = [], []
    unopened = _unopened(tables) if len(index) else {}
    for kind, n_columns, file in zip(
        labels.kind[index].tolist(),
        labels.n_columns[index].tolist(),
        labels.file[index].tolist(),
        strict=True,
    ):
        consequence, severity = _MISFITS[spec.task, RowKind(kind)]
        if file in unopened and _STOPS in consequence:
            consequence, severity = unopened[file], Severity.WARNING
        what = _KIND_TEXT.get(RowKind(kind)) or f"polygon of {(n_columns - 1) // 2} points"
        problems.append(f"{what} in {_TASK_TEXT[spec.task]} set: {consequence}")
        severities.append(severity)
    return Hits(index, fields={"problem": problems}, severity=severities)


def _unopened(tables: ChunkTables) -> dict[int, str]:
    """Files that training never opens, to why; of files given one by one nothing is known."""
    chunk = tables.chunk
    if chunk.split == "":
        return {}
    if chunk.split not in ("train", "val"):
        return dict.fromkeys(
            range(len(chunk)), f"training reads no {chunk.split} split; a validation on it stops"
        )
    why = "training never opens this file, as it has no image"
    return {file: why for file, image in enumerate(chunk.images) if image is None}


@file_check("mixed-rows")
def mixed_rows(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Files with both box and polygon rows. Message fields `boxes` and `polygons`; the place is the rarer kind's."""
    labels = tables.labels
    boxlike, outline = _is_boxlike(labels), _is_outline(labels)
    files = _mixed_files(labels, spec)
    n_boxes = np.bincount(labels.file[boxlike], minlength=labels.n_files)[files]
    n_polygons = np.bincount(labels.file[outline], minlength=labels.n_files)[files]
    # Where both are as many, the odd one out is the kind that does not fit the task.
    boxes_are_rarer = n_boxes < n_polygons + (spec.task != "detect")
    fate = (
        "training reads each box as a polygon of two points"
        if spec.behaviour.mixes_kinds
        else "training drops the image"
    )
    lines = np.zeros(len(files), np.int64)
    for i, file in enumerate(files):
        rows = slice(*np.searchsorted(labels.file, (file, file + 1)))
        rarer = boxlike[rows] if boxes_are_rarer[i] else outline[rows]
        lines[i] = labels.line[rows][rarer][0]
    return Hits(
        files, fields={"boxes": n_boxes, "polygons": n_polygons, "fate": [fate] * len(files)}, line=lines
    )


def _mixed_files(labels: LabelTable, spec: TaskSpec) -> NDArray[np.int64]:
    """int64 (K,): files where training meets rows of five columns beside longer ones. Pose sets have no such rule."""
    if spec.task == "pose":
        return np.zeros(0, np.int64)
    holds_box, holds_outline = np.zeros((2, labels.n_files), np.bool_)
    holds_box[labels.file[_is_boxlike(labels)]] = True
    holds_outline[labels.file[_is_outline(labels)]] = True
    return np.flatnonzero(holds_box & holds_outline)


def _is_boxlike(labels: LabelTable) -> NDArray[np.bool_]:
    """bool (R,): rows that training reads as five columns; it cuts keypoints off where it trains no pose."""
    return np.isin(labels.kind, (RowKind.BOX, RowKind.POSE))


def _is_outline(labels: LabelTable) -> NDArray[np.bool_]:
    """bool (R,): rows that training reads as polygons."""
    return np.isin(labels.kind, (RowKind.POLYGON, RowKind.OBB))
