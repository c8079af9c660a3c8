"""Numbers as people say them, for the probe's sentences."""

from __future__ import annotations

_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 10: "ten", 20: "twenty"}


def one_in(share: float) -> str:
    """A share: "one in five", or "23%" where no small number fits."""
    whole = round(1 / share) if share > 0 else 0
    return f"one in {_WORDS[whole]}" if whole in _WORDS and abs(1 / whole - share) < 0.005 else f"{share:.0%}"


def boxes(n: int) -> str:
    """A number of boxes: "no box", "one box", "5 boxes"."""
    return "no box" if n == 0 else "one box" if n == 1 else f"{n} boxes"
