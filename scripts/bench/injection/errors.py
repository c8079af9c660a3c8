"""The kinds of label error: each takes a page and returns it altered, with what was altered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from injection.rows import Box, Page, Row, iou, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SWAPPED = "labels of another image"
SHIFTS = (0.5, 1.0)
"""Length of a shift, in sizes of the box."""
ROOM = 0.6
"""A box is shifted only where it can go at least so far, so that a place is soon drawn."""
ASPECTS = (55.0, 120.0)
LONG_SIDES = (0.3, 0.8)
TINY_SIDES_PX = (1.0, 2.0)
TINY_BOXES = (3, 5)
THIN_BOXES = (1, 2)
WHOLE_IMAGE: Box = (0.5, 0.5, 1.0, 1.0)
NEARLY_WHOLE_AREA = 0.9
SAME_BOX_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Altered:
    """A page after an error.

    Attributes:
        lines: Of the new label file, without line ends.
        altered: 1-based numbers of the lines that differ or are new.
        removed: Boxes that are no longer there.
        uncovered: Boxes of objects that no row fits any more: those removed, and those whose row went elsewhere.
    """

    lines: Sequence[str]
    altered: Sequence[int]
    removed: Sequence[Box] = field(default_factory=tuple)
    uncovered: Sequence[Box] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error.

    Attributes:
        name: As the results write it.
        possible: Whether a page can have it, such that it is an error there.
        make: The error itself.
    """

    name: str
    possible: Callable[[Page], bool]
    make: Callable[[Page, np.random.Generator], Altered]


def wrong_class(page: Page, random: np.random.Generator) -> Altered:
    """Half of the boxes get another class."""
    chosen = half(page.rows, len(page.rows), random)
    lines = list(page.lines)
    for row in chosen:
        _, _, rest = page.lines[row.line - 1].strip().partition(" ")
        lines[row.line - 1] = f"{another_class(row, page.nc, random)} {rest}"
    return Altered(lines, [row.line for row in chosen])


def shifted_box(page: Page, random: np.random.Generator) -> Altered:
    """Half of the boxes move by half of their size to the whole of it, in any direction that stays in the image."""
    chosen = half(movable(page), len(page.rows), random)
    lines = list(page.lines)
    for row in chosen:
        lines[row.line - 1] = text(row.class_id, shift(row.box, random))
    return Altered(lines, [row.line for row in chosen], uncovered=[row.box for row in chosen])


def missing_box(page: Page, random: np.random.Generator) -> Altered:
    """Half of the boxes are taken away."""
    chosen = half(page.rows, len(page.rows), random)
    gone = {row.line for row in chosen}
    lines = [line for n, line in enumerate(page.lines, 1) if n not in gone]
    gone_boxes = [row.box for row in chosen]
    return Altered(lines, [], gone_boxes, gone_boxes)


def aspect_over_50(page: Page, random: np.random.Generator) -> Altered:
    """One or two boxes, lying or standing, far longer than they are wide, in pixels."""
    rows = []
    for _ in range(random.integers(*THIN_BOXES, endpoint=True)):
        lying = bool(random.integers(2))
        long_px = random.uniform(*LONG_SIDES) * (page.width if lying else page.height)
        thin_px = long_px / random.uniform(*ASPECTS)
        sides = (long_px, thin_px) if lying else (thin_px, long_px)
        rows.append(anywhere(page, sides, random))
    return added(page, rows)


def full_image_box(page: Page, random: np.random.Generator) -> Altered:
    """One box over everything."""
    return added(page, [text(int(random.integers(page.nc)), WHOLE_IMAGE)])


def tiny_boxes(page: Page, random: np.random.Generator) -> Altered:
    """A few boxes of one to two pixels a side."""
    count = int(random.integers(*TINY_BOXES, endpoint=True))
    sides = random.uniform(*TINY_SIDES_PX, (count, 2))
    return added(page, [anywhere(page, (w, h), random) for w, h in sides.tolist()])


def second_class(page: Page, random: np.random.Generator) -> Altered:
    """Half of the boxes are there once more, with another class."""
    chosen = half(page.rows, len(page.rows), random)
    rests = [page.lines[row.line - 1].strip().partition(" ")[2] for row in chosen]
    return added(
        page,
        [f"{another_class(row, page.nc, random)} {rest}" for row, rest in zip(chosen, rests, strict=True)],
    )


