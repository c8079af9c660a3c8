"""Causes as text for people: what happened, what speaks for it, what training does, one way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.util.counting import in_thousands
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.report import Report

    Paint = Callable[[str, str], str]


def cause_lines(report: Report, paint: Paint) -> Iterator[str]:
    """How much the causes explain, then each cause in a few lines. `paint(text, sgr)` colours a text."""
    explained = sum(cause.explains for cause in report.causes)
    verb = "explains" if len(report.causes) == 1 else "explain"
    causes, findings = (
        in_thousands(len(report.causes), "cause"),
        in_thousands(len(report.findings), "finding"),
    )
    yield f"{paint(causes, '1')} {verb} {explained:,} of {findings}."
    for cause in report.causes:
        yield ""
        yield from _lines(cause, paint)


def _lines(cause: Cause, paint: Paint) -> Iterator[str]:
    yield f"{paint(legible(cause.id), '1;35')}: {legible(cause.sentence)}"
    about = f"{in_thousands(cause.explains, 'finding')} in {in_thousands(cause.files, 'file')}"
    yield f"    explains  {about}"
    for sentence in cause.evidence:
        yield f"    evidence  {legible(sentence)}"
    if cause.training:
        yield f"    training  {legible(cause.training)}"
    if cause.way_out:
        yield f"    way out   {paint(legible(cause.way_out), '1')}"
