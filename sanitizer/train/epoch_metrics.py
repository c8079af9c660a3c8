"""The gradient norms of an epoch in a few numbers, for every logger that Ultralytics drives.

The loggers (TensorBoard, W&B, MLflow, Comet, ClearML, DVC) read `trainer.metrics` in their callbacks for
`on_fit_epoch_end`. So the numbers are there while these callbacks run, and neither in results.csv nor in checkpoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sanitizer.train.clipped_step import StepRecord

EVENT = "on_fit_epoch_end"
PREFIX = "grad/"


@dataclass(slots=True)
class EpochMetrics:
    """Sums over the steps of the epoch so far. Steps that are not finite count as skipped, and in nothing else."""

    n_finite: int = 0
    n_steps: int = 0
    sum_of_norms: float = 0.0
    largest_norm: float = 0.0
    sum_of_coefficients: float = 0.0
    n_spikes: int = 0
    n_skipped: int = 0

    def add(self, record: StepRecord, is_spike: bool) -> None:
        """Count a step."""
        self.n_steps += 1
        self.n_spikes += is_spike
        self.n_skipped += record.skipped
        if math.isfinite(record.grad_norm):
            self.n_finite += 1
            self.sum_of_norms += record.grad_norm
            self.largest_norm = max(self.largest_norm, record.grad_norm)
            self.sum_of_coefficients += record.clip_coefficient

    def show(self, trainer: Any) -> None:
        """Put the numbers of the epoch into `trainer.metrics`, and start the next epoch."""
        if self.n_steps:
            trainer.metrics = {**(trainer.metrics or {}), **self._numbers()}
        self.__init__()  # type: ignore[misc]

    @staticmethod
    def hide(trainer: Any) -> None:
        """Take the numbers out of `trainer.metrics` again."""
        if trainer.metrics:
            trainer.metrics = {k: v for k, v in trainer.metrics.items() if not k.startswith(PREFIX)}

    def _numbers(self) -> dict[str, float]:
        numbers = {f"{PREFIX}spikes": float(self.n_spikes), f"{PREFIX}skipped": float(self.n_skipped)}
        if self.n_finite:
            numbers[f"{PREFIX}norm_mean"] = self.sum_of_norms / self.n_finite
            numbers[f"{PREFIX}norm_max"] = self.largest_norm
            numbers[f"{PREFIX}clip_coefficient_mean"] = self.sum_of_coefficients / self.n_finite
        return numbers
