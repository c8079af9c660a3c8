"""What all storages share that are read by requests: buckets, web servers and archives.

A request takes long, so each folder is listed once, and its listing answers every question about the paths in it.
"""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

from sanitizer.storage.base import FolderEntry, StorageError, StorageFault
from sanitizer.storage.retries import OutOfRangeError
from sanitizer.util import limits
from sanitizer.util.paths import is_inside, normal_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import WriteableBuffer

    from sanitizer.storage.folder_entries import FolderEntries


_BUFFER_BYTES = 1 << 16


class RemoteStorage:
    """A storage that is read by requests. Subclasses say how a folder is listed and how bytes are read.

    Attributes:
        anchor: Folder that all paths are below (a bucket, a server, an archive). It is taken to exist.
        home: Folder that the user named last. Where a listing below `home` fails, that is an error. Where another
            listing is forbidden, the folder counts as missing: the credentials may cover the dataset alone.
        has_folders: Whether a folder can be empty, as in an archive. In a bucket an empty folder does not exist.
        faults: Members of an archive that are in no listing, because their names cannot be used.
        kept: Whole files by path: a sample was read of them, and they will be read again.
        failed: Files by path of which a read failed in this process, and why.
    """

    remote = True
    has_folders = False

    def __init__(self, anchor: str, home: str) -> None:
        self.anchor = anchor
        self.home = home
        self.faults: Sequence[StorageFault] = ()
        self.kept: dict[str, bytes] = {}
        self.failed: dict[str, str] = {}
        self._listings: dict[str, FolderEntries | None] = {}
        """Entries by folder; None for a path that is no folder."""
        self._listed_names = self._listed_folders = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url(self.home)!r})"

    def list_once(self, path: str) -> FolderEntries:
        """Ask the server for a folder's entries. Raises FileNotFoundError for a missing folder, or another OSError."""
        raise NotImplementedError

    def list_below(self, path: str) -> Mapping[str, FolderEntries] | None:
        """This folder and all folders below it by few requests; None where that saves no request."""
        return None

    def fetch(
        self, path: str, start: int, stop: int | None, size: int = -1, limit: int = limits.IMAGE_BYTES
    ) -> tuple[bytes, int]:
        """(bytes start to stop of a file, its size), retried.

        Args:
            path: The file.
            start, stop: First byte, and the byte after the last; a `stop` of None is the end of the file.
            size: Bytes of the file if known, else -1.
            limit: The most bytes that may be returned.

        Raises:
            TooLargeError: The range has more bytes than `limit`.
            OSError: The file cannot be read; `strerror` says why.
        """
        raise NotImplementedError

    def ask_size(self, path: str) -> int:
        """Ask the server for the size of a file in bytes, whatever listings say. Raises OSError."""
        raise NotImplementedError

    def url(self, path: str) -> str:
        """The path as a person would name it, without credentials."""
        raise NotImplementedError

    def address(self) -> str:
        """A URL without credentials from which `open_storage` opens this storage in another process.

        Raises:
            StorageError: There is no such URL.
        """
        return self.url(self.anchor)

    def drop_listings(self) -> None:
        """Free the memory of all listings: nothing needs them once the dataset is found."""
        self._listings.clear()
        self._listed_names = self._listed_folders = 0
        self.kept.clear()
        self.failed.clear()

    def count_listed_names(self, n_names: int) -> None:
        """Add to the number of names that the server listed.

        Raises:
            StorageError: The server lists more names than any dataset has. It may invent names without end.
        """
        self._listed_names += n_names
        if self._listed_names > limits.LISTED_NAMES:
            raise StorageError(
                f"{self.url(self.home)} lists more than {limits.LISTED_NAMES:,} names: name the dataset's own folder,"
                " or pack it into tar shards"
            )

    def open(self, path: str, size: int = -1) -> BinaryIO:
        """The file, to read and seek in. Each read is a request; a buffer joins short reads."""
        if size < 0:
            size = self.size(path) if self._listings else self.ask_size(path)
        return cast("BinaryIO", io.BufferedReader(RemoteFile(self, path, size), _BUFFER_BYTES))

    def open_raw(self, path: str, size: int = -1) -> io.IOBase:
        """The file without a buffer, to read in large parts: each read is a request."""
        return RemoteFile(self, path, size)

    def size(self, path: str) -> int:
        """Size of a file in bytes, by the listing of its folder; -1 where the listing has no sizes."""
        return self._entry(path).size

    def known_size(self, path: str) -> int:
        """Size of a file in bytes, by a listing or else by a request. Raises OSError."""
        size = self.size(path)
        return size if size >= 0 else self.ask_size(path)

    def mtime(self, path: str) -> float:
        """0, as the stamps of a listing are no times. Raises OSError."""
        self._entry(path)
        return 0.0

    def list(self, path: str) -> Iterator[FolderEntry]:
        """Everything in a folder."""
        return iter(self._entries(path))

    def names(self, path: str) -> Sequence[str]:
        """The names in a folder."""
        return [entry.name for entry in self._entries(path)]

    def prefetch_listings(self, path: str) -> None:
        """List all folders below a folder, in as few requests as it takes."""
        if not self.isdir(path):
            return
        folders = [f"{path}/{name}" for name in self._entries(path).folders]
        if all(folder in self._listings for folder in folders):
            return
        for folder in folders:
            is_hidden = os.path.basename(folder)[0] == "."
            if is_hidden or folder in self._listings:
                continue
            try:
                self._listings |= self.list_below(folder) or {}
            except OSError as error:
                raise self._not_listed(folder, error) from None

    def isdir(self, path: str) -> bool:
        """Whether anything lies below the path."""
        path = normal_path(path)
        if not is_inside(path, self.anchor):
            return False
        if path != self.home and is_inside(self.home, path):
            return True  # it holds `home`; the credentials may not allow to list it
        if path != self.home and is_inside(path, self.home) and path not in self._listings:
            # The listing of the parent is mostly known, and saves a request for a folder that does not exist.
            parent, name = os.path.split(path)
            if not self.isdir(parent) or name not in self._entries(parent).folders:
                return False
        return self._listing(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether there is a file of exactly this name."""
        try:
            self._entry(path)
        except OSError:
            return False
        return True

    def exists(self, path: str) -> bool:
        """Whether it is a file or a folder."""
        return self.isdir(path) or self.isfile(path)

    lexists = exists

    def realpath(self, path: str) -> str:
        """The normalised path: nothing here is a link."""
        return normal_path(path)

    def samefile(self, path: str, other: str) -> bool:
        """Whether it is one path."""
        return normal_path(path) == normal_path(other)

    def identity(self, path: str) -> str | None:
        """The path of a folder."""
        return path if self.isdir(path) else None

    def _entry(self, path: str) -> FolderEntry:
        """A file, by the listing of its folder. Raises FileNotFoundError."""
        parent, name = os.path.split(normal_path(path))
        entry = self._entries(parent).file(name) if self.isdir(parent) else None
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return entry

    def _entries(self, path: str) -> FolderEntries:
        """What is in a folder. Raises FileNotFoundError."""
        entries = self._listing(path)
        if entries is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return entries

    def _listing(self, path: str) -> FolderEntries | None:
        """What is in a folder, requested the first time only; None where there is no such folder.

        Raises:
            StorageError: The server does not list the folder, and the dataset may need it.
        """
        path = normal_path(path)
        if path not in self._listings:
            self._listings[path] = self._request_listing(path)
        return self._listings[path]

    def _request_listing(self, path: str) -> FolderEntries | None:
        try:
            entries = self.list_once(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if isinstance(error, PermissionError) and not is_inside(path, self.home):
                return None
            raise self._not_listed(path, error) from None
        return entries if len(entries) or self.has_folders else None

    def _not_listed(self, path: str, error: OSError) -> StorageError:
        return StorageError(f"{self.url(path)} cannot be listed: {error.strerror or type(error).__name__}")


class RemoteFile(io.RawIOBase):
    """A file to read and seek in; each read is one request.

    Attributes:
        problem: Why a read failed, or None. Kept here because libraries that read the file hide the exception.
    """

    remote = True

    def __init__(self, storage: RemoteStorage, path: str, size: int) -> None:
        super().__init__()
        self._storage, self._path, self._at = storage, path, 0
        self._size = size if size >= 0 else storage.ask_size(path)
        self.problem: str | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; no request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer as far as the file goes."""
        view = memoryview(buffer).cast("B")
        stop = min(self._size, self._at + len(view))
        if stop <= self._at:
            return 0
        try:
            data, _ = self._storage.fetch(self._path, self._at, stop, self._size)
        except OutOfRangeError:
            data = b""
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
            self._storage.failed[self._path] = self.problem
            raise
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
