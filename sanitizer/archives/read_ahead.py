"""Reads ranges of a large file: joins small reads that lie close together, and skips what lies between distant ones.

How much is read at once depends on what a read costs besides its bytes (`Blocks`):

- On a disk a read costs next to nothing. Reads are small, and an image of more than some kilobytes is skipped.
- Behind a server a read costs a round trip, which takes as long as a megabyte (20 ms at 50 MB/s). Where the needed
  ranges lie less than a megabyte apart, all bytes between them are read too, up to eight megabytes a request. Where
  they lie further apart, each costs one small request.

So a sample never costs more than a round trip, or the time of one megabyte that nobody needs.
"""

from __future__ import annotations

import io
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from sanitizer.util.bounded_read import open_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from sanitizer.storage.base import Storage
    from sanitizer.storage.remote import RemoteStorage

    Opener = Callable[[str], BinaryIO]


class Blocks(NamedTuple):
    """How many bytes a read has.

    Attributes:
        smallest, largest: Limits of a read, in bytes.
        reach: Mean distance of needed ranges, in bytes, up to which reads grow; at a larger mean distance every read
            is the smallest. None: a read that continues the one before it is larger, any other is smaller.
    """

    smallest: int
    largest: int
    reach: int | None = None


ON_DISK = Blocks(4096, 1 << 18)
"""The smallest holds the last bytes of one image, its label, and the first bytes of the next image: a sample of large
images costs one read."""
BEHIND_REQUESTS = Blocks(1 << 16, 1 << 23, 1 << 20)


def open_unbuffered(path: str) -> BinaryIO:
    """Open a regular file without a buffer, as `ReadAhead` is one. Raises OSError."""
    return cast("BinaryIO", io.FileIO(open_descriptor(path), "rb"))


def opener_in(storage: Storage, size: int = -1) -> Opener:
    """A function that opens packed files of a storage, unbuffered. A known `size` in bytes saves a request."""
    if not storage.remote:
        return open_unbuffered
    return partial(_open_remote, cast("RemoteStorage", storage), size)


def _open_remote(storage: RemoteStorage, size: int, path: str) -> BinaryIO:
    return cast("BinaryIO", storage.open_raw(path, size))


def blocks_of(file: BinaryIO) -> Blocks:
    """The `Blocks` for an unbuffered file."""
    return BEHIND_REQUESTS if getattr(file, "remote", False) else ON_DISK


class _BlockLength:
    """Chooses how many bytes the next read has.

    Attributes:
        n_bytes: Length of the next read.
        needs_ranges: Whether the choice depends on the distances between needed ranges (`Blocks.reach`).
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.needs_ranges = blocks.reach is not None
        self.n_bytes = min(4 * blocks.smallest, blocks.largest)
        self._last_stop: int | None = None
        self._distance = self._n_distances = 0

    def note_range(self, offset: int, length: int) -> None:
        """Add the distance from the last needed range to this one. Closer than the smallest read, both are one."""
        distance = 0 if self._last_stop is None else offset - self._last_stop
        if distance > self._blocks.smallest:
            self._distance += distance
            self._n_distances += 1
            if self._n_distances == _DISTANCES_REMEMBERED:  # older distances count half
                self._distance //= 2
                self._n_distances //= 2
        self._last_stop = offset + length

    def adapt(self, continues: bool) -> None:
        """Choose the length of the next read. `continues`: it follows the read before it without a gap."""
        smallest, largest, reach = self._blocks
        if reach is None:
            self.n_bytes = min(2 * self.n_bytes, largest) if continues else max(self.n_bytes // 2, smallest)
        elif self._distance > reach * self._n_distances:
            self.n_bytes = smallest
        else:
            self.n_bytes = min(2 * self.n_bytes, largest)


class ReadAhead:
    """Reads ranges of one file by their offsets. For libraries, also a file to read and seek in.

    It holds one window: the bytes of the last read, with what the read before it left over.

    Attributes:
        size: Length of the file in bytes.
        bytes_read: Number of bytes read so far.
        failed: The error of a read that failed, or None. Kept here because libraries that read the file may hide it.
        problem: Always None. `Unpacked` says here why an archive ends early.
        extension_limit: The most bytes of extended headers that are read; no limit, unlike in `Unpacked`.
    """

    problem: str | None = None
    extension_limit = sys.maxsize

    def __init__(self, file: BinaryIO, blocks: Blocks | None = None) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.bytes_read = 0
        self.failed: OSError | None = None
        self._window = b""
        self._window_start = 0
        self._block = _BlockLength(blocks or blocks_of(file))
        self._at = 0

    def view(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`: fewer at the end of the file, or where the file became shorter."""
        if self._block.needs_ranges:
            self._block.note_range(offset, length)
        skip = offset - self._window_start
        if skip >= 0 and skip + length <= len(self._window):
            return self._window[skip : skip + length]
        stop = min(offset + length, self.size)
        if stop <= offset:
            return b""
        self._move_window(offset, stop)
        return self._window[:length]

    def _move_window(self, offset: int, stop: int) -> None:
        """Read a window that begins at `offset` and holds at least the bytes up to `stop`."""
        continues = self._window_start <= offset <= self._window_start + len(self._window)
        kept = self._window[offset - self._window_start :] if continues else b""
        if offset >= self._window_start:
            self._block.adapt(continues)
        start = offset + len(kept)
        length = min(max(stop - start, self._block.n_bytes - len(kept)), self.size - start)
        self._window = kept + self._fetch(start, length)
        self._window_start = offset

    def _fetch(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        parts, stop = [], offset
        while length > 0:
            try:
                part = self._file.read(length)
            except OSError as error:
                self.failed = error
                raise
            if not part:
                break
            parts.append(part)
            length -= len(part)
            stop += len(part)
            self.bytes_read += len(part)
            if stop >= self.size:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read(self, length: int = -1) -> bytes:
        """As a file's."""
        data = self.view(self._at, self.size - self._at if length < 0 else length)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        """As a file's."""
        return self._at

    def close(self) -> None:
        """Close the file."""
        self._file.close()


_DISTANCES_REMEMBERED = 32
