"""Datasets in a zip archive, on the local disk or behind a URL: of a member only the bytes that are needed are read."""

from __future__ import annotations

import errno
import io
import os
import zipfile
import zlib
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, cast

from sanitizer.dataset.remote_storage import Names, RemoteFile, RemoteStorage, stamp_of
from sanitizer.dataset.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _typeshed import WriteableBuffer

_LOCAL_HEADER = Struct("<26xHH")
"""The last two fields of a member's local header: lengths of its name and of its extra field (APPNOTE.TXT 4.3.7)."""
_USUAL_EXTRA_BYTES = 64
_DEFLATE_OVERHEAD_BYTES = 512
"""Compressed bytes, beside the plain ones, that surely hold the start of a member: its code tables."""


def open_zip(url: str) -> tuple[RemoteStorage, str]:
    """The storage in an archive: `set.zip`, `s3://bucket/set.zip`, `zip://path/inside::archive` or `zip://archive`.

    Raises:
        StorageError: There is no such archive, or it is none.
    """
    storage, path, inner = find_zip(url)
    storage.home = path if storage.isdir(path) or not inner else os.path.dirname(path)
    return storage, path


def find_zip(url: str) -> tuple[RemoteStorage, str, str]:
    """(the storage, the path in it, what the URL has of that path).

    Raises:
        StorageError: There is no such archive, or it is none.
    """
    inner, outer = "", url
    if url.startswith("zip://"):
        inner, chained, outer = url[len("zip://") :].partition("::")
        if not chained:
            inner, outer = "", inner
    if "::" in outer:
        raise StorageError("only zip://path/inside::archive can be chained")
    storage = _archive(outer, _state(outer))
    return storage, os.path.normpath(f"{storage.anchor}/{inner.strip('/')}"), inner


@lru_cache(maxsize=4)
def _archive(outer: str, _state: object) -> ZipStorage:
    """One storage for each archive, so that its directory is read once."""
    return ZipStorage(outer)


def _state(outer: str) -> object:
    """What changes when a local archive is written anew."""
    try:
        status = os.stat(outer)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


