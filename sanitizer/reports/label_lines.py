"""Lines of a label file that is read again to quote them: how much of it is read, and how lines are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.labels.encodings import UTF8_MARK
from sanitizer.util.bounded_read import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LABEL_BYTES = 4 * MIB
"""Of a label file that is read again: fifty thousand boxes. Its lines and rows take a hundred times as much memory."""


def lines_of(content: bytes) -> Sequence[bytes]:
    """Its physical lines, without their ends and without a byte-order mark."""
    return content.removeprefix(UTF8_MARK).splitlines()
