"""The exact label parser: Python's own functions on one text, exactly as Ultralytics reads it."""

from __future__ import annotations

import re
from array import array

import numpy as np

from sanitizer.labels.raw_rows import RawRows

_TOKEN = re.compile(r"\S+")  # \s is str.isspace(), as in str.split()


def parse_text(text: str, file: int, first_line: int = 1) -> RawRows:
    """Rows of one text, without byte-order mark.

    Ultralytics opens label files in text mode, where \\n, \\r\\n and \\r all end a line, and then splits by
    str.splitlines, str.split and float, which know Unicode line ends, blanks and digits. So a physical line
    may hold several rows; each row gets the number of that line.
    """
    lines, n_columns, columns = array("i"), array("i"), array("i")
    numbers = array("d")
    texts: list[str] = []
    refused: list[int] = []
    unusual: list[int] = []
    for line_number, line in enumerate(_physical_lines(text), first_line):
        offset = 1
        for row in line.splitlines(keepends=True):
            n_before = len(numbers)
            for match in _TOKEN.finditer(row):
                token = match[0]
                number = _float_or_none(token)
                if number is None:
                    refused.append(len(numbers))
                elif "_" in token or not token.isascii():
                    unusual.append(len(numbers))
                numbers.append(np.nan if number is None else number)
                columns.append(offset + match.start())
                texts.append(token)
            offset += len(row)
            if len(numbers) > n_before:
                lines.append(line_number)
                n_columns.append(len(numbers) - n_before)
    first_token = np.zeros(len(lines) + 1, np.int64)
    np.cumsum(n_columns, out=first_token[1:])
    return RawRows(
        file=np.full(len(lines), file, np.int32),
        line=np.array(lines, np.int32),
        n_columns=np.array(n_columns, np.int32),
        first_token=first_token,
        tokens=np.array(numbers, np.float64),
        token_column=np.array(columns, np.int32),
        refused=np.array(refused, np.int64),
        unusual=np.array(unusual, np.int64),
        text=texts.__getitem__,
    )


def _physical_lines(text: str) -> list[str]:
    """Lines as text mode and editors count them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _float_or_none(token: str) -> float | None:
    if "\0" in token:  # the error of float() would quote the whole token, which may have a hundred megabytes
        return None
    try:
        return float(token)
    except ValueError:
        return None
