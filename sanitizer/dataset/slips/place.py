"""What a parser was reading when it gave up, and what is said of the slip behind it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from sanitizer.dataset.slips.texts import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Slip(NamedTuple):
    """What somebody did by mistake.

    Attributes:
        words: A clause on the line, such as "this line is indented with a tab".
        advice: The edit, with the line to write where it is known.
        line: 1-based line of the mistake, which may lie far above the one where the parser gave up.
    """

    words: str
    advice: str
    line: int


class Place(NamedTuple):
    """Where a parser gave up: `first` to `last` are the 0-based lines of what it was reading."""

    lines: Sequence[str]
    first: int
    last: int
    column: int
    why: str

    def upwards(self) -> Iterator[int]:
        """Numbers of the lines that it was reading and of a few above, the last one first."""
        yield from range(self.last, max(-1, min(self.first, self.last - 100) - 3), -1)


def write_line(number: int, text: str) -> str:
    """The sentence that says what to write on a line."""
    return f"Write line {number} as `{quoted(text)}`."


def code_of(line: str) -> str:
    """A line without its comment and the blanks around it."""
    return re.sub(r"(^|\s)#.*", "", line).strip()


def quoted(text: str) -> str:
    """A line or a part of one as messages quote it, cut where it is long."""
    return cut(text.rstrip(), 120)