KINDS = (
    Kind("wrong class", lambda page: bool(page.rows) and page.nc > 1, wrong_class),
    Kind("shifted box", lambda page: 0 < half_of(len(page.rows)) <= len(movable(page)), shifted_box),
    Kind("missing box", lambda page: len(page.rows) > 1, missing_box),
    Kind("aspect over 50", lambda page: True, aspect_over_50),
    Kind("full-image box", lambda page: not any(covers_image(row) for row in page.rows), full_image_box),
    Kind("tiny boxes", lambda page: True, tiny_boxes),
    Kind("second class on a box", lambda page: bool(page.rows) and page.nc > 1, second_class),
)
"""All but `SWAPPED`, which takes several pages at once."""
UNSEEN_KINDS = (*(kind.name for kind in KINDS[:3]), SWAPPED)
"""Kinds that no scan can see, as every row is well formed."""
NAMES = (*UNSEEN_KINDS, *(kind.name for kind in KINDS[3:]))


def half_of(count: int) -> int:
    """Half of a number, at least 1 where there is something to take half of."""
    return min(count, max(1, count // 2))


def half(rows: Sequence[Row], of: int, random: np.random.Generator) -> list[Row]:
    """As many rows as half of a number, in the order of their lines."""
    return [rows[i] for i in sorted(random.choice(len(rows), half_of(of), replace=False).tolist())]


def another_class(row: Row, nc: int, random: np.random.Generator) -> int:
    """Any class but the row's."""
    return int((row.class_id + random.integers(1, nc)) % nc)


def movable(page: Page) -> list[Row]:
    """The rows whose box can go far enough without leaving the image."""
    return [row for row in page.rows if np.hypot(*np.abs(reach(row.box)).max(0)) >= ROOM]


def reach(box: Box) -> NDArray[np.float64]:
    """float64 (2, 2): how far a box can go in x and y, in its own widths and heights; most negative, most positive."""
    centre, size = np.array(box[:2]), np.array(box[2:])
    low, high = (size / 2 - centre) / size, (1 - size / 2 - centre) / size
    return np.array([np.clip(low, -SHIFTS[1], 0), np.clip(high, 0, SHIFTS[1])])


def shift(box: Box, random: np.random.Generator) -> Box:
    """The box elsewhere: drawn evenly from all places inside the image, until one is as far as wanted."""
    low, high = reach(box)
    while True:
        dx, dy = random.uniform(low, high).tolist()
        if SHIFTS[0] <= math.hypot(dx, dy) <= SHIFTS[1]:
            return box[0] + dx * box[2], box[1] + dy * box[3], box[2], box[3]


def covers_image(row: Row) -> bool:
    """Whether a box over the whole image would be no news."""
    return row.box[2] * row.box[3] > NEARLY_WHOLE_AREA


def anywhere(page: Page, sides_px: tuple[float, float], random: np.random.Generator) -> str:
    """A row of any class with a box of this size, at a random place inside the image."""
    w, h = sides_px[0] / page.width, sides_px[1] / page.height
    x, y = random.uniform(w / 2, 1 - w / 2), random.uniform(h / 2, 1 - h / 2)
    return text(int(random.integers(page.nc)), (x, y, w, h))


def added(page: Page, rows: Sequence[str]) -> Altered:
    """The page with rows at its end."""
    first = len(page.lines) + 1
    return Altered([*page.lines, *rows], list(range(first, first + len(rows))))


def swapped(pages: Sequence[Page], random: np.random.Generator) -> list[int] | None:
    """Which page's labels each page gets, every page once and none that would fit; None where no such way is found."""
    fits = np.array([[resembles(a, b) for b in pages] for a in pages])
    donors = random.permutation(len(pages))
    for _ in range(len(pages)):
        for i in np.flatnonzero(fits[np.arange(len(pages)), donors]):
            ways = np.flatnonzero(~fits[i, donors] & ~fits[np.arange(len(pages)), donors[i]])
            if len(ways):
                j = random.choice(ways)
                donors[[i, j]] = donors[[j, i]]
    done = not fits[np.arange(len(pages)), donors].any()
    return [int(d) for d in donors] if done else None


def resembles(page: Page, other: Page) -> bool:
    """Whether half of the other's boxes, or more, would be right here: then its labels are hardly an error."""
    if page is other or not page.rows or not other.rows:
        return page is other or list(page.lines) == list(other.lines)
    same_class = np.array([[a.class_id == b.class_id for b in page.rows] for a in other.rows])
    overlap = iou([row.box for row in other.rows], [row.box for row in page.rows])
    right = ((overlap >= SAME_BOX_IOU) & same_class).any(1)
    return bool(right.mean() >= 0.5)


def not_covered(rows: Sequence[Row], by: Sequence[Row]) -> list[Box]:
    """The boxes of rows that no row of another list fits, whatever its class."""
    overlap = iou([row.box for row in rows], [row.box for row in by])
    return [row.box for row, of_row in zip(rows, overlap, strict=True) if not (of_row >= SAME_BOX_IOU).any()]
