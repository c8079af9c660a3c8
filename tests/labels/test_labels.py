"""The label engine: what it makes of label text, and that its two parsers are one."""

from __future__ import annotations

import io
import math
import os
import struct
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from sanitizer.dataset.tables import (
    Chunk,
    ChunkTables,
    FileStatus,
    ImageTable,
    LabelTable,
    RowKind,
    Task,
    TaskSpec,
)
from sanitizer.findings.finding import MAX_PER_FILE, Severity
from sanitizer.labels import label_files as labels_module
from sanitizer.labels.fast_parse import parse_block
from sanitizer.labels.label_files import BLOCK_BYTES, parse_labels, read_labels
from sanitizer.rules.checks.labels import mixed_rows, row_kind_fits_task
from sanitizer.rules.hits import Params

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DETECT = TaskSpec("detect", 3, {0: "cat", 1: "dog", 2: "Fire truck"})
SEGMENT = TaskSpec("segment", 3)
OBB = TaskSpec("obb", 3)
POSE = TaskSpec("pose", 3, {}, (2, 3))
DETECT_WITH_KEYPOINTS = TaskSpec("detect", 3, {}, (2, 3))
SPECS = [DETECT, SEGMENT, OBB, POSE, DETECT_WITH_KEYPOINTS]

GOOD = b"0 0.5 0.5 0.4 0.3\n"
POLYGON = "0 0.1 0.1 0.5 0.1 0.5 0.5"
CORNERS = "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"
KEYPOINTS = "0 0.5 0.5 0.4 0.3 0.5 0.5 2 0.6 0.6 1"


def table_of(text: str | bytes, spec: TaskSpec = DETECT) -> LabelTable:
    return parse_labels([text.encode() if isinstance(text, str) else text], spec)


def only_fault(text: str | bytes, spec: TaskSpec = DETECT) -> tuple[str, int | None, int | None, str]:
    """(rule, line, column, problem) of the one fault of a text."""
    (fault,) = table_of(text, spec).faults
    return fault.rule, fault.line, fault.column, str(fault.values.get("problem", ""))


def rows_as_training_reads_them(data: bytes) -> list[list[str]]:
    """Ultralytics' own lines (verify_image_label in data/utils.py)."""
    with io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig") as f:
        return [x.split() for x in f.read().strip().splitlines() if x.strip()]


def float_or_nan(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return float("nan")


def bits(numbers: Sequence[float] | np.ndarray) -> list[bytes]:
    """Numbers by their bits, so that -0.0 is not 0.0; every NaN is the same."""
    return [struct.pack("d", x) if x == x else b"nan" for x in numbers]


# ---- the table -------------------------------------------------------------------------------------------------


def test_columns_of_the_table() -> None:
    table = parse_labels([b"1 0.5 0.25 0.125 1.0\n\n 2\t0.1 0.2  0.3 0.4", None, b"", GOOD], DETECT)
    assert table.file.tolist() == [0, 0, 3]
    assert table.line.tolist() == [1, 3, 1]
    assert table.kind.tolist() == [RowKind.BOX] * 3
    assert table.n_columns.tolist() == [5, 5, 5]
    assert table.class_id.tolist() == [1, 2, 0]
    assert table.xywh.tolist() == [[0.5, 0.25, 0.125, 1.0], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.4, 0.3]]
    assert table.first_token.tolist() == [0, 5, 10, 15]
    assert table.token_column.tolist() == [1, 3, 7, 12, 18, 2, 4, 8, 13, 17, 1, 3, 7, 11, 15]
    assert table.status.tolist() == [FileStatus.OK, FileStatus.MISSING, FileStatus.EMPTY, FileStatus.OK]
    assert table.size_bytes.tolist() == [41, -1, 0, 18]
    assert table.numbers_ok.tolist() == [True] * 4
    assert [(f.rule, f.file) for f in table.faults] == [("L007", 2)]


