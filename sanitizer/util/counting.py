"""Numbers with their noun, and lists cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def counted(number: int, noun: str) -> str:
    """ "1 image", "2 images"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def in_thousands(number: int, noun: str) -> str:
    """ "1 image", "1,000 images", "2 boxes", "2 classes", "2 copies"."""
    plural = f"{noun}es" if noun.endswith(("x", "ss")) else f"{noun}s"
    if noun.endswith("y"):
        plural = f"{noun[:-1]}ies"
    return f"{number:,} {noun if number == 1 else plural}"


def listed(names: Sequence[str], most: int) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def cut_short(values: Sequence[object], most: int) -> str:
    """ "0, 1" or, where there are more than `most`, the first of them: "0, 1, …"."""
    return ", ".join(map(str, values[:most])) + ", …" * (len(values) > most)


def joined(names: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last
