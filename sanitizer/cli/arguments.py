"""Turning one argument's text into a value, with an error that helps."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """For argparse's `type`: one of these words."""
    known = tuple(choices)

    def parse(text: str) -> str:
        if text not in known:
            guess = did_you_mean(text, known) or f": use one of {', '.join(known)}"
            raise argparse.ArgumentTypeError(f"there is no {text!r}{guess}")
        return text

    return parse


def comma_list(text: str) -> list[str]:
    """For argparse's `type`: "B001,C" as ["B001", "C"]."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError("nothing is listed")
    return words


def positive_int(text: str) -> int:
    """For argparse's `type`: a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


def setting(text: str) -> tuple[str, str, str | None, float]:
    """For argparse's `type`: "B001.max_ratio=80" or, for one class, "B001.max_ratio.crack=2000".

    Returns:
        (code, parameter, class id or name or None, number)
    """
    keys, equals, value = text.rpartition("=")
    code, dot, rest = keys.partition(".")
    parameter, per_class, cls = rest.partition(".")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (equals and code and dot and parameter and (cls or not per_class)) or not math.isfinite(number):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not of the form CODE.PARAMETER=NUMBER, as in B001.max_ratio=80"
        )
    return code, parameter, cls or None, number
