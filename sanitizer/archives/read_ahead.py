"""A window over a large file: neighbouring small reads become one, and what lies between far ones is never read.

How much is read at once follows from what a read costs beside its bytes (`Blocks`). On a disk that is next to
nothing: images of more than some kilobytes are passed over. Behind a server it is a round trip, about as long as a
megabyte takes to come (20 ms at 50 MB/s): bodies of up to so many bytes are read along with what is around them, up to
eight megabytes a request, and larger ones are passed over at one small request for each. So a sample costs no more
than a round trip, or the time of a megabyte that nobody needs.
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
    """How large reads are.

    Attributes:
        smallest, largest: Bytes of a read.
        reach: While the needed places of a file are no further apart than this on average, blocks grow from read to
            read, else they are the smallest. None: blocks grow where reads touch and shrink where they do not.
    """

    smallest: int
    largest: int
    reach: int | None = None


ON_DISK = Blocks(4096, 1 << 18)
"""The smallest holds the end of one image, its label, and the start of the next image: a sample of large images costs
one read."""
BEHIND_REQUESTS = Blocks(1 << 16, 1 << 23, 1 << 20)


def open_unbuffered(path: str) -> BinaryIO:
    """The file itself, a regular one: `ReadAhead` is the only buffer. Raises OSError."""
    return cast("BinaryIO", io.FileIO(open_descriptor(path), "rb"))


def opener_in(storage: Storage, size: int = -1) -> Opener:
    """What opens packed files in a storage, unbuffered; `size` in bytes, where known, saves a question."""
    if not storage.remote:
        return open_unbuffered
    return partial(_open_remote, cast("RemoteStorage", storage), size)


def _open_remote(storage: RemoteStorage, size: int, path: str) -> BinaryIO:
    return cast("BinaryIO", storage.open_raw(path, size))


def blocks_of(file: BinaryIO) -> Blocks:
    """How large reads of an unbuffered file should be."""
    return BEHIND_REQUESTS if getattr(file, "remote", False) else ON_DISK


class ReadAhead:
    """Ranges of one file by offset; also a seekable file for those who want one. Reads only.

    Attributes:
        size: Length of the file in bytes.
        bytes_read: Number of bytes read so far.
        failed: Why a read failed, once one did: whoever is handed this as a file may hide the exception.
        problem: None: as much is read as the file has.
        extension_limit: Bytes of extended headers that are read in all: as many as there are.
    """

    problem: str | None = None
    extension_limit = sys.maxsize

    def __init__(self, file: BinaryIO, blocks: Blocks | None = None) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.bytes_read = 0
        self.failed: OSError | None = None
        self._window = b""
        self._start = 0
        self._blocks = blocks or blocks_of(file)
        self._reach = self._blocks.reach
        self._block = min(4 * self._blocks.smallest, self._blocks.largest)
        self._last: int | None = None
        self._distance = self._jumps = 0
        self._at = 0

    def view(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`: fewer at the end of the file, or where it turned out shorter."""
        skip = offset - self._start
        if self._reach is not None:
            self._note_jump(offset, length)
        if skip >= 0 and skip + length <= len(self._window):
            return self._window[skip : skip + length]
        stop = min(offset + length, self.size)
        if stop <= offset:
            return b""
        window_end = self._start + len(self._window)
        touches = self._start <= offset <= window_end
        kept = self._window[skip:] if touches else b""
        if offset >= self._start:
            self._adapt(touches)
        start = offset + len(kept)
        length_of_read = min(max(stop - start, self._block - len(kept)), self.size - start)
        self._window = kept + self._fetch(start, length_of_read)
        self._start = offset
        return self._window[:length]

    def _note_jump(self, offset: int, length: int) -> None:
        """Remember how far apart needed places are; what is closer than the smallest block is one place."""
        jump = 0 if self._last is None else offset - self._last
        if jump > self._blocks.smallest:
            self._distance, self._jumps = self._distance + jump, self._jumps + 1
            if self._jumps == _JUMPS_REMEMBERED:
                self._distance, self._jumps = self._distance // 2, self._jumps // 2
        self._last = offset + length

    def _adapt(self, touches: bool) -> None:
        smallest, largest, reach = self._blocks
        if reach is None:
            self._block = min(2 * self._block, largest) if touches else max(self._block // 2, smallest)
        elif self._distance > reach * self._jumps:
            self._block = smallest
        else:
            self._block = min(2 * self._block, largest)

    def _fetch(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        parts = []
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
            self.bytes_read += len(part)
            if offset + sum(map(len, parts)) >= self.size:
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


_JUMPS_REMEMBERED = 32
