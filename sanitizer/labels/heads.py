"""The first bytes of label files from all over a dataset: which files leave theirs, and how many bytes.

Causes look at rows as they are written. On a disk the files are read again for it. Elsewhere that would cost requests:
there a file leaves its head when it is read, and a rescan finds it among what was kept.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.model import Split

MOST_FILES = 600
"""Label files that are looked at, over all splits; a dataset with fewer is looked at whole."""
HEAD_BYTES = 64 * 1024 + 1
"""What is kept of a file: one byte more than is looked at, which tells that it goes on."""


def head_strides(splits: Sequence[Split]) -> dict[str, int]:
    """Split name to n: one of n of its label files leaves its head, so that all splits have about as many."""
    share = max(1, MOST_FILES // max(1, len(splits)))
    return {split.name: max(1, -(-int(split.has_label.sum()) // share)) for split in splits}


def keeps_head(path: str | None, stride: int) -> bool:
    """Whether a label file leaves its head. It goes by its name, so that it depends on no other file."""
    return path is not None and zlib.crc32(os.fsencode(os.path.basename(path))) % stride == 0


def head_of(content: bytes) -> bytes:
    """What a label file leaves of its bytes."""
    return content[:HEAD_BYTES]


def whole_lines(head: bytes, most: int = HEAD_BYTES) -> bytes:
    """The lines of a head that are whole; the file may go on where the head has `most` bytes."""
    return head if len(head) < most else head[: head.rfind(b"\n") + 1]
