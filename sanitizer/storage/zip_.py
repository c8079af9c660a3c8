"""Datasets in a zip archive, on the local disk or behind a URL. Only the needed bytes of a member are read."""

from __future__ import annotations

import bz2
import errno
import io
import lzma
import os
import zlib
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, cast

from sanitizer.storage.base import StorageError
from sanitizer.storage.decompress import DamagedError, zstd_decompressor
from sanitizer.storage.remote import RemoteFile, RemoteStorage
from sanitizer.storage.zip_directory import DEFLATED, STORED, Directory, DirectoryError, ZipMember
from sanitizer.util import limits
from sanitizer.util.bounded_read import open_descriptor, open_regular, too_large

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from sanitizer.storage.decompress import Decompressor
    from sanitizer.storage.folder_entries import FolderEntries

_LOCAL_HEADER = Struct("<26xHH")
"""The last two fields of a member's local header: lengths of its name and of its extra field (APPNOTE.TXT 4.3.7)."""
_USUAL_EXTRA_BYTES = 64
_DEFLATE_OVERHEAD_BYTES = 512
"""Compressed bytes that are read besides those of the data, so that the code tables of Deflate are among them."""
_INFLATED_AT_ONCE = 1 << 22


class ZipStorage(RemoteStorage):
    """One archive. Its paths begin with its name, as if it were unpacked into a folder of that name."""

    has_folders = True

    def __init__(self, path: str, shown: str, outer: RemoteStorage | None = None) -> None:
        """Read the directory of the archive at `path`, in the storage `outer` or on this disk.

        Raises:
            StorageError: There is no such archive, or it is no zip archive.
        """
        self._path, self._shown, self._outer = path, shown, outer
        anchor = f"/{os.path.splitext(os.path.basename(self._path))[0]}"
        super().__init__(anchor, anchor)
        self._directory = self._read_directory()
        self.faults = self._directory.faults

    def _read_directory(self) -> Directory:
        try:
            with self._open_archive() as file:
                return Directory(file, self.anchor)
        except DirectoryError as error:
            problem = str(error)
        except OSError as error:
            problem = f"cannot be read: {error.strerror or type(error).__name__}"
        raise StorageError(f"{self._shown} {problem}")

    def _open_archive(self) -> BinaryIO:
        if self._outer is not None:
            file = RemoteFile(self._outer, self._path, self._outer.ask_size(self._path))
            return cast("BinaryIO", io.BufferedReader(file, 1 << 16))
        return open_regular(self._path)

    def list_once(self, path: str) -> FolderEntries:
        """The folder's names, from the archive's directory."""
        if path not in self._directory.tree:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._directory.tree[path]

    def ask_size(self, path: str) -> int:
        """Bytes of a member, from the archive's directory."""
        return self.size(path)

    def url(self, path: str) -> str:
        """The archive, and the path inside it."""
        inner = path[len(self.anchor) + 1 :]
        return f"zip://{inner}::{self._shown}" if inner else self._shown

    def address(self) -> str:
        """The archive as a URL that works from any folder, and for any file extension."""
        if self._outer is None:
            return f"zip://{self._path}"
        self._outer.address()  # raises where there is no such URL
        return f"zip://{self._shown}"

    def fetch(
        self, path: str, start: int, stop: int | None, size: int = -1, limit: int = limits.IMAGE_BYTES
    ) -> tuple[bytes, int]:
        """(bytes, size of the member)."""
        member = self._readable(path)
        stop = member.size if stop is None else min(stop, member.size)
        if start >= stop:
            return b"", member.size
        if stop - start > limit:
            raise too_large(limit, path)
        whole = start == 0 and stop == member.size
        if member.method == STORED:
            data = self._raw(member, start, stop)
        elif member.method == DEFLATED:
            data = self._inflated(path, member, start, stop)
        else:
            data = self._unpacked(path, member)[start:stop]
        if len(data) < stop - start or (whole and zlib.crc32(data) != member.crc):
            raise _damaged()
        return data, member.size

    def _readable(self, path: str) -> ZipMember:
        """The member. Raises OSError where it does not exist or cannot be read."""
        member = self._directory.member(path)
        if member is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if member.problem is not None:
            raise OSError(errno.EIO, member.problem)
        return member

    def open(self, path: str, size: int = -1) -> BinaryIO:
        """The member, to read and seek in. A compressed member is unpacked into memory."""
        member = self._readable(path)
        if member.method == STORED:
            return super().open(path, size)
        return io.BytesIO(self.fetch(path, 0, None, limit=limits.IMAGE_BYTES)[0])

    def open_raw(self, path: str, size: int = -1) -> io.IOBase:
        """The member, to read in large parts."""
        member = self._readable(path)
        if member.method != DEFLATED:
            return super().open_raw(path, size)
        if member.size > (limit := limits.unpacked_limit(member.packed)):
            raise too_large(limit, path)
        return _InflatedFile(self, path, member)

    def raw(self, member: ZipMember, start: int, stop: int) -> bytes:
        """Bytes start to stop of a member as they lie in the archive. Raises OSError."""
        return self._raw(member, start, stop)

    def _inflated(self, path: str, member: ZipMember, start: int, stop: int) -> bytes:
        """Bytes start to stop of a deflated member. No other part of the member is kept in memory."""
        if stop > _INFLATED_AT_ONCE:
            if member.size > limits.IMAGE_BYTES:
                raise too_large(limits.IMAGE_BYTES, path)
            file = _InflatedFile(self, path, member)
            file.seek(start)
            return file.read(stop - start) or b""
        at_first = min(member.packed, stop + stop // 1000 + _DEFLATE_OVERHEAD_BYTES)
        for n_bytes in dict.fromkeys((at_first, member.packed)):
            try:
                data = zlib.decompressobj(-15).decompress(self._raw(member, 0, n_bytes), stop)
            except zlib.error:
                break
            if len(data) == stop:
                return data[start:]
        raise _damaged()

    def _unpacked(self, path: str, member: ZipMember) -> bytes:
        """A member in one of the rare compressions."""
        if max(member.size, member.packed) > limits.IMAGE_BYTES:
            raise too_large(limits.IMAGE_BYTES, path)
        packed = self._raw(member, 0, member.packed)
        try:
            data = _unpack(packed, member)
        except DamagedError as error:
            raise OSError(errno.EIO, str(error)) from None
        except Exception:  # each library raises its own error for damage
            raise _damaged() from None
        if len(data) < member.size:
            raise _damaged()
        return data

    def _raw(self, member: ZipMember, start: int, stop: int) -> bytes:
        """Bytes start to stop of a member as they lie in the archive."""
        guess = _LOCAL_HEADER.size + member.name_bytes + _USUAL_EXTRA_BYTES
        at = member.offset
        head = self._at(at, at + guess + (stop if start < 1 << 16 else 0))
        if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\3\4":
            raise _damaged()
        first = _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack_from(head))
        if len(head) >= first + stop:
            return head[first + start : first + stop]
        return self._at(at + first + start, at + first + stop)

    def _at(self, start: int, stop: int) -> bytes:
        """Bytes of the archive itself."""
        if self._outer is not None:
            return self._outer.fetch(self._path, start, stop, self._directory.size)[0]
        descriptor = open_descriptor(self._path)
        try:
            os.lseek(descriptor, start, os.SEEK_SET)
            return os.read(descriptor, stop - start)
        except OverflowError:
            raise _damaged() from None
        finally:
            os.close(descriptor)


