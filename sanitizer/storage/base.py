"""Where a dataset's files lie, as everything in this package asks for them: the local disk, or a `RemoteStorage`.

Paths within a storage are absolute and POSIX-like, without protocol: `s3://bucket/set/a.jpg` is `/bucket/set/a.jpg`,
so that whatever is true of local paths is true of all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from sanitizer.util.bounded_read import open_regular

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence


class StorageError(Exception):
    """A place that the dataset needs cannot be reached; the text is a sentence without any credential."""


class FolderEntry(NamedTuple):
    """One name in a folder.

    Attributes:
        name: Without the folder.
        is_folder: Links are followed.
        size: Bytes of a file; -1 where unknown, 0 for folders.
        stamp: Changes when the content does: a modification time in ns, or a hash of an ETag; -1 where unknown.
    """

    name: str
    is_folder: bool
    size: int
    stamp: int


class StorageFault(NamedTuple):
    """What has no place among a storage's files, as the dataset is to report it.

    Attributes:
        rule: Code of the rule.
        path: What it is about.
        detail, advice: Sentences: what is wrong, and what to do.
    """

    rule: str
    path: str
    detail: str
    advice: str


class Storage(Protocol):
    """What layout, readers and checks ask of a place where files lie.

    Questions about a path answer False or None for what does not exist; `open`, `size` and `list` raise OSError.
    """

    remote: bool
    """It is a `RemoteStorage`: files come by requests, or out of an archive."""

    @property
    def faults(self) -> Sequence[StorageFault]:
        """What has no place among its files, and so is in no listing: members of an archive with odd names."""
        ...

    @property
    def failed(self) -> Mapping[str, str]:
        """Files that stopped coming while they were read in this process, and why; a disk tells at once."""
        ...

    def open(self, path: str, size: int = -1) -> BinaryIO:
        """The file, to read and seek in; `size` in bytes, where known, saves a question.

        Raises OSError with a `strerror` that can be shown.
        """
        ...

    def size(self, path: str) -> int:
        """Bytes of a file. Raises OSError."""
        ...

    def mtime(self, path: str) -> float:
        """Seconds since 1970 of the last change; 0 where unknown. Raises OSError."""
        ...

    def list(self, path: str) -> Iterator[FolderEntry]:
        """Everything in a folder, hidden names too, in no order. Raises OSError."""
        ...

    def names(self, path: str) -> Sequence[str]:
        """The names in a folder, in no order. Raises OSError."""
        ...

    def isdir(self, path: str) -> bool:
        """As os.path.isdir."""
        ...

    def isfile(self, path: str) -> bool:
        """As os.path.isfile."""
        ...

    def exists(self, path: str) -> bool:
        """As os.path.exists."""
        ...

    def lexists(self, path: str) -> bool:
        """As os.path.lexists: a broken link is there."""
        ...

    def realpath(self, path: str) -> str:
        """As os.path.realpath; only normalised where there are no links."""
        ...

    def samefile(self, path: str, other: str) -> bool:
        """As os.path.samefile. Raises OSError."""
        ...

    def identity(self, path: str) -> Hashable | None:
        """Tells a folder from every other, whatever path led to it; None where there is no such folder."""
        ...

    def prefetch_listings(self, path: str) -> None:
        """Take notice that the folder and all below it will be asked for."""
        ...

    def drop_listings(self) -> None:
        """Free the memory of all listings, once the dataset is found."""
        ...

    def url(self, path: str) -> str:
        """The path as a person would name it, protocol and all, without credentials."""
        ...


class LocalStorage:
    """The local disk: the functions of `os` themselves, so that nothing stands between them and the caller."""

    remote = False
    failed: Mapping[str, str] = {}
    faults: Sequence[StorageFault] = ()
    isdir = staticmethod(os.path.isdir)
    isfile = staticmethod(os.path.isfile)
    exists = staticmethod(os.path.exists)
    lexists = staticmethod(os.path.lexists)
    samefile = staticmethod(os.path.samefile)
    names = staticmethod(os.listdir)
    size = staticmethod(os.path.getsize)
    mtime = staticmethod(os.path.getmtime)

    def __reduce__(self) -> str:
        return "LOCAL"

    def open(self, path: str, size: int = -1) -> BinaryIO:
        """The file, to read and seek in. NotRegularError, an OSError, where it is none: nothing is waited for."""
        return open_regular(path)

    def list(self, path: str) -> Iterator[FolderEntry]:
        """Everything in a folder; what a broken link leads to has size and stamp -1."""
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                    size, stamp = status.st_size, status.st_mtime_ns
                except OSError:
                    size = stamp = -1
                is_folder = size >= 0 and entry.is_dir()
                yield FolderEntry(entry.name, is_folder, 0 if is_folder else size, stamp)

    def realpath(self, path: str) -> str:
        """The path with all links resolved."""
        return os.path.realpath(path)

    def prefetch_listings(self, path: str) -> None:
        """Nothing: folders of a disk are read one by one."""

    def drop_listings(self) -> None:
        """Nothing: listings of a disk are not kept."""

    def identity(self, path: str) -> tuple[int, int] | None:
        """Device and inode of a folder; (0, 0) where even that is refused, None where there is no such folder."""
        try:
            status = os.stat(path)
        except PermissionError:
            return (0, 0)
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino

    def url(self, path: str) -> str:
        """The path itself."""
        return path


LOCAL = LocalStorage()


def raise_if_unreachable(storage: Storage, path: str, error: OSError) -> None:
    """Raise StorageError where a file that the dataset depends on did not come; on a disk the caller decides.

    A file that is not there is no such case.
    """
    if storage.remote and not isinstance(error, FileNotFoundError):
        problem = error.strerror or type(error).__name__
        raise StorageError(f"{storage.url(path)} cannot be read: {problem}") from None
