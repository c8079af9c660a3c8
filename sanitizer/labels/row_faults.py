"""Explains why a label row cannot be read: the faults L001 to L004 and K001 of single rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import Fault, RowKind
from sanitizer.findings.finding import MAX_PER_FILE, Severity
from sanitizer.labels.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, OBB_COLUMNS, TOLERANCE, pose_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.raw_rows import RawRows

_MAX_TOKEN_TEXT = 40
_BOX_COLUMN_NAMES = ("class", "x_center", "y_center", "width", "height")
_NUL_PROBLEM = (
    "NUL bytes in the text: the file was cut off by a crash or a full disk, or is no text",
    "export this label again, or restore it from a copy",
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_DASH = re.compile("[\u2010-\u2015\u2212]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


@dataclass(slots=True)
class FaultLedger:
    """Collects the faults of rows, at most `MAX_PER_FILE` of each file, and counts the others."""

    spec: TaskSpec
    faults: list[Fault] = field(default_factory=list)
    _explained: dict[int, int] = field(default_factory=dict)
    _first_left: dict[int, int] = field(default_factory=dict)
    _left: dict[int, int] = field(default_factory=dict)

    def add(self, rows: RawRows, kind: NDArray[np.uint8], bad_tokens: NDArray[np.int64]) -> None:
        """Explain every row whose kind is FAULTY or that has an unusual token.

        Args:
            rows: As parsed.
            kind: uint8 (R,) final kinds.
            bad_tokens: int64 (K,) numbers of tokens that are no number, or not finite; ascending.
        """
        first_bad, n_bad = _first_per_row(rows, bad_tokens)
        first_unusual, _ = _first_per_row(rows, rows.unusual)
        for i in self._within_limit(rows, np.flatnonzero((kind == RowKind.FAULTY) | (first_unusual >= 0))):
            if first_bad[i] >= 0:
                fault = _token_fault(rows, i, int(first_bad[i]), int(n_bad[i]), self.spec)
            elif kind[i] == RowKind.FAULTY:
                fault = _column_fault(rows, i, self.spec)
            else:
                fault = _unusual_fault(rows, i, int(first_unusual[i]))
            self.faults.append(fault)

    def _within_limit(self, rows: RawRows, faulty: NDArray[np.int64]) -> list[int]:
        """Row numbers to explain; counts the others."""
        chosen: list[int] = []
        files, starts = np.unique(rows.file[faulty], return_index=True)
        for file, of_file in zip(files.tolist(), np.split(faulty, starts[1:]), strict=True):
            room = MAX_PER_FILE - self._explained.get(file, 0)
            now, later = of_file[:room], of_file[room:]
            chosen += now.tolist()
            self._explained[file] = self._explained.get(file, 0) + len(now)
            if len(later):
                self._first_left.setdefault(file, int(rows.line[later[0]]))
                self._left[file] = self._left.get(file, 0) + len(later)
        return chosen

    def close(self) -> list[Fault]:
        """All faults, and one that counts the rest for each file that has more faults than were explained."""
        for file, count in self._left.items():
            problem = f"{count:,} more rows of this file are faulty, from this line on"
            fault = Fault("L002", file, self._first_left[file], values={"problem": problem}, n_more=count)
            self.faults.append(fault)
        return self.faults


def _first_per_row(rows: RawRows, tokens: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64 (R,): the first of these tokens in each row, -1 where there is none, and how many there are."""
    first = np.full(len(rows), -1, np.int64)
    count = np.zeros(len(rows), np.int64)
    if len(tokens):
        of_row = np.searchsorted(rows.first_token, tokens, side="right") - 1
        which, at, n = np.unique(of_row, return_index=True, return_counts=True)
        first[which] = tokens[at]
        count[which] = n
    return first, count


def shown(token: str) -> str:
    """The token in quotes, shortened and safe to print."""
    if len(token) > _MAX_TOKEN_TEXT:
        token = f"{token[:_MAX_TOKEN_TEXT]}…"
    return repr(token)


