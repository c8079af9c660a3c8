"""Azure Pipelines logging commands: a cause first, then a finding on its line, as the run's issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity
from sanitizer.reports.causes import cause_text, told_causes, untold_findings
from sanitizer.reports.common import path_below_cwd, prefix_below_cwd
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report

_TYPES = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "warning"}
"""Azure knows no third kind."""


def pieces(report: Report) -> Iterator[str]:
    """One `task.logissue` a cause, on its first finding; then one a finding that no cause explains."""
    prefix = prefix_below_cwd(report)
    for cause, first, severity in told_causes(report):
        place = path_below_cwd(first, report, prefix)
        yield _command(severity, place, first.line, first.column, cause.id, cause_text(cause))
    for f in untold_findings(report):
        yield _command(f.severity, path_below_cwd(f, report, prefix), f.line, f.column, f.rule, f.message)


def _command(
    severity: Severity, path: str, line: int | None, column: int | None, code: str, message: str
) -> str:
    numbers = {"linenumber": line, "columnnumber": column}
    written = [f"type={_TYPES[severity]}", f"sourcepath={_property(path)}"]
    written += [f"{key}={number}" for key, number in numbers.items() if number is not None]
    return f"##vso[task.logissue {';'.join([*written, f'code={_property(code)}'])}]{_data(message)}\n"


def _data(text: str) -> str:
    """As azure-pipelines-task-lib escapes a message (taskcommand.ts); line breaks are escaped before."""
    return legible(text).replace("%", "%AZP25")


def _property(text: str) -> str:
    return _data(text).replace("]", "%5D").replace(";", "%3B")
