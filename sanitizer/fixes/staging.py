"""New bytes beside the file that they are to become: on disk, with its mode and owner, before it is replaced."""

from __future__ import annotations

import contextlib
import os
import shutil


def write_beside(path: str, temporary: str, content: bytes) -> None:
    """Write and flush a file that is to take the place of `path`, with its mode, owner and attributes."""
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if os.path.exists(path):
                stat = os.stat(path)
                with contextlib.suppress(OSError, AttributeError):  # only root may give files away
                    os.chown(temporary, stat.st_uid, stat.st_gid)
                shutil.copystat(path, temporary)
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def is_another_file(path: str, other: str) -> bool:
    """Whether `other` exists and is not the same file, as x.txt and x.TXT are where case does not count."""
    return os.path.lexists(other) and not (os.path.exists(path) and os.path.samefile(path, other))
