"""A storage whose folders are known by listings alone: each is fetched once, and answers all questions about paths."""

from __future__ import annotations

import errno
import io
import os
from array import array
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, BinaryIO, cast

from sanitizer.storage.base import FolderEntry, StorageError, StorageFault
from sanitizer.storage.retries import OutOfRangeError
from sanitizer.util import limits
from sanitizer.util.paths import is_inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import WriteableBuffer


_BUFFER_BYTES = 1 << 16


class FolderEntries:
    """One folder: names, sizes and stamps of its files, and names of its folders; compact, as there may be millions."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.sizes = array("q")
        self.stamps = array("q")
        self.folders: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.files) + len(self.folders)

    def add(self, name: str, size: int, stamp: int) -> None:
        """Take a file."""
        self.files.append(name)
        self.sizes.append(size)
        self.stamps.append(stamp)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Where a file stands."""
        return {name: i for i, name in enumerate(self.files)}

    def __iter__(self) -> Iterator[FolderEntry]:
        for name in self.folders:
            yield FolderEntry(name, True, 0, -1)
        for name, size, stamp in zip(self.files, self.sizes, self.stamps, strict=True):
            yield FolderEntry(name, False, size, stamp)


def stamp_of(*signs: object) -> int:
    """A stamp (int64, not negative) from what a listing tells of a file's content; -1 where it tells nothing."""
    told = [str(sign) for sign in signs if sign]
    if not told:
        return -1
    return int.from_bytes(blake2b("\0".join(told).encode(), digest_size=8).digest(), "big") >> 1


