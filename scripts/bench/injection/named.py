"""How many of the lines and places that a method names are right, against the share that it promises."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from injection.metrics import inside_any
from injection.rows import iou

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from injection.inject import Truth
    from injection.rows import Box
    from injection.scores import Scores

RIGHT_PLACE_IOU = 0.4
"""A place fits a box that has no label if they overlap by so much."""
FDRS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of false alarms at which the list of lines is made and counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there are, and how many of these are right."""

    total: int = 0
    right: int = 0

    @classmethod
    def of(cls, right: Iterable[bool]) -> Counted:
        """Count them: one value for each."""
        values = list(right)
        return cls(len(values), sum(map(bool, values)))

    @property
    def share(self) -> float:
        """Share that is right; NaN of nothing."""
        return self.right / self.total if self.total else math.nan


def matched(places: Sequence[Box], boxes: Sequence[Box]) -> tuple[list[bool], list[bool]]:
    """Of one image: whether each place fits a box without a label, and whether each such box has a place that fits."""
    fits = iou(places, boxes) >= RIGHT_PLACE_IOU
    return np.logical_or.reduce(fits, axis=1).tolist(), np.logical_or.reduce(fits, axis=0).tolist()


@dataclass(frozen=True, slots=True)
class NamedFigures:
    """What a method names on one injected set.

    Attributes:
        lines: All lines that it names; a line is right if it was altered.
        by_rule: Code of the rule to the lines that it names.
        at_fdr: Share of false alarms to the list that the probabilities give for it.
        places: Places where it says that a label is missing; one in a box that no row fits any more is right.
    """

    lines: Counted = field(default_factory=Counted)
    by_rule: Mapping[str, Counted] = field(default_factory=dict)
    at_fdr: Mapping[float, Counted] = field(default_factory=dict)
    places: Counted = field(default_factory=Counted)


def count_named(scores: Scores, truth: Mapping[str, Truth]) -> NamedFigures | None:
    """Compare what a method names with the truth; None for a method that names no lines."""
    if scores.named is None:
        return None
    altered = {(image, line) for image, t in truth.items() for line in t.lines}
    named = {(image, line): rule for image, of in scores.named.items() for line, rule in of.items()}
    places = [(image, place) for image, of in (scores.places or {}).items() for place in of]
    return NamedFigures(
        Counted.of(line in altered for line in named),
        {
            rule: Counted.of(line in altered for line, other in named.items() if other == rule)
            for rule in sorted(set(named.values()))
        },
        {fdr: Counted.of(line in altered for line in lines_at(scores, fdr)) for fdr in FDRS},
        Counted.of(image in truth and inside_any([place], truth[image].uncovered) for image, place in places),
    )


def lines_at(scores: Scores, fdr: float) -> Sequence[tuple[str, int]]:
    """(image, line) of all lines that the probabilities name where a share of `fdr` may be fine. Needs torch."""
    from sanitizer.probe.doubt.choose import chosen

    lines = [(image, line) for image, of in (scores.p or {}).items() for line in of]
    p = np.array([(scores.p or {})[image][line] for image, line in lines], np.float64)
    return [line for line, name in zip(lines, chosen(p, fdr).tolist(), strict=True) if name]
