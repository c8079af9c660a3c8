"""The clip limit of a run: what `auto` stands for, and the settings as they are kept for a resumed run."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from sanitizer.ultra.arguments import OWN_ARGUMENTS, ULTRALYTICS_LIMIT, ArgumentError
from sanitizer.util.atomic import write_atomically
from sanitizer.util.bounded_read import MIB, read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = "clipping.json"
AUTO = "auto"

LONG_STEP_OPTIMIZERS = ("SGD", "MuSGD")
"""Optimizers whose steps are as long as the gradient. Their usual learning rates were found with Ultralytics' limit."""


def checked_limit(value: object) -> float | str:
    """A clip limit as a person may set it: a number over 0, or "auto".

    Raises:
        ArgumentError: It is something else.
    """
    if value == AUTO:
        return AUTO
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(f"max_grad_norm={value}: max_grad_norm is a number, or auto")
    if not value > 0:
        raise ArgumentError(f"max_grad_norm is {value}: it must be over 0")
    return float(value)


def clip_limit(asked: float | str, optimizer: str) -> float:
    """The clip limit in force under an optimizer, named as its class is (measured: scripts/bench/case_study.py)."""
    if asked != AUTO:
        return float(asked)
    return ULTRALYTICS_LIMIT if optimizer in LONG_STEP_OPTIMIZERS else 1.0


def reason_of_limit(asked: float | str, optimizer: str) -> str:
    """Why the limit is what it is, in a few words."""
    if asked != AUTO:
        return "as set"
    if optimizer in LONG_STEP_OPTIMIZERS:
        return f"auto: the learning rates of {optimizer} were found for steps of this length"
    return f"auto: {optimizer} divides by the size of past gradients, so a low limit only holds back spikes"


def keep_clipping(folder: str | os.PathLike[str], clipping: Mapping[str, Any]) -> None:
    """Write a run's clip settings into its folder. Raises OSError."""
    write_atomically(os.path.join(folder, SETTINGS), json.dumps(dict(clipping)).encode())


def kept_clipping(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The clip settings that were saved in a run's folder; empty if none can be read there."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        kept = json.loads(read_bounded(os.path.join(folder, SETTINGS), MIB))
        return {key: kept[key] for key in OWN_ARGUMENTS if key in kept}
    return {}
