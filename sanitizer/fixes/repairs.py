"""How one row is repaired, finding by finding: what is tried, in which order, and how risky it is.

A repair looks at one row and returns its new text, `REMOVED`, or None where it does not apply.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sanitizer.dataset.row_kinds import BOX_COLUMNS, MIN_POLYGON_COLUMNS, OBB_COLUMNS, pose_columns
from sanitizer.fixes.document import with_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec

Level = Literal["safe", "unsafe"]

REMOVED = ""
"""What a repair returns for a row that is to go."""

ROUNDING = 0.01
"""An edge this far outside, as a share of the image's side, is put down to rounding: what training tolerates."""
_WITHIN_ROUNDING = ROUNDING + 1e-9  # 0.2 - 0.19 is a little over 0.01
_KEPT_BY_ROUNDING = 0.9
_KEPT_AT_LEAST = 0.5
"""Shares of a side that clipping must leave: what lost more was not rounding, or is no longer that object."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MIN_DECIMALS, _MAX_DECIMALS = 6, 17


@dataclass(frozen=True, slots=True)
class Row:
    """One row in need of repair.

    Attributes:
        text: The line as it stands.
        tokens: Its columns.
        spec: What training would assume of it.
        size_px: (width, height) of the image; None where unknown, or where EXIF leaves the label's frame in doubt.
    """

    text: str
    tokens: Sequence[str]
    spec: TaskSpec
    size_px: tuple[int, int] | None

    def numbers(self) -> list[float] | None:
        """Every column as a number; None where one is none."""
        try:
            return [float(t) for t in self.tokens]
        except ValueError:
            return None

    def states_box(self) -> bool:
        """Whether the columns are class, centre and size, with or without keypoints."""
        n = len(self.tokens)
        return n == BOX_COLUMNS or (n == pose_columns(self.spec) and n > 0)

    def decimals(self) -> int:
        """Decimals that new numbers are written with: as many as the row has, at least six."""
        most = max((len(t.partition(".")[2]) for t in self.tokens if _NUMBER.fullmatch(t)), default=0)
        return min(max(most, _MIN_DECIMALS), _MAX_DECIMALS)


@dataclass(frozen=True, slots=True)
class Repair:
    """One way to settle a finding. `rereads`: the row was misread before, so that only now rules can judge it."""

    level: Level
    attempt: Callable[[Row], str | None]
    rereads: bool = False


def _written(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _clip_box(row: Row, furthest: float, kept: float) -> str | None:
    """Clip a box to the image, where it is outside by at most `furthest` and keeps that share of each side."""
    numbers = row.numbers()
    if numbers is None or not row.states_box():
        return None
    new: dict[int, str] = {}
    for centre, size in ((1, 3), (2, 4)):
        low, high = numbers[centre] - numbers[size] / 2, numbers[centre] + numbers[size] / 2
        inside_low, inside_high = max(low, 0.0), min(high, 1.0)
        if (inside_low, inside_high) == (low, high):
            continue
        if max(-low, high - 1) > furthest or not inside_high - inside_low >= kept * (high - low) > 0:
            return None
        decimals = row.decimals()
        new[centre] = _written((inside_low + inside_high) / 2, decimals)
        new[size] = _written(inside_high - inside_low, decimals)
    return with_tokens(row.text, new) if new else None


def _clip_within_rounding(row: Row) -> str | None:
    return _clip_box(row, _WITHIN_ROUNDING, _KEPT_BY_ROUNDING)


def _clip_if_mostly_inside(row: Row) -> str | None:
    return _clip_box(row, math.inf, _KEPT_AT_LEAST)


def _clip_vertices_within_rounding(row: Row) -> str | None:
    """Move a polygon's points that lie outside by rounding onto the border."""
    numbers = row.numbers()
    if numbers is None or row.states_box():
        return None
    outside = {i: v for i, v in enumerate(numbers) if i and not 0 <= v <= 1}
    if not all(-_WITHIN_ROUNDING <= v <= 1 + _WITHIN_ROUNDING for v in outside.values()):
        return None
    return with_tokens(row.text, {i: "0" if v < 0 else "1" for i, v in outside.items()})


def _split_columns(row: Row) -> str | None:
    """Put blanks for separators and points for decimal commas, where exactly one reading makes a good row."""
    if not ({",", ";"} & set(row.text)):
        return None
    inner = row.text.strip()
    readings = {
        " ".join(re.split(r"\s*[,;]\s*|\s+", inner.rstrip(",;"))),
        " ".join(re.split(r"\s*;\s*|\s+", inner.rstrip(";"))).replace(",", "."),
    }
    rows = [tokens for reading in readings if _is_row(tokens := reading.split(" "), row.spec)]
    if len(rows) != 1 or not _fits_task(rows[0], row.spec):
        return None
    return row.text.replace(inner, " ".join(rows[0]), 1)


