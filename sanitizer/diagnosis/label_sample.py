"""Rows of a bounded number of label files, taken evenly from every split, as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.rules.survey import Survey

MOST_FILES = 600
"""Label files of a sample, over all splits; a dataset with fewer is read whole."""
MOST_REMOTE_FILES = 64
"""The same where each file is a request."""
MOST_BYTES = 64 * 1024
"""What is read of one file."""
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
    """Read label files from all over the dataset; those that cannot be read, or are no text, are left out.

    Files inside of packed ones (tar shards, NDJSON) are not read again: such a dataset has an empty sample.
    """
    dataset = survey.dataset
    if survey.packed_files is not None:
        return LabelSample((), of_all=False)
    most = MOST_REMOTE_FILES if dataset.storage.remote else MOST_FILES
    chosen, of_all = _chosen_pairs(survey, most)
    files = [file for pair in chosen if (file := _read_file(survey, pair)) is not None and file.rows]
    return LabelSample(files, of_all)


def _chosen_pairs(survey: Survey, most: int) -> tuple[list[int], bool]:
    """(pairs with a label file that is not empty, evenly from each split; whether these are all)."""
    chosen: list[int] = []
    of_all = True
    share = max(1, most // max(1, len(survey.dataset.splits)))
    for start, stop in zip(survey.split_start[:-1].tolist(), survey.split_start[1:].tolist(), strict=True):
        parts = [
            start + part.start + np.flatnonzero(survey.label_digest[start + part.start : start + part.stop])
            for part in blocks(stop - start)
        ]
        labelled = np.concatenate([np.zeros(0, np.int64), *parts])
        if len(labelled) > share:
            of_all = False
            labelled = labelled[np.linspace(0, len(labelled) - 1, share).astype(np.int64)]
        chosen += labelled.tolist()
    return chosen, of_all


def _read_file(survey: Survey, pair: int) -> SampleFile | None:
    path = survey.label_path(pair)
    if path is None:
        return None
    try:
        with survey.dataset.storage.open(path) as file:
            content = file.read(MOST_BYTES + 1)
        text = content[:MOST_BYTES].decode("utf-8-sig")
    except (OSError, ValueError):
        return None
    cut = len(content) > MOST_BYTES
    lines = text.splitlines()[: -1 if cut else None]
    rows = [row for number, line in enumerate(lines, 1) if (row := _row(number, line)) is not None]
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
