"""JSON Lines: the summary first, then one finding a line, for tools that read as they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.finding import to_record
from sanitizer.reports.streamed_json import Streamed, json_pieces, json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report

_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""Legal inside JSON text, but many readers split lines at them."""


def pieces(report: Report) -> Iterator[str]:
    """The report as JSON Lines, in pieces: first the JSON report without its findings, then each finding."""
    head = report.head()
    head["dropped"] = Streamed(report.dropped_in_order())
    for piece in json_pieces(head, indent=None):
        yield piece.translate(_LINE_BREAKS)
    yield "\n"
    for f in report.findings:
        line = json_text(to_record(f) | {"file": f.file})
        yield f"{line.translate(_LINE_BREAKS)}\n"
