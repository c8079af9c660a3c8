"""Hypothesis strategies for label files as no annotation tool should write them, mostly right but for a spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from sanitizer.dataset.tables import TaskSpec

GOOD_COORDINATES = ("0.5", "0.25", "0.123456", "0.75", "0.9", "0.3", "1e-1", "0.50", ".4", "0.066667")

ODD_NUMBERS = (
    *("0", "1", "1.0", "0.999999", "2", "640", "0.0", "1.", "+.5", "5e-1", "1E-5", "0.00001"),
    # around the limits, in spellings that round to either side of them in float32
    *("1.01", "1.010000", "101e-2", "1.010000001", "1.01000001", "1.01000005", "1.0100001", "1.011", "1.02"),
    *("1.0099999904632568", "1.01000000000000000001", "1.0100000500679016", "1.0100000500679017", "1.1e0"),
    *("-0.01", "-1e-2", "-0.010000001", "-0.0100000001", "-0.01000001", "-0.009999999", "-0.011", "-0.02"),
    *("-0", "-0.0", "-1e-50", "-1e-45", "-1e-46", "-1e-30", "-1e-7", "1e-400", "-1e-400", "-.005", "-0.5"),
    # what float() reads, expected or not
    *("1_0", "0_0.5", "0._5", "inf", "-inf", "+inf", "nan", "-NaN", "Infinity", "1e400", "-1e400", "1e39"),
    *(
        "3.4028235677973366e38",
        "3.4028235677973367e38",
        "1e38",
        "٠.٥",
        "０.５",
        "1٢",
        "0.5000000000000000277",
    ),
    *("12345678901234567890e-20", "0" * 40 + ".5", "0." + "3" * 60, "1e-0000000001", "16777217", "00.5"),
    # what it does not
    *("cat", "0,5", "0.5,", "_1", "1__0", "0x1p-1", "½", "²", "--1", "0.1.2", "1e", ".", "-", "+-1", "0.5f"),
    *(
        "0.5\x00",
        "\x00",
        "0.5\u200b",
        "\ufeff0.5",
        "1e+",
        "#",
        "infinit",
        "na n",
        "0.5;",
        '"0.5"',
        "𝟙",
        "1e5_",
    ),
)
AROUND_AN_EDGE = ("1.01", "1.0100001", "1.02", "1.000001", "1", "-0.01", "-0.0100001", "-0.02", "-0.005", "0")
CLASS_IDS = (
    *("0", "1", "2", "0", "1", "2", "3", "4", "1.0", "-0", "-0.0", "1e0", "0.0", "+2", "1_0", "0_1", "٢"),
    *(
        "1.5",
        "-1",
        "-0.005",
        "-1e-50",
        "1e-50",
        "2.9999999999",
        "2.99999999999999999",
        "1.00000001",
        "2.00001",
    ),
    *("1e39", "nan", "inf", "1e400", "16777217", "dog", "", "0,", "80"),
)
BLANKS = (
    " ",
    "  ",
    "\t",
    " \t ",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\x1f",
    "\x1c",
    "\x0b",
    "\x0c",
    "\x85",
    ",",
    ";",
    "",
)
LINE_ENDS = (
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "\n\r",
    " \n",
    "\n \t\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x85",
    "\u2028",
)
RAW_BYTES = (
    b"\xff",
    b"\x80",
    b"\xc3",
    b"\x00",
    b"\x1a",
    b"\xa0",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\n",
    b" ",
)

near_a_limit = st.one_of(
    st.floats(1.0099, 1.0101),
    st.floats(-0.0101, -0.0099),
    st.floats(-1e-6, 1e-6),
    st.floats(1.0, 1.015625, width=32),
    st.floats(),
)
odd_token = st.one_of(
    st.sampled_from(ODD_NUMBERS),
    near_a_limit.map(repr),
    st.builds(lambda number, digits: f"{number:.{digits}f}", st.floats(-0.02, 1.02), st.integers(0, 25)),
    st.text("0123456789.-+eE_ ", max_size=8),
)


def _row_lengths(spec: TaskSpec) -> SearchStrategy[int]:
    """Columns of a row: what the task expects most of the time, else any other kind of row."""
    keypoint_columns = spec.kpt_shape[0] * spec.kpt_shape[1]
    usual = {
        "detect": (5,),
        "segment": (7, 9, 11),
        "pose": (5 + keypoint_columns,),
        "obb": (9,),
    }[spec.task]
    others = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 5 + keypoint_columns, 4 + keypoint_columns)
    return st.sampled_from(usual * 60 + others)


@st.composite
def label_rows(draw: st.DrawFn, spec: TaskSpec) -> list[list[str]]:
    """A file's rows as lists of tokens, with at most three odd tokens among them."""
    one_length = draw(st.one_of(st.none(), _row_lengths(spec)))
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        shift = draw(st.integers(0, 9))
        length = one_length or draw(_row_lengths(spec))
        row = [GOOD_COORDINATES[(shift + 3 * k) % 10] for k in range(length)]
        row[0] = "012"[shift % 3]
        rows.append(row)
    if rows and draw(st.booleans()):
        rows.append(list(rows[0]))
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 1, 2, 3))) if rows else 0):
        row = draw(st.sampled_from(rows))
        column = draw(st.integers(0, len(row) - 1))
        row[column] = draw(st.sampled_from(CLASS_IDS) if column == 0 else odd_token)
    if rows and draw(st.sampled_from((False,) * 7 + (True,))):  # a polygon on or beyond the image's edge
        row = draw(st.sampled_from(rows))
        first = draw(st.sampled_from((1, 2)))
        edges = draw(st.lists(st.sampled_from(AROUND_AN_EDGE), min_size=1, max_size=2))
        row[first::2] = [edges[k % len(edges)] for k in range(len(row[first::2]))]
    return rows


@st.composite
def label_files(draw: st.DrawFn, spec: TaskSpec) -> bytes:
    """The bytes of one label file."""
    rows = draw(label_rows(spec))
    usual = draw(st.booleans())
    blank = " " if usual else draw(st.sampled_from(BLANKS))
    end = "\n" if usual else draw(st.sampled_from(LINE_ENDS))
    text = end.join(blank.join(row) for row in rows) + draw(st.sampled_from((end, "", "\n", " ", "\n\n")))
    encoding = draw(
        st.sampled_from(("utf-8",) * 12 + ("utf-8-sig", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"))
    )
    content = text.encode(encoding, "replace")
    if draw(st.sampled_from((False,) * 11 + (True,))):
        where = draw(st.integers(0, len(content)))
        content = content[:where] + draw(st.sampled_from(RAW_BYTES)) + content[where:]
    return content
