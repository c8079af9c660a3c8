"""One label row in need of repair: its columns, and how numbers are written back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.labels.number_text import decimals_of
from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, pose_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec


@dataclass(frozen=True, slots=True)
class Row:
    """One row in need of repair.

    Attributes:
        text: The line as it stands.
        tokens: Its columns.
        spec: What training would assume of it.
        size_px: (width, height) of the image; None where unknown, or where EXIF leaves the label's frame in doubt.
    """

    text: str
    tokens: Sequence[str]
    spec: TaskSpec
    size_px: tuple[int, int] | None

    def numbers(self) -> list[float] | None:
        """Every column as a number; None where one is none."""
        try:
            return [float(t) for t in self.tokens]
        except ValueError:
            return None

    def is_pose(self) -> bool:
        """Whether the columns are those of a box with the keypoints that the data.yaml declares."""
        return len(self.tokens) == pose_columns(self.spec)

    def is_box(self) -> bool:
        """Whether the columns are class, centre and size, with or without keypoints."""
        return len(self.tokens) == BOX_COLUMNS or self.is_pose()

    def is_polygon(self) -> bool:
        """Whether the columns are a class and three points or more."""
        n = len(self.tokens)
        return n >= MIN_POLYGON_COLUMNS and n % 2 == 1 and not self.is_pose()

    def decimals(self) -> int:
        """Decimals that new numbers are written with: as many as the row has, at least six."""
        return decimals_of(self.tokens)

    def with_columns(self, columns: Sequence[str]) -> str:
        """The row's class and new columns behind it, where their number changes; leading blanks stay."""
        lead = self.text[: len(self.text) - len(self.text.lstrip())]
        return lead + " ".join((self.tokens[0], *columns))
