"""Which repairs there are for which finding, in which order they are tried, and how risky each is.

A repair looks at one row and returns its new text, `REMOVED`, or None where it does not apply. There is none for
what no row can tell. Numbers that seem to be corners (B010) or pixels (B011), a sixth column, and a class name are
read anew only under a cause that holds for the whole dataset: `by_cause.py`. A polygon that crosses itself (S003) may
be a slip in the order of its points, or two parts joined. Corners of an oriented box outside the image (O002) are right
for cut objects, and training makes a rectangle of any other shape (O001). A polygon in a detection set (L006) needs
no repair, as training takes its box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sanitizer.fixes.repair.clipping import clip_if_mostly_inside, clip_within_rounding
from sanitizer.fixes.repair.conversions import (
    box_around_polygon,
    corners_of_box,
    corners_of_box_in_obb_set,
    with_unlabelled_keypoints,
)
from sanitizer.fixes.repair.separators import split_columns
from sanitizer.labels.readings import READINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.fixes.repair.rows import Row

Level = Literal["safe", "unsafe"]

REMOVED = ""
"""What a repair returns for a row that is to go."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One way to settle a finding.

    Attributes:
        level: Whether it needs --unsafe or a decision.
        done: What was done to the row, for the summary: reads on after "3 rows ".
        attempt: The repair itself.
        rereads: The row was misread before, so that only now rules can judge it.
        loses_box: Training has one box less to learn from.
        fits_any_reading: It is right whatever the numbers of the row mean, and may be done in a file whose rows a
            cause calls misread.
    """

    level: Level
    done: str
    attempt: Callable[[Row], str | None]
    rereads: bool = False
    loses_box: bool = False
    fits_any_reading: bool = False


_OTHER_COLUMNS = (
    "confidence",
    "track-id",
    "confidence-and-track-id",
    "instance-id",
    "second-confidence",
    "class-names",
    "angle-degrees",
    "angle-radians",
    "angle-degrees-pixels",
    "angle-radians-pixels",
    "dota",
    "kitti",
    "visdrone",
)
"""Readings of rows whose columns are not those of training."""


def _remove(row: Row) -> str:
    return REMOVED


def _remove_if_unreadable(row: Row) -> str | None:
    """Remove a row that is no object in any reading: one that may be read some other way is not to be lost."""
    readable = any(READINGS[name].convert(row.tokens, row.size_px, row.spec) for name in _OTHER_COLUMNS)
    return None if readable else REMOVED


def _remove_if_pose(row: Row) -> str | None:
    return REMOVED if row.spec.task == "pose" else None


def _removal(why: str, attempt: Callable[[Row], str | None] = _remove) -> Repair:
    return Repair("unsafe", f"removed: {why}", attempt, loses_box=True)


_CLIP_ROUNDING = Repair("safe", "clipped to the image (outside by rounding)", clip_within_rounding)
_CLIP = Repair("unsafe", "clipped to the image (half or more was inside)", clip_if_mostly_inside)

REPAIRS: Mapping[str, Sequence[Repair]] = {
    "L002": (_removal("wrong number of columns", _remove_if_unreadable),),
    "L003": (
        Repair("safe", "freed of commas and semicolons", split_columns, rereads=True, fits_any_reading=True),
        _removal("a column that is no number", _remove_if_unreadable),
    ),
    "L004": (_removal("NaN, infinity or overflow"),),
    "L005": (
        Repair(
            "unsafe", "turned from polygon to box, as its file holds boxes", box_around_polygon, rereads=True
        ),
        Repair(
            "unsafe",
            "turned from box to four corners, as its file holds polygons",
            corners_of_box,
            rereads=True,
        ),
    ),
    "L006": (
        Repair("unsafe", "turned from box to four corners", corners_of_box_in_obb_set, rereads=True),
        Repair(
            "unsafe", "given keypoints that count as not labelled", with_unlabelled_keypoints, rereads=True
        ),
        Repair("unsafe", "removed: a box without keypoints", _remove_if_pose, loses_box=True),
    ),
    "B001": (_removal("far longer than wide"),),
    "B002": (_removal("no width or height"),),
    "B003": (_CLIP, _removal("outside the image by too much")),
    "B004": (_CLIP_ROUNDING, _CLIP),
    "B007": (
        Repair("safe", "removed: exact copy, which training skips anyway", _remove, fits_any_reading=True),
    ),
    "C001": (_removal("a class that data.yaml does not name"),),
    "C002": (_removal("a class that is no whole number"),),
    "K001": (_removal("wrong number of keypoint columns", _remove_if_unreadable),),
    "S001": (_removal("fewer than three different points"),),
    "S002": (_removal("a polygon without area"),),
    "S004": (_CLIP_ROUNDING, _CLIP),
}
"""Code of a row's finding to its repairs, in the order in which they are tried."""

TEXT_RULE = "L009"
"""The rule on text that is settled for a file as a whole, at level safe."""
TEXT_DONE = "written as plain text (byte-order mark, blanks, line ends)"

MIXED_RULE = "L005"
"""The rule that names one line but is settled for all rows of the file at once."""


def can_repair(code: str) -> bool:
    """Whether there is any repair for findings of this rule."""
    return code in REPAIRS or code == TEXT_RULE
