"""Text for people: causes, findings, then what training would do with the dataset, in plain words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sanitizer.findings.finding import Severity, count_by_rule, tally
from sanitizer.reports.causes import tells_causes, untold_findings
from sanitizer.reports.common import file_of, path_below_cwd, prefix_below_cwd
from sanitizer.reports.text.causes import cause_lines
from sanitizer.reports.text.summary import summary_lines, verdict_lines
from sanitizer.reports.text.summary_counts import files_by_rule
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

Layout = Literal["text", "full", "grouped", "concise"]
"""What is told. "text": causes, then the findings that none explains, a line each; "full": causes, then all findings
with their label rows; "grouped": causes, then all findings under their files; "concise": a line for each finding."""

LONG_RUN = 200
SHOWN_OF_LONG_RUN = 20
"""On a terminal a rule with over `LONG_RUN` findings shows this many."""

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}


@dataclass(frozen=True, slots=True)
class Style:
    """How to write for whoever reads.

    Attributes:
        layout: What is told, and in which order.
        width: Columns of the terminal that causes are wrapped into; None wraps nothing.
        colour: Use terminal colours.
        shorten: Leave out most of a rule's findings where it has very many, and say so.
        summary: End with the summary.
        statistics: Count by rule and by class in place of the findings.
    """

    layout: Layout = "text"
    width: int | None = None
    colour: bool = False
    shorten: bool = False
    summary: bool = True
    statistics: bool = False

    def paint(self, text: str, sgr: str) -> str:
        """The text in a colour, given as SGR parameters."""
        return f"\x1b[{sgr}m{text}\x1b[0m" if self.colour and text else text


PLAIN = Style()


def render(report: Report, style: Style = PLAIN) -> str:
    """The report as one text, as `pieces` gives it."""
    return "".join(pieces(report, style))


def pieces(report: Report, style: Style = PLAIN) -> Iterator[str]:
    """The report as text, line by line; in most layouts a finding is `LABEL:LINE:COLUMN: CODE message`."""
    lines = iter(_statistics(report, style)) if style.statistics else _told(report, style)
    some = False
    for line in lines:
        some = True
        yield f"{line}\n"
    if style.summary:
        if some:
            yield "\n"
        for line in summary_lines(report, style.paint):
            yield f"{line}\n"


def _told(report: Report, style: Style) -> Iterator[str]:
    """Whether training would not start, the causes, then the findings that the layout asks for."""
    with_causes = style.layout != "concise" and tells_causes(report)
    findings: Iterable[Finding] = report.findings
    totals: Mapping[str, int]
    if with_causes and style.layout == "text":
        findings, totals = untold_findings(report), Counter(f.rule for f in untold_findings(report))
    else:
        totals = count_by_rule(report.findings)
    if style.layout != "concise" and not report.files_only:
        yield from verdict_lines(report, style.paint)
    if with_causes:
        yield from cause_lines(report, style.paint, style.width, all_evidence=style.layout == "full")
        if totals:
            yield ""
    long_runs = {code for code, n in totals.items() if style.shorten and n > LONG_RUN}
    yield from _LAYOUTS[style.layout](_first_of(findings, long_runs), report, style)
    for code in sorted(long_runs):
        yield (
            f"… and {totals[code] - SHOWN_OF_LONG_RUN:,} more of {style.paint(legible(code), '1')}: "
            "add `--output findings.csv`, or pipe this into a file, to have them all"
        )


def _first_of(findings: Iterable[Finding], long_runs: Iterable[str]) -> Iterator[Finding]:
    """The findings, of some rules the first `SHOWN_OF_LONG_RUN` alone."""
    shown = dict.fromkeys(long_runs, 0)
    for f in findings:
        if f.rule in shown:
            shown[f.rule] += 1
            if shown[f.rule] > SHOWN_OF_LONG_RUN:
                continue
        yield f


def _lines(findings: Iterable[Finding], report: Report, style: Style) -> Iterator[str]:
    prefix = prefix_below_cwd(report) if report.files_only else ""
    for f in findings:
        yield _finding_line(f, path_below_cwd(f, report, prefix), style)


def _grouped(findings: Iterable[Finding], report: Report, style: Style) -> Iterator[str]:
    """The path once, then the findings of its file."""
    prefix = prefix_below_cwd(report) if report.files_only else ""
    last: str | None = None
    for f in findings:
        path = path_below_cwd(f, report, prefix)
        if path != last:
            if last is not None:
                yield ""
            yield style.paint(legible(path), "1")
            last = path
        place = "-" if f.line is None else f"{f.line}:{f.column or 1}"
        yield f"  {place:<8} {_what(f, style)}{_because(f, report, style)}"


def _full(findings: Iterable[Finding], report: Report, style: Style) -> Iterator[str]:
    """Each finding with its label row, and what to do about it."""
    from sanitizer.reports.text.rows import RowQuoter  # a hook on single files does without

    prefix = prefix_below_cwd(report) if report.files_only else ""
    quoter = RowQuoter(report)
    for number, f in enumerate(findings):
        if number:
            yield ""
        line = _finding_line(f, path_below_cwd(f, report, prefix), style)
        yield line + _because(f, report, style)
        if quoted := quoter.quoted(f):
            row, carets = quoted
            yield row
            yield style.paint(carets, f"1;{_COLOURS[f.severity]}")
        if f.suggestion:
            yield f"{'':>5} = {legible(f.suggestion)}"


_LAYOUTS: Mapping[Layout, Callable[[Iterable[Finding], Report, Style], Iterator[str]]] = {
    "text": _lines,
    "full": _full,
    "grouped": _grouped,
    "concise": _lines,
}


def _finding_line(finding: Finding, path: str, style: Style) -> str:
    place = [style.paint(legible(path), "1")]
    if finding.line is not None:
        # A finding about a whole row stands at its start.
        place += [str(finding.line), str(finding.column or 1)]
    return f"{':'.join(place)}: {_what(finding, style)}"


def _what(finding: Finding, style: Style) -> str:
    code = style.paint(legible(finding.rule), f"1;{_COLOURS[finding.severity]}")
    return f"{code} {legible(finding.message)}"


def _because(finding: Finding, report: Report, style: Style) -> str:
    """The cause that was told of it, as in " [percent-coordinates]"."""
    if finding.cause is None or not tells_causes(report):
        return ""
    return f" {style.paint(f'[{legible(finding.cause)}]', '2')}"


_COUNTED = {"classify": "images", "semantic": "masks"}
"""What is counted of each class, by task; label rows where a task has them."""


def _statistics(report: Report, style: Style) -> list[str]:
    """Tables: findings by rule, most frequent first, and label rows by class."""
    lines = []
    if report.findings:
        first, files = tally(report.findings).first, files_by_rule(report, file_of)
        rows = [("findings", "files", "code", "severity", "name")]
        for code, n in sorted(count_by_rule(report.findings).items(), key=lambda item: -item[1]):
            name, severity = legible(first[code].name), first[code].severity.label
            rows.append((f"{n:,}", f"{files[code]:,}", legible(code), severity, name))
        lines += _table(rows, ">><<<", style)
    classes = {**dict.fromkeys(report.names, 0), **report.class_counts}
    if classes:
        total = sum(classes.values()) or 1
        table = [("class", _COUNTED.get(report.task, "rows"), "share", "name")]
        for cls, n in sorted(classes.items()):
            table.append((str(cls), f"{n:,}", f"{n / total:.1%}", legible(report.names.get(cls, "–"))))
        lines += ([""] if lines else []) + _table(table, ">>><", style)
    return lines


def _table(rows: Sequence[tuple[str, ...]], align: str, style: Style) -> list[str]:
    """Columns padded to their widest cell; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{cell:{a}{w}}" for cell, a, w in zip(row, align, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return [style.paint(lines[0], "1"), *lines[1:]]
