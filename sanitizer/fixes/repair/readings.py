"""Repairs of rows that are written in another way than training reads: separators, names, corners, pixels."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from sanitizer.fixes.repair.document import with_tokens
from sanitizer.labels.number_text import NUMBER
from sanitizer.labels.readings import READINGS
from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, OBB_COLUMNS, pose_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.fixes.repair.rows import Row


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
    return _by_reading("corners", row) if row.states_box() else None


def pixels_to_shares(row: Row) -> str | None:
    """Divide x by the image's width, y by its height: boxes, polygons and keypoints; visibility stays.

    Keypoints between 0 and 1 beside a box in pixels may be shares, or pixels of the first corner: such a row is left
    alone.
    """
    numbers = row.numbers()
    if numbers is None:
        return None
    if row.is_pose():
        dimensions = row.spec.kpt_shape[1]
        keypoints = [v for i, v in enumerate(numbers[BOX_COLUMNS:]) if i % dimensions < 2]
        if 0 < max(keypoints, default=0) <= 1:
            return None
    return _by_reading("pixels", row)


def _by_reading(name: str, row: Row) -> str | None:
    tokens = READINGS[name].convert(row.tokens, row.size_px, row.spec)
    return None if tokens is None else with_tokens(row.text, dict(enumerate(tokens)))
