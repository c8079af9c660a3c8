"""JSON Lines: the summary first, then one finding a line, for tools that read as they go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sanitizer.reports.common import plain

if TYPE_CHECKING:
    from sanitizer.report import Report

_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""Legal inside JSON text, but many readers split lines at them."""


def render(report: Report) -> str:
    """The report as JSON Lines: first the JSON report without its findings, then each finding."""
    content = plain(report.to_dict())
    findings = content.pop("findings")
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in (content, *findings)]
    return "".join(f"{line.translate(_LINE_BREAKS)}\n" for line in lines)
