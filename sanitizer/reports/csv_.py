"""CSV for annotators: opens in any spreadsheet, has room for a decision, runs nothing."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from sanitizer.findings.finding import COLUMNS
from sanitizer.reports.common import plain_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report

CSV_COLUMNS = (*COLUMNS, "decision", "comment")
BOM = "\ufeff"

_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the start of a formula (OWASP, CSV Injection), full-width forms included."""


class _Echo:
    """A file to `csv.writer`: hands back what is written."""

    def write(self, text: str) -> str:
        return text


def pieces(report: Report) -> Iterator[str]:
    """The findings as CSV text, in pieces: RFC 4180, a byte-order mark first, `decision` and `comment` empty."""
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    yield BOM
    yield writer.writerow(CSV_COLUMNS)
    for finding in report.findings:
        record = plain_record(finding)
        cells = [guarded(record[name]) for name in COLUMNS]
        cells[COLUMNS.index("fingerprint")] = _no_number(str(record["fingerprint"]))
        yield writer.writerow([*cells, "", ""])


def text_of(cell: str) -> str:
    """The text that was written into a cell: without the apostrophe that kept a spreadsheet from acting on it."""
    return cell.removeprefix("'")


def _no_number(fingerprint: str) -> str:
    """The fingerprint; a spreadsheet would round one that is all digits, or read 12e34 as a number."""
    return f"'{fingerprint}" if fingerprint.replace("e", "", 1).isdigit() else fingerprint


def guarded(value: object) -> object:
    """The value; text that a spreadsheet would run gets an apostrophe in front.

    Text that starts with an apostrophe gets one more, so that taking one away gives every text back. Numbers stay:
    -0.5 is no formula.
    """
    if isinstance(value, str) and (value.startswith("'") or value.lstrip(" ").startswith(_FORMULA_STARTS)):
        return f"'{value}"
    return value
