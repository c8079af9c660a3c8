"""A folder for files that a target must put on disk, gone when the process ends."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def scratch() -> Path:
    """The folder: in memory where the system has such a place, as it is written to thousands of times a second."""
    memory = "/dev/shm"
    parent = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="sanitize-fuzz-", dir=parent))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder.resolve()


def put(name: str, content: bytes) -> str:
    """Write a file of that name into the folder; its path."""
    path = scratch() / name
    path.write_bytes(content)
    return str(path)
