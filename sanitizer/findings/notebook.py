"""A report as a notebook shows it: the dataset in numbers, the causes, and the first findings."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING

from sanitizer.findings.finding import count_by_severity
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from sanitizer.findings.report import Report

FINDINGS_SHOWN = 12


def as_html(report: Report) -> str:
    """HTML without scripts or links; every name in it is escaped."""
    s = report.summary
    counts = ", ".join(f"{n:,} {label}" for label, n in count_by_severity(report.findings).items())
    parts = [
        f"<p><b>{_text(report.data)}</b>: {s.images:,} images, {s.labels:,} labels; findings: {counts}; "
        f"images that training drops: {s.images_dropped_by_training:,}</p>"
    ]
    if report.would_stop and report.training:
        parts.append(f"<p>Training would not start: {_text(report.training.stops_with)}</p>")
    if report.causes:
        causes = (f"<li>{_text(c.sentence)} {_text(c.way_out)}</li>" for c in report.causes)
        parts.append(f"<ol>{''.join(causes)}</ol>")
    shown = list(islice(report.findings, FINDINGS_SHOWN))
    if shown:
        rows = ((f.rule, f.severity.label, f.label or f.image, f.line, f.message) for f in shown)
        cells = ("".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows)
        parts.append(f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>")
    more = len(report.findings) - len(shown)
    if more > 0:
        parts.append(f"<p>and {more:,} more: to_frame() has all of them</p>")
    return "".join(parts)


def _text(value: object) -> str:
    return "" if value is None else escape(legible(str(value)))
