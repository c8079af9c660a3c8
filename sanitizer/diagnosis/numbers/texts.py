"""Annotation text of other datasets and tools in place of label rows: DOTA, VisDrone, KITTI, MOT."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.diagnosis.numbers.enough_rows import SURE_SHARE_BY_COLUMNS, almost_all, at_least
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.writing import COORDINATES, SHAPES, UNREADABLE, Writing
from sanitizer.labels.readings import READINGS
from sanitizer.labels.readings.columns import split_at_commas
from sanitizer.labels.readings.oriented import DOTA_HEADERS, dota_name, is_dota_row
from sanitizer.labels.readings.other_tools import KITTI_IGNORED, is_kitti_row, is_visdrone_row
from sanitizer.labels.readings.reading import class_id_of, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.parts import Part


@dataclass(frozen=True, slots=True)
class Text:
    """A text format of another dataset or tool.

    Attributes:
        name: As people call it.
        id: Of the cause, and of its reading where it has one.
        is_row: Whether these columns, split at blanks, are a row of it.
        are: What its columns are.
        way_out: Without a fix.
    """

    name: str
    id: str
    is_row: Callable[[Sequence[str]], bool]
    are: str
    way_out: str


def _is_dota(tokens: Sequence[str]) -> bool:
    return tokens[0].startswith(DOTA_HEADERS) or is_dota_row(tokens)


def _is_visdrone(tokens: Sequence[str]) -> bool:
    return is_visdrone_row(split_at_commas(tokens))


def _is_mot(tokens: Sequence[str]) -> bool:
    """frame, id, x, y, w, h in pixels, confidence, then class and visibility, or place in space, or VisDrone's."""
    if "," not in "".join(tokens):
        return False
    numbers = numbers_of(split_at_commas(tokens))
    if numbers is None or len(numbers) not in (7, 9, 10):
        return False
    frame, track, _, _, w, h, conf = numbers[:7]
    return frame >= 1 and frame % 1 == 0 and track % 1 == 0 and track >= -1 and w > 1 and h > 1 and conf <= 1


TEXTS = (
    Text(
        "DOTA",
        "dota",
        _is_dota,
        "four corners in pixels, the class's name, the difficulty",
        "convert the labels with `ultralytics.data.converter.convert_dota_to_yolo_obb`, or export them as YOLO OBB",
    ),
    Text(
        "KITTI",
        "kitti",
        is_kitti_row,
        "the class's name, truncation, occlusion, an angle, two corners in pixels, a box in space",
        "convert the labels to YOLO: class, centre and size, divided by the image's width and height",
    ),
    Text(
        "VisDrone",
        "visdrone",
        _is_visdrone,
        "x, y, width and height in pixels, score, category, truncation, occlusion",
        "convert the labels as VisDrone.yaml of Ultralytics does when it downloads the set",
    ),
    Text(
        "MOT",
        "mot",
        _is_mot,
        "frame, track id, x, y, width and height in pixels, confidence, …",
        "split each file by its first column into one label file an image, and write class, centre and size there, "
        "divided by the image's width and height",
    ),
)


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Files that hold another tool's text."""
    for text in TEXTS:
        yield from parts_where([f for f in files if _holds(f, text)], partial(_judge, text, spec))


def _holds(file: SampleFile, text: Text) -> bool:
    """Whether most rows of a file are of this format."""
    return 2 * sum(text.is_row(row.tokens) for row in file.rows) > len(file.rows)


def _judge(text: Text, spec: TaskSpec, part: Part) -> Writing | None:
    rows = [(file, row) for file in part.files for row in file.rows]
    fits = [text.is_row(row.tokens) for _, row in rows]
    if not almost_all(sum(fits), len(rows)):
        return None
    reading, evidence = _reading(part, text, spec)
    if at_least(sum(fits), len(rows)) < SURE_SHARE_BY_COLUMNS:
        reading = None
        evidence = [*evidence, f"{len(rows):,} rows are few to tell by"]
    return Writing(
        text.id,
        f"{text.name}'s own text",
        part,
        part.files,
        len(rows),
        sum(fits),
        f"are {text.name}'s own text: {text.are}",
        evidence,
        "every such image is left out, as none of these rows is one of YOLO's",
        text.way_out,
        UNREADABLE | COORDINATES | SHAPES,
        reading,
    )


def _reading(part: Part, text: Text, spec: TaskSpec) -> tuple[str | None, list[str]]:
    """(the reading by which all rows can be written anew, if any; what speaks for the format or against a fix)."""
    first = max(part.files[0].rows[:5], key=lambda row: len(row.tokens))
    evidence = [f"a row reads: {' '.join(first.tokens)[:90]}"]
    if text.id not in READINGS:
        return None, evidence
    left = Counter(
        _why_left(row.tokens, text, spec)
        for file in part.files
        for row in file.rows
        if READINGS[text.id].convert(row.tokens, file.size_px, spec) is None
    )
    evidence += [f"{n:,} rows cannot be written anew: {why}" for why, n in left.most_common(5)]
    return (None if left else text.id), evidence


def _why_left(tokens: Sequence[str], text: Text, spec: TaskSpec) -> str:
    """Why a row cannot be written anew, in a few words."""
    needed = "obb" if text.id == "dota" else "detect"
    if spec.task != needed:
        return f"the set is read as {spec.task}, and these are boxes for {needed}"
    if text.id == "visdrone":
        return "data.yaml's names are not VisDrone's ten, so which class is which is not told, or the box is outside"
    name = dota_name(tokens) if text.id == "dota" else tokens[0]
    if name != KITTI_IGNORED and class_id_of(name, spec) is None:
        return f"data.yaml has no class {name[:40]!r}"
    return "the image's size is not known, or the box lies outside it"
