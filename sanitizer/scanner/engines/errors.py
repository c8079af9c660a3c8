"""What an engine says when it cannot work."""

from __future__ import annotations


class EngineError(Exception):
    """The engine that was asked for cannot do the job; the text is a sentence."""
