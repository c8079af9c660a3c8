"""The place where a dataset's files lie: the local disk, or a `RemoteStorage`. All reading goes through it.

Paths within a storage are absolute and POSIX-like, without protocol: `s3://bucket/set/a.jpg` is `/bucket/set/a.jpg`,
so that code for local paths works for all paths.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from sanitizer.util.bounded_read import open_regular
from sanitizer.util.paths import real_path

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
    """A fault of a member that is not among the storage's files; the dataset reports it.

    Attributes:
        rule: Code of the rule.
        path: The member, or the archive.
        detail, advice: Sentences: what is wrong, and what to do.
    """

    rule: str
    path: str
    detail: str
    advice: str


class Storage(Protocol):
    """What layout, readers and checks need of a storage.

    For a path that does not exist, the tests return False or None; `open`, `size` and `list` raise OSError.
    """

    remote: bool
    """Whether it is a `RemoteStorage`: files are read by requests, or from an archive."""

    @property
    def faults(self) -> Sequence[StorageFault]:
        """Faults of members that are in no listing, such as members of an archive with unusable names."""
        ...

    @property
    def failed(self) -> Mapping[str, str]:
        """Files by path of which a read failed in this process, and why. Empty for a disk, which fails when opening."""
        ...

    def open(self, path: str, size: int = -1) -> BinaryIO:
        """The file, to read and seek in; `size` in bytes, where known, saves a request.

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
        """As real_path; only normalised where there are no links."""
        ...

    def samefile(self, path: str, other: str) -> bool:
        """As os.path.samefile. Raises OSError."""
        ...

    def identity(self, path: str) -> Hashable | None:
        """A value that is the same for all paths to one folder, and that no other folder has; None for no folder."""
        ...

    def prefetch_listings(self, path: str) -> None:
        """List the folder and all folders below it now, if that saves requests later."""
        ...

    def drop_listings(self) -> None:
        """Free the memory of all listings, once the dataset is found."""
        ...

    def url(self, path: str) -> str:
        """The path as a user writes it, with the protocol and without credentials."""
        ...


class LocalStorage:
    """The local disk. Most methods are the functions of `os` themselves, so that a call costs nothing extra."""

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
        """The file, to read and seek in. Raises NotRegularError, an OSError, for anything else, and never waits."""
        return open_regular(path)

    def list(self, path: str) -> Iterator[FolderEntry]:
        """Everything in a folder; a broken link has size and stamp -1."""
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
        return real_path(path)

    def prefetch_listings(self, path: str) -> None:
        """Do nothing: folders of a disk are read one by one."""

    def drop_listings(self) -> None:
        """Do nothing: listings of a disk are not kept."""

    def identity(self, path: str) -> tuple[int, int] | None:
        """Device and inode of a folder; (0, 0) where the system refuses to say, None where there is no such folder."""
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
    """Raise StorageError where a remote file that the dataset needs cannot be read.

    Do nothing for a local file, or for a file that does not exist: then the caller decides.
    """
    if storage.remote and not isinstance(error, FileNotFoundError):
        problem = error.strerror or type(error).__name__
        raise StorageError(f"{storage.url(path)} cannot be read: {problem}") from None
