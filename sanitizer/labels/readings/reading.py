"""What a reading is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.labels.row_kinds import TOLERANCE

if TYPE_CHECKING:
    from sanitizer.dataset.tables import TaskSpec

SizePx = tuple[int, int]
"""(width, height) of the upright image."""

Convert = Callable[[Sequence[str], "SizePx | None", "TaskSpec"], "list[str] | None"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to write a row.

    Attributes:
        name: What a cause names it by, such as "percent".
        says: What the columns are: reads on after "columns are ".
        done: What was done to a row, for the summary of `fix`: reads on after "3 rows ".
        loses: What the row as training reads it has no place for, such as "the track id"; None where nothing.
        convert: The row's tokens (split at blanks), the image's size where known, and what training assumes, to the
            tokens that training reads. Empty where the line is no object, such as a header: it goes. None where the
            row cannot have been written in this way, or where what is needed to read it is not known.
    """

    name: str
    says: str
    done: str
    loses: str | None
    convert: Convert


def numbers_of(tokens: Sequence[str]) -> list[float] | None:
    """Every token as a number; None where one is none, or not finite."""
    try:
        numbers = [float(t) for t in tokens]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def is_normalised(numbers: Sequence[float]) -> bool:
    """Whether training takes all of these as coordinates."""
    return all(-TOLERANCE <= v <= 1 + TOLERANCE for v in numbers)


def class_id_of(name: str, spec: TaskSpec) -> int | None:
    """Id of the one class of that name, ignoring case and quotes; None where none or several have it."""
    plain = name.strip("\"',:;").casefold()
    ids = [i for i, known in spec.names.items() if known.casefold() == plain]
    return ids[0] if len(ids) == 1 else None
