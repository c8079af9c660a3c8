"""Reads a .txt list of images as Ultralytics does: one path a line, `./` relative to the list."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import TYPE_CHECKING, Literal

from sanitizer.dataset.listing import is_image_name, label_folder
from sanitizer.storage.base import LOCAL, Storage

if TYPE_CHECKING:
    from collections.abc import Sequence

LineKind = Literal["as training", "not an image", "moved", "labels beside"]
"""How training takes a line.

as training: found where training looks.
not an image: skipped without a word.
moved: relative, and not found from the folder where training starts, but elsewhere or nowhere.
labels beside: found, but the path begins with images/ and so holds no /images/ to replace: its label is sought
beside the image.
"""


@dataclass(slots=True)
class ImageList:
    """What a list names.

    Attributes:
        groups: (image folder, label folder), both absolute, to image names.
        first_line: The 1-based line of the first image of each group.
        counts: Number of lines of each kind.
        examples: (1-based line, text) of the first line of each kind.
        error: Why the list cannot be read, or None.
    """

    groups: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    first_line: dict[tuple[str, str], int] = field(default_factory=dict)
    counts: Counter[LineKind] = field(default_factory=Counter)
    examples: dict[LineKind, tuple[int, str]] = field(default_factory=dict)
    error: str | None = None


def read_image_list(path: str, bases: Sequence[str], storage: Storage = LOCAL) -> ImageList:
    """Read the list at an absolute path. `bases`: further folders that relative lines may be meant from."""
    result = ImageList()
    try:
        with storage.open(path) as file, TextIOWrapper(file, encoding="utf-8-sig") as decoded:
            text = decoded.read()
    except UnicodeDecodeError:
        result.error = "is not UTF-8 text"
        return result
    except OSError as error:
        result.error = f"cannot be read: {error.strerror}"
        return result
    list_folder = os.path.dirname(path)
    known: dict[str, tuple[LineKind, tuple[str, str]]] = {}
    skipped = len(text[: len(text) - len(text.lstrip())].splitlines())  # training strips, then splits
    for number, line in enumerate(text.strip().splitlines(), start=skipped + 1):
        folder, _, name = line.rpartition("/")
        kind: LineKind
        if not is_image_name(line):
            kind, key = "not an image", None
        else:
            if folder not in known:
                known[folder] = _find_folder(folder, name, list_folder, bases, storage)
            kind, key = known[folder]
            result.groups.setdefault(key, []).append(name)
            result.first_line.setdefault(key, number)
        if key is not None or line.strip():
            result.counts[kind] += 1
            result.examples.setdefault(kind, (number, line))
    return result


def _find_folder(
    folder: str, name: str, list_folder: str, bases: Sequence[str], storage: Storage
) -> tuple[LineKind, tuple[str, str]]:
    """How training takes the lines `folder`/…, of which `name` is one, and their image and label folders."""
    if folder == "." or folder.startswith("./"):
        return "as training", _both(list_folder + folder[1:])
    if os.path.isabs(f"{folder}/"):
        return "as training", _both(folder)
    if storage.lexists(os.path.abspath(os.path.join(folder, name))):
        # Ultralytics replaces /images/ in the line as it is written, before any folder stands in front of it.
        label_dir = os.path.abspath(label_folder(folder) or ".")
        beside = f"{folder}/".startswith("images/") and "/images/" not in f"{folder}/"
        return "labels beside" if beside else "as training", (os.path.abspath(folder or "."), label_dir)
    # Darknet's lists begin with a folder that exports leave out: data/obj/a.jpg for obj/a.jpg.
    likely = [os.path.join(base, part) for part in (folder, folder.partition("/")[2]) for base in bases]
    found = next(
        (f for f in likely if storage.lexists(os.path.join(f, name))), os.path.join(list_folder, folder)
    )
    return "moved", _both(found)


def _both(folder: str) -> tuple[str, str]:
    return os.path.normpath(folder or "/"), os.path.normpath(label_folder(folder) or "/")
