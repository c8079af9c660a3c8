"""Asks every family for its causes, in the order in which they claim findings."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.diagnosis import downloads, exports, leaks, numbers, places, row_kinds, yaml_slips
from sanitizer.diagnosis.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sanitizer.findings.cause import Hypothesis
    from sanitizer.rules.survey import Survey

FAMILIES: tuple[Callable[[Evidence], Iterable[Hypothesis]], ...] = (
    yaml_slips.hypotheses,
    downloads.hypotheses,
    places.hypotheses,
    numbers.hypotheses,
    row_kinds.hypotheses,
    exports.hypotheses,
    leaks.hypotheses,
)


def diagnose(
    survey: Survey, counts: Mapping[tuple[str, str | None], int]
) -> tuple[list[Hypothesis], list[str]]:
    """(hypotheses in the order in which they claim findings, sentences on families that failed).

    A family that fails is left out, as findings are right without causes. With SANITIZE_TRACEBACK set it raises.

    Args:
        survey: The whole dataset, summed up.
        counts: (rule, split) to number of findings. Without any there is nothing to explain.
    """
    if not counts:
        return [], []
    evidence = Evidence(survey, counts)
    found: list[Hypothesis] = []
    failures: list[str] = []
    for family in FAMILIES:
        try:
            found += family(evidence)
        except Exception as error:
            if os.environ.get("SANITIZE_TRACEBACK"):
                raise
            failures.append(
                f"causes of {family.__module__.rpartition('.')[2]} could not be looked for "
                f"({type(error).__name__}: {error}): findings are told one by one"
            )
    return _with_own_ids(found), failures


def _with_own_ids(found: Iterable[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses, with a number behind an id that an earlier one has."""
    seen: dict[str, int] = {}
    result = []
    for hypothesis in found:
        cause = hypothesis.cause
        nth = seen[cause.id] = seen.get(cause.id, 0) + 1
        own = hypothesis if nth == 1 else replace(hypothesis, cause=replace(cause, id=f"{cause.id}-{nth}"))
        result.append(own)
    return result
