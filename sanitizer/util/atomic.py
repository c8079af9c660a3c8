"""Writing a file so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from typing import TYPE_CHECKING, BinaryIO

from sanitizer.util.paths import on_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PART = ".part"
_WAITS_S = (0.05, 0.1, 0.2, 0.4)
_IN_USE = "it is open in another program, or may not be changed (close it there and try again)"
_STALE_AFTER_S = 24 * 3600
"""Other machines may write to the same folder, so only the age of a temporary file shows that its writer is gone."""


def write_atomically(path: str, content: bytes) -> None:
    """Replace the file at `path` by these bytes; as `open_atomically`."""
    with open_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomically(path: str) -> Iterator[BinaryIO]:
    """A file to write, which replaces the file at `path` when the block ends without an error.

    The block writes a temporary file with a new name beside `path`, which is flushed to disk before it replaces the old
    file. Temporary files that killed writers left there long ago are removed. A link stays a link: the file behind the
    link is replaced. If the block raises or the file cannot be replaced, the old file stays and the temporary file is
    removed. Raises OSError, naming `path`, for an error of the temporary file.
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
            once_closed(os.replace, temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def once_closed(rename: Callable[..., None], *paths: str, **options: int | None) -> None:
    """Rename. Windows refuses while a program has the file open: an editor does for long, a virus scanner for a moment.

    Raises OSError, on Windows with a sentence on what to do.
    """
    for wait_s in _WAITS_S if on_windows() else ():
        try:
            rename(*paths, **options)
        except PermissionError:
            time.sleep(wait_s)
        else:
            return
    try:
        rename(*paths, **options)
    except PermissionError as error:
        if not on_windows():
            raise
        raise PermissionError(error.errno, _IN_USE, paths[-1]) from error


def unused_name(path: str, extension: str) -> str:
    """A new path beside `path` that nobody can guess."""
    return f"{path}.{os.urandom(8).hex()}{extension}"


def stale_names(path: str, extension: str) -> list[str]:
    """Temporary files of this path (see `unused_name`) that nobody has written to for a day. Links are left out."""
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(f"{name}.") + "[0-9a-f]{16}" + re.escape(extension))
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
    """Make errors name the path that the user gave instead of the temporary file."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, temporary):
            raise
        raise OSError(error.errno, error.strerror, path) from error
