"""The annotator's sheet read back: which findings are to be fixed, whose rows dropped, which kept."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from sanitizer.fixes.repair.repairs import can_repair
from sanitizer.reports.csv_ import text_of
from sanitizer.util.bounded_read import MIB, TooLargeError, read_bounded
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence, Set

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.fixes.repair.policy import Decision
    from sanitizer.images.image_files import ImageMode
    from sanitizer.rules.language.rule import Rule

DECISIONS = ("fix", "drop", "keep")
_NEEDED = ("rule", "fingerprint", "decision")
_MARKS = "\ufeffï»¿"
"""The byte-order mark, as such and read as if it were Latin letters."""
_ZIP = b"PK\x03\x04"
_MAX_HEAD = 1000
_MAX_SHEET_BYTES = 64 * MIB
_BY_PIXELS = ("image", "dataset")
"""What rules are about that find more where images are decoded."""


class DecisionsError(Exception):
    """The sheet cannot be used; the text is a sentence that names file and line."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One row of the sheet with a decision.

    Attributes:
        fingerprint: Of its finding; "" where the row decides a whole cause.
        decision, rule: As the sheet states them.
        where: Its place, as the sheet states it.
        line: Of the row in the sheet.
        cause: Id of the cause.
    """

    fingerprint: str
    decision: Decision
    rule: str
    where: str
    line: int
    cause: str = ""

    @property
    def is_of_cause(self) -> bool:
        """Whether the row decides all that a cause explains, and no single finding."""
        return not self.fingerprint and bool(self.cause)


@dataclass(slots=True)
class Review:
    """The decisions of a person, held against what is found in the dataset now.

    Attributes:
        decided: Fingerprint to decision; None where there was no review.
        excluded: Image to be left out, as findings write its path, to the reason.
        refused: Sentences on decisions that cannot be carried out.
    """

    decided: dict[str, Decision] | None = None
    excluded: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def review(
    path: str, report: Report, rules: Mapping[str, Rule], look: Callable[[ImageMode], Report], in_place: bool
) -> Review:
    """Read a sheet and match its rows with findings.

    Args:
        path: The sheet.
        report: What is found without decoding images.
        rules: Code to rule, the user's own among them.
        look: Scans again: the sheet may be of a scan that decoded them.
        in_place: Labels are repaired where they are, and no image is left out.

    Raises:
        DecisionsError, OSError: As for `read_decisions`.
    """
    rows = read_decisions(path)
    found = {f.fingerprint: f for f in report.findings}
    by_pixels = {code for code, rule in rules.items() if rule.about in _BY_PIXELS}
    if any(row.rule in by_pixels and row.fingerprint not in found for row in rows):
        found |= {f.fingerprint: f for f in look("decode").findings}
    claimed = {f.fingerprint: f.cause for f in found.values() if f.cause is not None and _is_of_row(f)}
    of_causes = {row.cause: row.decision for row in rows if row.is_of_cause}
    decided = {key: of_causes[cause] for key, cause in claimed.items() if cause in of_causes}
    reviewed = Review(decided)
    known, readable = set(claimed.values()), {cause.id for cause in report.causes if cause.fix}
    for row in rows:
        if row.is_of_cause:
            if row.cause not in known:
                place = f"{path}:{row.line}: {row.decision} {row.cause}"
                reviewed.refused.append(
                    f"{place}: no cause of the dataset as it is now has this id; not applied"
                )
            continue
        finding = found.get(row.fingerprint)
        problem = _problem(row, finding, readable, in_place)
        if problem:
            place = f"{path}:{row.line}: {row.decision} {row.rule} at {row.where or 'the dataset'}"
            reviewed.refused.append(f"{place}: {problem}")
        elif row.decision == "drop" and finding and not _is_of_row(finding) and finding.image:
            reviewed.excluded[finding.image] = f"decided to drop it: {finding.rule} {finding.message}"
        else:
            decided[row.fingerprint] = row.decision
    return reviewed


def _problem(row: Decided, finding: Finding | None, readable: Set[str], in_place: bool) -> str | None:
    """Why a decision cannot be carried out."""
    if finding is None:
        return "no finding of the dataset as it is now matches this row; not applied"
    if row.decision == "fix" and not can_repair(row.rule) and finding.cause not in readable:
        return f"{row.rule} has no automatic repair (drop removes the row); not applied"
    if row.decision != "drop" or _is_of_row(finding):
        return None
    if finding.image is None:
        return "the finding is about no single row or image; not applied"
    if in_place:
        return (
            "the finding is about a whole image, and images are never deleted; not applied"
            " (--view FOLDER makes a view of the dataset without it)"
        )
    return None


def _is_of_row(finding: Finding) -> bool:
    return finding.label is not None and finding.line is not None


def read_decisions(path: str) -> list[Decided]:
    """Rows of a findings CSV whose column `decision` is filled, as spreadsheets save it.

    Comma, semicolon or tab between cells; UTF-8 with or without mark, UTF-16, or a Windows code page. Columns may have
    been moved, added or deleted, but for rule, fingerprint and decision; rows sorted, deleted, or left blank.

    Raises:
        DecisionsError: The file is no such sheet, holds an unknown decision, or decides one finding in two ways.
        OSError: It cannot be read.
    """
    try:
        text = _decoded(read_bounded(path, _MAX_SHEET_BYTES), path)
    except TooLargeError as error:
        raise DecisionsError(f"{path}: {error.strerror}: keep only the rows with a decision in it") from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    names: list[str] = []
    rows = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if names:
                rows.append(_decided(dict(zip(names, cells, strict=False)), reader.line_num, path))
            elif not _is_excel_hint(cells):
                names = _column_names(cells, path)
    except csv.Error as error:
        raise DecisionsError(f"{path}:{reader.line_num}: {error}") from error
    if not names:
        raise DecisionsError(f"{path}: is empty")
    decided = [row for row in rows if row]
    _refuse_contradictions(decided, path)
    return decided


def _decoded(content: bytes, path: str) -> str:
    """The sheet's text. All that decides is ASCII, so a code page that was guessed wrong spoils no more than names."""
    if content.startswith(_ZIP):
        raise DecisionsError(f"{path}: is a spreadsheet document: save it as CSV")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    if b"\0" in content:
        raise DecisionsError(f"{path}: is no text: save the sheet as 'CSV UTF-8'")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    """What stands between the cells, by the line of column names."""
    lines = (line for line in text.splitlines() if "fingerprint" in line.lower())
    head = next(lines, text[:_MAX_HEAD])
    return max(",;\t", key=head.count)