class _InflatedFile(io.RawIOBase):
    """A deflated member of any size, to read from start to end. Seeking back starts again at the beginning.

    Attributes:
        problem: Why a read failed, or None.
    """

    remote = True
    _PART_BYTES = 1 << 22

    def __init__(self, storage: ZipStorage, path: str, member: ZipMember) -> None:
        super().__init__()
        self._storage, self._path, self._member = storage, path, member
        self.problem: str | None = None
        self._at = 0
        self._begin()

    def _begin(self) -> None:
        self._inflate = zlib.decompressobj(-15)
        self._read = self._done = self._crc = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is read yet."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._member.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer as far as the member goes."""
        view = memoryview(buffer).cast("B")
        if self._at < self._done:
            self._begin()
        try:
            while self._done < min(self._at, self._member.size):
                self._next(min(self._at - self._done, self._PART_BYTES))
            filled = 0
            while filled < len(view) and self._done < self._member.size:
                data = self._next(len(view) - filled)
                view[filled : filled + len(data)] = data
                filled += len(data)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
            self._storage.failed[self._path] = self.problem
            raise
        self._at += filled
        return filled

    def _next(self, at_most: int) -> bytes:
        """At least one more byte. Raises OSError."""
        data = b""
        while not data:
            packed = self._inflate.unconsumed_tail
            if not packed:
                stop = min(self._read + self._PART_BYTES, self._member.packed)
                packed = self._storage.raw(self._member, self._read, stop) if stop > self._read else b""
                self._read = stop
            try:
                data = self._inflate.decompress(packed, at_most)
            except zlib.error:
                raise _damaged() from None
            if not data and not packed:
                raise _damaged()
        self._done += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._done == self._member.size and self._crc != self._member.crc:
            raise _damaged()
        return data


def _damaged() -> OSError:
    return OSError(errno.EIO, "it is damaged in the archive")


_BZIP2, _LZMA, _ZSTD = 12, 14, 93
_LZMA_HEADER = Struct("<2xHBL")
"""Length of the properties, and these: one byte for three numbers, and the size of the dictionary."""


def _unpack(packed: bytes, member: ZipMember) -> bytes:
    """Unpack a member with a rare compression, up to its size. May raise any exception if it is damaged."""
    if member.method == _LZMA:
        return _lzma(packed, member.size).decompress(packed[_LZMA_HEADER.size :], member.size)
    if member.method == _BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, member.size)
    if member.method == _ZSTD:
        return zstd_decompressor().decompress(packed, member.size)
    raise DamagedError(f"it is packed in an unknown way in the archive (method {member.method})")


def _lzma(packed: bytes, size: int) -> Decompressor:
    """The decompressor of a member with LZMA (APPNOTE.TXT 5.8.8). May raise any exception if its header is damaged."""
    _, numbers, dictionary = _LZMA_HEADER.unpack_from(packed)
    rest, lc = divmod(numbers, 9)
    pb, lp = divmod(rest, 5)
    # A match cannot refer to data before the start of the member.
    dict_size = max(4096, min(dictionary, size))
    filters = [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": dict_size}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
