"""The annotator's sheet read back: which findings are to be fixed, whose rows dropped, which kept."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sanitizer.reports.csv_ import text_of
from sanitizer.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.fixes.policy import Decision

DECISIONS = ("fix", "drop", "keep")
_NEEDED = ("rule", "fingerprint", "decision")


class DecisionsError(Exception):
    """The sheet cannot be used; the text is a sentence that names file and line."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One row of the sheet with a decision. `where` is its place as the sheet states it, `line` that in the sheet."""

    fingerprint: str
    decision: Decision
    rule: str
    where: str
    line: int


def read_decisions(path: str) -> list[Decided]:
    """Rows of a findings CSV whose column `decision` is filled, as spreadsheets save it.

    Comma, semicolon or tab between cells; UTF-8 with or without mark, or UTF-16. Columns may have been moved, added or
    deleted, but for rule, fingerprint and decision.

    Raises:
        DecisionsError: The file is no such sheet, holds an unknown decision, or decides one finding in two ways.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        text = _decoded(file.read(), path)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = [text_of(name).strip().lower() for name in next(reader, [])]
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            raise DecisionsError(
                f"{path}: no column {missing[0]!r} in its first line: write it with `sanitize scan … --output FILE.csv`"
            )
        rows = [_decided(dict(zip(names, cells, strict=False)), reader.line_num, path) for cells in reader]
    except csv.Error as error:
        raise DecisionsError(f"{path}:{reader.line_num}: {error}") from error
    decided = [row for row in rows if row]
    _refuse_contradictions(decided, path)
    return decided


def _decoded(content: bytes, path: str) -> str:
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise DecisionsError(f"{path}: is not UTF-8: save it as 'CSV UTF-8'") from None


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
    return Decided(fingerprint, cast("Decision", decision), cells.get("rule", ""), where, line)


def _refuse_contradictions(decided: Sequence[Decided], path: str) -> None:
    first: dict[str, Decided] = {}
    for row in decided:
        other = first.setdefault(row.fingerprint, row)
        if other.decision != row.decision:
            raise DecisionsError(
                f"{path}:{row.line}: decides {row.decision!r}, but line {other.line} says {other.decision!r}"
                " of the same finding"
            )
