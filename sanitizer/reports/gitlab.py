"""GitLab Code Quality: findings in the merge request's widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity
from sanitizer.reports.common import path_below_cwd, prefix_below_cwd
from sanitizer.reports.streamed_json import Streamed, json_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.INFO: "info"}


def pieces(report: Report) -> Iterator[str]:
    """The findings as a Code Quality report (JSON). A finding about a whole file stands on line 1: GitLab wants one."""
    prefix = prefix_below_cwd(report)
    issues = (
        {
            "description": f"{f.rule} {f.message}",
            "check_name": f"{f.rule} {f.name}",
            "fingerprint": f.fingerprint,
            "severity": _SEVERITIES[f.severity],
            "location": {"path": path_below_cwd(f, report, prefix), "lines": {"begin": f.line or 1}},
        }
        for f in report.findings
    )
    yield from json_pieces(Streamed(issues), indent=1)
    yield "\n"
