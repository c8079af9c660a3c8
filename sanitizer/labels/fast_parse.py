"""The fast label parser: many files in one buffer, one pass of NumPy over it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.labels.decimals import MARGIN, parse_decimals
from sanitizer.labels.raw_rows import RawRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TAB, _NEWLINE, _SPACE, _DELETE = 9, 10, 32, 127
_PLAIN = bytes((_TAB, _NEWLINE, *range(_SPACE, _DELETE)))
_TOKEN = re.compile(rb"[^ \t\n]+")


def parse_block(parts: Sequence[bytes], files: Sequence[int], first_line: int = 1) -> RawRows | None:
    """Rows of several files, or of one piece of a file.

    Args:
        parts: Contents, without byte-order mark. A piece of a file must start at the start of a line.
        files: Index of the file that each part is from.
        first_line: Line number of the first line of each part.

    Returns:
        The rows, or None where there is any character but printable ASCII, blank, tab and line ends: such text
        has blanks, digits and line ends that only Python's own functions know.
    """
    block = b"\n".join((b" " * MARGIN, *parts, b""))
    if b"\r" in block:
        # The length stays the same, so offsets stay valid. A \r at the end of a part becomes a blank.
        block = block.replace(b"\r\n", b" \n").replace(b"\r", b"\n")
    buf = np.frombuffer(block, np.uint8)
    if buf.max() >= _DELETE:
        return None
    blanks = np.flatnonzero(buf <= _SPACE)
    blank = buf[blanks]
    is_newline = blank == _NEWLINE
    if np.count_nonzero(is_newline) + np.count_nonzero((blank == _SPACE) | (blank == _TAB)) < len(blank):
        return None

    ends_token = np.diff(blanks) > 1
    starts = blanks[:-1][ends_token] + 1
    ends = blanks[1:][ends_token]
    tokens_before = np.zeros(len(blanks), np.int64)
    np.cumsum(ends_token, out=tokens_before[1:])

    # The margin is a separate line without tokens, so every line has a line end before it.
    line_ends = blanks[is_newline]
    line_starts = line_ends[:-1] + 1
    tokens_in_line = np.diff(tokens_before[is_newline])
    rows = np.flatnonzero(tokens_in_line)
    n_columns = tokens_in_line[rows]
    part, line = _lines_of_parts([len(p) for p in parts], line_starts)
    numbers, refused, unusual = parse_decimals(block, starts, ends)
    first_token = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(n_columns, out=first_token[1:])
    return RawRows(
        file=np.asarray(files, np.int32)[part[rows]],
        line=(line[rows] + first_line).astype(np.int32),
        n_columns=n_columns.astype(np.int32),
        first_token=first_token,
        tokens=numbers,
        token_column=(starts - np.repeat(line_starts[rows] - 1, n_columns)).astype(np.int32),
        refused=refused,
        unusual=unusual,
        text=lambda i: block[starts[i] : ends[i]].decode("ascii"),
    )


def parse_wide_line(
    data: bytes, start: int, stop: int, piece_bytes: int, file: int, line: int
) -> RawRows | None:
    """The row of the single line data[start:stop], parsed in pieces so that only its numbers grow with it.

    Args:
        data: Text without carriage returns.
        start, stop: Where the line begins, and where the next one does.
        piece_bytes: Length of a piece, unless a single token is longer.
        file, line: Index of the file and number of the line.

    Returns:
        As `parse_block`.
    """
    if data[start:stop].translate(None, _PLAIN):
        return None
    tokens, columns, refused, unusual = [], [], [], []
    n_tokens, at = 0, start
    while at < stop:
        end = _piece_end(data, at, stop, piece_bytes)
        piece = parse_block([data[at:end]], [file])
        assert piece is not None
        tokens.append(piece.tokens)
        columns.append(piece.token_column + np.int32(at - start))
        refused.append(piece.refused + n_tokens)
        unusual.append(piece.unusual + n_tokens)
        n_tokens += len(piece.tokens)
        at = end
    n_rows = int(n_tokens > 0)
    column = np.concatenate(columns)

    def text(i: int) -> str:
        match = _TOKEN.match(data, start + int(column[i]) - 1)
        assert match is not None
        return match[0].decode("ascii")

    return RawRows(
        file=np.full(n_rows, file, np.int32),
        line=np.full(n_rows, line, np.int32),
        n_columns=np.full(n_rows, n_tokens, np.int32),
        first_token=np.array([0, n_tokens][: n_rows + 1], np.int64),
        tokens=np.concatenate(tokens),
        token_column=column,
        refused=np.concatenate(refused),
        unusual=np.concatenate(unusual),
        text=text,
    )


def _piece_end(data: bytes, at: int, stop: int, piece_bytes: int) -> int:
    """Where a piece that begins at `at` may end: after a blank."""
    limit = at + piece_bytes
    if limit >= stop:
        return stop
    end = max(data.rfind(b" ", at, limit), data.rfind(b"\t", at, limit)) + 1
    if end:
        return end
    blank = data.find(b" ", limit, stop)
    blank = blank if blank >= 0 else stop - 1
    tab = data.find(b"\t", limit, blank)
    return (tab if tab >= 0 else blank) + 1


def _lines_of_parts(
    lengths: list[int], line_starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64 (L,): the part that each line is in, and its number in the part, from zero."""
    part_starts = np.cumsum([MARGIN + 1, *(n + 1 for n in lengths)])
    first = np.searchsorted(line_starts, part_starts)
    n_lines = np.diff(first)
    return np.repeat(np.arange(len(lengths)), n_lines), np.arange(len(line_starts)) - np.repeat(
        first[:-1], n_lines
    )
