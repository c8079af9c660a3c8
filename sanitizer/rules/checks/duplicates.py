"""The same picture twice (D009), and copies of a picture whose labels disagree (D010)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import LABEL_TASKS, DatasetFault, FileStatus, RowKind
from sanitizer.rules.checks import dataset_check
from sanitizer.rules.checks.copies import Copy, Likeness, find_copies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import LabelTable
    from sanitizer.rules.hits import Params
    from sanitizer.rules.survey import Survey


@dataset_check("duplicate-images")
def duplicate_images(survey: Survey, params: Params) -> Iterable[DatasetFault]:
    """D009: one place a copy, naming the first image of the dataset that it equals."""
    limits = _limits(params)
    for copy in find_copies(survey, limits):
        image = survey.image_path(copy.index)
        values: dict[str, object] = {"detail": _duplicate_words(survey, copy)}
        if copy.mean_difference is not None:
            values |= {"value": copy.mean_difference, "threshold": limits.max_mean_difference}
        yield DatasetFault(
            "D009",
            file=image,
            image=image,
            label=survey.label_path(copy.index),
            split=survey.split_name(copy.index),
            values=values,
            kind="leak" if survey.split_name(copy.index) != survey.split_name(copy.original) else None,
            class_id=survey.class_of(copy.index),
            twin=survey.image_path(copy.original),
        )


def _limits(params: Params) -> Likeness:
    return Likeness(
        max_hash_distance=int(params["max_hash_distance"]),
        max_mean_difference=params["max_mean_difference"],
        max_difference=params["max_difference"],
        min_correlation=params["min_correlation"],
    )


def _duplicate_words(survey: Survey, copy: Copy) -> str:
    here, there = survey.split_name(copy.index), survey.split_name(copy.original)
    original = survey.dataset.relative(survey.image_path(copy.original))
    if copy.same_file:
        what = f"the same file (by a link) as {original}"
    elif copy.mean_difference is None:
        what = f"byte for byte the same image as {original}"
    else:
        what = f"the same picture, re-encoded or resized, as {original}"
    if here != there:
        return f"leak between {there} and {here}: {what}"
    return f"duplicate in {here}: {what}" if here else f"duplicate: {what}"


@dataset_check("conflicting-duplicates")
def conflicting_duplicates(survey: Survey, params: Params) -> Iterable[DatasetFault]:
    """D010: copies, by the limits of D009, whose label rows differ from those of their original; in a classification
    set, copies in folders of two classes, and in a semantic set, copies of one file with two masks.
    """
    if survey.spec.task not in LABEL_TASKS:
        yield from filter(None, (_other_answer(survey, c) for c in find_copies(survey, _limits(params))))
        return
    copies = (c for c in find_copies(survey, _limits(params)) if _may_conflict(survey, c))
    while some := list(islice(copies, _COPIES_AT_ONCE)):
        yield from _conflicts(survey, some, params)


_COPIES_AT_ONCE = 2048


def _other_answer(survey: Survey, copy: Copy) -> DatasetFault | None:
    """D010 for a copy that lies in the folder of another class, or has another mask."""
    image, other = survey.image_path(copy.index), survey.dataset.relative(survey.image_path(copy.original))
    mine, theirs = survey.class_of(copy.index), survey.class_of(copy.original)
    if mine != theirs:
        names = [survey.spec.names.get(-1 if c is None else c, str(c)) for c in (mine, theirs)]
        detail = f"the same picture is in two classes: {names[0]} here, {names[1]} as {other}"
        advice = "Look at the picture, and delete the copy in the wrong folder."
    else:
        masks = [int(survey.label_digest[i]) for i in (copy.index, copy.original)]
        if copy.mean_difference is not None or 0 in masks or masks[0] == masks[1]:
            return None
        detail = f"its mask differs from that of the same image {other}"
        advice = "Look at both masks, keep the better one and remove the other copy of the image."
    label, split = survey.label_path(copy.index), survey.split_name(copy.index)
    return DatasetFault(
        "D010",
        label or image,
        image,
        label,
        split,
        values={"detail": detail},
        suggestion=advice,
        class_id=mine,
        twin=survey.image_path(copy.original),
    )


def _conflicts(survey: Survey, copies: Sequence[Copy], params: Params) -> Iterator[DatasetFault]:
    """Those of the copies whose label rows differ from those of their original; all these rows are read at once."""
    files: dict[str | None, int] = {}
    for copy in copies:
        for i in (copy.index, copy.original):
            files.setdefault(survey.label_path(i), len(files))
    table = _read_labels(survey, list(files))
    not_judged = (FileStatus.UNREADABLE, FileStatus.TOO_LARGE)
    unread = set(np.flatnonzero(np.isin(table.status, not_judged)).tolist())
    boxes = _boxes_by_file(table)
    for copy in copies:
        if unread and unread & {files[survey.label_path(i)] for i in (copy.index, copy.original)}:
            continue  # L001 or L010 names the file; nothing can be said about its rows
        mine, other = (boxes[files[survey.label_path(i)]] for i in (copy.index, copy.original))
        agreement = best_match_iou(mine, other)
        limit = params["min_iou"] if copy.mean_difference is None else params["min_iou_reencoded"]
        if agreement >= limit:
            continue
        image, label = survey.image_path(copy.index), survey.label_path(copy.index)
        yield DatasetFault(
            "D010",
            file=label or image,
            image=image,
            label=label,
            split=survey.split_name(copy.index),
            values={
                "detail": _conflict_words(survey, copy, len(mine), len(other), agreement),
                "value": agreement,
                "threshold": limit,
            },
            twin=survey.image_path(copy.original),
        )


def _read_labels(survey: Survey, paths: Sequence[str | None]) -> LabelTable:
    from sanitizer.labels.label_files import parse_labels, read_labels

    storage = survey.dataset.storage
    if survey.packed_files is None and storage.remote:
        from sanitizer.labels.remote import read_remote_labels

        return read_remote_labels(storage, paths, survey.spec)
    if survey.packed_files is None:
        return read_labels(paths, survey.spec)
    contents = dict(survey.packed_files.contents(filter(None, paths)))
    return parse_labels([contents.get(path or "") for path in paths], survey.spec)


def _may_conflict(survey: Survey, copy: Copy) -> bool:
    i, j = copy.index, copy.original
    same_bytes = survey.label_digest[i] != 0 and survey.label_digest[i] == survey.label_digest[j]
    return not same_bytes and bool(survey.n_rows[i] or survey.n_rows[j])


def _conflict_words(survey: Survey, copy: Copy, n_here: int, n_there: int, agreement: float) -> str:
    other = survey.dataset.relative(survey.image_path(copy.original))
    counts = f"{_count(survey, copy.index, n_here)} here, {_count(survey, copy.original, n_there)} there"
    words = f"labels disagree with those of the same image {other}: {counts}"
    return words if np.isnan(agreement) or not (n_here and n_there) else f"{words}, mean IoU {agreement:.2f}"


def _count(survey: Survey, i: int, n_boxes: int) -> str:
    if survey.label_path(i) is None:
        return "no label file"
    return f"{n_boxes} box" if n_boxes == 1 else f"{n_boxes} boxes"


def _boxes_by_file(labels: LabelTable) -> Sequence[NDArray[np.float64]]:
    """For each file float64 (n, 5): class and normalised xywh of the rows that could be read."""
    readable = labels.kind != RowKind.FAULTY
    rows = np.column_stack([labels.class_id, labels.xywh])[readable]
    file = labels.file[readable]
    bounds = np.searchsorted(file, np.arange(labels.n_files + 1))
    return [rows[bounds[i] : bounds[i + 1]] for i in range(labels.n_files)]


_MOST_PAIRS = 1_000_000
"""Above this many pairs of boxes only the counts are compared: 1,000 boxes on each side."""


def best_match_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """How well two label sets agree: 1 when they are the same, 0 when nothing overlaps.

    Boxes of one class are matched one to one, best IoU first; the sum is divided by the size of the larger set.

    Args:
        a, b: float64 (n, 5) class and normalised xywh. Order does not matter.
    """
    larger = max(len(a), len(b))
    if not larger:
        return 1.0
    if not len(a) or not len(b):
        return 0.0
    if len(a) * len(b) > _MOST_PAIRS:
        return 1.0 if len(a) == len(b) and np.allclose(_in_order(a), _in_order(b), atol=1e-4) else 0.0
    iou = _same_class_iou(a, b)
    rows, columns = np.nonzero(iou > 0)
    order = np.argsort(-iou[rows, columns], kind="stable")
    free_rows, free_columns = np.ones(len(a), bool), np.ones(len(b), bool)
    total = 0.0
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if free_rows[i] and free_columns[j]:
            free_rows[i] = free_columns[j] = False
            total += float(iou[i, j])
    return total / larger


def _in_order(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return boxes[np.lexsort(np.round(boxes, 4).T[::-1])]


def _same_class_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (len(a), len(b)): IoU, 0 where classes differ, 1 where the numbers are equal (empty boxes too)."""
    low_a, high_a = a[:, None, 1:3] - a[:, None, 3:5] / 2, a[:, None, 1:3] + a[:, None, 3:5] / 2
    low_b, high_b = b[None, :, 1:3] - b[None, :, 3:5] / 2, b[None, :, 1:3] + b[None, :, 3:5] / 2
    with np.errstate(all="ignore"):
        sides = np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0, None)
        inter = sides[..., 0] * sides[..., 1]
        union = (a[:, 3] * a[:, 4])[:, None] + (b[:, 3] * b[:, 4])[None, :] - inter
        iou = np.where(union > 0, inter / union, 0.0)
    iou[~np.isfinite(iou)] = 0.0
    iou[np.abs(a[:, None, 1:] - b[None, :, 1:]).max(axis=2) < 1e-9] = 1.0
    iou[a[:, None, 0] != b[None, :, 0]] = 0.0
    result: NDArray[np.float64] = iou
    return result
