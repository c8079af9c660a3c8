"""The fast label parser: many files in one buffer, one pass of NumPy over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.decimals import MARGIN, parse_decimals
from sanitizer.dataset.raw_rows import RawRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TAB, _NEWLINE, _SPACE, _DELETE = 9, 10, 32, 127


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
        # Same length, so places stay. A last \r just before the line end that joins two parts is a blank then.
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

    # The margin is a line of its own, without tokens, so every line has a line end before it.
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
