"""What several formats need: a finding's path, its rule, and values that any reader of the format accepts."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Any

from sanitizer.findings.finding import count_by_severity, finite, tally, to_record
from sanitizer.util.counting import in_thousands
from sanitizer.util.escape import encodable
from sanitizer.util.paths import absolute_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.rules.language.pack import Rule


class ReportError(Exception):
    """A report cannot be made; the text is a sentence."""


def file_of(finding: Finding, report: Report) -> str:
    """POSIX path, relative to the dataset root, of the file that an editor should open."""
    return finding.file or finding.label or finding.image or os.path.basename(report.data) or "."


def prefix_below_cwd(report: Report) -> str | None:
    """What leads from the working directory to the dataset root; None where the root is not below it."""
    cwd = absolute_path(".")
    if report.root == cwd:
        return ""
    below = cwd.rstrip("/") + "/"
    return report.root.removeprefix(below) if report.root.startswith(below) else None


def path_below_cwd(finding: Finding, report: Report, prefix: str | None) -> str:
    """POSIX path from the working directory, as code hosts want it; from the dataset root where that is elsewhere."""
    return posixpath.normpath(posixpath.join(prefix or "", file_of(finding, report)))


def plain(value: Any) -> Any:
    """The value with text that UTF-8 can write, and None for NaN and infinity, all the way down."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def plain_record(finding: Finding) -> dict[str, Any]:
    """A finding as `to_record` gives it, fit for any format."""
    return {name: plain(value) for name, value in to_record(finding).items()}


def grave_counts(report: Report) -> str:
    """What stands against a run, as in "3 errors, 1 warning, 2 known of the baseline"."""
    counts = count_by_severity(report.findings)
    said = [in_thousands(counts[severity], severity) for severity in ("error", "warning") if counts[severity]]
    known = [f"{report.suppressed:,} known of the baseline"] if report.suppressed else []
    return ", ".join([*(said or ["nothing stands against it"]), *known])


def rules_of(report: Report) -> Mapping[str, Rule]:
    """The built-in rules that the report names; a user's own rules are not among them."""
    from sanitizer.rules.language.pack import load_rules

    named = tally(report.findings).first
    return {code: rule for code, rule in load_rules().items() if code in named} if named else {}
