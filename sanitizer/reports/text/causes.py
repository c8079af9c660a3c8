"""Causes as text for people: what happened, what training does, what speaks for it, one way out."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from sanitizer.reports.causes import counts_of
from sanitizer.util.counting import in_thousands
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.report import Report

    Paint = Callable[[str, str], str]

EVIDENCE_SHOWN = 2
"""Sentences of evidence that are shown of a cause where not all are asked for."""
_INDENT = "   "
_LABEL_WIDTH = 10


def cause_lines(
    report: Report, paint: Paint, width: int | None = None, all_evidence: bool = False
) -> Iterator[str]:
    """How much the causes explain, then each cause in a few lines.

    Args:
        report: A report with causes.
        paint: `paint(text, sgr)` colours a text.
        width: Columns of the terminal, into which lines are wrapped; None wraps none.
        all_evidence: Show every sentence of evidence, not only the first ones.
    """
    explained = sum(cause.explains for cause in report.causes)
    verb = "explains" if len(report.causes) == 1 else "explain"
    causes, findings = (
        in_thousands(len(report.causes), "cause"),
        in_thousands(len(report.findings), "finding"),
    )
    yield paint(f"{causes} {verb} {explained:,} of {findings}", "1")
    for number, cause in enumerate(report.causes, 1):
        yield ""
        yield from _lines(number, cause, paint, width, None if all_evidence else EVIDENCE_SHOWN)


def _lines(number: int, cause: Cause, paint: Paint, width: int | None, shown: int | None) -> Iterator[str]:
    lead = f"{number}. "
    for part in _parts(legible(cause.sentence), width, len(lead)):
        yield paint(lead + part, "1")
        lead = " " * len(lead)
    evidence = " ".join(map(legible, cause.evidence[:shown]))
    if more := len(cause.evidence) - len(cause.evidence[:shown]):
        evidence += f" (and {more} more: --format full)"
    labelled = (
        ("training", legible(cause.training), ""),
        ("evidence", evidence, ""),
        ("way out", legible(cause.way_out), "32"),
        ("explains", f"{counts_of(cause)} [{legible(cause.id)}]", ""),
    )
    for label, text, sgr in labelled:
        head = paint(f"{label:<{_LABEL_WIDTH}}", "2")
        for part in _parts(text, width, len(_INDENT) + _LABEL_WIDTH) if text else ():
            yield f"{_INDENT}{head}{paint(part, sgr) if sgr else part}"
            head = " " * _LABEL_WIDTH


def _parts(text: str, width: int | None, indent: int) -> list[str]:
    """The text in parts that fit into `width` columns where they stand `indent` columns in; whole without a width."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(width - indent, 20), break_long_words=False, break_on_hyphens=False)