def test_types_are_those_that_the_table_promises() -> None:
    for contents in ([], [None], [GOOD], [GOOD, "0 0.5\u00a00.5 1 1".encode()]):
        table = parse_labels(contents, DETECT)
        promised = {
            **dict.fromkeys(("file", "line", "n_columns", "token_column"), np.int32),
            **dict.fromkeys(("class_id", "xywh", "tokens"), np.float64),
            "kind": np.uint8,
            "first_token": np.int64,
            "status": np.uint8,
            "size_bytes": np.int64,
            "digest": np.uint64,
            "numbers_ok": np.bool_,
        }
        assert {name: getattr(table, name).dtype for name in promised} == promised
        assert table.xywh.shape == (len(table), 4)


def test_equal_bytes_have_equal_digests() -> None:
    table = parse_labels([GOOD, GOOD + b" ", None, GOOD, b""], DETECT)
    a, b, none, c, empty = table.digest.tolist()
    assert a == c != b
    assert none == 0
    assert empty != 0


@pytest.mark.parametrize(
    ("row", "spec", "says", "not_said"),
    [
        ("0 0.5 0.5 0.4 0.3 0.87", DETECT, "confidence", "track"),
        ("0 0.5 0.5 0.4 0.3 12", DETECT, "track id", "confidence"),
        ("0 0.5 0.5 0.4 0.3 1", DETECT, "track id or a flag", "confidence"),
        ("0 0.5 0.5 0.4 0.3 -35.5", DETECT, "no place for a sixth", "confidence"),
        ("0 0.5 0.5 0.4 0.3 0.87", OBB, "four corners", "confidence"),
        ("0 1952 0.1 0.1 0.5 0.1 0.5 0.5", SEGMENT, "the second, 1952, looks like an id", "even number"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1", SEGMENT, "even number", "an id"),
    ],
)
def test_a_column_too_many_is_named_by_its_number(row: str, spec: TaskSpec, says: str, not_said: str) -> None:
    *_, problem = only_fault(row, spec)
    assert says in problem
    assert not_said not in problem


@pytest.mark.parametrize(
    ("spec", "row", "kind"),
    [
        (DETECT, "0 0.5 0.5 0.4 0.3", RowKind.BOX),
        (DETECT, POLYGON, RowKind.POLYGON),
        (DETECT, CORNERS, RowKind.POLYGON),
        (DETECT, "0 1 1 1", RowKind.FAULTY),
        (DETECT, "0 1 1 1 1 1", RowKind.FAULTY),
        (DETECT, "0 1 1 1 1 1 1 1", RowKind.FAULTY),
        (DETECT_WITH_KEYPOINTS, KEYPOINTS, RowKind.POSE),
        (DETECT_WITH_KEYPOINTS, POLYGON, RowKind.POLYGON),
        (SEGMENT, POLYGON, RowKind.POLYGON),
        (SEGMENT, CORNERS, RowKind.POLYGON),
        (SEGMENT, "0 0.5 0.5 0.4 0.3", RowKind.BOX),
        (OBB, CORNERS, RowKind.OBB),
        (OBB, POLYGON, RowKind.POLYGON),
        (OBB, "0 0.5 0.5 0.4 0.3", RowKind.BOX),
        (POSE, KEYPOINTS, RowKind.POSE),
        (POSE, "0 0.5 0.5 0.4 0.3", RowKind.BOX),
        (POSE, POLYGON, RowKind.FAULTY),
        (DETECT, "0 0.5 0.5 0.4 nan", RowKind.FAULTY),
        (DETECT, "0 0.5 0.5 0.4 1e39", RowKind.FAULTY),
        (DETECT, "0 0.5 0.5 0.4 x", RowKind.FAULTY),
    ],
)
def test_kind_follows_from_columns_and_task(spec: TaskSpec, row: str, kind: RowKind) -> None:
    assert table_of(row, spec).kind.tolist() == [kind]


def test_box_of_each_kind_of_row() -> None:
    text = f"{POLYGON}\n0 0.5 0.5 0.4 0.3\n0 1 1\n1 0.9 0.2 0.1 0.4 0.3 0.3 0.2 0.8\n"
    expected = [[0.3, 0.3, 0.4, 0.4], [0.5, 0.5, 0.4, 0.3], [np.nan] * 4, [0.5, 0.5, 0.8, 0.6]]
    np.testing.assert_allclose(table_of(text).xywh, expected)
    np.testing.assert_allclose(table_of(KEYPOINTS, POSE).xywh, [[0.5, 0.5, 0.4, 0.3]])


# ---- faults ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule", "line", "column", "said"),
    [
        (b"0 0.5 0.5 0.4 0.3\n1 0.5 \xe9", "L001", 2, 7, "0xE9"),
        ("0 0.5 é\r\n0 \udcff".encode("utf-8", "surrogateescape"), "L001", 2, 3, "0xFF"),
        (GOOD.decode().encode("utf-16"), "L001", 1, 1, "UTF-16"),
        (GOOD.decode().encode("utf-16-le"), "L001", 1, 1, "UTF-16"),
        ("0 0.5 0.5 0.4 0.3\r\n".encode("utf-16"), "L001", 1, 1, "UTF-16"),
        (GOOD.decode().encode("utf-16-be"), "L001", 1, 1, "UTF-16"),
        (GOOD.decode().encode("utf-32"), "L001", 1, 1, "UTF-32"),
        (GOOD.decode().encode("utf-32-be"), "L001", 1, 1, "UTF-32"),
        (GOOD + b"\0\0\0", "L001", 2, 1, "NUL"),
        (b"\0" * 500, "L001", 1, 1, "NUL"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "L001", 1, 1, "JPEG"),
        ("0 1 1 1", "L002", 1, None, "4 columns"),
        ("\n0 1 1 1 1 0.9", "L002", 2, None, "confidence"),
        ("0 1 1 1 1 1 1 1", "L002", 1, None, "even"),
        ("0", "L002", 1, None, "1 column,"),
        ("Dog 0.5 0.5 0.4 0.3", "L003", 1, 1, "its number 1"),
        ("'Fire truck' 0.5 0.5 0.4 0.3", "L003", 1, 1, "'Fire"),
        ("bird 0.5 0.5 0.4 0.3", "L003", 1, 1, "no class 'bird'"),
        ("0,0.5,0.5,0.4,0.3", "L003", 1, 1, "5 values with commas"),
        ("0;0.5;0.5;0.4;0.3", "L003", 1, 1, "5 values with semicolons"),
        ("0, 0.5, 0.5, 0.4, 0.3", "L003", 1, 1, "comma beside"),
        ("0 0,5 0,5 0,4 0,3", "L003", 1, 3, "decimal point (and 3 more in this row)"),
        ("0 0.5 0.5.5 0.4 0.3", "L003", 1, 7, "y_center is '0.5.5'"),
        ("0 0.5 −0.5 0.4 0.3", "L003", 1, 7, "U+2212"),
        ("0 0.5 0.5\u200b 0.4 0.3", "L003", 1, 7, "U+200B"),
        ("0 [0.5 0.5 0.4 0.3]", "L003", 1, 3, "brackets"),
        ("0 . 0.5 0.4 0.3", "L003", 1, 3, "x_center"),
        ("1_0 0.5 0.5 0.4 0.3", "L003", 1, 1, "read as 10"),
        ("٢ 0.5 0.5 0.4 0.3", "L003", 1, 1, "read as 2"),
        ("0 nan 0.5 0.4 0.3", "L004", 1, 3, "not a number"),
        ("0 0.5 -Infinity 0.4 0.3", "L004", 1, 7, "infinite"),
        ("0 1e400 0.5 0.4 0.3", "L004", 1, 3, "overflows every"),
        ("0 1e39 0.5 0.4 0.3", "L004", 1, 3, "overflows float32"),
        (b"", "L007", None, None, ""),
        (b"\xef\xbb\xbf0 0.5 0.5 0.4 0.3", "L009", 1, None, "byte-order mark"),
        ("0 0.5 0.5 0.4 0.3\r\n0 0.1 0.1 0.1 0.1\r", "L009", 2, None, "carriage return"),
        ("0 0.5 0.5 0.4 0.3\n0 0.1\u00a00.1 0.1 0.1", "L009", 2, 6, "U+00A0"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "L008", 1, None, ""),
    ],
)
def test_fault(text: str | bytes, rule: str, line: int | None, column: int | None, said: str) -> None:
    found = only_fault(text)
    assert found[:3] == (rule, line, column)
    assert said in found[3]


