"""Rows of a bounded number of label files, taken evenly from every split, as they are written."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.labels.heads import HEAD_BYTES, head_strides, keeps_head
from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sanitizer.rules.survey import Survey

_UTF8 = codecs.getincrementaldecoder("utf-8-sig")
"""Leaves out the last character of a head where the bound cuts it."""
MOST_ROWS = 100
"""Rows that are kept of one file."""
MOST_COLUMNS = 2000
"""Rows with more tokens are left out: no format but a polygon has so many."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One label row.

    Attributes:
        line: 1-based physical line.
        tokens: Its columns as written.
        numbers: float(token), NaN where that is no number; as many as tokens.
    """

    line: int
    tokens: tuple[str, ...]
    numbers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SampleFile:
    """Rows of one label file.

    Attributes:
        pair: Its pair, as `Survey` counts them.
        split: Name of its split.
        label: POSIX path relative to the dataset root.
        size_px: Upright (width, height) of its image, None where that is not known.
        rows: Its first rows, blank ones left out.
        whole: Whether these are all its rows.
    """

    pair: int
    split: str
    label: str
    size_px: tuple[int, int] | None
    rows: tuple[SampleRow, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class LabelSample:
    """Label files that hold rows.

    Attributes:
        files: In the order of the dataset.
        of_all: Whether every label file with rows is among them.
    """

    files: Sequence[SampleFile]
    of_all: bool


def read_sample(survey: Survey) -> LabelSample:
    """Label files from all over the dataset; those that cannot be read, or are no text, are left out.

    On a disk they are read for this. Elsewhere their heads were kept when they were read for the first time. Of files
    inside of packed ones (tar shards, NDJSON) nothing is kept: such a dataset has an empty sample.
    """
    if survey.packed_files is not None:
        return LabelSample((), of_all=False)
    strides = head_strides(survey.dataset.splits)
    heads: Iterable[tuple[int, bytes]] = sorted(survey.label_heads.items())
    if not survey.dataset.storage.remote:
        heads = _read_heads(survey, _chosen_pairs(survey, strides))
    files = [file for pair, head in heads if (file := _file_of(survey, pair, head)) is not None]
    return LabelSample(files, of_all=all(stride == 1 for stride in strides.values()))


def _chosen_pairs(survey: Survey, strides: Mapping[str, int]) -> Iterator[int]:
    """Pairs whose label files leave their heads."""
    for split, start in zip(survey.dataset.splits, survey.split_start.tolist(), strict=False):
        stride = strides[split.name]
        for part in blocks(len(split)):
            names = split.label_names(part.start, part.stop) if stride > 1 else ()
            for i in np.flatnonzero(split.has_label[part]).tolist():
                if stride == 1 or keeps_head(names[i], stride):
                    yield start + part.start + i


def _read_heads(survey: Survey, pairs: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """(pair, first bytes of its label file) of those that can be read."""
    for pair in pairs:
        try:
            with survey.dataset.storage.open(survey.label_path(pair) or "") as file:
                yield pair, file.read(HEAD_BYTES)
        except (OSError, ValueError):
            continue


def _file_of(survey: Survey, pair: int, head: bytes) -> SampleFile | None:
    """The rows of a label file by its first bytes; None where it is no text, or has no row."""
    cut = len(head) == HEAD_BYTES
    try:
        text = _UTF8().decode(head[: HEAD_BYTES - 1], final=not cut)
    except ValueError:
        return None
    lines = text.splitlines()[: -1 if cut else None]
    rows = [row for number, line in enumerate(lines, 1) if (row := _row(number, line)) is not None]
    if not rows:
        return None
    path = survey.label_path(pair) or ""
    width, height = int(survey.width[pair]), int(survey.height[pair])
    return SampleFile(
        pair,
        survey.split_name(pair),
        survey.dataset.relative(path) or path,
        (width, height) if width > 0 and height > 0 else None,
        tuple(rows[:MOST_ROWS]),
        not cut and len(rows) <= MOST_ROWS,
    )


def _row(line: int, text: str) -> SampleRow | None:
    tokens = tuple(text.split())
    if not tokens or len(tokens) > MOST_COLUMNS:
        return None
    return SampleRow(line, tokens, tuple(map(_number, tokens)))


def _number(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return float("nan")
