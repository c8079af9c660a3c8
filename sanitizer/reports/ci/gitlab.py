"""GitLab Code Quality: causes and findings in the merge request's widget."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sanitizer.findings.finding import Severity
from sanitizer.reports.causes import cause_text, told_causes, untold_findings
from sanitizer.reports.common import path_below_cwd, prefix_below_cwd
from sanitizer.reports.streamed_json import Streamed, json_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.reports.causes import Told

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.INFO: "info"}


def pieces(report: Report) -> Iterator[str]:
    """Causes, then the findings that none explains, as a Code Quality report (JSON)."""
    yield from json_pieces(Streamed(_issues(report)), indent=1)
    yield "\n"


def _issues(report: Report) -> Iterator[dict[str, Any]]:
    prefix = prefix_below_cwd(report)
    for told in told_causes(report):
        yield _of_cause(told, path_below_cwd(told.first, report, prefix))
    for f in untold_findings(report):
        yield _issue(f, path_below_cwd(f, report, prefix))


def _of_cause(told: Told, path: str) -> dict[str, Any]:
    """A cause, on its first finding; it is the same cause however many findings it explains."""
    return {
        "description": cause_text(told.cause),
        "check_name": told.cause.id,
        "fingerprint": blake2b(f"cause {told.cause.id}".encode(), digest_size=10).hexdigest(),
        "severity": _SEVERITIES[told.severity],
        "location": {"path": path, "lines": {"begin": told.first.line or 1}},
    }


def _issue(finding: Finding, path: str) -> dict[str, Any]:
    """A finding; one about a whole file stands on line 1, as GitLab wants a line."""
    return {
        "description": f"{finding.rule} {finding.message}",
        "check_name": f"{finding.rule} {finding.name}",
        "fingerprint": finding.fingerprint,
        "severity": _SEVERITIES[finding.severity],
        "location": {"path": path, "lines": {"begin": finding.line or 1}},
    }
