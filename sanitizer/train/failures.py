"""What the clipped trainer knows of the steps that failed since the last good one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MAX_SUSPECTS = 16
"""Suspect images that are held in memory at the same time."""


@dataclass(slots=True)
class Failures:
    """Steps that were not finite since the last good one, and the images that may be the reason.

    The trainer goes through these stages: a batch goes to the device (`unchecked_batch`); its loss is not finite, so
    its images are tried one by one (`suspects`); the step is skipped (`in_a_row`); after too many skipped steps in a
    row the trainer goes back to an earlier state (`clear`). A good step ends all of this (`step_was_good`).

    Attributes:
        unchecked_batch: Newest training batch, preprocessed, until the trainer has looked at its loss.
        suspects: Batches of one image each whose loss was not finite; at most `MAX_SUSPECTS`.
        in_a_row: Number of skipped steps in a row, without those that AMP's loss scale explains.
        last_step_good: The newest step was not skipped; True before the first step.
        good_tloss: Ultralytics' running mean of the loss parts after the last good step, None before the first.
    """

    unchecked_batch: dict[str, Any] | None = None
    suspects: list[dict[str, Any]] = field(default_factory=list)
    in_a_row: int = 0
    last_step_good: bool = True
    good_tloss: dict[str, torch.Tensor] | torch.Tensor | None = None

    def take_unchecked_batch(self) -> dict[str, Any] | None:
        """The batch whose loss the trainer has not looked at, or None; the next call returns None."""
        batch, self.unchecked_batch = self.unchecked_batch, None
        return batch

    def suspect(self, single_images: list[dict[str, Any]]) -> None:
        """Add batches of one image each; suspects over the limit are dropped."""
        self.suspects += single_images
        del self.suspects[MAX_SUSPECTS:]

    def step_was_good(self, tloss: dict[str, torch.Tensor] | torch.Tensor | None) -> None:
        """Note a good step, after which Ultralytics' running mean of the loss parts is `tloss`."""
        self.in_a_row, self.suspects, self.last_step_good, self.good_tloss = 0, [], True, tloss

    def clear(self) -> None:
        """Drop the counted steps, the suspects and the unchecked batch, after a rollback."""
        self.in_a_row, self.suspects, self.unchecked_batch = 0, [], None
