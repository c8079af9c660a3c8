"""Repairs that bring a row back into the image: boxes by their edges, polygons by their points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sanitizer.fixes.repair.document import with_tokens
from sanitizer.labels.number_text import written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.fixes.repair.rows import Row

ROUNDING = 0.01
"""An edge this far outside, in parts of the image's side, is put down to rounding: what training tolerates."""
_WITHIN_ROUNDING = ROUNDING + 1e-9  # 0.2 - 0.19 is a little over 0.01
_KEPT_BY_ROUNDING = 0.9
_KEPT_AT_LEAST = 0.5
"""How much of a side, or of a polygon's area, clipping must leave. A box that loses more was not rounded, or is no
longer the same object."""

Point = tuple[tuple[float, float], str | None]
"""(x, y), and the two columns as they are written; None for a point that clipping made."""


def clip_within_rounding(row: Row) -> str | None:
    """Clip what is outside by rounding: a box's edges, or a polygon's points."""
    if row.is_box():
        return _clip_box(row, _WITHIN_ROUNDING, _KEPT_BY_ROUNDING)
    return _clip_points(row)


def clip_if_mostly_inside(row: Row) -> str | None:
    """Clip a box or polygon of which half or more is inside."""
    if row.is_box():
        return _clip_box(row, math.inf, _KEPT_AT_LEAST)
    return _clip_polygon(row)


def _clip_box(row: Row, furthest: float, kept: float) -> str | None:
    """Clip a box that is outside by at most `furthest`, where that keeps that part of each side."""
    numbers = row.numbers()
    if numbers is None:
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
        new[centre] = written((inside_low + inside_high) / 2, decimals)
        new[size] = written(inside_high - inside_low, decimals)
    return with_tokens(row.text, new) if new else None


def _clip_points(row: Row) -> str | None:
    """Move a polygon's points that lie outside by rounding onto the border; not those of an oriented box, whose
    corners would no longer be square."""
    numbers = row.numbers()
    if numbers is None or not row.is_polygon() or row.spec.task == "obb":
        return None
    outside = {i: v for i, v in enumerate(numbers) if i and not 0 <= v <= 1}
    if not all(-_WITHIN_ROUNDING <= v <= 1 + _WITHIN_ROUNDING for v in outside.values()):
        return None
    return with_tokens(row.text, {i: "0" if v < 0 else "1" for i, v in outside.items()})


def _clip_polygon(row: Row) -> str | None:
    """Cut a polygon at the image's borders; points inside stay as they are written.

    The mask that training draws stays the same, pixel by pixel, as it ends at the border anyway; the box around it
    becomes that of what can be seen. Sutherland and Hodgman, "Reentrant polygon clipping", CACM 17 (1974).
    """
    numbers = row.numbers()
    if numbers is None or not row.is_polygon() or row.spec.task == "obb":
        return None
    if not all(map(math.isfinite, numbers)):
        return None
    texts = row.tokens[1:]
    points: list[Point] = [
        ((x, y), f"{a} {b}")
        for x, y, a, b in zip(numbers[1::2], numbers[2::2], texts[::2], texts[1::2], strict=True)
    ]
    clipped = points
    for axis in (0, 1):
        for border, sign in ((0.0, 1.0), (1.0, -1.0)):
            clipped = _cut(clipped, axis, border, sign)
    if len({xy for xy, _ in clipped}) < 3 or not _area(clipped) >= _KEPT_AT_LEAST * _area(points) > 0:
        return None
    decimals = row.decimals()
    return row.with_columns(
        [text or f"{written(x, decimals)} {written(y, decimals)}" for (x, y), text in clipped]
    )


def _cut(points: Sequence[Point], axis: int, border: float, sign: float) -> list[Point]:
    """The part of a polygon on the inner side of one border: where (coordinate - border) * sign >= 0."""
    kept: list[Point] = []
    for i, (here, text) in enumerate(points):
        before = points[i - 1][0]
        depth, depth_before = (here[axis] - border) * sign, (before[axis] - border) * sign
        if depth * depth_before < 0:
            part = depth_before / (depth_before - depth)
            at = before[1 - axis] + part * (here[1 - axis] - before[1 - axis])
            kept.append(((border, at) if axis == 0 else (at, border), None))
        if depth >= 0:
            kept.append((here, text))
    return kept


def _area(points: Sequence[Point]) -> float:
    """By the shoelace formula, in parts of the image."""
    doubled = sum(points[i - 1][0][0] * y - x * points[i - 1][0][1] for i, ((x, y), _) in enumerate(points))
    return abs(doubled) / 2
