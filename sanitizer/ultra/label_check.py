"""Which images Ultralytics would drop: its label check, for thousands of files at a time.

Source: `verify_image_label` in ultralytics/data/utils.py, by version. It drops an image if a single row of its label
file is bad. So each row can be checked alone, with one exception: a row of more than six columns makes all rows of its
file polygons. How versions differ stands in `TaskSpec.behaviour`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS, FileStatus, ImageStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ImageTable, LabelTable, TaskSpec
    from sanitizer.dataset.tasks.behaviour import Behaviour

BOX_COLUMNS = 5
LONGEST_BOX_COLUMNS = 6
"""A row with more columns than this is read as a polygon."""

# The loader cannot read numbers from these files, so it drops the image.
_DROPPED_STATUS = (FileStatus.UNREADABLE, FileStatus.NOT_TEXT, FileStatus.LFS_POINTER, FileStatus.MISREAD)
_BACKGROUND_STATUS = (FileStatus.MISSING, FileStatus.EMPTY)


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What training does with each of the F image/label pairs of a chunk.

    Attributes:
        dropped: bool (F,) training leaves the image out, because of the image itself or of its label file.
        background: bool (F,) training keeps the image, without objects: its label file is missing or empty.
        found: bool (F,) the image is good and has a label file, even one for which training drops the image.
        boxed: bool (F,) training keeps the image with rows that are boxes, where its task wants polygons.
    """

    dropped: NDArray[np.bool_]
    background: NDArray[np.bool_]
    found: NDArray[np.bool_]
    boxed: NDArray[np.bool_]


def verdicts(labels: LabelTable, images: ImageTable, spec: TaskSpec) -> Verdicts:
    """What Ultralytics' loader does with every pair of a chunk.

    An image that was not read counts as good. A label file without image gets a verdict as if it had a good image.
    Training never reads such a file, so callers that count images must leave these pairs out.

    Args:
        labels: The label rows of F files.
        images: The F images.
        spec: Task, classes and keypoints.
    """
    bad_image = refused_images(images, spec.behaviour)
    dropped = bad_image.copy()
    dropped |= np.isin(labels.status, _DROPPED_STATUS)
    if spec.task == "pose" and not all(spec.kpt_shape):
        # Without a number of keypoints, the loader cannot give any label an array shape, not even an empty one.
        dropped[:] = True
    else:
        dropped[labels.file[_fatal_rows(labels, spec)]] = True
    return Verdicts(
        dropped,
        np.isin(labels.status, _BACKGROUND_STATUS) & ~dropped,
        (labels.status != FileStatus.MISSING) & ~bad_image,
        _boxed(labels, spec) & ~dropped,
    )


def refused_images(images: ImageTable, known: Behaviour) -> NDArray[np.bool_]:
    """bool (F,): images that were read and that training drops for what they are."""
    bad: NDArray[np.bool_] = images.dropped & (images.status != ImageStatus.NOT_READ)
    if known.refused_formats:
        bad |= np.isin(images.format, [IMAGE_FORMATS.index(name) for name in known.refused_formats])
    return bad


