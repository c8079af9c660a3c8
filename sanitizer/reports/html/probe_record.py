"""What a probe kept in a report, read with care: a saved report may come from anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOO_LARGE = 2**31
"""No count, step or line is as large; a page may add to smaller ones without losing digits."""
_NUMBERS = ("grad_norm", "norm_z", "share", "background_share", "box_loss", "cls_loss", "dfl_loss")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the warm-up; numbers are None where they were not finite. `images` without repeats."""

    step: int
    loss: float | None
    grad_norm: float | None
    clip_coefficient: float | None
    lr: float | None
    skipped: bool
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A label line: its physical number, its suspicion, its part of the batch.

    `p` is the probability that the line is wrong. Without it, `score` is in robust standard deviations.
    """

    line: int
    score: float | None
    share: float | None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """One measured image.

    Attributes:
        image, label: As findings write paths.
        numbers: `_NUMBERS` to their values, None where not finite.
        background: (x, y) normalised, the background place that carries most, or None.
        score: What images are ranked by.
        reasons: Why it ranks there, phrases.
        not_finite: "loss", "gradient", "amp" or "".
        lines: Its label lines.
    """

    image: str
    label: str | None
    boxes: int
    numbers: Mapping[str, float | None]
    background: tuple[float, float] | None
    score: float
    reasons: tuple[str, ...]
    not_finite: str
    lines: tuple[Line, ...]


def steps_of(record: Mapping[str, Any]) -> list[Step]:
    """The steps in their order."""
    return [
        Step(
            step=_whole(s.get("step"), number),
            loss=_number(s.get("loss")),
            grad_norm=_number(s.get("grad_norm")),
            clip_coefficient=_number(s.get("clip_coefficient")),
            lr=_number(s.get("lr")),
            skipped=s.get("skipped") in (1, True),
            images=tuple(dict.fromkeys(filter(None, map(_text, _list(s.get("images")))))),
        )
        for number, s in enumerate(_objects(record.get("steps")))
    ]


def images_of(record: Mapping[str, Any]) -> list[Image]:
    """The measured images, each once, the highest score first."""
    found: dict[str, Image] = {}
    for row in _objects(record.get("images")):
        name, x, y = (
            _text(row.get("image")),
            _number(row.get("background_x")),
            _number(row.get("background_y")),
        )
        if name is None or name in found:
            continue
        found[name] = Image(
            image=name,
            label=_text(row.get("label")),
            boxes=_whole(row.get("boxes"), 0),
            numbers={key: _number(row.get(key)) for key in _NUMBERS},
            background=None if x is None or y is None else (min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)),
            score=_number(row.get("score_combined")) or 0.0,
            reasons=tuple(filter(None, (_text(row.get("reasons")) or "").split("; "))),
            not_finite=_text(row.get("not_finite")) or "",
            lines=tuple(
                Line(
                    _whole(r.get("line"), 0),
                    _number(r.get("score")),
                    _number(r.get("share")),
                    _number(r.get("p")),
                )
                for r in _objects(row.get("lines"))
                if _whole(r.get("line"), 0)
            ),
        )
    return sorted(found.values(), key=lambda image: -image.score)


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (item for item in _list(value) if isinstance(item, dict))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object, otherwise: int) -> int:
    """A whole number from 0, of no absurd size."""
    return value if type(value) is int and 0 <= value < _TOO_LARGE else otherwise


def _number(value: object) -> float | None:
    """A finite number; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None
