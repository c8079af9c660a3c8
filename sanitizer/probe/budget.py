"""The budget of a probe, parsed from texts such as "2m", "90s", "200 steps", "4 epochs"; and what to do within it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|steps?|epochs?|e|)", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
LONGEST_WARM_UP = 4
"""Most epochs of a warm-up if the budget is a time. In a longer warm-up, the model would learn the wrong labels."""
MEASURING_SHARE = 0.5
"""Largest part of a time budget for measuring, so that there is time left for the warm-up."""


class BudgetError(ValueError):
    """The text is not a budget; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit for a probe. Exactly one of the three fields is set.

    Attributes:
        seconds: Time for the warm-up and for measuring; as many images are measured as fit.
        steps: Optimizer steps of the warm-up, 0 for none; all images are measured.
        epochs: Epochs of the warm-up, also fractions such as 0.5; all images are measured.
    """

    seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None


def parse_budget(text: str) -> Budget:
    """The budget in a text. A number without a unit means steps if it is whole ("200"), else epochs ("0.5").

    Raises:
        BudgetError: The text does not have this form, or it is a time of 0.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or (float(match[1]) == 0 and match[2].lower() in _SECONDS):
        raise BudgetError(
            f"{text!r} is no budget: write a time (2m, 90s), steps (200) or epochs (0.5, 4epochs)"
        )
    number, unit = float(match[1]), match[2].lower()
    if number == 0:
        return Budget(steps=0)
    if unit in _SECONDS:
        return Budget(seconds=number * _SECONDS[unit])
    if unit.startswith("e") or (not unit and "." in match[1]):
        return Budget(epochs=number)
    if not number.is_integer():
        raise BudgetError(f"{text!r}: a number of steps is whole")
    return Budget(steps=int(number))


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """How much a probe does within its budget.

    Attributes:
        epochs: Length of the warm-up's learning-rate schedule, in whole epochs.
        batches: Number of warm-up batches.
        images: Number of images to measure.
    """

    epochs: int
    batches: int
    images: int


def plan_probe(
    budget: Budget,
    n_images: int,
    batch: int,
    step_s: float,
    attribution_s: float,
    n_lessons: int | None = None,
) -> ProbePlan:
    """Divide a budget between warm-up and measuring.

    Args:
        budget: The user's limit.
        n_images: Number of images to measure.
        batch: Images per batch.
        step_s: Seconds that a training step takes, as measured.
        attribution_s: Seconds that attributing one batch takes, as measured.
        n_lessons: Number of training images, if other images are measured.
    """
    to_measure = math.ceil(n_images / batch)
    per_epoch = math.ceil((n_lessons or n_images) / batch)
    if budget.seconds is None:
        batches = budget.steps if budget.steps is not None else math.ceil((budget.epochs or 0) * per_epoch)
        return ProbePlan(max(math.ceil(batches / per_epoch), 1), batches, n_images)
    measuring = min(to_measure * attribution_s, budget.seconds * MEASURING_SHARE)
    batches = min(int((budget.seconds - measuring) / step_s), LONGEST_WARM_UP * per_epoch)
    images = n_images if measuring == to_measure * attribution_s else int(measuring / attribution_s) * batch
    return ProbePlan(
        max(math.ceil(batches / per_epoch), 1), max(batches, 1), min(max(images, batch), n_images)
    )
