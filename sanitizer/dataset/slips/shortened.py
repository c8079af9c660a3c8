"""Texts of a data.yaml as messages hold them."""

from __future__ import annotations


def cut(text: str, longest: int) -> str:
    """A text of at most so many characters, with an ellipsis in place of the rest."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def short(text: str) -> str:
    """A text on one line, cut where it is long."""
    return cut(" ".join(text.split()), 60)


def short_value(value: object) -> str:
    """A value on one line, cut where it is long; "" for None."""
    return "" if value is None else cut(" ".join(str(value).split()), 40)
