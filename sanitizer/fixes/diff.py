"""A plan as a unified diff of label rows, for reading: what cannot be printed is escaped."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTEXT_LINES = 1


def unified_diff(name: str, new_name: str, before: bytes, after: bytes) -> Iterator[str]:
    """Lines of the diff between two states of a label file, without line ends."""
    if name != new_name:
        yield f"rename from {legible(name)}"
        yield f"rename to {legible(new_name)}"
    old, new = (_shown_lines(content) for content in (before, after))
    diff = difflib.unified_diff(
        old, new, f"a/{legible(name)}", f"b/{legible(new_name)}", n=_CONTEXT_LINES, lineterm=""
    )
    yield from diff


def _shown_lines(content: bytes) -> list[str]:
    """Lines with line ends other than \\n spelled out, so that a change of them shows."""
    text = content.decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\r\n\0").replace("\n", "\n\0").replace("\n\0\0", "\n\0")
    parts = [part for chunk in lines.split("\0") for part in chunk.splitlines(keepends=True)] if text else []
    return [legible(part.removesuffix("\n")) for part in parts]
