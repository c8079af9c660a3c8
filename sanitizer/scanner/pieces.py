"""Where a dataset is cut into pieces: at the same places in each scan, so that the cache stays good."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.dataset.model import APPROXIMATE_PAIR_BYTES, PAIRS_PER_CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.images.image_files import ImageMode


@dataclass(frozen=True, slots=True)
class Piece:
    """Pairs start to stop of one split: a chunk before its paths are spelled out."""

    split: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def most_pairs(self) -> int:
        """A number above those of all its pairs."""
        return len(self)

    def halves(self) -> tuple[Piece, ...]:
        """The first pairs and the rest; nothing where it cannot be divided."""
        if len(self) == 1:
            return ()
        middle = (self.start + self.stop) // 2
        return Piece(self.split, self.start, middle), Piece(self.split, middle, self.stop)


@dataclass(frozen=True, slots=True)
class PackPiece(Piece):
    """Bytes start to stop of one packed file. Its length is a guess at the number of pairs in it."""

    pack: int
    first_line: int = 1

    def __len__(self) -> int:
        return max(1, (self.stop - self.start) // APPROXIMATE_PAIR_BYTES)

    @property
    def most_pairs(self) -> int:
        """A number above those of all its images and labels, by which files are left out."""
        return (self.stop - self.start) // 512 + 1

    def halves(self) -> tuple[Piece, ...]:
        """Nothing: what belongs together may be anywhere in it."""
        return ()


REMOTE_PAIRS_PER_CHUNK = 512
"""Most that a chunk of loose files has behind requests: some are a second's work, and several processes share them."""


CHUNKS_OF_SMALL_SET, FEWEST_PAIRS = 16, 256
"""A small dataset is cut into so many chunks or more, for processes to share evenly, but of no fewer pairs each."""


def mean_length(dataset: Dataset, mode: ImageMode) -> int:
    """Mean number of pairs of a chunk: one length for datasets of about one size, so that the cache stays good."""
    usual = PAIRS_PER_CHUNK[mode]
    while usual > FEWEST_PAIRS and usual * CHUNKS_OF_SMALL_SET > len(dataset):
        usual //= 2
    return min(usual, REMOTE_PAIRS_PER_CHUNK) if dataset.storage.remote and not dataset.packs else usual


def pieces(dataset: Dataset, mean_length: int) -> Iterator[Piece]:
    """All pieces of a dataset, in its order: pairs known by name, then packed files."""
    yield from _loose_pieces(dataset, mean_length)
    if dataset.packs:
        from sanitizer.archives.ranges import CHUNKS_PER_RANGE, ranges
        from sanitizer.archives.read_ahead import opener_in

        for number, pack in enumerate(dataset.packs):
            length = mean_length
            if dataset.storage.remote:
                # To walk headers costs nearly as much as to read.
                length = max(length, PAIRS_PER_CHUNK["header"])
            opener = opener_in(dataset.storage, pack.size_bytes)
            for start, stop, first_line in ranges(pack, CHUNKS_PER_RANGE * length, opener):
                yield PackPiece(pack.split, start, stop, number, first_line)


def _loose_pieces(dataset: Dataset, mean_length: int) -> Iterator[Piece]:
    """Cut every split where a hash of the file name says so, at most four mean lengths apart.

    Cuts that depend on names rather than on positions stay where they are when files come and go, so that the
    cache of all other chunks stays good.
    """
    for number, split in enumerate(dataset.splits):
        start = 0
        for cut in _cuts(split, mean_length):
            yield Piece(number, start, cut)
            start = cut


def _cuts(split: Split, mean_length: int) -> Iterator[int]:
    names, ends = split.names, split.offsets.tolist()
    start = 0
    for i in range(1, len(split)):
        if i - start >= 4 * mean_length or zlib.crc32(names[ends[i] : ends[i + 1]]) % mean_length == 0:
            yield i
            start = i
    if len(split):
        yield len(split)
