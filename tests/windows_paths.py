"""Windows' rules of paths on this system: `enter()` has os.path be ntpath, over a drive C: that is this disk.

What a process does after that sees backslashes, drive letters, names that differ in case for the same file, reserved
names, and no folder descriptors. File calls that take a path translate it. It cannot show what Windows alone does, as
sharing of open files (`hold` names files that nobody may replace).
"""

from __future__ import annotations

import builtins
import errno
import functools
import io
import ntpath
import os
import posixpath
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DRIVE = "C:"
MAX_PATH = 260
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]|[ .]$')

_OF_THE_SYSTEM = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/usr/", sys.base_prefix + "/")

held: set[str] = set()
"""Windows paths of files that another program holds open."""

_ONE_PATH = (
    "access",
    "chmod",
    "lstat",
    "mkdir",
    "open",
    "readlink",
    "rmdir",
    "stat",
    "unlink",
    "remove",
    "utime",
    "chdir",
)
_TWO_PATHS = ("link", "rename", "replace")


def enter() -> None:
    """From now on paths of this process are Windows paths. Modules that are imported later are meant to notice."""
    preload()
    translate = functools.partial(_on_disk, _real_calls())
    for name in _ONE_PATH:
        setattr(os, name, _translating(getattr(os, name), translate, 1, name in ("unlink", "remove")))
    for name in _TWO_PATHS:
        setattr(os, name, _translating(getattr(os, name), translate, 2, name != "link"))
    _replace_listings(translate)
    real_open = io.open

    def open_(file: Any, *args: Any, **options: Any) -> Any:
        return real_open(translate(file) if isinstance(file, (str, os.PathLike)) else file, *args, **options)

    builtins.open = io.open = open_  # type: ignore[assignment]
    here = os.getcwd
    os.getcwd = lambda: windows(here())  # type: ignore[assignment]
    os.getcwdb = lambda: os.getcwd().encode()  # type: ignore[assignment]
    os.symlink = _refuse_link  # type: ignore[assignment]
    os.supports_dir_fd.clear()
    os.sep, os.altsep, os.pathsep = "\\", "/", ";"  # type: ignore[assignment]
    os.path = sys.modules["os.path"] = ntpath


def hold(path: str) -> None:
    """From now on another program has this file open: nobody may replace it."""
    held.add(ntpath.normcase(ntpath.abspath(path)))


def preload() -> None:
    """Import what asks the system for paths while it is imported, and knows nothing of other systems."""
    import concurrent.futures.thread
    import json
    import multiprocessing.connection
    import shutil
    import tempfile

    import numpy
    import PIL.Image
    import platformdirs
    import yaml

    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    for module in (shutil, tempfile, concurrent, json, multiprocessing, numpy, yaml, platformdirs):
        assert module
    PIL.Image.init()
    tempfile.gettempdir()
    tempfile.tempdir = windows(tempfile.gettempdir())


def windows(path: str) -> str:
    """A path of this disk as a Windows path."""
    return DRIVE + path.replace("/", "\\")


def _real_calls() -> tuple[Callable[[str], list[str]], Callable[[str], bool]]:
    lstat = os.lstat

    def is_there(path: str) -> bool:
        try:
            lstat(path)
        except OSError:
            return False
        return True

    return os.listdir, is_there


def _on_disk(real: tuple[Any, Any], path: Any) -> Any:
    """The path of this disk behind a Windows path."""
    if not isinstance(path, (str, os.PathLike)):
        return path
    text = os.fspath(path)
    drive, rest = ntpath.splitdrive(text)
    if drive and drive.upper() != DRIVE:
        raise FileNotFoundError(errno.ENOENT, "no such drive", text)
    if len(text) >= MAX_PATH:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", text)
    rest = rest.replace("\\", "/")
    if rest.startswith(_OF_THE_SYSTEM):
        return rest
    for name in rest.split("/"):
        if name not in (".", "..") and (_RESERVED.fullmatch(name) or _FORBIDDEN.search(name)):
            raise OSError(errno.EINVAL, "Invalid argument", text)
    return _folded(real, rest)


def _folded(real: tuple[Any, Any], path: str) -> str:
    listdir, lexists = real
    if lexists(path):
        return path
    folder, name = posixpath.split(path)
    if not name or folder == path:
        return path
    folder = _folded(real, folder) if folder else folder
    try:
        names = listdir(folder or ".")
    except OSError:
        return posixpath.join(folder, name)
    return posixpath.join(folder, next((n for n in names if n.lower() == name.lower()), name))


def _translating(
    call: Callable[..., Any], translate: Callable[[Any], Any], n: int, takes: bool
) -> Callable[..., Any]:
    def translated(*args: Any, **options: Any) -> Any:
        if takes and any(isinstance(a, str) and ntpath.normcase(ntpath.abspath(a)) in held for a in args[:n]):
            raise PermissionError(errno.EACCES, "Permission denied", args[0])
        return call(*map(translate, args[:n]), *args[n:], **options)

    return translated


class _Entry:
    """An os.DirEntry whose path is a Windows path."""

    def __init__(self, entry: os.DirEntry[str], folder: str) -> None:
        self._entry, self.name = entry, entry.name
        self.path = ntpath.join(folder, entry.name)

    def __fspath__(self) -> str:
        return self.path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)


def _replace_listings(translate: Callable[[Any], Any]) -> None:
    listdir, scandir = os.listdir, os.scandir

    class Entries:
        def __init__(self, path: str = ".") -> None:
            self._entries, self._folder = scandir(translate(path)), os.fspath(path)

        def __iter__(self) -> Iterator[Any]:
            return (_Entry(entry, self._folder) for entry in self._entries)

        def __next__(self) -> Any:
            return _Entry(next(self._entries), self._folder)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def close(self) -> None:
            self._entries.close()

    os.scandir = Entries  # type: ignore[assignment,misc]
    os.listdir = lambda path=".": listdir(translate(path))  # type: ignore[assignment]


def _refuse_link(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "A required privilege is not held by the client")
