"""A set of names that may be larger than memory: sorted in a temporary file, a hash of each in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from itertools import groupby, pairwise

import numpy as np

from sanitizer.util.spill import SpillFile

NAMES_HELD = 200_000
"""Names that stay in memory; more go to a file."""
_READ_BYTES = 65_536
_END = b"\0"
"""Ends a name in the file: the one byte that no path holds."""


class SpilledNames(Set[str]):
    """Names in a temporary file, in order; membership is told from 64-bit hashes, eight bytes a name in memory.

    A name that is not in the set is taken for a member with a probability of the set's size in 2**64.
    """

    def __init__(self, file: SpillFile, size: int, hashes: np.ndarray) -> None:
        self._file, self._size, self._hashes = file, size, hashes

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        """The names in ascending order."""
        return map(_text, _names(self._file, 0, self._file.size))

    def __contains__(self, name: object) -> bool:
        wanted = np.int64(hash(name))
        at = int(np.searchsorted(self._hashes, wanted))
        return at < len(self._hashes) and self._hashes[at] == wanted

    @classmethod
    def _from_iterable(cls, names: Iterable[str]) -> frozenset[str]:  # type: ignore[override]
        """What set operations give: a set in memory."""
        return frozenset(names)


class NameSetBuilder:
    """Takes names one by one; those that repeat count once.

    Args:
        holds: What they are, for errors.
    """

    def __init__(self, holds: str) -> None:
        self._holds = holds
        self._held: set[str] = set()
        self._file: SpillFile | None = None
        self._ends = [0]
        """Where each sorted run ends in the file."""

    def add(self, name: str) -> None:
        """Put a name into the set."""
        self._held.add(name)
        if len(self._held) > NAMES_HELD:
            self._write_run()

    def finish(self) -> Set[str]:
        """The set: a frozenset, or for very many names one that lies in a file and is in order."""
        if self._file is None:
            return frozenset(self._held)
        import heapq

        self._write_run()
        file, names = SpillFile(self._holds), _Blocks()
        hashes: list[np.ndarray] = []
        runs = [_names(self._file, a, b) for a, b in pairwise(self._ends)]
        for name, _ in groupby(heapq.merge(*runs)):
            if names.add(name):
                file.append(names.content())
                hashes.append(names.hashes())
        file.append(names.content())
        hashes.append(names.hashes())
        found = np.sort(np.concatenate(hashes))
        return SpilledNames(file, len(found), found)

    def _write_run(self) -> None:
        self._file = self._file or SpillFile(self._holds)
        names = sorted(_bytes(name) for name in self._held)
        self._file.append(b"".join(name + _END for name in names))
        self._ends.append(self._file.size)
        self._held.clear()


class _Blocks:
    """Names on their way to the file, a few thousand at a time."""

    def __init__(self) -> None:
        self._names: list[bytes] = []

    def add(self, name: bytes) -> bool:
        """Whether there are enough to write."""
        self._names.append(name)
        return len(self._names) >= 4096

    def hashes(self) -> np.ndarray:
        """int64 hashes of the names, which are then forgotten."""
        found = np.array([hash(_text(name)) for name in self._names], np.int64)
        self._names.clear()
        return found

    def content(self) -> bytes:
        """The names as the file holds them."""
        return b"".join(name + _END for name in self._names)


def _names(file: SpillFile, start: int, stop: int) -> Iterator[bytes]:
    """The names between two places in the file."""
    rest = b""
    for at in range(start, stop, _READ_BYTES):
        block = np.empty(min(_READ_BYTES, stop - at), np.uint8)
        file.read_into(at, block)
        *whole, rest = (rest + block.tobytes()).split(_END)
        yield from whole


def _bytes(name: str) -> bytes:
    """Bytes that sort as the text does (surrogates stand for bytes of a file name that were no UTF-8)."""
    return name.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")
