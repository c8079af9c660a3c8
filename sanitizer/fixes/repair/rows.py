"""One label row in need of repair: its columns, and how numbers are written back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, pose_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MIN_DECIMALS, MAX_DECIMALS = 6, 17


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

    def states_box(self) -> bool:
        """Whether the columns are class, centre and size, with or without keypoints."""
        return len(self.tokens) == BOX_COLUMNS or self.is_pose()

    def states_outline(self) -> bool:
        """Whether the columns are a class and three points or more."""
        n = len(self.tokens)
        return n >= MIN_POLYGON_COLUMNS and n % 2 == 1 and not self.is_pose()

    def decimals(self) -> int:
        """Decimals that new numbers are written with: as many as the row has, at least six."""
        most = max((len(t.partition(".")[2]) for t in self.tokens if NUMBER.fullmatch(t)), default=0)
        return min(max(most, MIN_DECIMALS), MAX_DECIMALS)

    def with_columns(self, columns: Sequence[str]) -> str:
        """The row's class and new columns behind it, where their number changes; leading blanks stay."""
        lead = self.text[: len(self.text) - len(self.text.lstrip())]
        return lead + " ".join((self.tokens[0], *columns))


def written(number: float, decimals: int) -> str:
    """The number in plain digits, without zeros at its end."""
    text = f"{number:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
