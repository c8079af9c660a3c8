"""What a card of the gallery shows of a finding: the label row as it stands, the crop, the shapes to draw in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.reports.html.crops import LONGEST_SIDE_PX, Cut, cut_out, is_in_sight
from sanitizer.reports.html.label_file import LabelFile, keypoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import LabelTable, TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.reports.html.crops import Box, Window

MAX_OTHERS = 30
MAX_POINTS = 400
FAR_AWAY_PX = 1000.0
"""Points further from the crop are brought this near: drawing ends at its edge anyway."""
OUT_OF_SIGHT = "The box lies outside the image, so the whole image is shown."

Numbers = list[float]


@dataclass(slots=True)
class Card:
    """One finding in the gallery; lengths in pixels of the crop.

    Attributes:
        row: The label line as it stands in the file now, cut short; None where there is none.
        crop: Name of the crop's file, or None.
        crop_w, crop_h: Its size.
        shape: [x, y] of the box's corners or of the polygon's vertices; None without box or crop.
        points: [x, y, visibility] of keypoints, visibility 2 where labels have none; None without keypoints.
        others: [left, top, width, height] of other boxes in sight, nearest first.
        about: What to know about picture and row, sentences.
    """

    row: str | None = None
    crop: str | None = None
    crop_w: int | None = None
    crop_h: int | None = None
    shape: list[Numbers] | None = None
    points: list[Numbers] | None = None
    others: list[Numbers] = field(default_factory=list)
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Findings on one image and its label: what a worker gets.

    Attributes:
        image, label: Absolute paths, or None.
        findings: Those that name both.
        folder: Where crops are written.
        spec: The task that rows are judged by.
        left_out: What they name and may not be read, a sentence, or None.
    """

    image: str | None
    label: str | None
    findings: Sequence[Finding]
    folder: str
    spec: TaskSpec
    left_out: str | None = None


def make_cards(group: Group) -> list[Card]:
    """A card for each finding of the group. OSError where crops cannot be written; nothing else is raised."""
    if any(f.kind == "ends-process" for f in group.findings):
        return [Card() for _ in group.findings]  # reading would end this process, too
    label = LabelFile.read(group.label, group.spec)
    rows = [label.row_of(f) for f in group.findings]
    boxes = [corners(f) or label.corners(row) for f, row in zip(group.findings, rows, strict=True)]
    nothing = [None] * len(boxes)
    sights = [label.with_keypoints(row, box) for row, box in zip(rows, boxes, strict=True)]
    cut = cut_out(group.image, sights, group.folder) if group.image else Cut(None, nothing, nothing)
    cards = []
    for i, finding in enumerate(group.findings):
        card = _card_of_row(finding, label, rows[i]) if group.label is not None else Card()
        about = [group.left_out, cut.problem, card.about]
        window = cut.windows[i]
        if window is not None and cut.size is not None:
            card.crop, card.crop_w, card.crop_h = cut.names[i], window.width_px, window.height_px
            pen = Pen(window, cut.size, group.spec.kpt_shape[1])
            pen.draw(card, boxes[i], label.table, rows[i])
            about.append(_place_of(boxes[i]))
        card.about = " ".join(filter(None, about)) or None
        cards.append(card)
    return cards


def corners(finding: Finding) -> Box | None:
    """Normalised corners of the finding's box, None where it has none. A negative size counts as its amount."""
    x, y, w, h = finding.x_center, finding.y_center, finding.width, finding.height
    if x is None or y is None or w is None or h is None:
        return None
    return x - abs(w) / 2, y - abs(h) / 2, x + abs(w) / 2, y + abs(h) / 2


def _card_of_row(finding: Finding, label: LabelFile, row: int | None) -> Card:
    """A card that only quotes, and says whether the row is still the one that was judged."""
    if finding.line is None or finding.label is None:
        return Card()
    return Card(row=label.line(finding.line), about=label.doubt(finding, row))


def _place_of(box: Box | None) -> str | None:
    return OUT_OF_SIGHT if box is not None and not is_in_sight(box) else None


@dataclass(frozen=True, slots=True)
class Pen:
    """Turns normalised places into pixels of one crop. `per_keypoint` is the number of columns of a keypoint."""

    window: Window
    image_size: tuple[int, int]
    per_keypoint: int

    def draw(self, card: Card, box: Box | None, table: LabelTable | None, row: int | None) -> None:
        """Fill in a card's shapes: the row's own outline where it has one, else the finding's box."""
        if box is not None:
            left, top, right, bottom = box
            card.shape = self._outline(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]))
        if table is None:
            return
        if row is not None:
            tokens = table.tokens[table.first_token[row] : table.first_token[row + 1]]
            if table.kind[row] in (RowKind.POLYGON, RowKind.OBB):
                card.shape = self._outline(tokens[1:].reshape(-1, 2))
            elif table.kind[row] == RowKind.POSE:
                card.points = self._keypoints(keypoints(tokens, self.per_keypoint))
        card.others = self._others(table, box, row)

    def _outline(self, points: NDArray[np.float64]) -> list[Numbers]:
        """The vertices in pixels, those left out that fall on the one before."""
        px = self._pixels(points)
        moved = np.ones(len(px), np.bool_)
        moved[1:] = (np.abs(np.diff(px, axis=0)) >= 0.5).any(axis=1)
        if moved.sum() > 4:
            px = px[moved]
        if len(px) > MAX_POINTS:
            px = px[np.linspace(0, len(px) - 1, MAX_POINTS).astype(np.int64)]
        return _rounded(px)

    def _keypoints(self, points: NDArray[np.float64]) -> list[Numbers]:
        return _rounded(np.hstack((self._pixels(points[:, :2]), points[:, 2:])))

    def _others(self, table: LabelTable, box: Box | None, row: int | None) -> list[Numbers]:
        """Boxes of other rows that the window shows, the nearest by centre and size first."""
        with np.errstate(all="ignore"):
            half = np.abs(table.xywh[:, 2:]) / 2
            low, high = table.xywh[:, :2] - half, table.xywh[:, :2] + half
            start = np.array((self.window.left, self.window.top)) / self.image_size
            stop = np.array((self.window.right, self.window.bottom)) / self.image_size
            seen: NDArray[np.bool_] = np.all((low < stop) & (high > start), axis=1)
            if row is not None:
                seen[row] = False
            rows = np.flatnonzero(seen)
            if len(rows) > MAX_OTHERS and box is not None:
                apart = np.abs(low[rows] - box[:2]).sum(axis=1) + np.abs(high[rows] - box[2:]).sum(axis=1)
                rows = rows[np.argsort(apart, kind="stable")]
            rows = rows[:MAX_OTHERS]
            low_px, high_px = self._pixels(low[rows]), self._pixels(high[rows])
        return _rounded(np.hstack((low_px, high_px - low_px)))

    def _pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (N, 2): pixels of the crop, from normalised points (N, 2)."""
        with np.errstate(all="ignore"):
            px = self.window.to_crop(points, self.image_size)
        return np.clip(np.nan_to_num(px, nan=0.0), -FAR_AWAY_PX, FAR_AWAY_PX + LONGEST_SIDE_PX)


def _rounded(table: NDArray[np.float64]) -> list[Numbers]:
    """Rows of numbers with one decimal, whole ones as int: shorter in the page."""
    return [[int(v) if v == int(v) else v for v in row] for row in np.round(table, 1).tolist()]
