"""Opens one label file: a regular file within its limit, or a fault (L001, L010) that says what it is instead."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from sanitizer.dataset.tables import Fault, FileStatus
from sanitizer.storage.read_ahead import read_ahead, will_need
from sanitizer.util.bounded_read import OPEN_FLAGS, NotRegularError, TooLargeError, as_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.storage.read_ahead import ReadAhead

FIRST_READ_BYTES = 16 * 1024
SMALL_LABEL_BYTES = 64 * 1024

_KINDS: Mapping[int, str] = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def small_labels(
    paths: Sequence[str], ahead: ReadAhead = read_ahead
) -> Iterator[bytes | OSError | ValueError]:
    """All bytes of each label file, in order. The hot path of the scan: a file costs open, one read, and close.

    An error stands for a file that `read_label` must look at: it cannot be read, or has more bytes than many files
    may have that are read ahead of the caller.
    """
    return ahead(paths, _read_small, _announce)


def _read_small(file: int) -> bytes:
    data = os.read(file, FIRST_READ_BYTES)
    if 0 < len(data) < FIRST_READ_BYTES:  # as in `read_label`
        return data
    return data + _read_rest(file, "", SMALL_LABEL_BYTES, len(data))


def _announce(file: int) -> None:
    will_need(file, 0, FIRST_READ_BYTES)


def read_label(path: str, limit: int) -> bytes:
    """All bytes of one label file.

    Args:
        path: Where it lies.
        limit: The most bytes that it may have.

    Raises:
        FileNotFoundError: There is nothing of that name.
        NotRegularError: It is no regular file, or a broken link; `strerror` says what it is.
        TooLargeError: It has more bytes than the limit. Not more than limit + 1 bytes were read.
        OSError, ValueError: It cannot be read.
    """
    try:
        handle = os.open(path, OPEN_FLAGS)
        try:
            data = os.read(handle, FIRST_READ_BYTES)
            # Only a regular file can have some bytes and then an end: a pipe that is empty gives none, and a
            # device such as /dev/zero never ends.
            if 0 < len(data) < FIRST_READ_BYTES and len(data) <= limit:
                return data
            return data + _read_rest(handle, path, limit, len(data))
        finally:
            os.close(handle)
    except (NotRegularError, TooLargeError):
        raise
    except OSError as error:
        words = _other_than_a_file(path)
        if words is None:
            raise
        raise NotRegularError(errno.EINVAL, words, path) from error


def _read_rest(handle: int, path: str, limit: int, n_read: int) -> bytes:
    status = os.fstat(handle)
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise NotRegularError(errno.EINVAL, _KINDS.get(kind, "no regular file"), path)
    if status.st_size > limit:
        raise TooLargeError(errno.EFBIG, size_words(status.st_size, limit), path)
    parts: list[bytes] = []
    left = limit + 1 - n_read
    while left > 0 and (part := os.read(handle, min(left, 1 << 24))):
        parts.append(part)
        left -= len(part)
    if left <= 0:  # the file grew meanwhile, or the system does not know its size
        raise TooLargeError(errno.EFBIG, f"larger than the limit of {as_size(limit)}", path)
    return b"".join(parts)


def _other_than_a_file(path: str) -> str | None:
    """What a path leads to that is no regular file, in words; None for a regular file, or where nothing exists."""
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself"
        return f"a link to {os.readlink(path)}, which does not exist" if os.path.islink(path) else None
    return None if kind == stat.S_IFREG else _KINDS.get(kind, "no regular file")


def refusal(file: int, error: Exception) -> tuple[Fault, FileStatus]:
    """The fault of a label file that could not be read, and its status.

    Args:
        file: Its number in the chunk.
        error: What `read_label`, or another reader that follows `sanitizer.util.bounded_read`, has raised.
    """
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, NotRegularError):
        problem = f"the label is {reason}: training takes it for missing and reads the image as background"
        return Fault("L010", file, values={"problem": problem}), FileStatus.MISSING
    if isinstance(error, TooLargeError):
        return too_large(file, reason)
    problem = f"cannot be read: {reason}"
    return (
        Fault("L001", file, values={"problem": problem}, suggestion="make the file readable"),
        FileStatus.UNREADABLE,
    )


def too_large(file: int, words: str) -> tuple[Fault, FileStatus]:
    """The fault and status of a label that is larger than the limit; `words` say how large."""
    problem = f"the label is {words}: it was not read and was not judged; training reads all of it"
    return Fault("L010", file, values={"problem": problem}, suggestion=_RAISE), FileStatus.TOO_LARGE


def size_words(n_bytes: int, limit: int) -> str:
    """The size of a label that is larger than the limit, in words."""
    return f"{as_size(n_bytes)}, larger than the limit of {as_size(limit)}"


_RAISE = (
    "Look at the file: the label of one image rarely has 1 MB. If it is as it should be, raise the limit, for "
    "example --set L010.max_mb=64."
)
