"""Writing a file so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = ".part"
_STALE_AFTER_S = 24 * 3600
"""A temporary file may lie in a folder that other machines use, too: age alone says that its writer is gone."""


def write_atomically(path: str, content: bytes) -> None:
    """Replace the file at `path` by these bytes; as `open_atomically`."""
    with open_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomically(path: str) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of the one at `path` once the block ends well.

    It is a temporary file of a new name beside it, flushed to disk first; those that killed writers left there long ago
    are removed. A link stays a link: what it leads to is replaced. When
    that cannot be done, or the block raises, the old file is as it was and no temporary file is left. Raises OSError,
    naming `path`, for what goes wrong with the temporary file.
    """
    target = os.path.realpath(path)
    temporary = unused_name(target, PART)
    _remove_stale(target)
    with _blaming(temporary, path):
        descriptor = os.open(
            temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def unused_name(path: str, ending: str) -> str:
    """A path beside `path` that nothing has yet, and nobody can foretell."""
    return f"{path}.{os.urandom(8).hex()}{ending}"


def stale_names(path: str, ending: str) -> list[str]:
    """Paths that `unused_name` gave to writers of this path, that are no links, and that nobody touched for a day."""
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(f"{name}.") + "[0-9a-f]{16}" + re.escape(ending))
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [(e.path, e.stat(follow_symlinks=False)) for e in entries if pattern.fullmatch(e.name)]
        return [p for p, s in found if _is_stale(s)]
    return []


def _is_stale(status: os.stat_result) -> bool:
    age_s = time.time() - max(status.st_mtime, status.st_ctime)
    return not stat.S_ISLNK(status.st_mode) and age_s > _STALE_AFTER_S


def _remove_stale(target: str) -> None:
    for path in stale_names(target, PART):
        with contextlib.suppress(OSError):
            os.unlink(path)


@contextlib.contextmanager
def _blaming(temporary: str, path: str) -> Iterator[None]:
    """Make errors name the path that the user asked for, not the temporary file, which he has never heard of."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, temporary):
            raise
        raise OSError(error.errno, error.strerror, path) from error
