"""A copy, in main memory, of the state that a training run can go back to: weights, optimizer state and EMA."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from sanitizer.ultra.library import unwrap_model

if TYPE_CHECKING:
    from sanitizer.train.clipped_step import ClippedStep


class Snapshot:
    """Weights, running statistics, optimizer state and EMA of a trainer at one moment.

    A snapshot does not hold the learning rates and AMP's loss scale, because a run that failed must not go back to
    the settings that it failed with.

    Attributes:
        epoch: Number of the epoch, from 0, in which the snapshot was made.
    """

    def __init__(self, trainer: ClippedStep) -> None:
        assert trainer.optimizer is not None
        self.epoch = trainer.epoch
        self._model = _on_cpu(unwrap_model(trainer.model).state_dict())
        self._optimizer = _on_cpu(trainer.optimizer.state_dict()["state"])
        self._ema = _on_cpu(trainer.ema.ema.state_dict()) if trainer.ema else None
        self._ema_updates = trainer.ema.updates if trainer.ema else 0

    def restore(self, trainer: ClippedStep) -> None:
        """Put this state back into the trainer, in place."""
        assert trainer.optimizer is not None
        unwrap_model(trainer.model).load_state_dict(self._model)
        state = trainer.optimizer.state_dict()
        state["state"] = deepcopy(self._optimizer)  # the optimizer would go on to change it
        trainer.optimizer.load_state_dict(state)
        trainer.optimizer.zero_grad()
        if self._ema is not None:
            trainer.ema.ema.load_state_dict(self._ema)
            trainer.ema.updates = self._ema_updates


def is_finite(trainer: ClippedStep) -> bool:
    """Whether all weights and running statistics of the model and of its EMA are finite."""
    modules = [trainer.model] + ([trainer.ema.ema] if trainer.ema else [])
    tensors = [t for module in modules for t in module.state_dict().values() if t.is_floating_point()]
    # A sum is not finite if a number is not, so this is one question to the device. Large numbers can do that, too.
    sums = torch.stack([t.sum(dtype=torch.float32) for t in tensors])
    return bool(sums.isfinite().all()) or all(bool(t.isfinite().all()) for t in tensors)


def _on_cpu(state: Any) -> Any:
    """A copy, in main memory, of nested dictionaries of tensors; no memory is shared."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: _on_cpu(value) for key, value in state.items()}
    return deepcopy(state)
