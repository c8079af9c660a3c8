"""New bytes beside the file that they are to become: on disk, with its mode and owner, before it is replaced.

All of it happens in an open `Folder`: where somebody puts a link in the place of the folder meanwhile, nothing is
written where the link leads.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO

from sanitizer.util.bounded_read import MIB
from sanitizer.util.folder import open_folder
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.util.folder import Folder

_BY_DESCRIPTOR = os.utime in os.supports_fd and os.chmod in os.supports_fd


@contextlib.contextmanager
def folder_of(root: str, path: str, *, make: bool = False) -> Iterator[tuple[Folder, str]]:
    """The folder of a file below the dataset's root, as `open_folder`, and the file's name in it."""
    head, _, name = path.rpartition("/")
    with open_folder(root, head, make=make) as folder:
        yield folder, name


def write_beside(
    folder: Folder,
    name: str,
    temporary: str,
    content: bytes,
    mode: int | None = None,
    times_ns: tuple[int, int] | None = None,
) -> None:
    """Write and flush a file that is to take the place of `name`, with its owner, attributes and permissions.

    Args:
        folder: Where both are.
        name: The file that is there now, or none.
        temporary: Name of the new file; what a killed fix left under that name is replaced.
        content: Its bytes.
        mode: Permission bits, in place of those of the file that is there.
        times_ns: Its times of access and change; None for now.

    Raises:
        OSError: It cannot be written; names the file that it was for.
    """
    try:
        folder.unlink(temporary)
        with folder.create(temporary, 0o600) as file:
            file.write(content)
            file.flush()
            _take_over(folder, name, file, mode)
            if mode is not None:
                os.chmod(_handle(file, folder, temporary), mode & 0o777)
            if times_ns is not None:
                os.utime(_handle(file, folder, temporary), ns=times_ns)
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = join_path(folder.path, name)
        raise


def _take_over(folder: Folder, name: str, new: BinaryIO, mode: int | None) -> None:
    """Give a new file the owner, the attributes and, where none is given, the mode of the one that is there."""
    if not _BY_DESCRIPTOR or not folder.holds(name):
        return
    if not stat.S_ISREG(folder.status(name).st_mode):
        return
    with folder.open(name) as old:
        status = os.fstat(old.fileno())
        with contextlib.suppress(OSError):  # only root may give files away
            os.chown(new.fileno(), status.st_uid, status.st_gid)
        if mode is None:
            os.chmod(new.fileno(), status.st_mode & 0o777)
        if sys.platform == "linux":
            for attribute in os.listxattr(old.fileno()):
                with contextlib.suppress(OSError):
                    os.setxattr(new.fileno(), attribute, os.getxattr(old.fileno(), attribute))


def _handle(file: BinaryIO, folder: Folder, name: str) -> int | str:
    return file.fileno() if _BY_DESCRIPTOR else join_path(folder.path, name)


def digest_of(folder: Folder, name: str) -> str:
    """SHA-256 of a regular file, however large, in hexadecimal digits. OSError where it is a link or no file."""
    hashed = sha256()
    with folder.open(name) as file:
        while block := file.read(MIB):
            hashed.update(block)
    return hashed.hexdigest()


def holds_another(folder: Folder, name: str, other: str) -> bool:
    """Whether there is `other`, and it is not `name` itself, as x.txt and x.TXT are where case does not count."""
    if not folder.holds(other):
        return False
    return not folder.holds(name) or not os.path.samestat(folder.status(name), folder.status(other))
