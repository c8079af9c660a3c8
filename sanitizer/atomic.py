"""Writing a file so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import os


def write_atomically(path: str, content: bytes) -> None:
    """Replace the file at `path`, through a temporary file beside it that is flushed to disk first.

    A link stays a link: what it leads to is replaced. Raises OSError, naming `path`, when that cannot be done; the
    old file is then as it was and no temporary file is left.
    """
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.part"
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        # The user asked for `path`, and has never heard of the temporary file.
        raise OSError(error.errno, error.strerror, path) from error
