"""Whole images made small, with the label lines that a probe points at: for images that it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.reports.html.cards import Card, Pen
from sanitizer.reports.html.crops import cut_out
from sanitizer.reports.html.label_file import LabelFile
from sanitizer.reports.html.pool import share_out
from sanitizer.reports.reach import OUTSIDE
from sanitizer.scanner.engines.local import usable_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.reports.html.cards import Numbers

_WORTH_A_POOL = 64
_PER_SHARE = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image to make small: what a worker gets.

    Attributes:
        image, label: Absolute paths; label None where there is none, both None where they may not be read.
        lines: Physical lines of the label file whose shapes are wanted.
        folder: Where the picture is written.
        spec: The task that rows are judged by.
    """

    image: str | None
    label: str | None
    lines: Sequence[int]
    folder: str
    spec: TaskSpec


@dataclass(slots=True)
class Thumbnail:
    """A small picture of a whole image; lengths in its pixels.

    Attributes:
        name: Its file in the folder, or None where the image cannot be shown.
        width_px, height_px: Its size.
        shapes: Line to [x, y] of the box's corners or of the polygon's vertices; lines without a box are not in it.
        others: [left, top, width, height] of boxes of the label file.
        problem: Why there is no picture, or less than the whole, a sentence.
    """

    name: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    shapes: dict[int, list[Numbers]] = field(default_factory=dict)
    others: list[Numbers] = field(default_factory=list)
    problem: str | None = None


def make_thumbnails(wanted: Sequence[Wanted], progress: bool, jobs: int | None) -> list[Thumbnail]:
    """One for each, in order. OSError where a picture cannot be written; nothing else is raised."""
    n_jobs = jobs or (usable_cores() if len(wanted) >= _WORTH_A_POOL else 1)
    bar = ("making thumbnails", " images") if progress else None
    return list(share_out(thumbnail, wanted, min(n_jobs, len(wanted)), _PER_SHARE, [1] * len(wanted), bar))


def thumbnail(wanted: Wanted) -> Thumbnail:
    """The whole image as a small JPEG, and where its rows lie in it."""
    if wanted.image is None:
        return Thumbnail(problem=f"The image is left out: {OUTSIDE}.")
    cut = cut_out(wanted.image, [None], wanted.folder)
    window, made = cut.windows[0], Thumbnail(cut.names[0], problem=cut.problem)
    if window is None or cut.size is None:
        return made
    made.width_px, made.height_px = window.width_px, window.height_px
    label = LabelFile.read(wanted.label, wanted.spec)
    pen = Pen(window, cut.size, wanted.spec.kpt_shape[1])
    for line in wanted.lines:
        row = next(iter(label.rows_at(line)), None)
        drawn = Card()
        pen.draw(drawn, label.corners(row), label.table, row)
        if drawn.shape is not None:
            made.shapes[line] = drawn.shape
    drawn = Card()
    pen.draw(drawn, None, label.table, None)
    made.others = drawn.others
    return made
