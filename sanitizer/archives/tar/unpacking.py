"""Reads compressed archives like `ReadAhead`, but forwards only, and up to a limit.

A few hundred bytes of gzip, bzip2 or xz can unpack to terabytes. So the limit depends on the size of the archive
(`limits.unpacked_limit`). At the limit, or where the compressed data is damaged, the archive ends, and `problem` says
why.
"""

from __future__ import annotations

import lzma
import os
import zlib
from typing import TYPE_CHECKING

from sanitizer.storage.decompress import DamagedError, Plain, decompressor_for, why_damaged
from sanitizer.util import limits
from sanitizer.util.bounded_read import as_size

if TYPE_CHECKING:
    from sanitizer.archives.read_ahead import ReadAhead

_PIECE_BYTES = 1 << 16
_SKIPPED_BYTES = 1 << 18
_LONGEST_PART = 1 << 20
_UNKNOWN_SIZE = 1 << 62


class Unpacked:
    """The members of a compressed archive by offset, as in `ReadAhead`. Offsets only grow from call to call.

    Attributes:
        size: Number of unpacked bytes, once the end is reached; before that a number larger than any archive.
        failed: The error of a read of the compressed file that failed, or None.
        problem: Why the archive could not be unpacked to its end, or None.
        extension_limit: The most bytes of extended headers that are read: they take long to read, and compress best.
    """

    def __init__(self, file: ReadAhead, limit: int | None = None) -> None:
        """Begin; at most `limit` bytes are unpacked, or as many as the file's size allows."""
        self._stream: _Stream | None = None
        self._file = file
        self.size = _UNKNOWN_SIZE
        self.problem: str | None = None
        self._limit = limit or limits.unpacked_limit(file.size)
        self.extension_limit = limits.EXTENSIONS_FLOOR_BYTES + limits.EXTENSIONS_TIMES * file.size
        self._window = b""
        self._start = self._at = self._unpacked = 0

    @property
    def failed(self) -> OSError | None:
        """The error of a read of the compressed file that failed, or None."""
        return self._file.failed

    @property
    def ended(self) -> bool:
        """Whether the end of the archive, or of what can be unpacked, is reached."""
        return self.size != _UNKNOWN_SIZE

    def view(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`: fewer where the archive ends.

        Raises:
            OSError: The compressed file cannot be read.
        """
        skip = offset - self._start
        if skip < 0:
            raise ValueError("a compressed archive is read forwards only")
        if skip + length <= len(self._window):
            return self._window[skip : skip + length]
        while self._start + len(self._window) < offset and (part := self._next(_SKIPPED_BYTES)):
            self._start, self._window = self._start + len(self._window), part
        kept = self._window[max(offset - self._start, 0) :]
        self._start += len(self._window) - len(kept)
        parts, lacking = [kept], length - len(kept)
        while lacking > 0 and (part := self._next(max(lacking, _PIECE_BYTES))):
            parts.append(part)
            lacking -= len(part)
        self._window = b"".join(parts)
        return self._window[:length] if self._start == offset else b""

    def _next(self, at_most: int) -> bytes:
        """Unpack at most so many bytes more; b"" at the end, or where the data is damaged."""
        if self.ended:
            return b""
        data = b""
        try:
            self._stream = self._stream or _Stream(self._file)
            data = self._stream.read(min(at_most, _LONGEST_PART))
        except DamagedError as error:
            self.problem = str(error)
        if self._unpacked + len(data) > self._limit:
            times = limits.UNPACKED_TIMES
            self.problem = f"it unpacks to more than {as_size(self._limit)}, over {times} times its size"
            data = b""
        if not data:
            self.size = self._unpacked
        self._unpacked += len(data)
        return data

    def read(self, length: int = -1) -> bytes:
        """As a file's, from where `seek` went; a length must be given."""
        data = self.view(self._at, length)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's."""
        self._at = max(offset + (self._at if whence == os.SEEK_CUR else 0), 0)
        return self._at

    def tell(self) -> int:
        """As a file's."""
        return self._at


class _Stream:
    """Unpacks a file from its start to its end. Compressed streams that follow each other are read as one."""

    def __init__(self, file: ReadAhead) -> None:
        self._file = file
        self._make = decompressor_for(file.view(0, 6))
        self._one = self._make()
        self._input = b""

    def read(self, at_most: int) -> bytes:
        """At least one byte; b"" at the end.

        Raises:
            DamagedError: The rest cannot be unpacked.
            OSError: The file cannot be read.
        """
        while True:
            if self._one.eof and not self._next_stream():
                return b""
            if self._one.needs_input and not self._input:
                self._input = self._file.read(_PIECE_BYTES)
                if not self._input:
                    if isinstance(self._one, Plain):
                        return b""
                    raise DamagedError("the compressed data is cut off")
            data, self._input = self._input, b""
            try:
                unpacked = self._one.decompress(data, at_most)
            except (zlib.error, lzma.LZMAError, EOFError, ValueError, OSError, MemoryError) as error:
                raise DamagedError(why_damaged(error)) from None
            except Exception as error:
                if type(error).__name__ != "ZstdError":
                    raise
                raise DamagedError("the compressed data is damaged") from None
            if unpacked:
                return unpacked

    def _next_stream(self) -> bool:
        """Begin the next compressed stream; False where there is none."""
        rest = self._one.unused_data
        while len(rest) < 6 and (part := self._file.read(_PIECE_BYTES)):
            rest += part
        if decompressor_for(rest[:6]) is not self._make:
            return False
        self._one, self._input = self._make(), rest
        return True
