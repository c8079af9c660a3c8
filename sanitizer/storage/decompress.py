"""Decompressors of gzip, bzip2, xz and Zstandard with one interface, each within a limit of memory."""

from __future__ import annotations

import bz2
import importlib
import lzma
import zlib
from typing import TYPE_CHECKING, Any, Protocol

from sanitizer.util import limits
from sanitizer.util.bounded_read import as_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class DamagedError(ValueError):
    """Compressed data that does not unpack; the text says why, after "is damaged"."""


class Decompressor(Protocol):
    """The methods that all decompressors of the standard library share, except zlib's."""

    @property
    def eof(self) -> bool:
        """Whether the compressed stream has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether more compressed data is needed for more output."""
        ...

    @property
    def unused_data(self) -> bytes:
        """The data after the end of the stream."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Some unpacked bytes, no more than `max_length`."""
        ...


class _Gzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(31)
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        unpacked = self._zlib.decompress(self._rest + data if self._rest else data, max_length)
        self._rest = self._zlib.unconsumed_tail
        return unpacked


class Plain:
    """An archive whose name says that it is compressed, but which is not."""

    eof = False
    needs_input = True
    unused_data = b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """The data as it is."""
        if not data:
            raise EOFError
        return data


def why_damaged(error: Exception) -> str:
    """The meaning of any decompressor's error, in words that follow "is damaged: "."""
    if "Memory usage limit" in str(error) or isinstance(error, MemoryError):
        return f"it needs more than {as_size(limits.DICTIONARY_BYTES)} of memory to unpack"
    return "the compressed data is damaged"


def _xz() -> Decompressor:
    return lzma.LZMADecompressor(memlimit=limits.DICTIONARY_BYTES + (1 << 20))


def zstd_decompressor() -> Decompressor:
    """A decompressor for Zstandard. Raises DamagedError where this Python has none."""
    try:
        zstd: Any = importlib.import_module("compression.zstd")  # Python 3.14
    except ImportError:
        raise DamagedError(
            "it is compressed with Zstandard, which this Python does not read: `zstd -d` unpacks it"
        ) from None
    log = limits.DICTIONARY_BYTES.bit_length() - 1
    made: Decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: log})
    return made


_MAGIC: Mapping[bytes, Callable[[], Decompressor]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": _xz,
    b"\x5d\0\0": _xz,
    b"\x28\xb5\x2f\xfd": zstd_decompressor,
}


def decompressor_for(head: bytes) -> Callable[[], Decompressor]:
    """A function that makes a decompressor for data with these first bytes."""
    return next((make for magic, make in _MAGIC.items() if head.startswith(magic)), Plain)
