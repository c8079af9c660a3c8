"""The repair of separators: commas and semicolons between columns, and commas for decimal points."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from sanitizer.labels.number_text import NUMBER
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
    """A whole class id that exists, and normalised coordinates, as many as some kind of row has."""
    if not all(NUMBER.fullmatch(t) for t in tokens):
        return False
    class_id, *coordinates = map(float, tokens)
    n = len(tokens)
    is_pose = n == pose_columns(spec)
    if n != BOX_COLUMNS and not is_pose and (n < MIN_POLYGON_COLUMNS or n % 2 == 0):
        return False
    limit = 2 if is_pose else 1  # visibility
    n_classes = math.inf if spec.nc is None else spec.nc
    return class_id % 1 == 0 and 0 <= class_id < n_classes and all(0 <= v <= limit for v in coordinates)


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
