"""Rows with a column too many, a class name for its id, or other separators."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sanitizer.labels.number_text import NUMBER
from sanitizer.labels.readings.reading import class_id_of, is_normalised, numbers_of
from sanitizer.labels.row_kinds import (
    BOX_COLUMNS,
    MIN_POLYGON_COLUMNS,
    OBB_COLUMNS,
    pose_columns,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.readings.reading import SizePx

TRACKING_COLUMNS = 7
"""Columns of a box, a confidence and a track id. A triangle has as many, and does not end in a whole number over 1."""
_COMMA_OR_BLANK = re.compile(r"\s*[,;]\s*|\s+")
_SEMICOLON_OR_BLANK = re.compile(r"\s*;\s*|\s+")


def fits_task(tokens: Sequence[str], spec: TaskSpec) -> bool:
    """Whether a row is one of the task: its number of columns, a whole number as class, its coordinates.

    Which classes exist is another question, that other findings answer.
    """
    numbers = numbers_of(tokens)
    if numbers is None or not has_columns(len(tokens), spec):
        return False
    class_id, *rest = numbers
    if class_id % 1 or class_id < 0:
        return False
    dimensions = spec.kpt_shape[1] if len(tokens) == pose_columns(spec) else 2
    places = rest if dimensions == 2 else [*rest[:4], *(v for i, v in enumerate(rest[4:]) if i % 3 < 2)]
    return is_normalised(places)


def has_columns(n: int, spec: TaskSpec) -> bool:
    """Whether training for the task takes rows of so many columns; in a detection set the box around a polygon."""
    return {
        "detect": n == BOX_COLUMNS or (n >= MIN_POLYGON_COLUMNS and n % 2 == 1),
        "segment": n >= MIN_POLYGON_COLUMNS and n % 2 == 1,
        "obb": n == OBB_COLUMNS,
        "pose": n == pose_columns(spec),
    }[spec.task]


def without_confidence(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """A good row and a last column from 0 to 1."""
    last = numbers_of(tokens[-1:])
    return _without(tokens, spec, -1) if last is not None and 0 <= last[0] <= 1 else None


def without_track_id(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """A good row and a last column that is a whole number."""
    return _without(tokens, spec, -1) if is_id(tokens[-1]) else None


def without_confidence_and_id(
    tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec
) -> list[str] | None:
    """A good row, a confidence, and a whole number."""
    if not is_id(tokens[-1]):
        return None
    conf = numbers_of(tokens[-2:-1])
    return _without(tokens, spec, -2, -1) if conf and 0 <= conf[0] <= 1 else None


def without_second_id(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """A good row with a whole number behind the class."""
    return _without(tokens, spec, 1) if len(tokens) > 1 and is_id(tokens[1]) else None


def without_second_confidence(
    tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec
) -> list[str] | None:
    """A good row with a number from 0 to 1 behind the class."""
    second = numbers_of(tokens[1:2])
    return _without(tokens, spec, 1) if second and 0 <= second[0] <= 1 else None


def is_id(token: str) -> bool:
    """Whether a token is a whole number that is not negative, written with or without decimals of 0."""
    number = numbers_of([token])
    return number is not None and number[0] >= 0 and number[0] % 1 == 0


def _without(tokens: Sequence[str], spec: TaskSpec, *columns: int) -> list[str] | None:
    gone = {c % len(tokens) for c in columns}
    rest = [t for i, t in enumerate(tokens) if i not in gone]
    return rest if fits_task(rest, spec) else None


def class_by_name(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """The class's name, of one word or several, then the numbers."""
    for n_words in range(1, len(tokens)):
        class_id = class_id_of(" ".join(tokens[:n_words]), spec)
        if class_id is not None:
            row = [str(class_id), *tokens[n_words:]]
            return row if fits_task(row, spec) else None
    return None


def split_at_commas(tokens: Sequence[str]) -> list[str]:
    """The columns of a row in which commas or semicolons stand between columns, blanks beside them or not."""
    return [t for t in _COMMA_OR_BLANK.split(" ".join(tokens).rstrip(",; ")) if t]


def separated_by_commas(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """A good row with commas or semicolons between its columns."""
    row = split_at_commas(tokens)
    has_separators = bool({",", ";"} & set("".join(tokens)))
    is_good = has_separators and all(NUMBER.fullmatch(t) for t in row) and fits_task(row, spec)
    return row if is_good else None


def with_decimal_commas(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """A good row with commas in place of decimal points."""
    text = " ".join(tokens).rstrip("; ")
    row = [t.replace(",", ".") for t in _SEMICOLON_OR_BLANK.split(text) if t]
    is_good = "," in text and all(NUMBER.fullmatch(t) for t in row) and fits_task(row, spec)
    return row if is_good else None
