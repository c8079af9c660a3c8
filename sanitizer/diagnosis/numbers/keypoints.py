"""Pose rows with another number of keypoints than kpt_shape, with 2 values for 3 or 3 for 2, or with none at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.diagnosis.numbers.enough_rows import almost_all
from sanitizer.diagnosis.numbers.parts import parts_with_rows
from sanitizer.diagnosis.numbers.writing import Writing
from sanitizer.labels.readings.reading import is_normalised
from sanitizer.labels.row_kinds import BOX_COLUMNS, TOLERANCE, pose_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile, SampleRow
    from sanitizer.diagnosis.numbers.parts import Part, Row

VISIBILITIES = (0, 1, 2)
POINT = 0.03
"""Side of a box, in parts of the image, under which it may stand for a point."""


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Rows whose keypoint columns do not fit kpt_shape."""
    if spec.task != "pose" or not pose_columns(spec):
        return
    for has_it, judge in (
        (_is_other_count, _judge_count),
        (_is_box, _judge_boxes),
        (_is_marked, _judge_marks),
    ):
        yield from parts_with_rows(files, partial(has_it, spec=spec), partial(judge, spec=spec))


# Another number of columns.


def _is_other_count(row: SampleRow, spec: TaskSpec) -> bool:
    return len(row.tokens) not in (BOX_COLUMNS, pose_columns(spec))


def _judge_count(part: Part, rows: Sequence[Row], n_rows: int, spec: TaskSpec) -> Writing | None:
    counts = Counter(len(row.tokens) for _, row in rows)
    n_columns, n = counts.most_common(1)[0]
    if not almost_all(n, n_rows):
        return None
    of_count = [row for _, row in rows if len(row.tokens) == n_columns]
    if n_columns - pose_columns(spec) in (1, 2) and almost_all(
        sum(_starts_as_declared(r, spec) for r in of_count), n
    ):
        return None  # a confidence or an id behind good keypoints
    shapes = [
        (k, dimensions)
        for dimensions in (3, 2)
        if (k := _keypoints(n_columns, dimensions))
        and almost_all(sum(_is_shape(row, dimensions) for row in of_count), n)
    ]
    if not shapes:
        return None
    fits = " or ".join(f"[{k}, {d}]" for k, d in shapes)
    declared = f"[{spec.kpt_shape[0]}, {spec.kpt_shape[1]}]"
    flip = "" if shapes[0][0] == spec.kpt_shape[0] else f"; flip_idx then needs {shapes[0][0]} numbers"
    others = f"; nothing tells {fits}" if len(shapes) > 1 else ""
    return Writing(
        "kpt-shape",
        "kpt_shape is not that of the labels",
        part,
        part.files,
        n_rows,
        n,
        f"fit kpt_shape {fits}, and data.yaml says {declared}",
        [
            f"{n:,} of {n_rows:,} rows have {n_columns} columns: a box of 5 and "
            + " or ".join(f"{k} keypoints of {d} values" for k, d in shapes),
            f"{n_rows - len(rows):,} rows have the {pose_columns(spec)} columns of kpt_shape {declared}",
            *_on_visibility(of_count, shapes),
            *_on_thin_boxes(rows),
        ],
        "every image with such a row is left out; training stops where a split has no other",
        f"write `kpt_shape: [{shapes[0][0]}, {shapes[0][1]}]` in data.yaml, and leave the labels alone{flip}"
        if len(shapes) == 1
        else f"write the right kpt_shape in data.yaml{others}",
        frozenset({"K001", "L006"}),
        claims=lambda finding: finding.rule != "K001" or finding.value == n_columns,
    )


def _starts_as_declared(row: SampleRow, spec: TaskSpec) -> bool:
    return _is_shape(replace(row, numbers=row.numbers[: pose_columns(spec)]), spec.kpt_shape[1])


def _keypoints(n_columns: int, dimensions: int) -> int:
    """How many keypoints of so many values the columns hold; 0 where they do not divide."""
    rest = n_columns - BOX_COLUMNS
    return rest // dimensions if rest > 0 and rest % dimensions == 0 else 0


def _is_shape(row: SampleRow, dimensions: int) -> bool:
    points = row.numbers[BOX_COLUMNS:]
    places = [v for i, v in enumerate(points) if i % dimensions < 2]
    marks = [v for i, v in enumerate(points) if i % dimensions == 2]
    return is_normalised([*row.numbers[1:BOX_COLUMNS], *places]) and all(v in VISIBILITIES for v in marks)


