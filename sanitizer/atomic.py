"""Writing a file so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_atomically(path: str, content: bytes) -> None:
    """Replace the file at `path` by these bytes; as `open_atomically`."""
    with open_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomically(path: str) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of the one at `path` once the block ends well.

    It is a temporary file beside it, flushed to disk first. A link stays a link: what it leads to is replaced. When
    that cannot be done, or the block raises, the old file is as it was and no temporary file is left. Raises OSError,
    naming `path`, for what goes wrong with the temporary file.
    """
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.part"
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


@contextlib.contextmanager
def _blaming(temporary: str, path: str) -> Iterator[None]:
    """Make errors name the path that the user asked for, not the temporary file, which he has never heard of."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, temporary):
            raise
        raise OSError(error.errno, error.strerror, path) from error
