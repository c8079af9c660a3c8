"""CSV for annotators: opens in any spreadsheet, has room for a decision, runs nothing, and is one line a finding.

Control and direction characters of names and messages are written as escapes (``\\x1b``, ``\\u202e``): a spreadsheet
would hide them, and a terminal would obey them.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from sanitizer.findings.finding import COLUMNS
from sanitizer.reports.common import plain_record
from sanitizer.util.escape import inert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report

CSV_COLUMNS = (*COLUMNS, "decision", "comment")
BOM = "\ufeff"
_FINGERPRINT = COLUMNS.index("fingerprint")

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
        cells[_FINGERPRINT] = _no_number(str(cells[_FINGERPRINT]))
        yield writer.writerow([*cells, "", ""])


def text_of(cell: str) -> str:
    """The text that was written into a cell: without the apostrophe that kept a spreadsheet from acting on it."""
    return cell.removeprefix("'")


def _no_number(fingerprint: str) -> str:
    """The fingerprint; a spreadsheet would round one that is all digits, or read 12e34 as a number."""
    digits = fingerprint.replace("e", "", 1)
    return f"'{fingerprint}" if digits.isascii() and digits.isdigit() else fingerprint


def guarded(value: object) -> object:
    """The value; text has its control characters escaped, and an apostrophe in front where a spreadsheet would run it.

    Text that starts with an apostrophe gets one more, so that taking one away gives every text back. Numbers stay:
    -0.5 is no formula.
    """
    if not isinstance(value, str):
        return value
    text = inert(value)
    # The start is judged as it came: a spreadsheet drops what it cannot show, and then reads on.
    acts = text.startswith("'") or any(t.lstrip(" ").startswith(_FORMULA_STARTS) for t in (value, text))
    return f"'{text}" if acts else text
