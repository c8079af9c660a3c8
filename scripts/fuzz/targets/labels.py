"""Label files: nothing in them raises; every reader of ours reads the rows that Python itself reads.

The first byte is the task; the rest are files, with the byte 0xFE between them.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from sanitizer.dataset.tables import FileStatus, LabelTable, TaskSpec
from sanitizer.labels.exact_parse import parse_text
from sanitizer.labels.fast_parse import parse_block
from sanitizer.labels.label_files import parse_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.labels.raw_rows import RawRows

MAX_BYTES = 2048
SPLIT = b"\xfe"
MOST_FILES = 4
SPECS = (
    TaskSpec("detect", 3, {0: "cat", 1: "dog", 2: "fire truck"}),
    TaskSpec("segment", 3),
    TaskSpec("obb", 3),
    TaskSpec("pose", 3, {}, (2, 3)),
)
WORDS = (
    *(
        b"0.5",
        b"1e400",
        b"-1e-400",
        b"nan",
        b"inf",
        b"1_0",
        b"0x1p-1",
        b".",
        b"1e",
        b"0,5",
        b";",
        b"\t",
        b"\r\n",
    ),
    *(
        b"\r",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        "\u2028".encode(),
        "\u00a0".encode(),
        "٠".encode(),
        b"\x1c",
    ),
    *(b"0.30000000000000004", b"3.4028235677973366e38", b"0.1234567890123456789", b"e-5", b"0000000000"),
    *(b"version https://git-lfs.github.com/spec/", SPLIT),
)


def seeds() -> Iterator[bytes]:
    """Rows of every kind, and the oddities of real exports."""
    for number, files in enumerate(_files()):
        yield bytes([number]) + files


def _files() -> Iterator[bytes]:
    box = b"0 0.5 0.5 0.4 0.3"
    polygon, corners = b"1 0.1 0.1 0.5 0.1 0.5 0.5", b"1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"
    pose = box + b" 0.5 0.5 2 0.6 0.6 1"
    for row in (box, polygon, corners, pose):
        yield row + b"\n"
        yield row + b"\r\n" + row + b"\r" + row
    yield b""
    yield b"\xef\xbb\xbf" + box
    yield box.replace(b" ", b"\t") + b"\n\n  " + box.replace(b"0.", b".")
    yield b"cat 0.5 0.5 0.4 0.3\n0 0,5 0,5 0,4 0,3\n0 nan inf 1e400 -1\n"
    yield (box.decode() + "\n").encode("utf-16")
    yield "0 0.5\u00a00.5 0.4 0.3\u20280 ٠.٥ 0.5 1_0 0.3\n".encode()
    yield SPLIT.join((box, b"", polygon + b"\n", b"\r", b"0 x"))
    yield b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    yield (box + b"\n") * 60


def check(data: bytes) -> None:
    """See the module."""
    spec = SPECS[data[0] % len(SPECS) if data else 0]
    files = data[1:].split(SPLIT)[:MOST_FILES]
    alone = [parse_labels([file], spec) for file in files]
    for file, table in zip(files, alone, strict=True):
        _check_alone(file, table)
        _check_fast(file)
    if len(files) > 1:
        together = parse_labels(files, spec)
        assert _rows(together) == [row for table in alone for row in _rows(table)], (
            "a file changes its neighbour"
        )
        assert together.status.tolist() == [int(table.status[0]) for table in alone]


def _check_alone(file: bytes, table: LabelTable) -> None:
    assert all(fault.rule and fault.file == 0 for fault in table.faults)
    read = table.status[0] in (FileStatus.OK, FileStatus.EMPTY)
    trained = _rows_of_training(file)
    if read and trained is not None:
        assert table.n_columns.tolist() == list(map(len, trained)), "not the rows that training reads"
        numbers = [_number(token) for row in trained for token in row]
        assert _bits(table.tokens.tolist()) == _bits(numbers), "not the numbers that training reads"


def _check_fast(file: bytes) -> None:
    """Where the fast parser takes a text, it gives what the exact one gives."""
    if not file.isascii():
        return
    fast = parse_block([file], [0])
    if fast is not None:
        assert _raw(fast) == _raw(parse_text(file.decode("ascii"), 0)), "the two parsers differ"


def _rows_of_training(data: bytes) -> list[list[str]] | None:
    """The rows as Ultralytics reads them (verify_image_label); None where it cannot."""
    try:
        with io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig") as file:
            return [line.split() for line in file.read().strip().splitlines() if line.strip()]
    except UnicodeDecodeError:
        return None


def _number(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return float("nan")


def _bits(numbers: Sequence[float]) -> list[bytes]:
    """By their bits, so that -0.0 is not 0.0; every NaN is the same."""
    return [struct.pack("d", x) if x == x else b"nan" for x in numbers]


def _rows(table: LabelTable) -> list[tuple[object, ...]]:
    first = table.first_token.tolist()
    tokens, columns = _bits(table.tokens.tolist()), table.token_column.tolist()
    facts = zip(table.line.tolist(), table.kind.tolist(), first[:-1], first[1:], strict=True)
    return [(line, kind, tokens[a:b], columns[a:b]) for line, kind, a, b in facts]


def _raw(rows: RawRows) -> tuple[object, ...]:
    lists = (rows.line, rows.n_columns, rows.first_token, rows.token_column, rows.refused, rows.unusual)
    texts = [rows.text(i) for i in range(len(rows.tokens))]
    return (*(values.tolist() for values in lists), _bits(rows.tokens.tolist()), texts)
