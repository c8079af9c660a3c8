"""GitHub workflow commands: annotations of the pull request, a cause first, then a finding on its line.

GitHub shows ten of a kind for each step, so a cause stands for all the findings that it explains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity
from sanitizer.reports.causes import cause_text, counts_of, told_causes, untold_findings
from sanitizer.reports.common import path_below_cwd, prefix_below_cwd
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def pieces(report: Report) -> Iterator[str]:
    """One workflow command a cause, on its first finding; then one a finding that no cause explains."""
    prefix = prefix_below_cwd(report)
    for cause, first, severity in told_causes(report):
        place = {"file": path_below_cwd(first, report, prefix), "line": first.line, "col": first.column}
        title = f"{cause.name or cause.id} ({counts_of(cause)})"
        yield _command(severity, place | {"title": title}, cause_text(cause))
    for f in untold_findings(report):
        place = {"file": path_below_cwd(f, report, prefix), "line": f.line, "col": f.column}
        yield _command(f.severity, place | {"title": f"{f.rule} {f.name}"}, f.message)


def _command(severity: Severity, properties: dict[str, str | int | None], message: str) -> str:
    written = ",".join(f"{k}={_property(str(v))}" for k, v in properties.items() if v is not None)
    return f"::{_COMMANDS[severity]} {written}::{_data(message)}\n"


def _data(text: str) -> str:
    """As actions/toolkit escapes a message (packages/core/src/command.ts); line breaks are escaped before."""
    return legible(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
