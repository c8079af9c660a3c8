"""Reviewdog's diagnostic format (rdjson): causes and findings as comments on a pull request, wherever it is hosted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanitizer.findings.finding import Severity
from sanitizer.reports.causes import cause_text, told_causes, untold_findings
from sanitizer.reports.common import path_below_cwd, prefix_below_cwd
from sanitizer.reports.streamed_json import Streamed, json_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

_SEVERITIES = {Severity.ERROR: "ERROR", Severity.WARNING: "WARNING", Severity.INFO: "INFO"}


def pieces(report: Report) -> Iterator[str]:
    """One `DiagnosticResult`: causes, each on its first finding, then the findings that none explains."""
    source = {"name": "sanitize"}
    yield from json_pieces({"source": source, "diagnostics": Streamed(_diagnostics(report))}, indent=1)
    yield "\n"


def _diagnostics(report: Report) -> Iterator[dict[str, Any]]:
    prefix = prefix_below_cwd(report)
    for cause, first, severity in told_causes(report):
        yield _diagnostic(cause_text(cause), path_below_cwd(first, report, prefix), first, severity, cause.id)
    for f in untold_findings(report):
        yield _diagnostic(f.message, path_below_cwd(f, report, prefix), f, f.severity, f.rule)


def _diagnostic(message: str, path: str, at: Finding, severity: Severity, code: str) -> dict[str, Any]:
    location: dict[str, Any] = {"path": path}
    if at.line is not None:
        start = {"line": at.line} | ({} if at.column is None else {"column": at.column})
        location["range"] = {"start": start}
    return {
        "message": message,
        "location": location,
        "severity": _SEVERITIES[severity],
        "code": {"value": code},
    }
