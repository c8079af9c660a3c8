"""What one method says of a dataset: a score for each label row, place and image; more is more suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from injection.rows import Box


@dataclass(frozen=True, slots=True)
class Said:
    """The scores of one method. Images are paths relative to the set.

    Attributes:
        rows: Image to number of the line to its score; None for a method that does not judge rows.
        places: Image to boxes (centre and size, normalised) that may lack a label, each with its score; None likewise.
        images: Image to its score; None likewise.
    """

    rows: Mapping[str, Mapping[int, float]] | None = None
    places: Mapping[str, Sequence[tuple[Box, float]]] | None = None
    images: Mapping[str, float] | None = None
