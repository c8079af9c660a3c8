"""Repairs of rows that are written in another way than training reads: separators, names, corners, pixels."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from sanitizer.fixes.repair.document import with_tokens
from sanitizer.fixes.repair.rows import MIN_DECIMALS, NUMBER, Row, written
from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, OBB_COLUMNS, pose_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec


def split_columns(row: Row) -> str | None:
    """Put blanks for separators and points for decimal commas, where exactly one reading makes a good row."""
    if not ({",", ";"} & set(row.text)):
        return None
    inner = row.text.strip()
    readings = {
        " ".join(re.split(r"\s*[,;]\s*|\s+", inner.rstrip(",;"))),
        " ".join(re.split(r"\s*;\s*|\s+", inner.rstrip(";"))).replace(",", "."),
    }
    rows = [tokens for reading in readings if _is_row(tokens := reading.split(" "), row.spec)]
    if len(rows) != 1 or not _fits_task(rows[0], row.spec):
        return None
    return row.text.replace(inner, " ".join(rows[0]), 1)


def _is_row(tokens: Sequence[str], spec: TaskSpec) -> bool:
    """A whole class id that exists, and shares of the image, as many as some kind of row has."""
    if not all(NUMBER.fullmatch(t) for t in tokens):
        return False
    class_id, *shares = map(float, tokens)
    n = len(tokens)
    is_pose = n == pose_columns(spec)
    if n != BOX_COLUMNS and not is_pose and (n < MIN_POLYGON_COLUMNS or n % 2 == 0):
        return False
    limit = 2 if is_pose else 1  # visibility
    n_classes = math.inf if spec.nc is None else spec.nc
    return class_id % 1 == 0 and 0 <= class_id < n_classes and all(0 <= s <= limit for s in shares)


def _fits_task(tokens: Sequence[str], spec: TaskSpec) -> bool:
    """Whether the task is trained on rows of so many columns."""
    n = len(tokens)
    fits = {
        "detect": n == BOX_COLUMNS,
        "segment": n >= MIN_POLYGON_COLUMNS,
        "obb": n == OBB_COLUMNS,
        "pose": n == pose_columns(spec),
    }
    return fits[spec.task]


def number_of_class_name(row: Row) -> str | None:
    """Write the id of the class whose name stands in the first column."""
    name = row.tokens[0].strip("\"',:;").casefold()
    ids = [i for i, known in row.spec.names.items() if known.casefold() == name]
    return with_tokens(row.text, {0: str(ids[0])}) if len(ids) == 1 else None


def without_confidence(row: Row) -> str | None:
    """Five good columns and a sixth between 0 and 1: a prediction saved with its confidence."""
    numbers = row.numbers()
    if numbers is None or len(numbers) != BOX_COLUMNS + 1 or not 0 <= numbers[-1] <= 1:
        return None
    return row.text.rstrip().removesuffix(row.tokens[-1]).rstrip()


def corners_to_centre(row: Row) -> str | None:
    """Read x1 y1 x2 y2 and write centre and size."""
    numbers = row.numbers()
    if numbers is None or not row.states_box():
        return None
    x1, y1, x2, y2 = numbers[1:BOX_COLUMNS]
    decimals = row.decimals()
    new = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return with_tokens(row.text, {i: written(v, decimals) for i, v in enumerate(new, 1)})


def pixels_to_shares(row: Row) -> str | None:
    """Divide x by the image's width, y by its height: boxes, outlines and keypoints; visibility stays.

    Keypoints between 0 and 1 beside a box in pixels may be shares, or pixels of the first corner: such a row is left
    alone.
    """
    numbers = row.numbers()
    if numbers is None or row.size_px is None:
        return None
    on_x, on_y = _coordinate_columns(row)
    keypoints = [numbers[i] for i in (*on_x, *on_y) if i >= BOX_COLUMNS]
    if row.is_pose() and 0 < max(keypoints, default=0) <= 1:
        return None
    width, height = row.size_px
    shares = {i: numbers[i] / width for i in on_x} | {i: numbers[i] / height for i in on_y}
    return with_tokens(row.text, {i: written(v, MIN_DECIMALS) for i, v in shares.items()})


def _coordinate_columns(row: Row) -> tuple[list[int], list[int]]:
    """Numbers of the columns that lie along the image's width, and along its height."""
    n = len(row.tokens)
    if row.is_pose():
        dimensions = row.spec.kpt_shape[1]
        return [1, 3, *range(BOX_COLUMNS, n, dimensions)], [2, 4, *range(BOX_COLUMNS + 1, n, dimensions)]
    return list(range(1, n, 2)), list(range(2, n, 2))
