"""Reads a .txt list of images as Ultralytics does: one path a line, `./` relative to the list."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import TYPE_CHECKING, Literal, NamedTuple

from sanitizer.dataset.listing import MAX_FILES, TooManyFilesError, is_image_name, label_folder
from sanitizer.storage.base import LOCAL, Storage
from sanitizer.util.paths import absolute_path, is_absolute, join_path, normal_path, posix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LINE = 1 << 20
_PIECE_CHARACTERS = 1 << 20

LineKind = Literal["as training", "not an image", "moved", "labels beside"]
"""How training reads a line.

as training: found where training looks.
not an image: skipped without a message.
moved: relative to another folder than the one where training starts; found elsewhere, or nowhere.
labels beside: found, but the path begins with images/ and so holds no /images/ to replace: training looks
for its label beside the image.
"""


@dataclass(slots=True)
class ImageList:
    """The images that a list names.

    Attributes:
        groups: (image folder, label folder), both absolute, to image names.
        first_line: The 1-based line of the first image of each group.
        counts: Number of lines of each kind.
        examples: (1-based line, text) of the first line of each kind.
        first: The image path, as training opens it, that training sorts first; None where the list names no image.
        error: Why the list cannot be read, or None.
    """

    groups: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    first_line: dict[tuple[str, str], int] = field(default_factory=dict)
    counts: Counter[LineKind] = field(default_factory=Counter)
    examples: dict[LineKind, tuple[int, str]] = field(default_factory=dict)
    first: str | None = None
    error: str | None = None


def read_image_list(
    path: str, bases: Sequence[str], storage: Storage = LOCAL, max_files: int = MAX_FILES
) -> ImageList:
    """Read the list at an absolute path.

    Args:
        path: The list.
        bases: More folders that relative lines may be relative to.
        storage: Where the list lies.
        max_files: The most lines that it may have.

    Raises:
        TooManyFilesError: It has more lines.
    """
    result = ImageList()
    list_folder = os.path.dirname(path)
    known: dict[str, _Locations] = {}
    try:
        with storage.open(path) as file, TextIOWrapper(file, encoding="utf-8-sig") as decoded:
            for number, line in _stripped_lines(decoded):
                if number > max_files:
                    raise TooManyFilesError(path, max_files)
                _take_line(result, number, line, known, list_folder, bases, storage)
    except UnicodeDecodeError:
        return ImageList(error="is not UTF-8 text")
    except _LongLineError:
        return ImageList(error=f"has a line of more than {MAX_LINE:,} characters, which is no path")
    except OSError as error:
        return ImageList(error=f"cannot be read: {error.strerror}")
    return result


class _LongLineError(Exception):
    """A line is longer than any path."""


def _take_line(
    result: ImageList,
    number: int,
    line: str,
    known: dict[str, _Locations],
    list_folder: str,
    bases: Sequence[str],
    storage: Storage,
) -> None:
    """Add one line to the result. `known` holds the locations of the folders that lines before it name."""
    line = posix(line)
    folder, slash, name = line.rpartition("/")
    folder = folder or slash
    kind: LineKind
    if not is_image_name(line):
        kind, key = "not an image", None
    else:
        if folder not in known:
            known[folder] = _find_locations(folder, list_folder, bases, storage)
        kind, key = known[folder].of(name, storage)
        opened = f"{list_folder}{line[1:]}" if line.startswith("./") else line
        if result.first is None or opened < result.first:
            result.first = opened
        result.groups.setdefault(key, []).append(name)
        result.first_line.setdefault(key, number)
    if key is not None or line.strip():
        result.counts[kind] += 1
        result.examples.setdefault(kind, (number, line))


def _stripped_lines(text: TextIOWrapper) -> Iterator[tuple[int, str]]:
    """(1-based number, line) of `text.read().strip().splitlines()`, reading one piece at a time.

    So training reads a list: it strips blanks around the whole text, and str.splitlines has more line ends than \\n.
    """
    waiting: tuple[int, str] | None = None
    for number, line in enumerate(_split_lines(text), start=1):
        if waiting is None:
            if line := line.lstrip():
                waiting = number, line
        elif line.strip():
            yield waiting
            waiting = number, line
    if waiting is not None:
        yield waiting[0], waiting[1].rstrip()


def _split_lines(text: TextIOWrapper) -> Iterator[str]:
    rest = ""
    while piece := text.read(_PIECE_CHARACTERS):
        lines = (rest + piece).splitlines(keepends=True)
        # The last line may go on in the next piece, and a \r at its end may be half of a line end.
        rest = lines.pop()
        if len(rest) > MAX_LINE:
            raise _LongLineError
        for line in lines:
            yield from line.splitlines()
    yield from rest.splitlines()


class _Location(NamedTuple):
    """Where lines may lie: how training takes them then, and their image and label folders, both absolute."""

    kind: LineKind
    key: tuple[str, str]


class _Locations(NamedTuple):
    """Where the images of lines with one folder may lie.

    Attributes:
        to_search: Folders that exist, in the order in which they are searched for each line.
        otherwise: The location of an image that none of them holds.
    """

    to_search: Sequence[_Location]
    otherwise: _Location

    def of(self, name: str, storage: Storage) -> _Location:
        """The location of the image with this file name."""
        for location in self.to_search:
            if storage.lexists(f"{location.key[0]}/{name}"):
                return location
        return self.otherwise


def _find_locations(folder: str, list_folder: str, bases: Sequence[str], storage: Storage) -> _Locations:
    """Where the images of lines with this folder may lie. Only for a relative folder the disk is searched."""
    if folder == "." or folder.startswith("./"):
        return _Locations((), _Location("as training", _both(list_folder + folder[1:])))
    if folder and is_absolute(f"{folder}/"):
        return _Locations((), _Location("as training", _both(folder)))
    # Ultralytics replaces /images/ in the line as it is written, before any folder stands in front of it.
    beside = f"{folder}/".startswith("images/") and "/images/" not in f"{folder}/"
    taken = absolute_path(folder or ".")
    by_training = _Location(
        "labels beside" if beside else "as training", (taken, absolute_path(label_folder(folder) or "."))
    )
    # Paths in a list of Darknet begin with a folder that exports do not have: data/obj/a.jpg for obj/a.jpg.
    likely = [join_path(base, part) for part in (folder, folder.partition("/")[2]) for base in bases]
    meant = {key[0]: _Location("moved", key) for key in map(_both, likely)}
    if taken in meant:
        meant[taken] = by_training
    to_search = [p for p in {taken: by_training, **meant}.values() if storage.isdir(p.key[0])]
    nowhere = _Location("moved", _both(join_path(list_folder, folder)))
    return _Locations(to_search, next((p for p in to_search if p.key[0] in meant), nowhere))


def _both(folder: str) -> tuple[str, str]:
    return normal_path(folder or "/"), normal_path(label_folder(folder) or "/")
