"""Checks on pose rows: visibility that is no flag, keypoints outside the image or far from their box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.findings.finding import Severity
from sanitizer.rules.checks import row_check
from sanitizer.rules.checks.geometry import DROPS, no_hits
from sanitizer.rules.hits import Hits
from sanitizer.ultra.label_check import lower_limit, upper_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable, TaskSpec
    from sanitizer.rules.hits import Params


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The keypoints of P pose rows, K each.

    Attributes:
        row: int64 (P,) label rows.
        points: float64 (P, K, 2 or 3) x, y and, where the data.yaml declares it, visibility.
        labelled: bool (P, K) training learns the point: visibility is not 0; without visibility, no coordinate is
            negative.
    """

    row: NDArray[np.int64]
    points: NDArray[np.float64]
    labelled: NDArray[np.bool_]

    @classmethod
    def of(cls, labels: LabelTable, spec: TaskSpec) -> Keypoints:
        """The keypoints of every pose row."""
        rows = np.flatnonzero(labels.kind == RowKind.POSE)
        count, dimensions = spec.kpt_shape
        at = labels.first_token[rows][:, None] + 5 + np.arange(count * dimensions)
        points = labels.tokens[at].reshape(len(rows), count, dimensions)
        labelled = points[:, :, 2] != 0 if dimensions == 3 else (points >= 0).all(axis=2)
        return cls(rows, points, np.asarray(labelled))

    def column_of(
        self, labels: LabelTable, which: NDArray[np.int64], token: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """int64 (K,): character where that keypoint number of those rows begins."""
        token_at = labels.first_token[self.row[which]] + 5 + token
        return np.asarray(labels.token_column[token_at], np.int64)


@row_check("visibility-flag")
def visibility_flag(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Visibility that is not 0, 1 or 2."""
    if spec.kpt_shape[1] != 3:
        return no_hits()
    k = Keypoints.of(tables.labels, spec)
    flags = k.points[:, :, 2]
    wrong = np.asarray((flags != 0) & (flags != 1) & (flags != 2))
    which = np.flatnonzero(wrong.any(axis=1))
    if not len(which):
        return no_hits()
    # Training refuses the file for a negative number; any other that is not 0 it reads as visible.
    low: NDArray[np.bool_] = flags[which].astype(np.float32) < lower_limit(spec.behaviour)
    keypoint = np.argmax(np.where(low.any(axis=1, keepdims=True), low, wrong[which]), axis=1)
    fate = np.where(low.any(axis=1), DROPS, "training takes the point as visible")
    return Hits(
        k.row[which],
        flags[which, keypoint],
        fields={"keypoint": keypoint + 1, "n_wrong": wrong[which].sum(axis=1), "fate": fate},
        column=k.column_of(tables.labels, which, keypoint * 3 + 2),
    )


@row_check("keypoint-outside")
def keypoint_outside(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Labelled keypoints outside the image, and any so far outside that training refuses the file."""
    if not spec.kpt_shape[0]:
        return no_hits()
    k = Keypoints.of(tables.labels, spec)
    xy = k.points[:, :, :2]
    outside = (np.abs(xy - 0.5) - 0.5).max(axis=2)
    as_float32 = xy.astype(np.float32)
    refused = np.any(
        (as_float32 > upper_limit(spec.behaviour)) | (as_float32 < lower_limit(spec.behaviour)), axis=2
    )
    wrong = np.asarray(refused | (k.labelled & (outside > params["tolerance"])))
    which = np.flatnonzero(wrong.any(axis=1))
    if not len(which):
        return no_hits()
    keypoint = np.argmax(np.where(wrong, outside, -np.inf)[which], axis=1)
    dropped = refused[which].any(axis=1)
    return Hits(
        k.row[which],
        outside[which, keypoint],
        np.where(dropped, spec.behaviour.tolerance, params["tolerance"]),
        {
            "keypoint": keypoint + 1,
            "kx": xy[which, keypoint, 0],
            "ky": xy[which, keypoint, 1],
            "fate": np.where(
                dropped, DROPS, "training moves on with it, and learns a point that is not there"
            ),
        },
        column=k.column_of(tables.labels, which, keypoint * spec.kpt_shape[1]),
        severity=[Severity.ERROR if d else Severity.WARNING for d in dropped.tolist()],
    )


@row_check("keypoint-far-from-box")
def keypoint_far_from_box(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Labelled keypoints further outside their box than so many widths or heights of it."""
    if not spec.kpt_shape[0]:
        return no_hits()
    k = Keypoints.of(tables.labels, spec)
    box = tables.labels.xywh[k.row]
    sized = (box[:, 2:] > 0).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(k.points[:, :, :2] - box[:, None, :2]) / box[:, None, 2:] - 0.5
    distance = np.where(k.labelled & np.reshape(sized, (-1, 1)), away.max(axis=2), -np.inf)
    limit = params.by_class("max_box_sizes", tables.labels.class_id)[k.row]
    which = np.flatnonzero(distance.max(axis=1, initial=-np.inf) > limit)
    if not len(which):
        return no_hits()
    keypoint = np.argmax(distance[which], axis=1)
    far: NDArray[np.bool_] = distance[which] > limit[which, None]
    return Hits(
        k.row[which],
        distance[which, keypoint],
        limit[which],
        {"keypoint": keypoint + 1, "n_far": far.sum(axis=1)},
        column=k.column_of(tables.labels, which, keypoint * spec.kpt_shape[1]),
    )
