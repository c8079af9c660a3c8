"""Preflight for YOLO training: `scan` names the labels and images that training would drop, misread or choke on.

>>> from sanitizer import scan
>>> report = scan("data.yaml")
>>> report.to_frame()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sanitizer.report import Report as Report
    from sanitizer.scanning import scan as scan

__all__ = ["Report", "__version__", "scan"]


def __getattr__(name: str) -> object:
    """Load the public names on first use, so that `import sanitizer` and the command line start fast."""
    if name == "scan":
        from sanitizer.scanning import scan

        return scan
    if name == "Report":
        from sanitizer.report import Report

        return Report
    raise AttributeError(f"module 'sanitizer' has no attribute {name!r}")
