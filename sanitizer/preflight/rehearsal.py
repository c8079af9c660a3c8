"""The first steps of a run exactly as it was asked for, on a copy of the model: does the loss stand them?"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sanitizer.probe.warm_up import warm_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.ultra.samples import Sample

MAX_STEPS = 60
LEAST_STEPS = 3
"""Of fewer nothing is said: the first shows the loss before anything was learnt."""
ENOUGH_BAD_STEPS = 3


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the first optimizer steps of a run did.

    Attributes:
        steps: Optimizer steps, skipped ones too.
        not_finite: Those whose gradient was not finite.
        clipped: Those whose gradient was longer than the limit.
        first_loss, last_loss: Sum of the loss parts for one image, in the first step (before anything was learnt)
            and in the last; NaN or infinite as measured.
        median_norm: Of the finite gradient norms; NaN where there is none.
        imgsz: Side of the pictures, pixels.
    """

    steps: int
    not_finite: int
    clipped: int
    first_loss: float
    last_loss: float
    median_norm: float
    imgsz: int

    @property
    def sentence(self) -> str:
        """What happened, in a few words; "" where too few steps were made to say."""
        made = f"{self.steps} step{'s' * (self.steps != 1)}"
        if self.not_finite:
            bad = f"{self.not_finite} of the first {made} had a gradient that is not finite"
            return f"rehearsed at {self.imgsz} px: {bad}"
        if self.steps < LEAST_STEPS:
            return ""
        loss = f"the loss of an image went from {self.first_loss:.3g} to {self.last_loss:.3g}"
        return f"rehearsed at {self.imgsz} px: in {made} {loss}, and {self.clipped} of them were clipped"


def rehearse(
    model: nn.Module,
    samples: Sequence[Sample],
    spec: TaskSpec,
    arguments: Mapping[str, Any],
    max_grad_norm: float,
    seconds: float,
) -> Rehearsal:
    """Make the first steps of a run. Nothing is written, and the model stays as it is.

    Args:
        model: Built for the dataset.
        samples: The training images.
        spec: Task, classes and keypoints.
        arguments: Ultralytics train arguments of the run, `device` among them.
        max_grad_norm: Clip limit of the run.
        seconds: Time after which no further batch is begun.
    """
    records: list[StepRecord] = []
    deadline = time.perf_counter() + seconds

    def keep_on(_batches: int) -> bool:
        bad = sum(r.skipped for r in records)
        return time.perf_counter() < deadline and len(records) < MAX_STEPS and bad < ENOUGH_BAD_STEPS

    warm_up(copy.deepcopy(model), samples, spec, arguments, max_grad_norm, records.append, keep_on)
    return summed_up(records, int(arguments["imgsz"]))


def summed_up(records: Sequence[StepRecord], imgsz: int) -> Rehearsal:
    """Steps that were made at an image size, in numbers."""
    norms = sorted(r.grad_norm for r in records if math.isfinite(r.grad_norm))
    losses = [sum(r.loss_items.values()) for r in records] or [math.nan]
    return Rehearsal(
        steps=len(records),
        not_finite=sum(r.skipped for r in records),
        clipped=sum(r.clip_coefficient < 1 for r in records),
        first_loss=losses[0],
        last_loss=losses[-1],
        median_norm=norms[len(norms) // 2] if norms else math.nan,
        imgsz=imgsz,
    )