def _boxed(labels: LabelTable, spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (F,): files with rows that the loader reads as boxes, where the task wants polygons."""
    boxed = np.zeros(labels.n_files, np.bool_)
    if spec.task in ("segment", "obb"):
        in_polygon_file = _in_polygon_file(labels, _columns_without_keypoints(labels, spec))
        boxed[labels.file[~in_polygon_file]] = True
    return boxed


def _columns_without_keypoints(labels: LabelTable, spec: TaskSpec) -> NDArray[np.int32]:
    """int32 (R,): number of columns of each row, once the loader cut keypoints off that the task does not use."""
    keypoint_columns = spec.kpt_shape[0] * spec.kpt_shape[1]
    if not keypoint_columns or not spec.behaviour.cuts_keypoints:
        return labels.n_columns
    whole = labels.n_columns == BOX_COLUMNS + keypoint_columns
    return np.where(whole, BOX_COLUMNS, labels.n_columns).astype(np.int32)


def _fatal_rows(labels: LabelTable, spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (R,): rows that make the loader drop their image.

    The loader converts to float32 before it compares, which matters at the limits: 1.01 + 1e-8 passes. A token that
    is not a number is NaN here. NaN fails every comparison, and in the loader float("cat") raises: the row is bad in
    both cases.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        fatal = _bad_classes(labels.class_id.astype(np.float32), spec)
        fatal |= _bad_pose_rows(labels, spec) if spec.task == "pose" else _bad_other_rows(labels, spec)
    return fatal


def _bad_classes(class_id: NDArray[np.float32], spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (R,): the class id is not an integer, is negative, or is not a class of the dataset."""
    known, nc = spec.behaviour, spec.nc
    if known.takes_fractional_class:
        bad: NDArray[np.bool_] = ~(class_id >= lower_limit(known))
    else:
        bad = class_id % 1 != 0  # also NaN and infinity, whose remainder is NaN
        bad |= ~(class_id >= 0)
    if nc is not None:
        bad |= ~(class_id <= np.float32(nc)) if known.takes_nc_as_class else ~(class_id < np.float32(nc))
    return bad


def _bad_pose_rows(labels: LabelTable, spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (R,): rows that are bad in a dataset with keypoints, apart from their class."""
    n_columns = BOX_COLUMNS + spec.kpt_shape[0] * spec.kpt_shape[1]
    bad: NDArray[np.bool_] = labels.n_columns != n_columns
    rows = np.flatnonzero(~bad)
    if len(rows):
        bad[rows] = _bad_poses(_matrix(labels, rows, n_columns), spec)
    return bad


def _bad_other_rows(labels: LabelTable, spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (R,): rows that are bad for the other tasks, apart from their class."""
    columns = _columns_without_keypoints(labels, spec)
    in_polygon_file = _in_polygon_file(labels, columns)
    # A polygon needs one vertex or more, with x and y. A row of five columns has two, but the loader reads it as a box.
    bad_polygon = (columns % 2 == 0) | (columns == 1)
    if not spec.behaviour.mixes_kinds:
        bad_polygon |= columns == BOX_COLUMNS
    bad: NDArray[np.bool_] = np.where(in_polygon_file, bad_polygon, columns != BOX_COLUMNS)
    rows = np.flatnonzero(~bad & ~in_polygon_file)
    bad[rows] = _bad_boxes(_matrix(labels, rows, BOX_COLUMNS)[:, 1:], spec.behaviour)
    rows = np.flatnonzero(~bad & in_polygon_file)
    bad[rows] = _bad_boxes(_polygon_boxes(labels, rows), spec.behaviour)
    return bad


def _in_polygon_file(labels: LabelTable, columns: NDArray[np.int32]) -> NDArray[np.bool_]:
    """bool (R,): the row's file holds a row of more than six columns."""
    long: NDArray[np.bool_] = columns > LONGEST_BOX_COLUMNS
    if not long.any():
        return long
    has_long = np.zeros(labels.n_files, np.bool_)
    has_long[labels.file[long]] = True
    return has_long[labels.file]


def _matrix(labels: LabelTable, rows: NDArray[np.intp], n_columns: int) -> NDArray[np.float32]:
    """float32 (K, n_columns): the first columns of rows that have at least as many."""
    if len(rows) * n_columns == len(labels.tokens):
        return np.asarray(labels.tokens.reshape(-1, n_columns), np.float32)
    where = labels.first_token[rows][:, None] + np.arange(n_columns)
    return np.asarray(labels.tokens[where], np.float32)


def upper_limit(known: Behaviour) -> np.float32:
    """The largest coordinate that training takes."""
    return np.float32(1 + known.tolerance)


def lower_limit(known: Behaviour) -> np.float32:
    """The smallest coordinate that training takes."""
    return np.float32(-known.tolerance)


def _bad_boxes(xywh: NDArray[np.float32], known: Behaviour) -> NDArray[np.bool_]:
    """bool (K,): centre or size outside 0 to 1 by more than the tolerance, or a negative size that is not taken."""
    highest, lowest = upper_limit(known), lower_limit(known)
    if not len(xywh) or (xywh.min() >= 0 and xywh.max() <= highest):
        return np.zeros(len(xywh), np.bool_)
    smallest_size = lowest if known.takes_small_negative_size else np.float32(0)
    lowest_xywh = np.array([lowest, lowest, smallest_size, smallest_size], np.float32)
    ok: NDArray[np.bool_] = np.logical_and.reduce((xywh <= highest) & (xywh >= lowest_xywh), axis=1)
    return ~ok


def _bad_poses(rows: NDArray[np.float32], spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (K,): a keypoint that is too large, any column that is too small, or a negative size that is not taken.

    A box over the upper limit passes.
    """
    known = spec.behaviour
    keypoints = rows[:, BOX_COLUMNS:].reshape(len(rows), -1, spec.kpt_shape[1])[:, :, :2]
    ok: NDArray[np.bool_] = np.logical_and.reduce(keypoints <= upper_limit(known), axis=(1, 2))
    ok &= (rows >= lower_limit(known)).all(1)
    if not known.takes_small_negative_size:
        ok &= (rows[:, 3:5] >= 0).all(1)
    return ~ok


def _polygon_boxes(labels: LabelTable, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """float32 (K, 4): centre and size of the vertices' bounding box, rounded as segments2boxes rounds."""
    if not len(rows):
        return np.zeros((0, 4), np.float32)
    n_vertices = (labels.n_columns[rows] - 1) // 2
    first_vertex = np.cumsum(n_vertices) - n_vertices
    edges = np.zeros(len(labels.tokens) + 1, np.int8)
    edges[labels.first_token[rows] + 1] = 1
    edges[labels.first_token[rows + 1]] -= 1
    is_coordinate = np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)
    vertices = labels.tokens[is_coordinate].astype(np.float32).reshape(-1, 2)
    low = np.minimum.reduceat(vertices, first_vertex)
    high = np.maximum.reduceat(vertices, first_vertex)
    return np.concatenate([(low + high) / np.float32(2), high - low], axis=1)
