"""JSON Lines: the summary first, then one finding a line, for tools that read as they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.finding import to_json_record
from sanitizer.reports.streamed_json import Streamed, json_pieces, json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report


def pieces(report: Report) -> Iterator[str]:
    """The report as JSON Lines, in pieces: first the JSON report without its findings, then each finding."""
    head = report.head()
    head["dropped"] = Streamed(report.dropped_in_order())
    yield from json_pieces(head, indent=None)
    yield "\n"
    for f in report.findings:
        yield f"{json_text(to_json_record(f))}\n"
