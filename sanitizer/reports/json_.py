"""JSON: the whole report as one object, one finding a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.finding import to_json_record
from sanitizer.reports.streamed_json import Streamed, json_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report


def pieces(report: Report) -> Iterator[str]:
    """The report as JSON text, in pieces. NaN and infinity are null."""
    content = report.head()
    content["dropped"] = Streamed(report.dropped_in_order())
    content["findings"] = Streamed((to_json_record(f) for f in report.findings), one_line=True)
    yield from json_pieces(content, indent=2)
    yield "\n"
