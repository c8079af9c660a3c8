"""How much is tried at random: `pytest --hypothesis-profile quick` tries a fifth."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """How many examples to try where a full run tries so many; a hundred is what Hypothesis tries by itself."""
    return max(10, number * settings().max_examples // 100)
