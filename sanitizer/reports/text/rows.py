"""The label row behind a finding as it stands in its file now, with carets under what the finding is about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from sanitizer.reports.label_lines import MAX_LABEL_BYTES, lines_of
from sanitizer.storage.opening import is_remote
from sanitizer.util.bounded_read import TooLargeError, read_bounded
from sanitizer.util.escape import legible
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

SHOWN_CHARACTERS = 96
"""Of a row: a polygon of a thousand points is shown around the token that is meant."""
_BEFORE_TOKEN = 40
_CUT = "…"


class RowQuoter:
    """Quotes the label rows of a report's findings. Findings come file by file, so one file is held at a time.

    Args:
        report: Its root must be a folder of this machine; rows of other datasets are not quoted.
    """

    def __init__(self, report: Report) -> None:
        self._root = None if is_remote(report.root) or not os.path.isdir(report.root) else report.root
        self._label: str | None = None
        self._lines: Sequence[bytes] = ()

    def quoted(self, finding: Finding) -> list[str]:
        """Two lines: the row behind its number, and carets under it; none where there is no row to quote."""
        if finding.label is None or finding.line is None or self._root is None:
            return []
        if finding.label != self._label:
            self._label, self._lines = finding.label, _read_lines(join_path(self._root, finding.label))
        if not 1 <= finding.line <= len(self._lines):
            return []
        text, carets = marked(self._lines[finding.line - 1], finding.column)
        return [f"{finding.line:>5} | {text}", f"{'':>5} | {carets}"] if text.strip() else []


def marked(line: bytes, column: int | None) -> tuple[str, str]:
    """(the row, shortened around its token; carets that stand under the token, or under the row where it is None).

    Args:
        line: The row without its end.
        column: 1-based character at which the token starts.
    """
    # A character has at most four bytes, so nothing behind what is shown is decoded.
    furthest = (column or 1) + SHOWN_CHARACTERS
    text = line[: 4 * furthest].decode("utf-8", "surrogateescape").replace("\t", " ")
    start = 0 if column is None or column > len(text) else column - 1
    token = text if column is None else text[start:].split(" ", 1)[0] or text[start : start + 1]
    first = max(0, start - _BEFORE_TOKEN) if len(text) > SHOWN_CHARACTERS else 0
    last = first + SHOWN_CHARACTERS
    is_cut = last < len(text) or 4 * furthest < len(line)
    before = (_CUT if first else "") + legible(text[first:start])
    under = legible(token[: last - start].rstrip())
    shown = (_CUT if first else "") + legible(text[first:last]).rstrip() + (_CUT if is_cut else "")
    return shown, " " * _cells(before) + "^" * max(1, _cells(under))


def _cells(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _read_lines(path: str) -> Sequence[bytes]:
    """Lines of a label file; none where it cannot be read, or is too large."""
    try:
        return lines_of(read_bounded(path, MAX_LABEL_BYTES))
    except (OSError, ValueError, TooLargeError):
        return ()
