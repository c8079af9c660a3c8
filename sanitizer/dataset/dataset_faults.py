"""Short ways to say where a fault of the dataset is, and to show a path in a sentence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.tables import Place

if TYPE_CHECKING:
    from sanitizer.findings.finding import Severity
    from sanitizer.storage.places import Storage


def place(rule: str, detail: str, suggestion: str, severity: Severity | None = None, **where: Any) -> Place:
    """A `Place` whose message is the whole sentence `detail`; `where` are the fields of `Place`."""
    return Place(rule, values={"detail": detail}, suggestion=suggestion, severity=severity, **where)


def shown(path: str, root: str | None = None) -> str:
    """The path as a sentence may hold it: relative to `root` where it is inside, on one line, valid Unicode."""
    if root is not None and path.startswith(root.rstrip("/") + "/"):
        path = path[len(root.rstrip("/")) + 1 :]
    if path.isascii() and path.isprintable():
        return path
    text = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def counted(number: int, noun: str) -> str:
    """ "1 image", "2 images"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def is_inside(path: str, root: str) -> bool:
    """Whether an absolute path is `root` or below it, by its text."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def find_from(base: str, path: str, storage: Storage) -> str:
    """Absolute path of `path` seen from `base`, symbolic links resolved, as Ultralytics resolves split paths."""
    joined = os.path.join(base, path)
    try:
        return storage.realpath(joined)
    except ValueError:  # a NUL or half a surrogate pair, which no file name can hold
        return os.path.normpath(joined)
