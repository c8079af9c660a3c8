"""The clip settings of a run, saved in the run's folder, so that a resumed run uses the same settings."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from sanitizer.util.atomic import write_atomically
from sanitizer.util.bounded_read import MIB, read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = "clipping.json"
DEFAULTS: Mapping[str, Any] = {"max_grad_norm": 1.0, "adaptive_percentile": None}
"""Defaults of the clipped trainer's arguments; Ultralytics itself clips at 10."""


def keep_clipping(folder: str | os.PathLike[str], clipping: Mapping[str, Any]) -> None:
    """Write a run's clip settings into its folder. Raises OSError."""
    write_atomically(os.path.join(folder, SETTINGS), json.dumps(dict(clipping)).encode())


def kept_clipping(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The clip settings that were saved in a run's folder; empty if none can be read there."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        kept = json.loads(read_bounded(os.path.join(folder, SETTINGS), MIB))
        return {key: kept[key] for key in DEFAULTS if key in kept}
    return {}
