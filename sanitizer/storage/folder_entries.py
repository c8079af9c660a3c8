"""The listing of one folder, compact: there may be millions of files."""

from __future__ import annotations

from array import array
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

from sanitizer.storage.base import FolderEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class FolderEntries:
    """Names, sizes and stamps of the files in one folder, and names of its subfolders.

    Attributes:
        files: Names of the files.
        sizes: Bytes of each file; -1 where unknown.
        stamps: Stamp of each file, as in `FolderEntry`.
        folders: Names of the subfolders, as keys.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.sizes = array("q")
        self.stamps = array("q")
        self.folders: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.files) + len(self.folders)

    def add(self, name: str, size: int, stamp: int) -> None:
        """Add a file."""
        self.files.append(name)
        self.sizes.append(size)
        self.stamps.append(stamp)

    def file(self, name: str) -> FolderEntry | None:
        """The file of that name, or None. Files are added before the first call."""
        i = self._index.get(name)
        return None if i is None else FolderEntry(name, False, self.sizes[i], self.stamps[i])

    @cached_property
    def _index(self) -> Mapping[str, int]:
        return {name: i for i, name in enumerate(self.files)}

    def __iter__(self) -> Iterator[FolderEntry]:
        for name in self.folders:
            yield FolderEntry(name, True, 0, -1)
        for name, size, stamp in zip(self.files, self.sizes, self.stamps, strict=True):
            yield FolderEntry(name, False, size, stamp)


def stamp_of(*signs: object) -> int:
    """A stamp (int64, not negative) of a file's content.

    `signs` are what a listing says of the content, such as an ETag or a time; without any the stamp is -1.
    """
    given = [str(sign) for sign in signs if sign]
    if not given:
        return -1
    return int.from_bytes(blake2b("\0".join(given).encode(), digest_size=8).digest(), "big") >> 1