def _token_fault(rows: RawRows, row: int, token: int, n_bad: int, spec: TaskSpec) -> Fault:
    """The fault of a row by its first token that is no finite number."""
    text = rows.text(token)
    position = token - int(rows.first_token[row])
    suggestion: str | None
    if "\0" in text:
        rule, (problem, suggestion) = "L001", _NUL_PROBLEM
    elif np.isnan(rows.tokens[token]) and text.lower().lstrip("+-") != "nan":
        rule, (problem, suggestion) = "L003", _word_problem(text, position, int(rows.n_columns[row]), spec)
    else:
        rule, (problem, suggestion) = "L004", _not_finite_problem(text, rows.tokens[token])
    if n_bad > 1:
        problem += f" (and {n_bad - 1} more in this row)"
    return Fault(
        rule,
        int(rows.file[row]),
        int(rows.line[row]),
        int(rows.token_column[token]),
        {"problem": problem, "token": text[:_MAX_TOKEN_TEXT], "bad_tokens": n_bad},
        suggestion,
    )


def _word_problem(text: str, position: int, n_columns: int, spec: TaskSpec) -> tuple[str, str | None]:
    """What is wrong with a token that float() refuses, and what to do."""
    if invisible := _INVISIBLE.search(text):
        code = f"U+{ord(invisible[0]):04X}"
        return f"{shown(text)} holds the invisible character {code}", "delete the invisible character"
    class_id = _id_of_name(text, spec)
    if class_id is not None:
        return (
            f"the class is written as a name, {shown(text)}, not as its number {class_id}",
            f"write {class_id} instead of {shown(text)}",
        )
    if "," in text or ";" in text:
        return _comma_problem(text)
    if dash := _DASH.search(text):
        return f"{shown(text)} has the dash U+{ord(dash[0]):04X} for a minus sign", "write - for minus"
    if text[0] in "\"'[({" or text[-1] in "\"'])}":
        return (
            f"{shown(text)} has quotes or brackets around the number",
            "write bare numbers, split by blanks",
        )
    if position == 0 and any(c.isalpha() for c in text):
        known = f"data.yaml has no class {shown(text)}" if spec.names else "data.yaml gives no names"
        return f"the class must be a number, not {shown(text)} ({known})", "write the number of the class"
    column = _BOX_COLUMN_NAMES[position] if n_columns == BOX_COLUMNS else f"column {position + 1}"
    return f"{column} is {shown(text)}, which is no number", None


def _id_of_name(text: str, spec: TaskSpec) -> int | None:
    """Id of the class of that name, ignoring case and quotes."""
    name = text.strip("\"',:;").casefold()
    return next((i for i, known in spec.names.items() if known.casefold() == name), None) if name else None


def _comma_problem(text: str) -> tuple[str, str]:
    """A comma or semicolon inside a token: a separator, or a decimal mark."""
    if _DECIMAL_COMMA.fullmatch(text):
        return f"{shown(text)} has a comma for a decimal point", "write decimals with a point"
    mark = "," if "," in text else ";"
    numbers = [part for part in text.split(mark) if part]
    name = "commas" if mark == "," else "semicolons"
    if len(numbers) > 1:
        return (
            f"{shown(text)} is {len(numbers)} values with {name} between them",
            "put blanks between columns",
        )
    return f"{shown(text)} has a {name[:-1]} beside the number", "put blanks between columns"


def _not_finite_problem(text: str, number: float) -> tuple[str, str]:
    """NaN, infinity, or a number too large."""
    if np.isnan(number):
        return f"{shown(text)} is not a number", "annotate the object again, or delete the row"
    if any(c.isdigit() for c in text):
        limit = "every number format" if np.isinf(number) else "float32, which training reads labels in"
        return f"{shown(text)} overflows {limit}", "correct the number, or delete the row"
    return f"{shown(text)} is infinite", "annotate the object again, or delete the row"


