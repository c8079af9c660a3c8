"""How much a probe may do, as people write it: 2m, 90s, 200 steps, 4 epochs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|steps?|epochs?|e|)", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
LONGEST_WARM_UP = 4
"""Epochs of a warm-up under a budget of time. More would learn wrong labels by heart."""
MEASURING_SHARE = 0.5
"""The most of a time budget that measuring may take, so that something is learnt before."""


class BudgetError(ValueError):
    """No budget that can be understood; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One of the three is set.

    Attributes:
        seconds: For everything: warm-up, and measuring as many images as fit.
        steps: Optimizer steps of the warm-up; every image is measured.
        epochs: Epochs of the warm-up, fractions too; every image is measured.
    """

    seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None


def parse_budget(text: str) -> Budget:
    """The budget that a text means.

    A number alone is steps when whole ("200"), epochs when not ("0.5").

    Raises:
        BudgetError: It is of no such form, or nothing could be done in it.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise BudgetError(
            f"{text!r} is no budget: write a time (2m, 90s), steps (200) or epochs (0.5, 4epochs)"
        )
    number, unit = float(match[1]), match[2].lower()
    if unit in _SECONDS:
        return Budget(seconds=number * _SECONDS[unit])
    if unit.startswith("e") or (not unit and "." in match[1]):
        return Budget(epochs=number)
    if not number.is_integer():
        raise BudgetError(f"{text!r}: a number of steps is whole")
    return Budget(steps=int(number))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a budget comes to.

    Attributes:
        epochs: Length of the warm-up's learning-rate schedule, whole epochs.
        batches: Batches of the warm-up.
        images: Images to measure.
    """

    epochs: int
    batches: int
    images: int


def plan(budget: Budget, n_images: int, batch: int, step_s: float, attribution_s: float) -> Plan:
    """Share a budget out between warm-up and measuring.

    Args:
        budget: What the user allows.
        n_images: Training images.
        batch: Images a batch.
        step_s: Seconds of a training step, as measured.
        attribution_s: Seconds of attributing a batch, as measured.
    """
    per_epoch = math.ceil(n_images / batch)
    if budget.seconds is None:
        batches = budget.steps if budget.steps is not None else math.ceil((budget.epochs or 0) * per_epoch)
        return Plan(max(math.ceil(batches / per_epoch), 1), batches, n_images)
    measuring = min(per_epoch * attribution_s, budget.seconds * MEASURING_SHARE)
    batches = min(int((budget.seconds - measuring) / step_s), LONGEST_WARM_UP * per_epoch)
    images = n_images if measuring == per_epoch * attribution_s else int(measuring / attribution_s) * batch
    return Plan(max(math.ceil(batches / per_epoch), 1), max(batches, 1), min(max(images, batch), n_images))
