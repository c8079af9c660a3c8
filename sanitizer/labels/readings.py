"""Readings: other ways in which a label row may be written, and the same row as training reads it.

A reading says nothing of whether it is the right one for a dataset: `sanitizer.diagnosis` weighs that over all rows,
and `sanitizer.fixes` writes rows anew by the reading that it found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec

SizePx = tuple[int, int]
"""(width, height) of the upright image."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to write a row.

    Attributes:
        name: What a cause names it by, such as "percent".
        says: What the columns are: reads on after "columns are ".
        done: What was done to a row, for the summary of `fix`: reads on after "3 rows ".
        loses: What the row as training reads it has no place for, such as "the track id"; None where nothing.
        convert: The row's tokens, the image's size where known, and what training assumes, to the tokens that
            training reads; None where the row cannot have been written in this way.
    """

    name: str
    says: str
    done: str
    loses: str | None
    convert: Callable[[Sequence[str], SizePx | None, TaskSpec], list[str] | None]


READINGS: Mapping[str, Reading] = {}
