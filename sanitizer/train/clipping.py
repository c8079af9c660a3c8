"""What a run was clipped with, kept in its folder, so that it can go on with the same once it was cut off."""

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
"""The clipped trainer's arguments where nothing is said; Ultralytics alone clips at 10."""


def keep_clipping(folder: str | os.PathLike[str], clipping: Mapping[str, Any]) -> None:
    """Write the settings of a run into its folder."""
    write_atomically(os.path.join(folder, SETTINGS), json.dumps(dict(clipping)).encode())


def kept_clipping(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings that a run in this folder was started with; empty where it kept none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        kept = json.loads(read_bounded(os.path.join(folder, SETTINGS), MIB))
        return {key: kept[key] for key in DEFAULTS if key in kept}
    return {}
