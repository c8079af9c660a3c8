"""The clipped step and the clipped trainer, the log, the rollback, and a whole run. `cli/train.py` calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanitizer.train.trainer import ClippedTrainer as ClippedTrainer

__all__ = ["ClippedTrainer"]


def __getattr__(name: str) -> object:
    """Load the trainer that users get on first use, because the rest of this room needs no torch or Ultralytics."""
    if name not in __all__:
        raise AttributeError(f"module 'sanitizer.train' has no attribute {name!r}")
    from sanitizer import ClippedTrainer

    return ClippedTrainer
