"""Which repairs there are for which finding, in which order they are tried, and how risky each is.

A repair looks at one row and returns its new text, `REMOVED`, or None where it does not apply. There is none for
what no row can tell: an outline that crosses itself (S003) may be a slip in the order of its points or two parts
joined, corners of an oriented box outside the image (O002) are right for cut objects, and a figure that is no
rectangle (O001) is made one by training itself. A polygon in a detection set (L006) needs none, as training takes
its box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sanitizer.fixes.repair.clipping import clip_if_mostly_inside, clip_within_rounding
from sanitizer.fixes.repair.conversions import (
    box_around_outline,
    corners_of_box,
    corners_of_box_in_obb_set,
    with_unlabelled_keypoints,
)
from sanitizer.fixes.repair.readings import (
    corners_to_centre,
    number_of_class_name,
    pixels_to_shares,
    split_columns,
    without_confidence,
)

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
    """

    level: Level
    done: str
    attempt: Callable[[Row], str | None]
    rereads: bool = False
    loses_box: bool = False


def _remove(row: Row) -> str:
    return REMOVED


def _remove_if_pose(row: Row) -> str | None:
    return REMOVED if row.spec.task == "pose" else None


def _removal(why: str) -> Repair:
    return Repair("unsafe", f"removed: {why}", _remove, loses_box=True)


_CLIP_ROUNDING = Repair("safe", "clipped to the image (outside by rounding)", clip_within_rounding)
_CLIP = Repair("unsafe", "clipped to the image (half or more was inside)", clip_if_mostly_inside)

REPAIRS: Mapping[str, Sequence[Repair]] = {
    "L002": (
        Repair("unsafe", "freed of a sixth column (a confidence)", without_confidence, rereads=True),
        _removal("wrong number of columns"),
    ),
    "L003": (
        Repair("safe", "freed of commas and semicolons", split_columns, rereads=True),
        Repair("unsafe", "given the class's number for its name", number_of_class_name, rereads=True),
        _removal("a column that is no number"),
    ),
    "L004": (_removal("NaN, infinity or overflow"),),
    "L005": (
        Repair(
            "unsafe", "turned from polygon to box, as its file holds boxes", box_around_outline, rereads=True
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
    "B007": (Repair("safe", "removed: exact copy, which training skips anyway", _remove),),
    "B010": (Repair("unsafe", "turned from corners to centre and size", corners_to_centre, rereads=True),),
    "B011": (Repair("unsafe", "turned from pixels to shares of the image", pixels_to_shares, rereads=True),),
    "C001": (_removal("a class that data.yaml does not name"),),
    "C002": (_removal("a class that is no whole number"),),
    "K001": (_removal("wrong number of keypoint columns"),),
    "S001": (_removal("fewer than three different points"),),
    "S002": (_removal("an outline without area"),),
    "S004": (_CLIP_ROUNDING, _CLIP),
}
"""Code of a row's finding to its repairs, in the order in which they are tried."""

TEXT_RULE = "L009"
"""The rule on text that is settled for a file as a whole, at level safe."""
TEXT_DONE = "written as plain text (byte-order mark, blanks, line ends)"

MIXED_RULE = "L005"
"""The rule that names one line but is settled for all rows of the file at once."""

REINTERPRETING = ("B010", "B011")
"""Rules whose repair gives numbers another meaning, for all rows of a file or for none."""


def can_repair(code: str) -> bool:
    """Whether there is any repair for findings of this rule."""
    return code in REPAIRS or code == TEXT_RULE
