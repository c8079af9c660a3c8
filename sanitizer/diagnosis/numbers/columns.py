"""Rows with columns too many: confidence, track id, instance id; class names for ids; commas. Coordinates are right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.diagnosis.label_sample import SampleRow
from sanitizer.diagnosis.numbers.boxes import gather, place
from sanitizer.diagnosis.numbers.enough_rows import SURE_SHARE_BY_COLUMNS, almost_all, at_least
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.writing import COORDINATES, UNREADABLE, Writing
from sanitizer.labels.readings import READINGS, ROW_BY_ROW
from sanitizer.labels.readings.columns import TRACKING_COLUMNS, has_columns
from sanitizer.labels.readings.coordinates import centre, whole
from sanitizer.labels.readings.oriented import ANGLE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.parts import Part, Row

MOST_ROWS, FIRST_LOOK = 50, 40
"""Rows of a file that are asked, and rows of all of which half must fit before the rest are looked at."""
_ARE = {
    "confidence": "end in a confidence (0 to 1), as prediction files do",
    "track-id": "end in a whole number, such as a track id or a flag",
    "confidence-and-track-id": "end in a confidence and a track id, as tracking results do",
    "instance-id": "have an instance id behind the class",
    "second-confidence": "have a confidence behind the class",
    "class-names": "begin with the class's name in place of its id",
    "comma-separated": "have commas or semicolons between columns, where training splits at blanks",
    "decimal-commas": "are written with decimal commas",
}
"""Readings in the order in which they are asked, and what rows are by them."""
_NAMES = {
    "confidence": "a confidence as last column",
    "track-id": "a track id as last column",
    "confidence-and-track-id": "confidence and track id as last columns",
    "instance-id": "an instance id behind the class",
    "second-confidence": "a confidence behind the class",
    "class-names": "class names for ids",
    "comma-separated": "commas between columns",
    "decimal-commas": "decimal commas",
}
_WAYS_OUT = {
    "class-names": "write each class's id, as data.yaml numbers them, in place of its name",
    "comma-separated": "put blanks between columns",
    "decimal-commas": "write decimal points",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """A reading of the rows of a part that training cannot read, and what speaks for it.

    Attributes:
        reading: Its name.
        rows: Those rows.
        fitting: Which of them fit.
        rivals: Other readings that fit as well.
        right_rows: Rows of the same files that training can read.
        is_sure: `fix` may write the rows anew.
        task: Of the dataset.
    """

    reading: str
    rows: Sequence[Row]
    fitting: Sequence[bool]
    rivals: Sequence[str]
    right_rows: int
    is_sure: bool
    task: str


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Rows that would be right without a column, or with another separator."""
    yield from parts_where([f for f in files if _wrong_rows(f, spec)], partial(_judge, spec, False))
    if spec.task == "segment":
        tracking = [f for f in files if _may_be_tracking(f)]
        yield from parts_where(tracking, partial(_judge, replace(spec, task="detect"), True))


def _wrong_rows(file: SampleFile, spec: TaskSpec) -> list[SampleRow]:
    """Rows whose number of columns is not that of the task, or whose columns are not all numbers."""
    is_tracking = _may_be_tracking(file)
    return [
        row
        for row in file.rows
        if not has_columns(len(row.tokens), spec)
        or any(v != v for v in row.numbers)
        or (is_tracking and len(row.tokens) == TRACKING_COLUMNS)
    ]


def _may_be_tracking(file: SampleFile) -> bool:
    """Whether rows of as many columns as a triangle end in whole numbers beyond 1, as tracking results do."""
    last = [row.numbers[-1] for row in file.rows if len(row.tokens) == TRACKING_COLUMNS]
    return bool(last) and all(v >= 0 and v % 1 == 0 for v in last) and max(last) > 1


def _judge(spec: TaskSpec, is_other_task: bool, part: Part) -> Writing | None:
    rows = [(file, row) for file in part.files for row in _wrong_rows(file, spec)[:MOST_ROWS]]
    if spec.task == "obb" and any(len(row.tokens) == ANGLE_COLUMNS for _, row in rows):
        return None
    asked = [name for name in _ARE if _may_be(name, rows, spec)]
    fits = {name: _fits(name, rows, spec) for name in asked}
    open_ = [name for name in asked if almost_all(sum(fits[name]), len(rows))]
    if not open_:
        return None
    right_rows = sum(len(file.rows) - len(_wrong_rows(file, spec)) for file in part.files)
    if {"confidence", "track-id"} <= set(open_):  # all are 0 or 1, which is written like an id
        open_.remove("track-id")
        open_.insert(0, "track-id")
    best, *rivals = open_
    enough = at_least(sum(fits[best]), len(rows)) >= SURE_SHARE_BY_COLUMNS
    is_sure = enough and not right_rows and not is_other_task
    if is_sure and rivals:
        converted = _converted(best, rows, spec)
        is_sure = all(_converted(rival, rows, spec) == converted for rival in rivals)
    return _writing(part, _Found(best, rows, fits[best], rivals, right_rows, is_sure, spec.task))


