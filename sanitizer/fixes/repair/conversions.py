"""Repairs that turn one kind of row into another: polygons and boxes, and boxes in a pose set.

What Ultralytics 8.4 makes of each kind stands in `verify_image_label` and `segments2boxes` (data/utils.py,
utils/ops.py) and in `YOLODataset.get_labels` (data/dataset.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sanitizer.labels.number_text import MAX_DECIMALS, written
from sanitizer.labels.row_kinds import BOX_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.fixes.repair.rows import Row


def box_around_polygon(row: Row) -> str | None:
    """Write the box around a polygon, for a detection set.

    Nothing is lost that training would see: `segments2boxes` takes the same bounds of a polygon, and as soon as one
    file of the set holds boxes, `get_labels` throws away the polygons of all files. Only in a set of polygons alone
    are they of use in detection: augmentation takes a rotated box from the rotated polygon, not from the box.
    """
    numbers = _finite(row)
    if numbers is None or not row.is_polygon() or row.spec.task != "detect":
        return None
    (x1, x2), (y1, y2) = ((min(v), max(v)) for v in (numbers[1::2], numbers[2::2]))
    return row.with_columns(_exactly(row, ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)))


def corners_of_box(row: Row) -> str | None:
    """Write the four corners of a box, for a segmentation or oriented-box set.

    Bounds and class stay what they are. In an oriented-box set that is the box itself, upright. In a segmentation set
    the mask becomes the whole rectangle, background in its corners included: less true than a polygon, but the image,
    which training would leave out, is there again with all its polygons.
    """
    numbers = _finite(row)
    if numbers is None or not row.is_box() or row.spec.task not in ("segment", "obb"):
        return None
    x, y, w, h = numbers[1:BOX_COLUMNS]
    left, right, top, bottom = x - w / 2, x + w / 2, y - h / 2, y + h / 2
    return row.with_columns(_exactly(row, (left, top, right, top, right, bottom, left, bottom)))


def corners_of_box_in_obb_set(row: Row) -> str | None:
    """As `corners_of_box`, for an oriented-box set only.

    A file of plain boxes in a segmentation set is left alone: training stops and says so, no image is lost in
    silence, and it is most likely the task that is wrong, not the file.
    """
    return corners_of_box(row) if row.spec.task == "obb" else None


def with_unlabelled_keypoints(row: Row) -> str | None:
    """Add keypoints of visibility 0 to a box of a pose set: training learns the box, and from no keypoint.

    Without a column for visibility there is no way to say that a keypoint is not labelled.
    """
    n_keypoints, dimensions = row.spec.kpt_shape
    if row.spec.task != "pose" or len(row.tokens) != BOX_COLUMNS or dimensions != 3 or not n_keypoints:
        return None
    return row.with_columns([*row.tokens[1:], *["0"] * (n_keypoints * dimensions)])


def _finite(row: Row) -> list[float] | None:
    numbers = row.numbers()
    return numbers if numbers is not None and all(map(math.isfinite, numbers)) else None


def _exactly(row: Row, numbers: Sequence[float]) -> list[str]:
    """With one decimal more than the row has: half a sum needs no more to be exact."""
    decimals = min(row.decimals() + 1, MAX_DECIMALS)
    return [written(v, decimals) for v in numbers]