class ZipStorage(RemoteStorage):
    """One archive; its paths begin with its name, as they would if it were unpacked beside itself."""

    has_folders = True

    def __init__(self, outer: str) -> None:
        """Raises StorageError where there is no such archive."""
        self._outer: RemoteStorage | None = None
        if "://" in outer:
            from sanitizer.dataset.storage_fsspec import find_server

            self._outer, self._path = find_server(outer)
            self._shown = self._outer.url(self._path)
        else:
            self._path, self._shown = os.path.abspath(outer), outer
        anchor = f"/{os.path.splitext(os.path.basename(self._path))[0]}"
        super().__init__(anchor, anchor)
        self._members, self._tree, self._size = self._read_directory()

    def _read_directory(self) -> tuple[Mapping[str, zipfile.ZipInfo], dict[str, Names], int]:
        """(path to member, folder to names, bytes of the archive)."""
        try:
            with self._open_archive() as file, zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
                size = file.seek(0, os.SEEK_END)
        except zipfile.BadZipFile:
            problem = "is no zip archive, or its directory at the end is cut off"
        except OSError as error:
            problem = f"cannot be read: {error.strerror or type(error).__name__}"
        else:
            return *_sorted_out(infos, self.anchor), size
        raise StorageError(f"{self._shown} {problem}")

    def _open_archive(self) -> BinaryIO:
        if self._outer is not None:
            file = RemoteFile(self._outer, self._path, self._outer.ask_size(self._path))
            return cast("BinaryIO", io.BufferedReader(file, 1 << 16))
        return open(self._path, "rb")

    def list_once(self, path: str) -> Names:
        """The folder's names, from the archive's directory."""
        if path not in self._tree:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._tree[path]

    def ask_size(self, path: str) -> int:
        """Bytes of a member, from the archive's directory."""
        return self.size(path)

    def url(self, path: str) -> str:
        """The archive, and the path inside it."""
        inner = path[len(self.anchor) + 1 :]
        return f"zip://{inner}::{self._shown}" if inner else self._shown

    def address(self) -> str:
        """The archive, whatever its name ends with and whatever folder the other process is in."""
        if self._outer is None:
            return f"zip://{self._path}"
        self._outer.address()  # raises where none leads there
        return f"zip://{self._shown}"

    def fetch(self, path: str, start: int, stop: int | None, size: int = -1) -> tuple[bytes, int]:
        """(bytes, size of the member)."""
        info = self._members.get(path)
        if info is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        stop = info.file_size if stop is None else min(stop, info.file_size)
        if start >= stop:
            return b"", info.file_size
        if info.flag_bits & 1:
            raise OSError(errno.EACCES, "it is encrypted in the archive")
        if info.compress_type == zipfile.ZIP_STORED:
            data = self._raw(info, start, stop)
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            data = self._inflated(info, stop)
        else:
            data = self._unpacked(info)
        whole = start == 0 and stop == info.file_size
        if len(data) < (stop - start if info.compress_type == zipfile.ZIP_STORED else stop) or (
            whole and zlib.crc32(data) != info.CRC
        ):
            raise _damaged()
        return (data if info.compress_type == zipfile.ZIP_STORED else data[start:stop]), info.file_size

    def open_raw(self, path: str, size: int = -1) -> io.IOBase:
        """The member, to read in large parts."""
        info = self._members.get(path)
        if info is None or info.compress_type != zipfile.ZIP_DEFLATED or info.flag_bits & 1:
            return super().open_raw(path, size)
        return _InflatedFile(self, path, info)

    def cost(self, path: str, start: int, stop: int, size: int) -> tuple[int, int]:
        """(reads of the archive, bytes of these)."""
        info = self._members.get(path)
        if info is None or stop <= start:
            return 0, 0
        if info.compress_type == zipfile.ZIP_DEFLATED:
            start, stop = 0, min(info.compress_size, stop + stop // 1000 + _DEFLATE_OVERHEAD_BYTES)
        names = _LOCAL_HEADER.size + len(info.filename.encode("utf-8", "surrogateescape"))
        if start < 1 << 16:
            return 1, min(names + _USUAL_EXTRA_BYTES + stop, self._size - info.header_offset)
        return 2, names + _USUAL_EXTRA_BYTES + stop - start

    def raw(self, path: str, start: int, stop: int) -> bytes:
        """Bytes start to stop of a member as they lie in the archive. Raises OSError."""
        return self._raw(self._members[path], start, stop)

    def _inflated(self, info: zipfile.ZipInfo, stop: int) -> bytes:
        """The first `stop` bytes of a deflated member."""
        at_first = min(info.compress_size, stop + stop // 1000 + _DEFLATE_OVERHEAD_BYTES)
        for n_bytes in dict.fromkeys((at_first, info.compress_size)):
            try:
                data = zlib.decompressobj(-15).decompress(self._raw(info, 0, n_bytes), stop)
            except zlib.error:
                break
            if len(data) == stop:
                return data
        raise _damaged()

    def _unpacked(self, info: zipfile.ZipInfo) -> bytes:
        """A member in one of the rare compressions."""
        try:
            with self._open_archive() as file, zipfile.ZipFile(file) as archive:
                return archive.read(info)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError):
            raise OSError(errno.EIO, "it is damaged in the archive, or packed in an unknown way") from None

    def _raw(self, info: zipfile.ZipInfo, start: int, stop: int) -> bytes:
        """Bytes start to stop of a member as they lie in the archive."""
        names = len(info.filename.encode("utf-8", "surrogateescape"))
        guess = _LOCAL_HEADER.size + names + _USUAL_EXTRA_BYTES
        at = info.header_offset
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
            return self._outer.fetch(self._path, start, stop, self._size)[0]
        with open(self._path, "rb") as file:
            file.seek(start)
            return file.read(stop - start)


class _InflatedFile(io.RawIOBase):
    """A deflated member to read from its start to its end, however large; going back begins anew.

    Attributes:
        problem: Why a read failed, or None.
    """

    remote = True
    _PART_BYTES = 1 << 22

    def __init__(self, storage: ZipStorage, path: str, info: zipfile.ZipInfo) -> None:
        super().__init__()
        self._storage, self._path, self._info = storage, path, info
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
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.file_size}[whence]
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
            while self._done < min(self._at, self._info.file_size):
                self._next(min(self._at - self._done, self._PART_BYTES))
            filled = 0
            while filled < len(view) and self._done < self._info.file_size:
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
        """Some bytes more, one at least. Raises OSError."""
        data = b""
        while not data:
            packed = self._inflate.unconsumed_tail
            if not packed:
                stop = min(self._read + self._PART_BYTES, self._info.compress_size)
                packed = self._storage.raw(self._path, self._read, stop) if stop > self._read else b""
                self._read = stop
            try:
                data = self._inflate.decompress(packed, at_most)
            except zlib.error:
                raise _damaged() from None
            if not data and not packed:
                raise _damaged()
        self._done += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._done == self._info.file_size and self._crc != self._info.CRC:
            raise _damaged()
        return data


def _damaged() -> OSError:
    return OSError(errno.EIO, "it is damaged in the archive")


def _sorted_out(
    infos: Sequence[zipfile.ZipInfo], anchor: str
) -> tuple[Mapping[str, zipfile.ZipInfo], dict[str, Names]]:
    """(path to member, folder to names). Of members with one name the last counts; odd paths have no place."""
    members: dict[str, zipfile.ZipInfo] = {}
    tree = {anchor: Names()}
    for info in {info.filename: info for info in infos}.values():
        parts = info.filename.split("/")
        if any(part in ("", ".", "..") for part in parts[:-1]):
            continue
        folder = anchor
        for part in parts[:-1]:
            tree[folder].folders[part] = None
            folder = f"{folder}/{part}"
            tree.setdefault(folder, Names())
        if parts[-1] not in ("", ".", ".."):
            tree[folder].add(parts[-1], info.file_size, stamp_of(f"{info.CRC}-{info.file_size}"))
            members[f"{folder}/{parts[-1]}"] = info
    return members, tree