def _column_fault(rows: RawRows, row: int, spec: TaskSpec) -> Fault:
    """The fault of a row of numbers that are too few or too many."""
    n = int(rows.n_columns[row])
    place = (int(rows.file[row]), int(rows.line[row]))
    if spec.task == "pose" and pose_columns(spec):
        expected = pose_columns(spec)
        keypoints, dimensions = spec.kpt_shape
        problem = (
            f"{n} columns, but kpt_shape [{keypoints}, {dimensions}] needs {expected}: "
            f"a box of {BOX_COLUMNS} and {keypoints} keypoints of {dimensions}"
        )
        return Fault("K001", *place, None, _column_values(problem, n, expected))
    first = int(rows.first_token[row])
    problem, suggestion = _column_problem(rows.tokens[first : first + n], spec)
    expected = OBB_COLUMNS if spec.task == "obb" else BOX_COLUMNS
    return Fault("L002", *place, None, _column_values(problem, n, expected), suggestion)


def _column_values(problem: str, n: int, expected: int) -> dict[str, object]:
    return {"problem": problem, "columns": n, "expected": expected, "value": n, "threshold": expected}


def _column_problem(numbers: NDArray[np.float64], spec: TaskSpec) -> tuple[str, str | None]:
    """What a row of so many numbers probably is, and what to do."""
    n = len(numbers)
    if n == BOX_COLUMNS + 1:
        return _sixth_column_problem(float(numbers[-1]), spec)
    if n == BOX_COLUMNS - 1:
        return (
            "4 columns, expected 5 (class x_center y_center width height): the class or a number is missing",
            "add what is missing, or delete the row",
        )
    if n < BOX_COLUMNS:
        columns = "1 column" if n == 1 else f"{n} columns"
        return f"{columns}, expected 5: the row is cut off", "annotate the object again, or delete the row"
    if spec.task == "pose":
        return (
            f"{n} columns, but data.yaml has no kpt_shape to read keypoints by",
            "add kpt_shape to data.yaml",
        )
    if n % 2 == 0 and _has_id_behind_class(numbers):
        return (
            f"{n} columns, and the second, {numbers[1]:g}, looks like an id: a polygon is a class and pairs of x y",
            "delete the second column if it is an id",
        )
    if n % 2 == 0:
        return (
            f"{n} columns, an even number: a polygon is a class and pairs of x y, a box has 5 columns",
            "add or delete one coordinate",
        )
    return f"{n} columns: a polygon needs {MIN_POLYGON_COLUMNS} or more, a box 5", None


def _sixth_column_problem(last: float, spec: TaskSpec) -> tuple[str, str]:
    """What a sixth column may be, as far as its one number tells."""
    if spec.task == "obb":
        return (
            f"6 columns, expected {OBB_COLUMNS}: an oriented box is four corners, not centre, size and angle",
            "export four corners; a last column that is an angle is no confidence to delete",
        )
    if 0 < last < 1:
        return (
            "6 columns, expected 5: a sixth is what prediction files add (confidence)",
            "delete the last column if it is a confidence",
        )
    if last >= 0 and last % 1 == 0:
        return (
            f"6 columns, expected 5: the sixth, {last:g}, may be a track id or a flag",
            "delete the last column if it is an id",
        )
    return (
        f"6 columns, expected 5: training has no place for a sixth, {last:g}",
        "export boxes of five columns; an angle needs an oriented-box set",
    )


def _has_id_behind_class(numbers: NDArray[np.float64]) -> bool:
    """Whether the second number is a whole one over 1, and those behind it are coordinates."""
    second, rest = numbers[1], numbers[2:]
    return bool(second > 1 and second % 1 == 0 and (np.abs(rest - 0.5) <= 0.5 + TOLERANCE).all())


def _unusual_fault(rows: RawRows, row: int, token: int) -> Fault:
    """The fault of a token that Python's float(), and so training, reads, but most other programs refuse."""
    text, number = rows.text(token), rows.tokens[token]
    return Fault(
        "L003",
        int(rows.file[row]),
        int(rows.line[row]),
        int(rows.token_column[token]),
        {"problem": f"{shown(text)} is read as {number:g} by Python only; other programs refuse it"},
        f"write {number:g} if that is what is meant",
        Severity.WARNING,
    )
