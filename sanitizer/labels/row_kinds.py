"""The kind of a label row, by its number of columns, and its box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.raw_rows import RawRows

BOX_COLUMNS = 5
MIN_POLYGON_COLUMNS = 7
OBB_COLUMNS = 9
TOLERANCE = 0.01
"""How far training lets a coordinate lie outside of 0 to 1."""

FLOAT32_LIMIT = 3.4028235677973366e38
"""Training reads labels as float32: from here on (largest float32 and half a step) a number is infinite."""


def pose_columns(spec: TaskSpec) -> int:
    """Columns of a row with keypoints, 0 where the dataset declares none."""
    keypoint_columns = spec.kpt_shape[0] * spec.kpt_shape[1]
    return BOX_COLUMNS + keypoint_columns if keypoint_columns else 0


def row_kinds(n_columns: NDArray[np.int32], spec: TaskSpec) -> NDArray[np.uint8]:
    """uint8 (R,): the `RowKind` that training for this task gives to a row with so many columns.

    Where the data.yaml declares keypoints and another task is trained, Ultralytics keeps the box of such a row.
    """
    is_box = n_columns == BOX_COLUMNS
    kind: NDArray[np.uint8] = is_box.astype(np.uint8)  # FAULTY or BOX
    if is_box.all():
        return kind
    if spec.task != "pose":
        kind[(n_columns >= MIN_POLYGON_COLUMNS) & (n_columns % 2 == 1)] = RowKind.POLYGON
    if spec.task == "obb":
        kind[n_columns == OBB_COLUMNS] = RowKind.OBB
    if pose_columns(spec):
        kind[n_columns == pose_columns(spec)] = RowKind.POSE
    return kind


def not_finite(tokens: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 (K,): tokens that are NaN or infinite once training has read them as float32."""
    return np.flatnonzero(~(np.abs(tokens) < FLOAT32_LIMIT))


def row_boxes(rows: RawRows, kind: NDArray[np.uint8]) -> NDArray[np.float64]:
    """float64 (R, 4): centre and size of each row, of the vertices' bounds where it is a polygon, NaN if faulty."""
    if len(rows) * BOX_COLUMNS == len(rows.tokens) and (kind == RowKind.BOX).all():
        return rows.tokens.reshape(-1, BOX_COLUMNS)[:, 1:].copy()
    xywh = np.full((len(rows), 4), np.nan)
    plain = np.flatnonzero((kind == RowKind.BOX) | (kind == RowKind.POSE))
    xywh[plain] = rows.tokens[rows.first_token[plain][:, None] + np.arange(1, BOX_COLUMNS)]
    polygons = np.flatnonzero((kind == RowKind.POLYGON) | (kind == RowKind.OBB))
    if len(polygons):
        xywh[polygons] = _bounds(rows, polygons)
    return xywh


def _bounds(rows: RawRows, which: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (K, 4): centre and size of the vertices' bounds of these rows."""
    if len(rows) == 1:  # it may be a hundred megabytes long: no copies
        points = rows.tokens[1:].reshape(-1, 2)
        low, high = points.min(axis=0), points.max(axis=0)
        return np.concatenate(((low + high) / 2, high - low))[None]
    n_vertices = (rows.n_columns[which] - 1) // 2
    first_vertex = np.cumsum(n_vertices) - n_vertices
    # Number of each vertex in its row, then the place of its x among all tokens.
    nth = np.arange(n_vertices.sum()) - np.repeat(first_vertex, n_vertices)
    x_at = np.repeat(rows.first_token[which] + 1, n_vertices) + 2 * nth
    vertices = np.stack((rows.tokens[x_at], rows.tokens[x_at + 1]), axis=1)
    low = np.minimum.reduceat(vertices, first_vertex)
    high = np.maximum.reduceat(vertices, first_vertex)
    return np.concatenate(((low + high) / 2, high - low), axis=1)
