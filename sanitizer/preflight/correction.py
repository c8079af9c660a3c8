"""A recipe with every suggestion of the T rules applied, and the command that trains with it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from sanitizer.ultra.arguments import parse_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.findings.finding import Finding

MAX_ROUNDS = 6
"""One correction may bring up another (an optimizer that takes lr0 at all, and then an lr0 that is too high)."""


def correct_recipe(
    overrides: Mapping[str, Any], check: Callable[[Mapping[str, Any]], Sequence[Finding]]
) -> dict[str, Any]:
    """The overrides with all suggestions taken, until a check has none left that would change anything.

    Args:
        overrides: Train arguments that differ from the defaults.
        check: Findings of a recipe, worst first. Of two that set one argument the worse one counts, and the other
            has its turn in the next round.
    """
    current = dict(overrides)
    for _ in range(MAX_ROUNDS):
        taken = suggested(check(current))
        if all(key in current and current[key] == value for key, value in taken.items()):
            break
        current |= taken
    return current


def suggested(findings: Sequence[Finding]) -> dict[str, Any]:
    """Train arguments that findings suggest; of two for one key the first counts."""
    taken: dict[str, Any] = {}
    for finding in findings:
        for key, value in parse_arguments((finding.suggestion or "").split()).items():
            taken.setdefault(key, value)
    return taken


def train_command(data: str, model: str, overrides: Mapping[str, Any]) -> str:
    """The `sanitize train` command line, quoted for a shell."""
    return shlex.join(["sanitize", "train", data, "--model", model, *spelled(overrides)])


def spelled(overrides: Mapping[str, Any]) -> list[str]:
    """`k=v` texts that `parse_arguments` reads back as these values."""
    return [f"{key}={_spelled(value)}" for key, value in overrides.items()]


def _spelled(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}" if value in (0.0, 1.0) else f"{value:g}"  # 1.0 and 1 are not the same fraction
    return str(value).replace(", ", ",") if isinstance(value, list | tuple) else str(value)
