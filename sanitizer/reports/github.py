"""GitHub workflow commands: each finding becomes an annotation on the line of the pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity
from sanitizer.reports.common import path_below_cwd, prefix_below_cwd
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def pieces(report: Report) -> Iterator[str]:
    """One workflow command a finding."""
    prefix = prefix_below_cwd(report)
    for f in report.findings:
        yield f"{_command(f, path_below_cwd(f, report, prefix))}\n"


def _command(finding: Finding, path: str) -> str:
    properties = {"file": path, "line": finding.line, "col": finding.column}
    properties["title"] = f"{finding.rule} {finding.name}"
    written = ",".join(f"{k}={_property(str(v))}" for k, v in properties.items() if v is not None)
    return f"::{_COMMANDS[finding.severity]} {written}::{_data(finding.message)}"


def _data(text: str) -> str:
    """As actions/toolkit escapes a message (packages/core/src/command.ts); line breaks are escaped before."""
    return legible(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
