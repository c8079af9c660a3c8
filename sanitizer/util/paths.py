"""Paths as text: shown in a sentence, and one below another."""

from __future__ import annotations


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
