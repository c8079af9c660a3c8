"""Texts of a data.yaml as messages hold them."""

from __future__ import annotations

_LONGEST = 60


def short(text: str) -> str:
    """A text on one line, cut where it is long."""
    shown = " ".join(text.split())
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
