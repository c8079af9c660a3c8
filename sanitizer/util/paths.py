"""Paths as text: with / between their parts on every system, shown in a sentence, and one below another.

Windows takes / as well as its own separator, so no path of this program holds that one: what a person, a yaml or the
system gives goes through these functions, and code that looks for /images/ or cuts at the last / is right everywhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAX_FOLDER_PATH, _MAX_PATH = 247, 259
_LONG, _LONG_SHARE = "//?/", "//?/UNC/"
"""How Windows marks paths that it is not to interpret: then it would not take / either."""


def on_windows() -> bool:
    """Whether paths follow Windows' rules."""
    return os.sep == "\\"


def posix(path: str) -> str:
    r"""The path with / between its parts: C:\set\images is C:/set/images. Elsewhere \ is a letter of a name."""
    if not on_windows():
        return path
    path = path.replace("\\", "/")
    if path.startswith(_LONG_SHARE):
        return f"//{path[len(_LONG_SHARE) :]}"
    return path.removeprefix(_LONG)


def absolute_path(path: str) -> str:
    """As os.path.abspath."""
    return posix(os.path.abspath(path))


def real_path(path: str) -> str:
    """As os.path.realpath: links resolved; on Windows with the letters of the names as they are on disk."""
    return posix(os.path.realpath(path))


def in_real_folder(path: str, folders: dict[str, str], resolve: Callable[[str], str] = real_path) -> str:
    """The path with links in its folder resolved, so that one folder under two names is one folder.

    Args:
        path: May be a link itself.
        folders: Folders that are resolved already; others are added.
        resolve: Resolves a folder.
    """
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = resolve(folder)
    return join_path(folders[folder], name)


def normal_path(path: str) -> str:
    """As os.path.normpath."""
    return posix(os.path.normpath(path))


def join_path(folder: str, *names: str) -> str:
    """As os.path.join: an absolute name is a path by itself."""
    return posix(os.path.join(folder, *names))


def common_path(paths: Iterable[str]) -> str:
    """As os.path.commonpath. ValueError where they have no folder in common, as on two drives."""
    return posix(os.path.commonpath(list(paths)))


def relative_to(path: str, folder: str) -> str:
    """As os.path.relpath; the path itself where it is on another drive."""
    try:
        return posix(os.path.relpath(path, folder))
    except ValueError:
        return absolute_path(path)


def is_absolute(path: str) -> bool:
    """Whether a path begins at a root: also /bucket/set within a storage, whatever the system."""
    return path.startswith("/") or os.path.isabs(path)


def is_url(text: str) -> bool:
    """Whether a text names a protocol: s3://bucket/set does, and D://set is a folder on a drive."""
    return text.find("://") > 1


def too_long(path: str) -> str | None:
    """Why Windows does not find a path, the rest of a sentence; None where its length is not why."""
    if not on_windows() or len(path) <= _MAX_FOLDER_PATH:
        return None
    return (
        f"its path has {len(path)} characters, and Windows takes {_MAX_PATH} ({_MAX_FOLDER_PATH} of a folder) "
        "unless long paths are switched on (LongPathsEnabled): choose a folder with a shorter path"
    )


def shown(path: str, root: str | None = None) -> str:
    """The path as a sentence may hold it: relative to `root` where it is inside, on one line, valid Unicode."""
    if root is not None and path.startswith(root.rstrip("/") + "/"):
        path = path[len(root.rstrip("/")) + 1 :]
    if path.isascii() and path.isprintable():
        return path
    text = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def is_inside(path: str, root: str) -> bool:
    """Whether an absolute path is `root` or below it, by its text."""
    return path == root or path.startswith(root.rstrip("/") + "/")
