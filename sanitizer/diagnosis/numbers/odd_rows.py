"""Rows that no reading settles: class names that data.yaml does not have, and columns that are no label's. They are
described, and left alone."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.diagnosis.numbers.enough_rows import almost_all
from sanitizer.diagnosis.numbers.parts import parts_with_rows
from sanitizer.diagnosis.numbers.writing import UNREADABLE, Writing
from sanitizer.labels.readings.columns import has_columns
from sanitizer.labels.readings.reading import numbers_of
from sanitizer.labels.row_kinds import TOLERANCE
from sanitizer.util.counting import cut_short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile, SampleRow
    from sanitizer.diagnosis.numbers.parts import Part, Row

NAMES_SHOWN = 8


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Rows whose first column is a word, and rows with another number of columns."""
    for is_odd, judge in ((_starts_with_name, _judge_names), (_has_other_columns, _judge_columns)):
        yield from parts_with_rows(files, partial(is_odd, spec=spec), partial(judge, spec=spec))


def _starts_with_name(row: SampleRow, spec: TaskSpec) -> bool:
    """Whether numbers, as many as a row of the task needs, come behind a word."""
    return (
        row.tokens[0][:1].isalpha()
        and row.numbers[0] != row.numbers[0]
        and numbers_of(row.tokens[1:]) is not None
        and has_columns(len(row.tokens), spec)
    )


def _judge_names(part: Part, rows: Sequence[Row], n_rows: int, spec: TaskSpec) -> Writing | None:
    names = Counter(row.tokens[0] for _, row in rows)
    known = {name.casefold() for name in spec.names.values()}
    strange = [name for name, _ in names.most_common() if name.casefold() not in known]
    shown = cut_short([name[:40] for name in strange], NAMES_SHOWN)
    return Writing(
        "unknown-class-names",
        "class names for ids",
        part,
        part.files,
        n_rows,
        len(rows),
        "begin with the class's name in place of its id",
        [f"data.yaml has no class of these names: {shown}" if strange else "data.yaml has these names"],
        "every image with such a row is left out",
        "write each class's id in place of its name, as data.yaml numbers them; add those names that it lacks",
        frozenset({"L003"}),
    )


def _has_other_columns(row: SampleRow, spec: TaskSpec) -> bool:
    return not has_columns(len(row.tokens), spec) and numbers_of(row.tokens) is not None


def _judge_columns(part: Part, rows: Sequence[Row], n_rows: int, spec: TaskSpec) -> Writing | None:
    n_columns, n = Counter(len(row.tokens) for _, row in rows).most_common(1)[0]
    if spec.task == "pose" or not almost_all(n, len(rows)):
        return None
    of_count = [row.numbers for _, row in rows if len(row.tokens) == n_columns]
    return Writing(
        "odd-columns",
        "rows with columns that no label has",
        part,
        part.files,
        n_rows,
        n,
        f"have {n_columns} columns, which no row of a {spec.task} set has",
        [
            *_on_columns(of_count),
            *([f"{n_rows - n:,} rows of the same files have other columns"] * (n < n_rows)),
        ],
        "every image with such a row is left out, with all its rows",
        "find out what wrote these files, and export the labels as YOLO; fix makes no boxes of such rows",
        frozenset(UNREADABLE & {"L002", "L006"}),
        claims=lambda finding: finding.value == n_columns,
    )


def _on_columns(rows: Sequence[Sequence[float]]) -> Iterator[str]:
    """What each column holds, and whether four of them are corners."""
    columns = list(zip(*rows, strict=True))
    kinds = [_kind(column) for column in columns]
    start = 0
    held = []
    for i in range(1, len(kinds) + 1):
        if i == len(kinds) or kinds[i] != kinds[start] or "whole" in kinds[i]:
            place = f"column {start + 1}" if i - start == 1 else f"columns {start + 1} to {i}"
            held.append(f"{place} {kinds[start]}")
            start = i
    yield "; ".join(held[:8])
    for first in (1, 2):
        if (
            len(columns) > first + 4
            and "whole" not in "".join(kinds[first : first + 4])
            and all(r[first + 2] > r[first] and r[first + 3] > r[first + 1] for r in rows)
        ):
            yield f"columns {first + 1} to {first + 4} are two corners x1 y1 x2 y2 in every row"
            return


def _kind(column: Sequence[float]) -> str:
    low, high = min(column), max(column)
    if all(v % 1 == 0 for v in column):
        return f"whole numbers {low:g} to {high:g}"
    if low >= -TOLERANCE and high <= 1 + TOLERANCE:
        return "parts of 1"
    return f"numbers {low:g} to {high:g}"