def _is_row(tokens: Sequence[str], spec: TaskSpec) -> bool:
    """A whole class id that exists, and shares of the image, as many as some kind of row has."""
    if not all(_NUMBER.fullmatch(t) for t in tokens):
        return False
    class_id, *shares = map(float, tokens)
    n = len(tokens)
    is_pose = n == pose_columns(spec)
    if n != BOX_COLUMNS and not is_pose and (n < MIN_POLYGON_COLUMNS or n % 2 == 0):
        return False
    limit = 2 if is_pose else 1  # visibility
    n_classes = math.inf if spec.nc is None else spec.nc
    return class_id % 1 == 0 and 0 <= class_id < n_classes and all(0 <= s <= limit for s in shares)


def _fits_task(tokens: Sequence[str], spec: TaskSpec) -> bool:
    """Whether the task is trained on rows of so many columns."""
    n = len(tokens)
    fits = {
        "detect": n == BOX_COLUMNS,
        "segment": n >= MIN_POLYGON_COLUMNS,
        "obb": n == OBB_COLUMNS,
        "pose": n == pose_columns(spec),
    }
    return fits[spec.task]


def _number_of_class_name(row: Row) -> str | None:
    """Write the id of the class whose name stands in the first column."""
    name = row.tokens[0].strip("\"',:;").casefold()
    ids = [i for i, known in row.spec.names.items() if known.casefold() == name]
    return with_tokens(row.text, {0: str(ids[0])}) if len(ids) == 1 else None


def _without_confidence(row: Row) -> str | None:
    """Five good columns and a sixth between 0 and 1: a prediction saved with its confidence."""
    numbers = row.numbers()
    if numbers is None or len(numbers) != BOX_COLUMNS + 1 or not 0 <= numbers[-1] <= 1:
        return None
    return row.text.rstrip().removesuffix(row.tokens[-1]).rstrip()


def _corners_to_centre(row: Row) -> str | None:
    """Read x1 y1 x2 y2 and write centre and size."""
    numbers = row.numbers()
    if numbers is None or not row.states_box():
        return None
    x1, y1, x2, y2 = numbers[1:5]
    decimals = row.decimals()
    new = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return with_tokens(row.text, {i: _written(v, decimals) for i, v in enumerate(new, 1)})


def _pixels_to_shares(row: Row) -> str | None:
    """Divide x by the image's width, y by its height: boxes and outlines both alternate."""
    numbers = row.numbers()
    if numbers is None or row.size_px is None or row.spec.task == "pose":
        return None
    width, height = row.size_px
    shares = {i: v / (width if i % 2 else height) for i, v in enumerate(numbers) if i}
    return with_tokens(row.text, {i: _written(v, _MIN_DECIMALS) for i, v in shares.items()})


def _remove(row: Row) -> str:
    return REMOVED


_COPY = Repair("safe", _remove)
_REMOVAL = Repair("unsafe", _remove)

REPAIRS: Mapping[str, Sequence[Repair]] = {
    "L002": (Repair("unsafe", _without_confidence, rereads=True), _REMOVAL),
    "L003": (
        Repair("safe", _split_columns, rereads=True),
        Repair("unsafe", _number_of_class_name, rereads=True),
        _REMOVAL,
    ),
    "L004": (_REMOVAL,),
    "B001": (_REMOVAL,),
    "B002": (_REMOVAL,),
    "B003": (Repair("unsafe", _clip_if_mostly_inside), _REMOVAL),
    "B004": (Repair("safe", _clip_within_rounding), Repair("unsafe", _clip_if_mostly_inside)),
    "B007": (_COPY,),
    "B010": (Repair("unsafe", _corners_to_centre, rereads=True),),
    "B011": (Repair("unsafe", _pixels_to_shares, rereads=True),),
    "C001": (_REMOVAL,),
    "C002": (_REMOVAL,),
    "K001": (_REMOVAL,),
    "S001": (_REMOVAL,),
    "S002": (_REMOVAL,),
    "S004": (Repair("safe", _clip_vertices_within_rounding),),
}
"""Code of a row's finding to its repairs, in the order in which they are tried."""

TEXT_RULE = "L009"
"""The rule on text that is settled for a file as a whole, at level safe."""


def least_level(code: str) -> Level | None:
    """What `fix:` of a rule must say: whether some of its findings are repaired without --unsafe, or any at all."""
    if code == TEXT_RULE:
        return "safe"
    levels = {repair.level for repair in REPAIRS.get(code, ())}
    return "safe" if "safe" in levels else "unsafe" if levels else None