def _is_excel_hint(cells: Sequence[str]) -> bool:
    """Whether this is the line by which Excel is told the delimiter."""
    return cells[0].lower().lstrip(_MARKS).startswith("sep=")


def _column_names(cells: Sequence[str], path: str) -> list[str]:
    # LibreOffice without a dialog takes the mark for text, in whatever code page.
    names = [text_of(cell.lstrip(_MARKS)).strip().lower() for cell in cells]
    for name in _NEEDED:
        if name not in names:
            raise DecisionsError(
                f"{path}: no column {name!r} in its first line: write it with `sanitize scan … --output FILE.csv`"
            )
        if names.count(name) > 1:
            raise DecisionsError(f"{path}: has {names.count(name)} columns {name!r}: keep one of them")
    return names


def _decided(cells: dict[str, str], line: int, path: str) -> Decided | None:
    decision = text_of(cells.get("decision", "")).strip().lower()
    if not decision:
        return None
    if decision not in DECISIONS:
        guess = did_you_mean(decision, DECISIONS) or f": use {', '.join(DECISIONS)}"
        raise DecisionsError(f"{path}:{line}: {decision!r} is no decision{guess}")
    label = text_of(cells.get("label", "")) or text_of(cells.get("image", ""))
    where = ":".join(filter(None, (label, cells.get("line", ""))))
    fingerprint = text_of(cells.get("fingerprint", "")).strip()
    return Decided(
        fingerprint,
        cast("Decision", decision),
        text_of(cells.get("rule", "")).strip(),
        where,
        line,
        text_of(cells.get("cause", "")).strip(),
    )


def _refuse_contradictions(decided: Sequence[Decided], path: str) -> None:
    first: dict[str, Decided] = {}
    for row in decided:
        other = first.setdefault(row.fingerprint or row.cause, row)
        if other.decision != row.decision:
            raise DecisionsError(
                f"{path}:{row.line}: decides {row.decision!r}, but line {other.line} says {other.decision!r}"
                " of the same finding"
            )
