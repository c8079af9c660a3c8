"""Text for people: one line a finding, then what training would do with the dataset, in plain words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity, count_by_rule, tally
from sanitizer.reports.common import file_of, path_below_cwd, prefix_below_cwd
from sanitizer.reports.text.causes import cause_lines
from sanitizer.reports.text.summary import summary_lines, verdict_lines
from sanitizer.reports.text.summary_counts import files_by_rule
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

LONG_RUN = 200
SHOWN_OF_LONG_RUN = 20
"""On a terminal a rule with over `LONG_RUN` findings shows this many."""

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}


@dataclass(frozen=True, slots=True)
class Style:
    """How to write for whoever reads.

    Attributes:
        colour: Use terminal colours.
        shorten: Leave out most of a rule's findings where it has very many, and say so.
        summary: End with the summary.
        statistics: Count by rule and by class in place of the findings.
    """

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
    """The report as text, line by line: findings as `LABEL:LINE:COLUMN: CODE message`, then the summary."""
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
    """The causes, then every finding that no cause explains."""
    if report.causes:
        yield from verdict_lines(report, style.paint)
        yield from cause_lines(report, style.paint)
        explained = sum(cause.explains for cause in report.causes)
        if explained < len(report.findings):
            yield ""
    yield from _finding_lines(report, style)


def _finding_lines(report: Report, style: Style) -> Iterator[str]:
    prefix = prefix_below_cwd(report) if report.files_only else ""
    totals = count_by_rule(report.findings)
    if report.causes:
        totals = Counter(f.rule for f in report.findings if f.cause is None)
    long_runs = {code for code, n in totals.items() if style.shorten and n > LONG_RUN}
    shown = dict.fromkeys(long_runs, 0)
    for f in report.findings:
        if f.cause is not None:
            continue
        if f.rule in long_runs:
            shown[f.rule] += 1
            if shown[f.rule] > SHOWN_OF_LONG_RUN:
                continue
        yield _finding_line(f, path_below_cwd(f, report, prefix), style)
    for code in sorted(long_runs):
        yield (
            f"… and {totals[code] - SHOWN_OF_LONG_RUN:,} more of {style.paint(legible(code), '1')}: "
            "add `--output findings.csv`, or pipe this into a file, to have them all"
        )


def _finding_line(finding: Finding, path: str, style: Style) -> str:
    place = [style.paint(legible(path), "1")]
    if finding.line is not None:
        # A finding about a whole row stands at its start.
        place += [str(finding.line), str(finding.column or 1)]
    code = style.paint(legible(finding.rule), f"1;{_COLOURS[finding.severity]}")
    return f"{':'.join(place)}: {code} {legible(finding.message)}"


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