@pytest.mark.parametrize(
    "text",
    [
        "0 0.5 0.5 0.4 0.3",
        "0\t0.5\t0.5\t0.4\t0.3\r\n1 0.5 0.5 0.4 0.3\r\n",
        "\n\n  0 0.5   0.5 0.4 0.3  \n\n",
        "1.0 5e-1 .5 +4E-1 0.3",
        "0 1e-400 -0 0.4 0.3",
    ],
)
def test_harmless_text_has_no_fault(text: str) -> None:
    assert table_of(text).faults == []


def test_wrong_pose_count_is_a_keypoint_fault() -> None:
    rule, line, _, problem = only_fault(f"{KEYPOINTS}\n{KEYPOINTS} 0.5\n", POSE)
    assert (rule, line) == ("K001", 2)
    assert "12 columns" in problem
    assert "needs 11" in problem


def test_overflow_starts_where_float32_does() -> None:
    for text in ("3.4028235677973362e38", "3.4028235677973366e38", "-3.4028235677973367e38", "1e39"):
        with np.errstate(over="ignore"):
            is_infinite = np.isinf(np.float32(float(text)))
        assert bool(table_of(f"0 {text} 1 1 1").faults) == is_infinite


def test_a_file_of_garbage_has_a_thousand_faults_and_a_count() -> None:
    contents = [GOOD, b"x\n" * 5000 + b"cat 1 1 1 1\n" * (BLOCK_BYTES // 5), b"y"]
    faults = [f for f in parse_labels(contents, DETECT).faults if f.file == 1]
    n_rows = 5000 + BLOCK_BYTES // 5
    assert len(faults) == MAX_PER_FILE + 1
    assert faults[-1].line == MAX_PER_FILE + 1
    assert faults[-1].n_more == n_rows - MAX_PER_FILE
    assert [f.file for f in parse_labels(contents, DETECT).faults if f.file != 1] == [2]


def test_files_without_rows() -> None:
    lfs = b"version https://git-lfs.github.com/spec/v1\n"
    marks = [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"]
    assert [rows_as_training_reads_them(mark) for mark in marks] == [[], [], []]
    table = parse_labels([None, b" \r\n\t", *marks, b"\xff", lfs], DETECT)
    refused = [FileStatus.NOT_TEXT, FileStatus.LFS_POINTER]
    assert table.status.tolist() == [FileStatus.MISSING, *[FileStatus.EMPTY] * 4, *refused]
    assert table.numbers_ok.tolist() == [True] * 5 + [False] * 2
    assert len(table) == 0


def test_unusual_numbers_are_warnings_and_are_kept() -> None:
    table = table_of("1_0 0.5 0.5 0.4 0.3")
    assert table.faults[0].severity == Severity.WARNING
    assert table.kind.tolist() == [RowKind.BOX]
    assert table.class_id.tolist() == [10]
    assert table.numbers_ok.tolist() == [True]


# ---- the fast parser, the exact parser, and training -----------------------------------------------------------

plain_numbers = st.one_of(
    st.floats(0, 1).map(repr),
    st.floats().map(repr),
    st.integers(0, 90).map(str),
    st.integers(-(10**22), 10**22).map(str),
    st.decimals(-2, 2, places=6, allow_nan=False).map(str),
    st.from_regex(r"[0-9]{0,20}\.?[0-9]{0,20}", fullmatch=True),
    st.from_regex(r"[-+]?[0-9]{1,3}\.[0-9]{1,5}([eE][-+]?[0-9]{1,3})?", fullmatch=True),
)
odd_tokens = st.one_of(
    st.sampled_from(
        ["nan", "-inf", "infinity", "1e400", "cat", "0,5", "1_0", "_1", "١٢", "½", ".", "-", "+.", "1e"]
    ),
    st.text("0123456789.+-eE_,:/;n", min_size=1, max_size=12),
    st.text(max_size=4),
)
blanks = st.sampled_from([" ", " ", " ", "  ", "\t", "\u00a0", "\x1f", "\x0b", "\u2003"])
line_ends = st.sampled_from(
    ["\n", "\n", "\n", "\r\n", "\r", "\n\n", " \n", "\x0c", "\x85", "\u2028", "\x1c", ""]
)


@st.composite
def label_rows(draw: st.DrawFn, tokens: st.SearchStrategy[str]) -> str:
    count = draw(st.sampled_from([5, 5, 5, 5, 4, 6, 7, 8, 9, 11, 1]))
    return draw(blanks).join(draw(tokens) for _ in range(count))


@st.composite
def label_texts(draw: st.DrawFn) -> bytes:
    """Label files that are nearly right."""
    tokens = draw(st.sampled_from([plain_numbers, plain_numbers, st.one_of(plain_numbers, odd_tokens)]))
    rows = draw(st.lists(label_rows(tokens), max_size=5))
    text = "".join(row + draw(line_ends) for row in rows)
    mark = draw(st.sampled_from(["", "", "", "", "\ufeff"]))
    encoding = draw(st.sampled_from(["utf-8"] * 9 + ["utf-16-le"]))
    return (mark + text).encode(encoding, "surrogatepass")


plain_texts = st.lists(label_rows(plain_numbers), max_size=6).map(lambda rows: "\n".join(rows).encode())
contents_lists = st.lists(
    st.one_of(st.none(), st.just(b""), st.just(GOOD), plain_texts, label_texts(), st.binary(max_size=40)),
    max_size=8,
)


def parse_exactly(contents: Sequence[bytes | None], spec: TaskSpec) -> LabelTable:
    """The table when nothing goes the fast way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels_module, "parse_block", lambda *args: None)
        patch.setattr(labels_module, "parse_wide_line", lambda *args: None)
        return parse_labels(contents, spec)


def assert_same(a: LabelTable, b: LabelTable) -> None:
    for name in LabelTable.__slots__:
        left, right = getattr(a, name), getattr(b, name)
        if name == "faults":
            assert left == right
        elif left.dtype == np.float64:
            assert left.shape == right.shape, name
            assert bits(left.ravel()) == bits(right.ravel()), name
        else:
            assert left.tolist() == right.tolist(), name


@settings(max_examples=examples(300), deadline=None)
@given(contents_lists, st.sampled_from(SPECS))
def test_fast_and_exact_parser_agree(contents: list[bytes | None], spec: TaskSpec) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels_module, "_SHORT_RUN_BYTES", -1)  # even single files go the fast way
        fast = parse_labels(contents, spec)
    assert_same(fast, parse_exactly(contents, spec))


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(contents_lists, st.sampled_from(SPECS), st.integers(1, 30))
def test_files_and_lines_in_pieces_are_the_same_as_whole(
    contents: list[bytes | None], spec: TaskSpec, block_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels_module, "BLOCK_BYTES", block_bytes)
        patch.setattr(labels_module, "MAX_SEPARATE_BLOCKS", 2)
        in_pieces = parse_labels(contents, spec)
    assert_same(in_pieces, parse_exactly(contents, spec))


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(contents_lists)
def test_rows_and_numbers_are_those_that_training_reads(contents: list[bytes | None]) -> None:
    table = parse_labels(contents, DETECT)
    for file, data in enumerate(contents):
        which = np.flatnonzero(table.file == file)
        if table.status[file] in (FileStatus.MISSING, FileStatus.NOT_TEXT, FileStatus.LFS_POINTER):
            assert len(which) == 0
            continue
        assert data is not None
        rows = rows_as_training_reads_them(data)
        assert table.n_columns[which].tolist() == [len(row) for row in rows]
        first = table.first_token
        tokens = [x for i in which for x in table.tokens[first[i] : first[i + 1]]]
        assert bits(tokens) == bits([float_or_nan(t) for row in rows for t in row])
        accepted = all(
            t.lower().lstrip("+-") == "nan" or float_or_nan(t) == float_or_nan(t) for r in rows for t in r
        )
        assert table.numbers_ok[file] == accepted
        assert (table.status[file] == FileStatus.EMPTY) == (not rows)


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=60))
def test_only_text_that_training_cannot_read_is_no_text(data: bytes) -> None:
    table = parse_labels([data], DETECT)
    try:
        rows = rows_as_training_reads_them(data)
    except UnicodeDecodeError:
        assert table.status[0] == FileStatus.NOT_TEXT
        return
    if table.status[0] == FileStatus.NOT_TEXT:  # UTF-16 without a mark
        assert any("\0" in token for row in rows for token in row)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(plain_numbers.filter(bool), min_size=1, max_size=200))
def test_decimals_are_bit_equal_to_float(tokens: list[str]) -> None:
    rows = parse_block([" ".join(tokens).encode()], [0])
    assert rows is not None
    read = " ".join(tokens).split()
    assert bits(rows.tokens) == bits([float_or_nan(t) for t in read])


def test_digit_strings_halfway_between_two_floats() -> None:
    """Seventeen and more digits need doubled precision: where halves meet, float() has to decide."""
    values = (np.random.default_rng(1).random(3000) * np.repeat([1, 9.9], 1500)).tolist()
    halfway = [f"{(Decimal(v) + Decimal(math.nextafter(v, 10))) / 2:.30f}" for v in values]
    tokens = [digits[:n] for digits in halfway for n in (16, 17, 18, 19, 20, 21)]
    tokens += [repr(v) for v in values] + [f"{v:.17f}" for v in values]
    rows = parse_block([" ".join(tokens).encode()], [0])
    assert rows is not None
    assert bits(rows.tokens) == bits([float(t) for t in tokens])


def test_one_file_over_many_blocks() -> None:
    rng = np.random.default_rng(0)
    lines = [f"{i % 3} " + " ".join(f"{v:.6f}" for v in rng.random(4)) for i in range(12_000)]
    lines[7000] = "0 0.5\u00a00.5 0.4 0.3"
    lines[9000] = "0 0.5 zero 0.4 0.3"
    for line_end in ("\n", "\r\n", "\r"):
        data = line_end.join(lines).encode()
        assert len(data) > 2 * BLOCK_BYTES
        table = parse_labels([GOOD, data, GOOD], DETECT)
        assert table.line.tolist() == [1, *range(1, 12_001), 1]
        assert [(f.rule, f.line) for f in table.faults if f.rule == "L003"] == [("L003", 9001)]
        assert_same(table, parse_exactly([GOOD, data, GOOD], DETECT))


def test_one_line_longer_than_a_block() -> None:
    row = "0 " + "0.25 0.75 " * BLOCK_BYTES
    table = parse_labels([f"{row}\n{POLYGON}\n".encode()], SEGMENT)
    assert table.n_columns.tolist() == [2 * BLOCK_BYTES + 1, 7]
    assert table.line.tolist() == [1, 2]
    np.testing.assert_array_equal(table.xywh[0], [0.25, 0.75, 0, 0])


# ---- reading files ---------------------------------------------------------------------------------------------


def test_reading_is_parsing_what_is_there(tmp_path: Path) -> None:
    big = b"".join(b"0 0.5 0.5 0.4 %.6f\n" % (i / 9000) for i in range(9000))
    contents = [GOOD, None, b"", big, b"1 0.1 0.1 0.1 0.1"]
    paths: list[str | None] = []
    for i, data in enumerate(contents):
        path = tmp_path / f"{i}.txt"
        if data is not None:
            path.write_bytes(data)
        paths.append(str(path))
    assert_same(read_labels(paths, DETECT), parse_labels(contents, DETECT))
    assert_same(read_labels([*paths, None], DETECT), parse_labels([*contents, None], DETECT))


def test_what_is_no_regular_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "device.txt").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.txt")
    names = ["folder.txt", "broken.txt", "device.txt", "none.txt", "pipe.txt"]
    table = read_labels([str(tmp_path / name) for name in names], DETECT)
    assert table.status[:4].tolist() == [FileStatus.MISSING] * 4
    assert table.status[4] in (FileStatus.MISSING, FileStatus.EMPTY)  # nobody writes into it: nothing to read


def test_a_file_that_cannot_be_opened_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(GOOD)

    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as refusing:  # not where the folder is removed
        refusing.setattr(os, "open", refuse)
        table = read_labels([str(path)], DETECT)
    assert table.status.tolist() == [FileStatus.UNREADABLE]
    (fault,) = table.faults
    assert (fault.rule, fault.values["problem"]) == ("L001", "cannot be read: Permission denied")


@pytest.mark.parametrize(
    "name",
    [
        *("bccd", "crackseg_test_labels", "dronetraffic", "lfs_pointers20", "ltvideo12_pose", "mcore14_obb"),
        *("neudet600", "nuinsseg18_seg", "ships_dirty", "ultralytics_coco8", "ultralytics_coco8-pose"),
        *("ultralytics_coco8-seg", "ultralytics_dota8", "visdrone_val_labels"),
    ],
)
def test_published_labels_read_as_plain_python_reads_them(shared_data: Path, name: str) -> None:
    paths = sorted(p for p in (shared_data / name).rglob("*.txt"))
    table = read_labels([str(p) for p in paths], DETECT)
    expected_rows, expected_tokens = [], []
    for file, path in enumerate(paths):
        if table.status[file] == FileStatus.LFS_POINTER:
            continue
        for row in rows_as_training_reads_them(path.read_bytes()):
            expected_rows.append((file, len(row)))
            expected_tokens += [float_or_nan(token) for token in row]
    assert list(zip(table.file.tolist(), table.n_columns.tolist(), strict=True)) == expected_rows
    assert bits(table.tokens) == bits(expected_tokens)
    if name == "lfs_pointers20":
        assert (table.status == FileStatus.LFS_POINTER).sum() == 20
    else:
        assert len(table) > 0


# ---- the checks ------------------------------------------------------------------------------------------------


def chunk_tables(texts: Sequence[str], spec: TaskSpec) -> ChunkTables:
    n = len(texts)
    columns = {name: np.zeros(n) for name in ImageTable.__slots__}
    chunk = Chunk("train", [f"{i}.jpg" for i in range(n)], [f"{i}.txt" for i in range(n)])
    return ChunkTables(chunk, parse_labels([t.encode() for t in texts], spec), ImageTable(**columns))


@pytest.mark.parametrize(
    ("task", "row", "severity"),
    [
        ("detect", "0 0.5 0.5 0.4 0.3", None),
        ("detect", POLYGON, Severity.WARNING),
        ("detect", CORNERS, Severity.WARNING),
        ("detect", KEYPOINTS, None),
        ("segment", POLYGON, None),
        ("segment", CORNERS, None),
        ("segment", "0 0.5 0.5 0.4 0.3", Severity.ERROR),
        ("segment", KEYPOINTS, Severity.ERROR),
        ("obb", CORNERS, None),
        ("obb", POLYGON, Severity.WARNING),
        ("obb", "0 0.5 0.5 0.4 0.3", Severity.ERROR),
        ("pose", KEYPOINTS, None),
        ("pose", "0 0.5 0.5 0.4 0.3", Severity.ERROR),
    ],
)
def test_rows_that_do_not_fit_the_task(task: Task, row: str, severity: Severity | None) -> None:
    spec = TaskSpec(task, 3, {}, (2, 3))
    hits = row_kind_fits_task(chunk_tables(["", row], spec), spec, Params({}))
    assert list(hits.severity or ()) == ([] if severity is None else [severity])
    assert hits.index.tolist() == ([] if severity is None else [0])


def test_a_mixed_file_is_named_once_at_its_rarer_kind() -> None:
    box = "0 0.5 0.5 0.4 0.3"
    texts = [box, f"{box}\n{box}\n\n{POLYGON}", POLYGON, f"{POLYGON}\n{CORNERS}\n{box}"]
    for spec in (DETECT, SEGMENT, OBB):
        hits = mixed_rows(chunk_tables(texts, spec), spec, Params({}))
        assert hits.index.tolist() == [1, 3]
        assert hits.line is not None
        assert hits.line.tolist() == [4, 3]
        assert list(hits.fields["boxes"]) == [2, 1]
        assert list(hits.fields["polygons"]) == [1, 2]
    assert len(mixed_rows(chunk_tables(texts, POSE), POSE, Params({}))) == 0


def test_boxes_beside_polygons_do_not_stop_a_segment_training() -> None:
    box = "0 0.5 0.5 0.4 0.3"
    tables = chunk_tables([f"{box}\n{POLYGON}", box], SEGMENT)
    assert row_kind_fits_task(tables, SEGMENT, Params({})).index.tolist() == [2]
