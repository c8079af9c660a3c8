"""JSON: the whole report as one object, one finding a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sanitizer.reports.common import plain

if TYPE_CHECKING:
    from sanitizer.report import Report


def render(report: Report) -> str:
    """The report as JSON text. NaN and infinity are null."""
    content = plain(report.to_dict())
    findings = content.pop("findings")
    head = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    lines = [json.dumps(f, ensure_ascii=False, allow_nan=False) for f in findings]
    rows = "[\n    " + ",\n    ".join(lines) + "\n  ]" if lines else "[]"
    return f'{head.removesuffix("}").rstrip()},\n  "findings": {rows}\n}}\n'
