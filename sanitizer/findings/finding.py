"""Findings: one table of equally long columns, and what identifies a finding when lines move."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


MAX_PER_FILE = 1000
"""Rows of one file that a rule explains one by one. The rest are counted in one closing finding: a file of
millions of bad rows would otherwise drown all others."""

About = Literal["row", "file", "image", "dataset", "recipe", "gradient"]
"""What a rule judges: a label row, a label file, an image, the whole dataset, the training recipe, or the gradients
that the probe measures."""
FindingKind = Literal["background", "no-image", "leak", "ends-process", "not-finite", "not-finite-amp"]
"""Findings that a later stage treats in a way of their own: training reads the image as background; a label file has no
image; copies of an image lie in two splits; reading the file ends the process; a loss or gradient is not finite, or
is so under AMP only."""
ABOUTS: tuple[About, ...] = get_args(About)
KINDS: tuple[FindingKind, ...] = get_args(FindingKind)


class Severity(IntEnum):
    """How bad a finding is; comparable."""

    INFO = 0
    WARNING = 1
    ERROR = 2

    @property
    def label(self) -> str:
        """Lower-case name, as reports write it."""
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Severity:
        """Severity of that name; ValueError for any other text."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"{text!r} is no severity: use error, warning or info") from None


@dataclass(slots=True)
class Finding:
    """One finding: the row of a report. Numbers are None where they do not apply or are not finite.

    Paths are POSIX, relative to the dataset root. x_center … height are normalised, as written in the file.
    `file` is what an editor should open: the label, else the image, else the data.yaml; of a finding about an image
    the image first. `n_more` is set where a finding stands for that many further rows of its file: `line` is the
    first of them, and no other finding names any. `cause` is the id of the cause (`Report.causes`) that explains it.
    `p` is the probability that a label is wrong, from a gradient probe.
    `twin` is the other image of a finding about two, such as the one that `image` is a copy of.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    split: str | None = None
    image: str | None = None
    label: str | None = None
    line: int | None = None
    column: int | None = None
    class_id: int | None = None
    class_name: str | None = None
    x_center: float | None = None
    y_center: float | None = None
    width: float | None = None
    height: float | None = None
    value: float | None = None
    threshold: float | None = None
    suggestion: str | None = None
    fix: str | None = None
    file: str | None = None
    about: About = "row"
    kind: FindingKind | None = None
    n_more: int | None = None
    fingerprint: str = ""
    cause: str | None = None
    twin: str | None = None
    p: float | None = None

    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Order of a report: by file, then place, then rule."""
        return (self.file or "", self.line or 0, self.column or 0, self.rule, self.message)


COLUMNS: tuple[str, ...] = (
    "rule",
    "name",
    "severity",
    "split",
    "image",
    "label",
    "line",
    "column",
    "class_id",
    "class_name",
    "x_center",
    "y_center",
    "width",
    "height",
    "value",
    "threshold",
    "message",
    "suggestion",
    "fix",
    "fingerprint",
    "cause",
    "p",
)
"""Report columns, in the order that JSON and CSV write them."""
JSON_FIELDS: tuple[str, ...] = (*COLUMNS, "file", "about", "kind", "n_more", "twin")
"""Fields of a finding in the JSON report: the columns, and what only programs need."""


WHOLE_COLUMNS = ("line", "column", "class_id")
REAL_COLUMNS = ("x_center", "y_center", "width", "height", "value", "threshold", "p")


def finite(number: float | None) -> float | None:
    """The number, or None where it is None, NaN or infinite: such values never enter a report."""
    return None if number is None or not math.isfinite(number) else float(number)


def storable(number: int | None) -> int | None:
    """The whole number, or None where 64 bits cannot hold it: a label file may name any class id."""
    return number if number is None or -(2**63) <= number < 2**63 else None


def to_record(finding: Finding) -> dict[str, Any]:
    """A finding as one row of a report: `COLUMNS` to values."""
    return _record(finding, COLUMNS)


def to_json_record(finding: Finding) -> dict[str, Any]:
    """A finding as one object of the JSON report: `JSON_FIELDS` to values."""
    return _record(finding, JSON_FIELDS)


def _record(finding: Finding, names: Iterable[str]) -> dict[str, Any]:
    record: dict[str, Any] = {name: getattr(finding, name) for name in names}
    record["severity"] = finding.severity.label
    return record


def fingerprinted(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings into report order and give each its fingerprint."""
    ordered = sorted(findings, key=Finding.sort_key)
    return list(with_fingerprints(ordered)) if ordered else []


def with_fingerprints(ordered: Iterable[Finding]) -> Iterator[Finding]:
    """Give findings that come in report order their fingerprints, one by one.

    A fingerprint is a hash of rule, file and the row's own numbers, not of its line: moving a row keeps it.
    Rows that are equal in all of these are told apart by counting them in order. Such rows are of one file, and
    findings come file by file, so that what was counted is forgotten with the file.
    """
    from hashlib import blake2b  # not worth its time where nothing is found

    seen: dict[str, int] = {}
    file: str | None = None
    for f in ordered:
        if (f.file or "") != file:
            file = f.file or ""
            seen.clear()
        row = (f.class_id, f.x_center, f.y_center, f.width, f.height)
        # Without a row the message says what it is about, once the place is taken out of it.
        about = row if any(v is not None for v in row) else f.message
        key = repr((f.rule, f.file, f.image, about))
        nth = seen[key] = seen.get(key, 0) + 1
        f.fingerprint = blake2b(f"{key}#{nth}".encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()
        yield f


class Tally:
    """Findings in numbers.

    Attributes:
        counts: (code, severity) to number of findings.
        first: Code to the first finding of the rule, in report order.
    """

    __slots__ = ("counts", "first")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, Severity], int] = {}
        self.first: dict[str, Finding] = {}

    def add(self, finding: Finding) -> None:
        """Count the next finding."""
        key = (finding.rule, finding.severity)
        self.counts[key] = self.counts.get(key, 0) + 1
        if finding.rule not in self.first:
            self.first[finding.rule] = finding

    def counting(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """The findings, each counted as it passes."""
        for finding in findings:
            self.add(finding)
            yield finding


def characters_of(finding: Finding) -> int:
    """Length of its texts together, which is most of what it takes in memory."""
    f = finding
    texts = (
        f.message,
        f.image,
        f.label,
        f.file,
        f.suggestion,
        f.class_name,
        f.split,
        f.fix,
        f.fingerprint,
        f.twin,
    )
    return len(f.rule) + len(f.name) + sum([len(text) for text in texts if text])


def tally(findings: Sequence[Finding]) -> Tally:
    """The findings in numbers: counted, or what was counted when they were written to disk."""
    known = getattr(findings, "tally", None)
    if isinstance(known, Tally):
        return known
    counted = Tally()
    for f in findings:
        counted.add(f)
    return counted


def count_by_severity(findings: Sequence[Finding]) -> dict[str, int]:
    """{"error": n, "warning": n, "info": n}."""
    counts = {s.label: 0 for s in sorted(Severity, reverse=True)}
    for (_, severity), n in tally(findings).counts.items():
        counts[severity.label] += n
    return counts


def count_by_rule(findings: Sequence[Finding]) -> dict[str, int]:
    """{code: n} in order of code."""
    counts: dict[str, int] = {}
    for (code, _), n in tally(findings).counts.items():
        counts[code] = counts.get(code, 0) + n
    return dict(sorted(counts.items()))