def _on_visibility(rows: Sequence[SampleRow], shapes: Sequence[tuple[int, int]]) -> Iterator[str]:
    if shapes[0][1] == 3:
        marks = Counter(
            int(v) for row in rows for v in row.numbers[BOX_COLUMNS + 2 :: 3] if v in VISIBILITIES
        )
        shown = ", ".join(f"{n:,} times {v}" for v, n in sorted(marks.items()))
        yield f"every third keypoint column is a visibility: {shown}"
    elif len(shapes) == 1:
        yield "all keypoint columns are coordinates from 0 to 1, none is a visibility"


def _on_thin_boxes(rows: Sequence[Row]) -> Iterator[str]:
    """Boxes that training cannot learn, which no rule has judged as the row could not be read."""
    thin = sum(
        file.size_px is not None
        and len(row.numbers) >= BOX_COLUMNS
        and (row.numbers[3] * file.size_px[0] < 1 or row.numbers[4] * file.size_px[1] < 1)
        for file, row in rows
    )
    if thin:
        yield f"whatever kpt_shape is, {thin:,} of these boxes are less than 1 px wide or high: too thin to learn"


# No keypoints.


def _is_box(row: SampleRow, spec: TaskSpec) -> bool:
    return len(row.tokens) == BOX_COLUMNS


def _judge_boxes(part: Part, rows: Sequence[Row], n_rows: int, spec: TaskSpec) -> Writing | None:
    if not almost_all(len(rows), n_rows):
        return None
    return Writing(
        "no-keypoints",
        "boxes without keypoints in a pose set",
        part,
        part.files,
        n_rows,
        len(rows),
        "are boxes without keypoints: the export left the keypoints out",
        [
            f"{len(rows):,} of {n_rows:,} rows have 5 columns, and none has the {pose_columns(spec)} of kpt_shape "
            f"[{spec.kpt_shape[0]}, {spec.kpt_shape[1]}]",
            *_on_points(rows, spec),
        ],
        "every such image is left out; training stops where a split has no other",
        "export the labels again in a format for keypoints (YOLO pose), or take kpt_shape out of data.yaml and train "
        "detection",
        frozenset({"L006", "K001"}),
    )


def _on_points(rows: Sequence[Row], spec: TaskSpec) -> Iterator[str]:
    """Classes all of whose boxes are as small as points."""
    largest: dict[float, float] = {}
    for _, row in rows:
        class_id, *_, w, h = row.numbers
        largest[class_id] = max(largest.get(class_id, 0), w, h)
    points = [c for c, side in largest.items() if side < POINT]
    if points and len(points) < len(largest):
        names = ", ".join(
            f"{c:g} ({spec.names[int(c)]})" if c in spec.names else f"{c:g}" for c in points[:5]
        )
        yield f"boxes of class {names} are no larger than a point: these may be the keypoints, exported as boxes"


# Missing keypoints as negative numbers.


def _is_marked(row: SampleRow, spec: TaskSpec) -> bool:
    """Whether the row has keypoints with x and y negative and alike, and no other is outside."""
    if len(row.tokens) != pose_columns(spec):
        return False
    points = row.numbers[BOX_COLUMNS:]
    dimensions = spec.kpt_shape[1]
    xy = list(zip(points[::dimensions], points[1::dimensions], strict=True))
    marked = [x for x, y in xy if x == y and x < -TOLERANCE]
    return bool(marked) and all(is_normalised(point) for point in xy if point[0] not in marked)


def _judge_marks(part: Part, rows: Sequence[Row], n_rows: int, spec: TaskSpec) -> Writing:
    k, dimensions = spec.kpt_shape
    marks = sorted({v for _, row in rows for v in row.numbers[BOX_COLUMNS:] if v < -TOLERANCE})
    mark = f"{marks[0]:g} {marks[0]:g}"
    with_visibility = (
        "write `0 0 0` for each of them"
        if dimensions == 3
        else f"write `kpt_shape: [{k}, 3]`, a visibility behind each keypoint (2 where it is labelled), and `0 0 0` "
        "for missing ones; `0 0` without a visibility would be learned as a point in the image's corner"
    )
    lines = {f.label: frozenset(r.line for r in f.rows if not _is_marked(r, spec)) for f in part.files}
    return Writing(
        "negative-keypoints",
        "missing keypoints written as negative numbers",
        part,
        part.files,
        n_rows,
        len(rows),
        f"mark missing keypoints with {mark}",
        [
            f"in these rows every other keypoint lies in the image; {n_rows - len(rows):,} rows have no such mark"
        ],
        "every image with such a row is left out: numbers under -0.01 are no labels",
        with_visibility,
        frozenset({"K003", "K002"}),
        misfits=lines,
    )
