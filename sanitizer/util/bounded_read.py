"""Reading files that somebody else made: regular files only, without waiting, and never more than a limit.

Reading a FIFO would wait for ever, a device has no end, and a sparse file of a few bytes on disk fills the memory. So
every file that is not part of this package is read through these functions, or through the label and image readers,
which follow the same three rules in their own hot loops.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

KIB, MIB = 1 << 10, 1 << 20

OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
"""Opens without waiting: plain `open` of a FIFO waits until somebody writes into it."""

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class NotRegularError(OSError):
    """The path leads to a folder, a FIFO, a socket or a device, or to a link where links are not allowed."""


class TooLargeError(OSError):
    """The file is larger than its limit."""


def open_regular(path: str, *, follow_links: bool = True, dir_fd: int | None = None) -> BinaryIO:
    """Open a regular file for reading, buffered, without ever waiting for it.

    Args:
        path: Where it lies.
        follow_links: Whether the last part of the path may be a symbolic link.
        dir_fd: Descriptor of the folder that a relative path is relative to; None for the current one.

    Raises:
        NotRegularError: It is no regular file.
        OSError: It cannot be opened.
    """
    descriptor = open_descriptor(path, follow_links=follow_links, dir_fd=dir_fd)
    return os.fdopen(descriptor, "rb")


def open_descriptor(path: str, *, follow_links: bool = True, dir_fd: int | None = None) -> int:
    """As `open_regular`, for a file descriptor, which the caller closes."""
    try:
        descriptor = os.open(path, OPEN_FLAGS | (0 if follow_links else _NOFOLLOW), dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow_links:
            raise NotRegularError(errno.ELOOP, "it is a link, and none may be here", path) from None
        if error.errno == errno.ENXIO:  # a socket
            raise NotRegularError(errno.EINVAL, "no regular file", path) from None
        raise
    try:
        if not follow_links and not _NOFOLLOW and os.path.islink(path):
            raise NotRegularError(errno.ELOOP, "it is a link, and none may be here", path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError(errno.EINVAL, "no regular file", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_bounded(path: str, limit: int, *, follow_links: bool = True) -> bytes:
    """All bytes of a regular file.

    Args:
        path: Where it lies.
        limit: The most bytes that it may have. A longer file is an error; it is never cut off.
        follow_links: As for `open_regular`.

    Raises:
        TooLargeError: It has more bytes than the limit. No more than limit + 1 bytes were ever held.
        NotRegularError: It is no regular file.
        OSError: It cannot be read.
    """
    with open_regular(path, follow_links=follow_links) as file:
        return read_stream(file, limit, path)


def read_stream(file: BinaryIO, limit: int, name: str) -> bytes:
    """The rest of an open file, archive member or answer; `name` is for the error.

    Raises:
        TooLargeError: There are more bytes than the limit.
        OSError: It cannot be read.
    """
    parts: list[bytes] = []
    left = limit + 1
    while left and (part := file.read(min(left, MIB))):
        parts.append(part)
        left -= len(part)
    if not left:
        raise too_large(limit, name)
    return b"".join(parts)


def too_large(limit: int, name: str) -> TooLargeError:
    """The error for a file that has more bytes than its limit; `name` is its path."""
    return TooLargeError(errno.EFBIG, f"larger than the limit of {as_size(limit)}", name)


def as_size(n_bytes: int) -> str:
    """A number of bytes for people: 64 MB, 16 kB, 100 bytes."""
    for unit, name in ((MIB, "MB"), (KIB, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.4g} {name}"
    return f"{n_bytes} bytes"
