"""Texts that people write: cut for messages, and made plain to be compared."""

from __future__ import annotations

import re


def cut(text: str, longest: int) -> str:
    """A text of at most so many characters, with an ellipsis in place of the rest."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def short(text: str) -> str:
    """A text on one line, cut where it is long."""
    return cut(" ".join(text.split()), 60)


def short_value(value: object) -> str:
    """A value on one line, cut where it is long; "" for None."""
    return "" if value is None else cut(" ".join(str(value).split()), 40)


def plain_name(name: str) -> str:
    """The name of a class without what people and tools change in it: letter case, blanks, - and _."""
    return re.sub(r"[\s_-]+", "", name.casefold())
