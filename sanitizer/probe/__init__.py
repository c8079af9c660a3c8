"""A short gradient probe: which images, and which label lines, cause loss spikes. Needs torch and ultralytics.

`probing.py` is the probe from top to bottom. `cli/probe.py` and `preflight/` call it. `explaining_trainer.py` is the
clipped trainer with the attribution of spikes.

>>> from sanitizer.probe import probe
>>> result = probe("data.yaml", "yolov8n.pt", budget="2m")
>>> result.report.to_frame()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanitizer.probe.probing import probe as probe
    from sanitizer.probe.result import ProbeResult as ProbeResult

__all__ = ["ProbeResult", "probe"]


def __getattr__(name: str) -> object:
    """Load the probe on first use, because importing it takes seconds and the trainer needs only a part of it."""
    if name not in __all__:
        raise AttributeError(f"module 'sanitizer.probe' has no attribute {name!r}")
    from sanitizer.probe import probing

    return getattr(probing, name)
