"""A report as a notebook shows it: the dataset in numbers, the causes, and the first findings."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING

from sanitizer.findings.finding import count_by_severity
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.finding import Finding

FINDINGS_SHOWN = 12


def as_html(
    data: str, numbers: str, stops_with: str | None, causes: Sequence[Cause], findings: Sequence[Finding]
) -> str:
    """HTML without scripts or links; every name in it is escaped.

    Args:
        data: The path that was scanned.
        numbers: The dataset in numbers.
        stops_with: Why training would not start, or None.
        causes, findings: Those of the report.
    """
    counts = ", ".join(f"{n:,} {label}" for label, n in count_by_severity(findings).items())
    parts = [f"<p><b>{_text(data)}</b>: {_text(numbers)}; findings: {counts}</p>"]
    if stops_with:
        parts.append(f"<p>Training would not start: {_text(stops_with)}</p>")
    if causes:
        lines = (f"<li>{_text(c.sentence)} {_text(c.way_out)}</li>" for c in causes)
        parts.append(f"<ol>{''.join(lines)}</ol>")
    shown = list(islice(findings, FINDINGS_SHOWN))
    if shown:
        rows = ((f.rule, f.severity.label, f.label or f.image, f.line, f.message) for f in shown)
        cells = ("".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows)
        parts.append(f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>")
    more = len(findings) - len(shown)
    if more > 0:
        parts.append(f"<p>and {more:,} more: to_frame() has all of them</p>")
    return "".join(parts)


def _text(value: object) -> str:
    return "" if value is None else escape(legible(str(value)))