class RemoteStorage:
    """What every storage has in common that is asked by requests. Subclasses say how to list a folder and read bytes.

    Attributes:
        anchor: Folder that all paths are below (a bucket, a server, an archive); it is taken to exist.
        faults: What has no place among its files, and so is in no listing.
        home: Folder that the user named last. A listing below it that fails is an error; elsewhere it is a folder that
            is not there, as credentials may well end at the dataset.
        has_folders: An empty folder is a folder, as in an archive; else it is nothing, as in a bucket.
    """

    remote = True
    has_folders = False

    def __init__(self, anchor: str, home: str) -> None:
        self.anchor = anchor
        self.home = home
        self._known: dict[str, FolderEntries | None] = {}
        self._listed_names = self._listed_folders = 0
        self.faults: Sequence[StorageFault] = ()
        self.kept: dict[str, bytes] = {}
        """Whole files that were read once to look at a sample, and will be read again."""
        self.failed: dict[str, str] = {}
        """Files of which a read failed in this process, and why."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url(self.home)!r})"

    def list_once(self, path: str) -> FolderEntries:
        """The folder's names, asked of the server. Raises OSError; FileNotFoundError where there is none."""
        raise NotImplementedError

    def list_below(self, path: str) -> Mapping[str, FolderEntries] | None:
        """All folders at and below this one by few requests; None where that is no cheaper than one by one."""
        return None

    def fetch(
        self, path: str, start: int, stop: int | None, size: int = -1, limit: int = limits.IMAGE_BYTES
    ) -> tuple[bytes, int]:
        """(bytes start to stop of a file, its size), retried.

        Args:
            path: The file.
            start, stop: Which bytes; None for all to the end.
            size: Bytes of the file if known, else -1.
            limit: The most bytes that may be handed over.

        Raises:
            TooLargeError: There are more.
            OSError: It cannot be read; `strerror` says why.
        """
        raise NotImplementedError

    def ask_size(self, path: str) -> int:
        """Bytes of a file, asked of the server and no listing. Raises OSError."""
        raise NotImplementedError

    def url(self, path: str) -> str:
        """The path as a person would name it, without credentials."""
        raise NotImplementedError

    def address(self) -> str:
        """A URL, without credentials, from which `open_storage` opens this place in another process.

        Raises:
            StorageError: None leads there.
        """
        return self.url(self.anchor)

    def drop_listings(self) -> None:
        """Free the memory of all listings: nothing needs them once the dataset is found."""
        self._known.clear()
        self._listed_names = self._listed_folders = 0
        self.kept.clear()
        self.failed.clear()

    def count_listed_names(self, n_names: int) -> None:
        """Take notice of so many names more that a server listed.

        Raises:
            StorageError: They are more than any dataset has: a server may invent them without end.
        """
        self._listed_names += n_names
        if self._listed_names > limits.LISTED_NAMES:
            raise StorageError(
                f"{self.url(self.home)} lists more than {limits.LISTED_NAMES:,} names: name the dataset's own folder,"
                " or pack it into tar shards"
            )

    def open(self, path: str, size: int = -1) -> BinaryIO:
        """The file, to read and seek in: each read is a request, short ones are joined."""
        if size < 0:
            size = self.size(path) if self._known else self.ask_size(path)
        return cast("BinaryIO", io.BufferedReader(RemoteFile(self, path, size), _BUFFER_BYTES))

    def open_raw(self, path: str, size: int = -1) -> io.IOBase:
        """The file, to read in large parts: each read is a request."""
        return RemoteFile(self, path, size)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self._entry(path).size

    def known_size(self, path: str) -> int:
        """As `size`, and asked of the server where its listings do not tell. Raises OSError."""
        size = self.size(path)
        return size if size >= 0 else self.ask_size(path)

    def mtime(self, path: str) -> float:
        """0: stamps of a listing are no times."""
        self._entry(path)
        return 0.0

    def list(self, path: str) -> Iterator[FolderEntry]:
        """Everything in a folder."""
        return iter(self._folder(path))

    def names(self, path: str) -> Sequence[str]:
        """The names in a folder."""
        return [entry.name for entry in self._folder(path)]

    def prefetch_listings(self, path: str) -> None:
        """Everything below a folder will be asked for: fetch it in as few requests as it takes."""
        if not self.isdir(path) or all(
            f"{path}/{name}" in self._known for name in self._folder(path).folders
        ):
            return
        for name in self._folder(path).folders:
            folder = f"{path}/{name}"
            if name[0] != "." and folder not in self._known:
                try:
                    self._known |= self.list_below(folder) or {}
                except OSError as error:
                    raise self._not_listed(folder, error) from None

    def isdir(self, path: str) -> bool:
        """Whether anything lies below the path."""
        path = os.path.normpath(path)
        if not is_inside(path, self.anchor):
            return False
        if is_inside(self.home, path) and path != self.home:
            return True
        if is_inside(path, self.home) and path != self.home and path not in self._known:
            parent, name = os.path.split(path)
            if not self.isdir(parent) or name not in self._folder(parent).folders:
                return False
        return self._look(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether there is an object of exactly this name."""
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
        return os.path.normpath(path)

    def samefile(self, path: str, other: str) -> bool:
        """Whether it is one path."""
        return os.path.normpath(path) == os.path.normpath(other)

    def identity(self, path: str) -> str | None:
        """The path of a folder."""
        return path if self.isdir(path) else None

    def _entry(self, path: str) -> FolderEntry:
        """A file, by the listing of its folder."""
        parent, name = os.path.split(os.path.normpath(path))
        names = self._look(parent) if self.isdir(parent) else None
        i = None if names is None else names.position.get(name)
        if names is None or i is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return FolderEntry(name, False, names.sizes[i], names.stamps[i])

    def _folder(self, path: str) -> FolderEntries:
        names = self._look(path)
        if names is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return names

    def _look(self, path: str) -> FolderEntries | None:
        """What is in a folder; None where there is none.

        Raises:
            StorageError: It cannot be told, and the dataset may depend on it.
        """
        path = os.path.normpath(path)
        if path not in self._known:
            self._known[path] = self._ask(path)
        return self._known[path]

    def _ask(self, path: str) -> FolderEntries | None:
        try:
            names = self.list_once(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if isinstance(error, PermissionError) and not is_inside(path, self.home):
                return None
            raise self._not_listed(path, error) from None
        return names if len(names) or self.has_folders else None

    def _not_listed(self, path: str, error: OSError) -> StorageError:
        return StorageError(f"{self.url(path)} cannot be listed: {error.strerror or type(error).__name__}")


class RemoteFile(io.RawIOBase):
    """A file to read and seek in; each read is one request.

    Attributes:
        problem: Why a read failed, or None: libraries that are handed the file hide the exception.
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
