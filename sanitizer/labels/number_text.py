"""How numbers are written into label rows: plain digits, without zeros at their end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MIN_DECIMALS, MAX_DECIMALS = 6, 17


def decimals_of(tokens: Iterable[str], more: int = 0) -> int:
    """Decimals that new numbers are written with: as many as the tokens have and some more, at least six."""
    most = max((len(t.partition(".")[2]) for t in tokens if NUMBER.fullmatch(t)), default=0)
    return min(max(most + more, MIN_DECIMALS), MAX_DECIMALS)


def written(number: float, decimals: int) -> str:
    """The number in plain digits, without zeros at its end."""
    text = f"{number:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
