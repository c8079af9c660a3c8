"""Training that survives: the clipped trainer, and the check of a training recipe before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanitizer.train.trainer import ClippedTrainer as ClippedTrainer

__all__ = ["ClippedTrainer"]


def __getattr__(name: str) -> object:
    """The trainer that users get, loaded on first use: checking a recipe needs neither torch nor Ultralytics."""
    if name not in __all__:
        raise AttributeError(f"module 'sanitizer.train' has no attribute {name!r}")
    from sanitizer import ClippedTrainer

    return ClippedTrainer
