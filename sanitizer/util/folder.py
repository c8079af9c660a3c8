"""Folders that are reached without following a link, and the files in them by name.

A folder stays the same one while it is open: where somebody puts a link in its place meanwhile, reads and writes still
go to the folder that was opened. Where the system cannot do that (Windows), each part of the path is looked at before
it is used, and a link that is put there between the look and the use is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING, BinaryIO

from sanitizer.util.atomic import once_closed
from sanitizer.util.bounded_read import NotRegularError, open_regular, read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_DESCRIPTOR = {os.open, os.mkdir, os.stat, os.unlink, os.rmdir, os.rename} <= os.supports_dir_fd
_FOLDER_FLAGS = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
_NEW_FILE_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


class NoFolderError(OSError):
    """A link or something else stands where a folder must be."""


@contextlib.contextmanager
def open_folder(root: str, relative: str = "", *, make: bool = False) -> Iterator[Folder]:
    """A folder below a root, open for work on the files in it.

    Args:
        root: Absolute path of a folder; links in it are followed.
        relative: POSIX path from there; no part of it may be a link.
        make: Make the folders of `relative` that are missing.

    Raises:
        NoFolderError: A part of the path is a link, or no folder.
        OSError: It cannot be opened.
    """
    folder = Folder(
        root, os.open(root, _FOLDER_FLAGS & ~getattr(os, "O_NOFOLLOW", 0)) if _BY_DESCRIPTOR else None
    )
    try:
        for name in filter(None, relative.split("/")):
            inner = folder.enter(name, make)
            folder.close()
            folder = inner
        yield folder
    finally:
        folder.close()


class Folder:
    """An open folder. Names are those of files right in it; errors name their whole path."""

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Close the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def enter(self, name: str, make: bool = False) -> Folder:
        """Open a folder in this one. NoFolderError where it is a link, or no folder."""
        path = os.path.join(self.path, name)
        with self._naming_path(name):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self._at(name), dir_fd=self._descriptor)
            status = self.status(name)
            if not stat.S_ISDIR(status.st_mode):
                is_link = stat.S_ISLNK(status.st_mode)
                reason = "it is a link, and a folder must be here" if is_link else "no folder"
                raise NoFolderError(errno.ENOTDIR, reason, path)
            if self._descriptor is None:
                return Folder(path, None)
            return Folder(path, os.open(name, _FOLDER_FLAGS, dir_fd=self._descriptor))

    def names(self) -> list[str]:
        """Names of all that is in it, in no order."""
        return os.listdir(self.path if self._descriptor is None else self._descriptor)

    def status(self, name: str) -> os.stat_result:
        """As os.lstat: of a link itself."""
        with self._naming_path(name):
            return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)

    def holds(self, name: str) -> bool:
        """Whether the folder has anything of that name, broken links included."""
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        return True

    def open(self, name: str) -> BinaryIO:
        """A regular file for reading. NotRegularError where it is a link or no regular file."""
        with self._naming_path(name):
            return open_regular(self._at(name), follow_links=False, dir_fd=self._descriptor)

    def read(self, name: str, limit: int) -> bytes:
        """All bytes of a regular file of no more bytes than the limit, or TooLargeError; as `open`."""
        with self.open(name) as file:
            return read_stream(file, limit, os.path.join(self.path, name))

    def create(self, name: str, mode: int = 0o666) -> BinaryIO:
        """A new file, to write and read. FileExistsError where the name is taken, even by a broken link."""
        with self._naming_path(name):
            return os.fdopen(os.open(self._at(name), _NEW_FILE_FLAGS, mode, dir_fd=self._descriptor), "w+b")

    def open_or_create(self, name: str) -> int:
        """Descriptor of a file to lock, made where there is none. NotRegularError where it is a link or no file."""
        flags = (_NEW_FILE_FLAGS & ~os.O_EXCL) | getattr(os, "O_NONBLOCK", 0)
        with self._naming_path(name):
            if self.holds(name) and not stat.S_ISREG(self.status(name).st_mode):
                raise NotRegularError(errno.EINVAL, "it is a link, or no regular file")
            descriptor = os.open(self._at(name), flags, 0o666, dir_fd=self._descriptor)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise NotRegularError(errno.EINVAL, "no regular file")
            return descriptor

    def write(self, name: str, content: bytes) -> None:
        """A new file with these bytes, flushed to disk."""
        with self.create(name) as file, self._naming_path(name):
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, name: str, other: str) -> None:
        """As os.replace: a link of the name `other` is replaced, not followed."""
        with self._naming_path(other):
            once_closed(
                os.replace,
                self._at(name),
                self._at(other),
                src_dir_fd=self._descriptor,
                dst_dir_fd=self._descriptor,
            )

    def publish(self, name: str, other: str) -> None:
        """Give a file the name `other` in one step; where that name is taken already, the file there stays."""
        with self._naming_path(name):
            try:
                os.link(
                    self._at(name), self._at(other), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor
                )
            except FileExistsError:
                return
            except OSError:  # a file system without hard links
                if not self.holds(other):
                    self.replace(name, other)

    def unlink(self, name: str) -> None:
        """Remove a file or a link; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError), self._naming_path(name):
            os.unlink(self._at(name), dir_fd=self._descriptor)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        with self._naming_path(name):
            os.rmdir(self._at(name), dir_fd=self._descriptor)

    def remove_tree(self, name: str) -> None:
        """Remove a folder with all in it as far as that can be done; links are removed, not followed."""
        if self._descriptor is None:
            shutil.rmtree(self._at(name), ignore_errors=True)
            return
        # shutil.rmtree knows dir_fd from Python 3.11 on.
        with contextlib.suppress(OSError):
            for _, folders, files, inner in os.fwalk(name, topdown=False, dir_fd=self._descriptor):
                for file in files:
                    with contextlib.suppress(OSError):
                        os.unlink(file, dir_fd=inner)
                for folder in folders:
                    _remove_folder_or_link(folder, inner)
            os.rmdir(name, dir_fd=self._descriptor)

    def sync(self) -> None:
        """Flush its list of names to disk, where the system can do that."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else os.path.join(self.path, name)

    @contextlib.contextmanager
    def _naming_path(self, name: str) -> Iterator[None]:
        """Make errors name the whole path."""
        try:
            yield
        except OSError as error:
            error.filename = os.path.join(self.path, name)
            raise


def _remove_folder_or_link(name: str, descriptor: int) -> None:
    """Remove an empty folder, or a link to a folder, that lies in an open folder; leave it where that fails."""
    with contextlib.suppress(OSError):
        try:
            os.rmdir(name, dir_fd=descriptor)
        except NotADirectoryError:
            os.unlink(name, dir_fd=descriptor)
