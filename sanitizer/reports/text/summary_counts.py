"""The findings of a report counted for its summary, in one pass over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.findings.finding import Severity, tally
from sanitizer.util.spill import Buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sanitizer.findings.finding import Finding, Tally
    from sanitizer.findings.report import Report
    from sanitizer.rules.language.pack import Rule

    Reasons = list[tuple[str, str, int]]
    """(code, name, how many), most first."""

UNITS_HELD = 200_000
"""Names of files and images that are held to count each once; of more, 64-bit hashes go to a file."""


class SummaryCounts:
    """The findings of a report, counted by what training does with the files and rows that they name.

    `crashes` to `doubtful` list (code, name of the rule, how many), the largest number first. Files and images are
    counted once for each rule.

    Attributes:
        tally: Findings by rule and severity.
        crashes: Files at which training stops.
        drops: Images that training leaves out.
        background: Images that training reads as background.
        left_out: Rows that training leaves out.
        doubtful: Rows that training learns from although a finding names them.
        advice: Code to the suggestion of the first of its gravest findings.
        agreed: Code to whether all of these suggest the same.
        gravest: Code to the worst severity of its findings.
        worst_explained, worst_unexplained: Worst severity of findings with a cause, and without; -1 for none.
        cause_of: Code to the cause of its first finding with one.
    """

    def __init__(self, report: Report, rules: Mapping[str, Rule]) -> None:
        self.tally: Tally = tally(report.findings)
        distinct = _Distinct()
        self._names: dict[tuple[str, str, str], int] = {}
        rows: dict[tuple[str, str, str], int] = {}
        self.advice: dict[str, str | None] = {}
        self.agreed: dict[str, bool] = {}
        self.gravest: dict[str, Severity] = {}
        self.worst_explained = self.worst_unexplained = -1
        self.cause_of: dict[str, str] = {}
        is_read = read_by_training(report)
        for f in report.findings:
            self._note(f)
            if f.kind == "background":
                distinct.add(self._number("background", f), f.image or f.label)
            if not is_read(f):
                continue
            training = rules[f.rule].training if f.rule in rules else None
            if training == "crashes" and f.severity == Severity.ERROR:
                distinct.add(self._number("crashes", f), f.file or f.label or f.image)
            if training not in ("drops-image", "drops-row", "trains"):
                continue
            lost = f.image in report.dropped
            if training == "drops-image" and lost:
                distinct.add(self._number("drops", f), f.image or f.label)
            elif training == "drops-row" and not lost:
                _count(rows, "left_out", f)
            # What some case of a rule does not cost the image is trained as it is, such as a box of no size.
            elif (
                not lost
                and (training == "trains" or f.image)
                and training != "drops-row"
                and f.severity > Severity.INFO
                and rules[f.rule].scope == "row"
            ):
                _count(rows, "doubtful", f)
        counts = distinct.counts(len(self._names))
        of_names = {key: counts[number] for key, number in self._names.items()}
        self.crashes, self.drops, self.background = (
            _ranked(of_names, what) for what in ("crashes", "drops", "background")
        )
        self.left_out, self.doubtful = (_ranked(rows, what) for what in ("left_out", "doubtful"))

    def _note(self, f: Finding) -> None:
        if f.cause is None:
            self.worst_unexplained = max(self.worst_unexplained, f.severity)
        else:
            self.cause_of.setdefault(f.rule, f.cause)
            self.worst_explained = max(self.worst_explained, f.severity)
        if f.severity > self.gravest.get(f.rule, -1):
            self.gravest[f.rule], self.advice[f.rule], self.agreed[f.rule] = f.severity, f.suggestion, True
            return
        if f.severity == self.gravest[f.rule]:
            self.agreed[f.rule] &= self.advice[f.rule] == f.suggestion

    def _number(self, what: str, f: Finding) -> int:
        return self._names.setdefault((what, f.rule, f.name), len(self._names))


def files_by_rule(report: Report, file_of: Callable[[Finding, Report], str]) -> dict[str, int]:
    """Code to the number of distinct files that its findings are in."""
    distinct, numbers = _Distinct(), dict[str, int]()
    for f in report.findings:
        distinct.add(numbers.setdefault(f.rule, len(numbers)), file_of(f, report))
    counts = distinct.counts(len(numbers))
    return {code: counts[number] for code, number in numbers.items()}


def read_by_training(report: Report) -> Callable[[Finding], bool]:
    """Whether training reads what a finding is about: it looks at no label file without image.

    Where no image is there at all, the labels are judged as if theirs stood somewhere else.
    """
    if report.files_only or not report.summary.images:
        return lambda finding: True
    return lambda finding: bool(finding.image or not finding.label)


def _count(rows: dict[tuple[str, str, str], int], what: str, f: Finding) -> None:
    key = (what, f.rule, f.name)
    rows[key] = rows.get(key, 0) + 1


def _ranked(counts: Mapping[tuple[str, str, str], int], what: str) -> Reasons:
    found = [(code, name, n) for (kind, code, name), n in counts.items() if kind == what]
    return sorted(found, key=lambda reason: (-reason[2], reason[:2]))


class _Distinct:
    """Counts distinct names in each of several groups."""

    def __init__(self) -> None:
        self._held: set[tuple[int, str | None]] = set()
        self._hashes: Buckets | None = None
        self._last: dict[int, str | None] = {}

    def add(self, group: int, name: str | None) -> None:
        # Findings come file by file, so most names are that of the finding before.
        if group in self._last and self._last[group] == name:
            return
        self._last[group] = name
        self._held.add((group, name))
        if len(self._held) >= UNITS_HELD:
            self._flush()

    def counts(self, groups: int) -> list[int]:
        """How many distinct names each group has."""
        if self._hashes is None:
            return (
                np.bincount([group for group, _ in self._held], minlength=groups).tolist() if groups else []
            )
        self._flush()
        counts = np.zeros(groups, np.int64)
        for rows in self._hashes:
            distinct = np.unique(rows)
            counts += np.bincount(distinct["group"], minlength=groups)
        return counts.tolist()

    def _flush(self) -> None:
        """Keep hashes in place of names. Two names of one hash would count once: their chance is n**2 in 2**65."""
        if self._hashes is None:
            fields = [("key", np.uint64), ("group", np.int64)]
            self._hashes = Buckets(fields, _MANY, "the names of files with findings")
        key = np.array([hash(name) for _, name in self._held], np.int64).view(np.uint64)
        self._hashes.add(key=key, group=[group for group, _ in self._held])
        self._held.clear()


_MANY = 64_000_000
"""Names for which hashes are sorted in parts that fit in memory; each part grows with more of them."""
