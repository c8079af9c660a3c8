"""JUnit XML: every CI shows it. One test case a cause, then one a file with findings."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from sanitizer.findings.finding import Severity
from sanitizer.reports.causes import cause_text, counts_of, told_causes
from sanitizer.reports.common import file_of
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.reports.causes import Told


def pieces(report: Report, fail_on: Severity | None = Severity.ERROR) -> Iterator[str]:
    """The report as JUnit XML, in pieces, a cause or a file each.

    A file fails when it has findings of severity `fail_on` or worse (None: never), a cause when it explains one; milder
    ones are the test's output. A dataset without findings is one test that passes.
    """
    limit = Severity.ERROR + 1 if fail_on is None else fail_on
    causes = told_causes(report)
    n_cases, n_failed = len(causes), sum(told.severity >= limit for told in causes)
    for _, group in _by_file(report):
        n_cases += 1
        n_failed += max(f.severity for f in group) >= limit
    counts = f'tests="{n_cases or 1}" failures="{n_failed}" errors="0" time="{report.summary.elapsed_s:.3f}"'
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="sanitize" {counts}>\n'
        f"  <testsuite name={_attribute(report.data)} {counts}>\n"
    )
    for told in causes:
        yield _case_of_cause(told, fails=told.severity >= limit)
    for path, group in _by_file(report):
        findings = list(group)
        failing = [f for f in findings if f.severity >= limit]
        yield _case(path, failing, [f for f in findings if f.severity < limit])
    if not n_cases:
        yield f'    <testcase classname={_attribute(report.data)} name="no findings"/>\n'
    yield "  </testsuite>\n</testsuites>\n"


def _by_file(report: Report) -> Iterator[tuple[str, Iterator[Finding]]]:
    return groupby(report.findings, lambda f: file_of(f, report))


def _case_of_cause(told: Told, fails: bool) -> str:
    cause, text = told.cause, escape(legible(cause_text(told.cause)))
    said = f"      <system-out>{text}</system-out>\n"
    if fails:
        message = _attribute(f"{cause.sentence} It explains {counts_of(cause)}.")
        said = f'      <failure type="{told.severity.label}" message={message}>{text}</failure>\n'
    name = _attribute(cause.name or cause.id)
    return f'    <testcase classname="sanitize.causes" name={name}>\n{said}    </testcase>\n'


def _case(path: str, failing: list[Finding], others: list[Finding]) -> str:
    parts = [f'    <testcase classname="sanitize" name={_attribute(path)} file={_attribute(path)}>\n']
    if failing:
        codes = ", ".join(sorted({f.rule for f in failing}))
        plural = "s" if len(failing) > 1 else ""
        message = _attribute(f"{len(failing)} finding{plural}: {codes}")
        kind = max(f.severity for f in failing).label
        parts.append(f'      <failure type="{kind}" message={message}>{_lines(failing)}</failure>\n')
    if others:
        parts.append(f"      <system-out>{_lines(others)}</system-out>\n")
    return "".join([*parts, "    </testcase>\n"])


def _lines(findings: list[Finding]) -> str:
    lines = []
    for f in findings:
        place = f"line {f.line}, column {f.column}: " if f.line else ""
        because = f" [{f.cause}]" if f.cause is not None else ""
        lines.append(f"{place}{f.rule} {f.severity.label}: {f.message}{because}")
    return "\n".join(escape(legible(line)) for line in lines)


def _attribute(text: str) -> str:
    return quoteattr(legible(text))
