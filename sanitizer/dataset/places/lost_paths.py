"""What a path of the data.yaml that leads to nothing was probably meant to be, by what lies near the dataset."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sanitizer.dataset.listing import ARCHIVES, TooManyFilesError
from sanitizer.dataset.places.neighbours import folders_near
from sanitizer.util.paths import join_path, normal_path, posix

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from sanitizer.dataset.listing import Listing

SlipKind = Literal["quote", "blank", "backslashes", "machine", "steps", "case", "name", "deeper", "archive"]
_ALIKE = 0.75
"""Folders whose names are as alike as `image` and `images`, `lables` and `labels`, by difflib's ratio."""
_DRIVE = re.compile(r"^[A-Za-z]:(?=[\\/])")


@dataclass(frozen=True, slots=True)
class Slip:
    """What was written instead of a path that exists.

    Attributes:
        kind: quote or blank: at an end of the path. backslashes: for slashes. machine: an absolute path of another
            one. steps: a folder too many at the front. case: another letter case. name: a folder is called a little
            otherwise. deeper: it lies in another folder. archive: not unpacked yet.
        path: The absolute path that is there.
        count: Images there.
    """

    kind: SlipKind
    path: str
    count: int


def find_slip(
    value: str, bases: Sequence[str], listing: Listing, aliases: Collection[Collection[str]]
) -> Slip | None:
    """What a value that leads to nothing was meant to be; None where nothing near is like it.

    Args:
        value: The path as written.
        bases: Folders that it may be relative to.
        listing: Lists folders.
        aliases: Groups of names that a split's folder has, such as val and valid.
    """
    if "\0" in value:
        return None
    bases = [base for base in dict.fromkeys(bases) if listing.storage.isdir(base)]
    try:
        tries = _tries(value, bases, listing, aliases)
        return next((Slip(kind, path, n) for kind, path in tries if (n := _count(path, listing))), None)
    except TooManyFilesError:
        return None


def _tries(
    value: str, bases: Sequence[str], listing: Listing, aliases: Collection[Collection[str]]
) -> Iterator[tuple[SlipKind, str]]:
    value = posix(value)
    plain = value.strip().strip("'\"`,;").strip()
    if plain != value:
        kind: SlipKind = "blank" if plain == value.strip() else "quote"
        yield from ((kind, _join(base, plain)) for base in bases if plain)
    slashes = _DRIVE.sub("", plain.replace("\\", "/"))
    parts = [part for part in slashes.split("/") if part not in ("", ".", "..")]
    if "\\" in plain and not _DRIVE.match(plain):
        yield from (("backslashes", _join(base, "/".join(parts))) for base in bases if parts)
    is_foreign = bool(_DRIVE.match(plain)) or plain.startswith(("/", "\\", "~"))
    for k in range(len(parts)):
        kind = "machine" if is_foreign else "backslashes" if "\\" in plain else "steps"
        yield from ((kind, _join(base, "/".join(parts[k:]))) for base in bases)
    for base in bases:
        for k in range(len(parts) if is_foreign else 1):
            if (found := _resembling(base, parts[k:], listing, aliases)) is not None:
                yield ("machine" if is_foreign else found[0]), found[1]
    deeper = _deeper(parts, bases, listing)
    if deeper is not None:
        yield ("machine" if is_foreign else "deeper"), deeper


def _join(base: str, path: str) -> str:
    return normal_path(join_path(base, path.lstrip("/")))


def _count(path: str, listing: Listing) -> int:
    """Number of images under a folder, or 1 for a list of images."""
    if listing.storage.isdir(path):
        return listing.count_images(path)
    return int(path.endswith(".txt") and listing.storage.isfile(path))


def _resembling(
    base: str, parts: Sequence[str], listing: Listing, aliases: Collection[Collection[str]]
) -> tuple[SlipKind, str] | None:
    """The path whose folders are called nearly as these parts are."""
    path, kind = base, "case"
    for part in parts:
        names = listing.folder(path).subfolders
        if part in names:
            path = f"{path}/{part}"
            continue
        same = [name for name in names if name.lower() == part.lower()]
        if len(same) != 1:
            kind = "name"
            group: Iterable[str] = next((group for group in aliases if part.lower() in group), ())
            same = [name for name in names if name.lower() in group]
            same = same or difflib.get_close_matches(part, names, 2, _ALIKE)
        if len(same) != 1:
            return None
        path = f"{path}/{same[0]}"
    return ("case" if kind == "case" else "name"), path


def _deeper(parts: Sequence[str], bases: Sequence[str], listing: Listing) -> str | None:
    """The only folder near that ends in all these parts, or else in the last two, or the last."""
    folders = [folder.path for folder in folders_near(listing, bases)] if parts else []
    for k in sorted({0, max(0, len(parts) - 2)}):
        end = "/" + "/".join(parts[k:]).lower()
        found = [path for path in folders if path.lower().endswith(end)]
        if len(found) == 1:
            return found[0]
    return None


def find_archive(value: str, split: str, bases: Sequence[str], listing: Listing) -> str | None:
    """An archive in one of the base folders that is named like a part of a lost path, or is the only one."""
    words = {part.lower() for part in re.split(r"[\\/]", value) if part} | {
        split,
        "images",
        "dataset",
        "data",
    }
    found = [
        f"{base}/{name}"
        for base in dict.fromkeys(bases)
        for name in listing.folder(base).notable
        if name.rpartition(".")[2].lower() in ARCHIVES
    ]
    named = [path for path in found if os.path.basename(path).lower().partition(".")[0] in words]
    chosen = named or found
    return chosen[0] if len(chosen) == 1 else None
