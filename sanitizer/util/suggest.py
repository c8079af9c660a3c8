"""A guess at what somebody meant by an unknown word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint ` (did you mean 'x'?)` with the known word nearest to `word`; empty where none is near."""
    import difflib

    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(word[:100].lower(), list(by_lower), n=1, cutoff=0.6)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
