"""A window over a large file: neighbouring small reads become one, and what lies between far ones is never read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    Opener = Callable[[str], BinaryIO]

SMALLEST_BLOCK = 4096
"""Holds the end of one image, its label, and the start of the next image: a sample of large images costs one read."""
LARGEST_BLOCK = 1 << 18


def open_unbuffered(path: str) -> BinaryIO:
    """The file itself: `ReadAhead` is the only buffer."""
    return open(path, "rb", buffering=0)


class ReadAhead:
    """Ranges of one file by offset; also a seekable file for those who want one. Reads only.

    A block grows while the file is read from end to end and shrinks when most of it is passed over.

    Attributes:
        size: Length of the file in bytes.
        requests: Number of reads so far.
        bytes_read: Number of bytes that these brought.
    """

    def __init__(self, file: BinaryIO, smallest: int = SMALLEST_BLOCK, largest: int = LARGEST_BLOCK) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.requests = self.bytes_read = 0
        self._window = b""
        self._start = 0
        self._smallest, self._largest = smallest, largest
        self._block = min(4 * smallest, largest)
        self._at = 0

    def view(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`: fewer at the end of the file, or where it turned out shorter."""
        skip = offset - self._start
        if skip >= 0 and skip + length <= len(self._window):
            return self._window[skip : skip + length]
        stop = min(offset + length, self.size)
        if stop <= offset:
            return b""
        kept = b""
        window_end = self._start + len(self._window)
        if self._start <= offset <= window_end:
            kept = self._window[skip:]
            self._block = min(2 * self._block, self._largest)
        elif offset > window_end:
            self._block = max(self._block // 2, self._smallest)
        start = offset + len(kept)
        self._window = kept + self._fetch(start, max(stop - start, self._block - len(kept)))
        self._start = offset
        return self._window[:length]

    def _fetch(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        parts = []
        while length > 0:
            part = self._file.read(length)
            self.requests += 1
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
