"""Preflight for YOLO training: `scan` names the labels and images that training would drop, misread or choke on.

>>> from sanitizer import scan
>>> report = scan("data.yaml")
>>> report.to_frame()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sanitizer.findings.report import Report as Report
    from sanitizer.fixes.fixing import fix as fix
    from sanitizer.fixes.undo import undo as undo
    from sanitizer.preflight.attach import attach as attach
    from sanitizer.probe.explaining_trainer import ExplainingTrainer as ClippedTrainer
    from sanitizer.scanner.run import scan as scan

_HOME = {
    "ClippedTrainer": "sanitizer.probe.explaining_trainer:ExplainingTrainer",
    "Report": "sanitizer.findings.report",
    "attach": "sanitizer.preflight.attach",
    "fix": "sanitizer.fixes.fixing",
    "scan": "sanitizer.scanner.run",
    "undo": "sanitizer.fixes.undo",
}
"""Public name to its module, and the name there where it is another. No module or package directly under `sanitizer`
may have such a name: importing it would put the module in the name's place."""

__all__ = ["ClippedTrainer", "Report", "__version__", "attach", "fix", "scan", "undo"]


def __getattr__(name: str) -> object:
    """Load the public names on first use, so that `import sanitizer` and the command line start fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'sanitizer' has no attribute {name!r}")
    module, _, own_name = _HOME[name].partition(":")
    return getattr(importlib.import_module(module), own_name or name)