def _may_be(reading: str, rows: Sequence[Row], spec: TaskSpec) -> bool:
    """Whether a reading makes sense at all: what is left are the task's rows, and ids are no class ids."""
    polygons = any(len(row.tokens) > TRACKING_COLUMNS for _, row in rows)
    if reading in ("confidence", "second-confidence", "track-id"):
        return not polygons or spec.task != "detect"
    if reading == "instance-id":
        second = [row.numbers[1] for _, row in rows if len(row.tokens) > 1]
        return max(second, default=0) >= max(2, spec.nc or 0)
    return True


def _converted(reading: str, rows: Sequence[Row], spec: TaskSpec) -> list[list[str] | None]:
    return [READINGS[reading].convert(row.tokens, file.size_px, spec) for file, row in rows]


def _fits(reading: str, rows: Sequence[Row], spec: TaskSpec) -> list[bool]:
    """Whether each row, without what is odd about it, is a good one that lies in its image."""
    fits = [tokens is not None for tokens in _converted(reading, rows[:FIRST_LOOK], spec)]
    if 2 * sum(fits) < len(fits):
        return [False] * len(rows)
    converted = _converted(reading, rows, spec)
    read = [
        replace(file, rows=(SampleRow(i, tuple(tokens), tuple(map(float, tokens))),))
        for i, ((file, _), tokens) in enumerate(zip(rows, converted, strict=True))
        if tokens is not None
    ]
    boxes = gather(read, spec)
    good = set(boxes.line[place(boxes, centre, whole).fits].tolist())
    return [i in good for i in range(len(rows))]


def _writing(part: Part, found: _Found) -> Writing:
    reading, n = found.reading, len(found.rows)
    are, name = _ARE[reading], _NAMES[reading]
    cause_id = reading
    if found.rivals and not found.is_sure:
        cause_id, name = "extra-column", "a column too many"
        are = " or ".join([are, *(_ARE[rival] for rival in found.rivals)])
    is_likely = found.is_sure or found.right_rows or at_least(sum(found.fitting), n) >= SURE_SHARE_BY_COLUMNS
    if not is_likely:
        are = f"probably {are}"
    is_tracking = len(found.rows[0][1].tokens) == TRACKING_COLUMNS
    misfits: dict[str, set[int]] = {}
    for (file, row), fits in zip(found.rows, found.fitting, strict=True):
        if not fits:
            misfits.setdefault(file.label, set()).add(row.line)
    return Writing(
        cause_id,
        name,
        part,
        part.files,
        n + found.right_rows,
        sum(found.fitting),
        are,
        list(_evidence(found)),
        "every image with such a row is left out, with all its rows"
        if not is_tracking
        else "seven columns are read as a triangle: images with a number over 1.01 are left out, others learn it",
        _WAYS_OUT.get(reading, "export the labels again without that column, or delete it")
        + _why_not(found, is_tracking),
        UNREADABLE - {"C001", "C002"} | (COORDINATES if is_tracking else frozenset()),
        reading if found.is_sure or (reading in ROW_BY_ROW and not found.rivals) else None,
        misfits={label: frozenset(lines) for label, lines in misfits.items()},
    )


def _evidence(found: _Found) -> Iterator[str]:
    n_fit, n = sum(found.fitting), len(found.rows)
    counted = Counter(len(row.tokens) for _, row in found.rows)
    if len(counted) == 1 and found.reading not in ("class-names", "comma-separated", "decimal-commas"):
        yield f"{n:,} rows have {next(iter(counted))} columns, and {found.task} rows {_needs(found)}"
    yield f"read so, {n_fit:,} of {n:,} are good rows that lie in their image"
    if found.reading in ("confidence", "track-id", "confidence-and-track-id"):
        last = sorted(found.rows[i][1].numbers[-1] for i in range(n) if found.fitting[i])
        yield f"the last column goes from {last[0]:g} to {last[-1]:g}"
    if found.reading == "instance-id":
        ids = {row.tokens[1] for _, row in found.rows}
        yield f"the second column holds {len(ids):,} different whole numbers, such as {min(ids)}"
    for rival in found.rivals:
        yield f"nothing tells this from rows that {_ARE[rival]}"
    if found.right_rows:
        yield f"against it: {found.right_rows:,} rows of the same files are right as they are"
    elif at_least(n_fit, n) < SURE_SHARE_BY_COLUMNS:
        yield f"{n:,} row{'s are' if n > 1 else ' is'} few to tell by"


def _why_not(found: _Found, is_tracking: bool) -> str:
    if found.is_sure:
        return ""
    if is_tracking and not found.rivals:
        return "; with --task detect, `sanitize fix --unsafe` does so"
    return "; fix leaves these rows alone"


def _needs(found: _Found) -> str:
    return {
        "detect": "need 5",
        "segment": "an odd number from 7 on",
        "obb": "need 9",
        "pose": "those of a box and its keypoints",
    }[found.task]
