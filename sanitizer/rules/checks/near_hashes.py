"""Which 64-bit hashes differ from each other in a few bits only, without comparing each with each.

Multi-index hashing (Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012):
cut the hashes into m bands; where two differ in at most d bits, they differ in at most d // m bits in one of the bands.
So it is enough to look up, in each band, the values that differ that little. The result is exact.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BITS = 64
_PAIRS_AT_ONCE = 4_000_000
_WIDEST_BAND = 22
"""A band's table has one entry a value: 2**22 of four bytes at most."""
_FEW = 512
"""Up to so many hashes are compared each with each."""


MOST_CANDIDATES = 256
"""Images with near hashes that one image is compared with: bounds the work on a set of look-alikes."""
_POSITIONS_AT_ONCE = 8192


class Originals:
    """The images that were found to be no copies, as far as any other image has a hash near theirs."""

    def __init__(self) -> None:
        self.of_hash: dict[int, list[int]] = {}
        self.first = self.number = np.zeros(0, np.int64)

    def start(self, number: NDArray[np.int64], n_hashes: int) -> None:
        """Have no originals. `number` int64 (N,) says which of the distinct hashes each image has."""
        self.of_hash, self.number = {}, number
        self.first = np.full(n_hashes, len(number))

    def add(self, position: int) -> None:
        """Count an image among the originals; they come in order."""
        number = int(self.number[position])
        same = self.of_hash.setdefault(number, [])
        if not same:
            self.first[number] = position
        if len(same) < MOST_CANDIDATES:
            same.append(position)

    def nearest(self, hashes: NDArray[np.int64], distance: NDArray[np.uint8]) -> list[int]:
        """Originals with one of these hashes, by distance, then position, the first `MOST_CANDIDATES` of them."""
        some = self.first[hashes] < len(self.number)
        hashes, distance = hashes[some], distance[some]
        nearest: list[int] = []
        for bits in np.unique(distance).tolist():
            here = hashes[distance == bits]
            if len(here) > MOST_CANDIDATES:  # who comes late in every hash comes too late
                here = here[np.argpartition(self.first[here], MOST_CANDIDATES)[:MOST_CANDIDATES]]
            nearest += sorted(i for number in here.tolist() for i in self.of_hash[number])
            if len(nearest) >= MOST_CANDIDATES:
                break
        return nearest[:MOST_CANDIDATES]


def near_originals(
    hashes: NDArray[np.uint64], max_distance: int, originals: Originals
) -> Iterator[tuple[int, list[int]]]:
    """Images whose hash is near that of others, each with the earlier originals that are near.

    Args:
        hashes: uint64 (N,) of the images, in order.
        max_distance: Most bits that may differ.
        originals: Whoever takes an image is to add it here before the next one, if it is no copy.

    Yields:
        (position, positions of earlier originals): nearest hash first, then by position, `MOST_CANDIDATES` at most.
    """
    distinct, number, count = np.unique(hashes, return_inverse=True, return_counts=True)
    originals.start(number, len(distinct))
    index = HashIndex(distinct, max_distance)
    nobody = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    todo = [slice(i, i + _POSITIONS_AT_ONCE) for i in reversed(range(0, len(hashes), _POSITIONS_AT_ONCE))]
    while todo:
        part = todo.pop()
        here = number[part]
        found = index.neighbours(np.unique(here), _PAIRS_AT_ONCE if len(here) > 1 else None)
        if found is None:  # fewer at a time
            middle = part.start + len(here) // 2
            todo += [slice(middle, part.start + len(here)), slice(part.start, middle)]
            continue
        query, neighbour, distance = found
        bounds = np.flatnonzero(np.diff(query, prepend=-1, append=-1)).tolist()
        near = {int(query[a]): (neighbour[a:b], distance[a:b]) for a, b in pairwise(bounds)}
        for position, own in enumerate(here.tolist(), part.start):
            if own in near or count[own] > 1:
                others, bits = near.get(own, nobody)
                yield position, originals.nearest(np.append(others, own), np.append(bits, np.uint8(0)))


class HashIndex:
    """Distinct hashes that are asked for their neighbours.

    Args:
        hashes: uint64 (U,), no two equal.
        max_distance: Most bits that neighbours differ in.
    """

    def __init__(self, hashes: NDArray[np.uint64], max_distance: int) -> None:
        self._hashes, self._max_distance = hashes, max_distance
        self._bands = [
            _Band(hashes, shift, width, radius) for shift, width, radius in bands(len(hashes), max_distance)
        ]

    def neighbours(
        self, queries: NDArray[np.int64], most_pairs: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]] | None:
        """Who is near whom, for some of the hashes, given by number.

        Returns:
            (query, neighbour, bits that differ): int64, int64, uint8 (P,) ordered by query. No hash is its own
            neighbour. None where there are more than `most_pairs`.
        """
        nothing = np.zeros(0, np.int64)
        parts, n_pairs = [(nothing, nothing)], 0
        for query, neighbour in self._candidates(queries):
            near = hamming(self._hashes[query], self._hashes[neighbour]) <= self._max_distance
            near &= query != neighbour
            parts.append((query[near], neighbour[near]))
            n_pairs += len(parts[-1][0])
            if most_pairs is not None and n_pairs > most_pairs:
                return None
        found, other = map(np.concatenate, zip(*parts, strict=True))
        # Hashes that are near in several bands were found several times.
        key = np.unique(found * np.int64(len(self._hashes)) + other)
        found, other = np.divmod(key, max(len(self._hashes), 1))
        return found, other, hamming(self._hashes[found], self._hashes[other])

    def _candidates(
        self, queries: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        for band in self._bands:
            for mask in band.masks:
                yield from band.lookup(queries, self._hashes[queries], mask)
        if not self._bands:
            everyone = np.arange(len(self._hashes))
            for start in range(0, len(queries), max(1, _PAIRS_AT_ONCE // max(1, len(everyone)))):
                some = queries[start : start + max(1, _PAIRS_AT_ONCE // max(1, len(everyone)))]
                yield np.repeat(some, len(everyone)), np.tile(everyone, len(some))


def bands(n_hashes: int, max_distance: int) -> list[tuple[int, int, int]]:
    """(first bit, bits, radius) of each band; none where comparing each with each is cheaper.

    The number of bands is the one with the least look-ups and candidates for hashes whose bits are independent.
    """
    if n_hashes <= _FEW:
        return []
    # In look-ups: measured, comparing with one hash costs 0.2 of it, a candidate 0.7.
    best, cuts = 0.2 * n_hashes, 0
    for m in range(3, 17):
        width = BITS / m
        if np.ceil(width) > _WIDEST_BAND:
            continue
        values = sum(_choose(int(width), r) for r in range(max_distance // m + 1))
        cost = m * values * (1 + 0.7 * n_hashes / 2**width)
        if cost < best:
            best, cuts = cost, m
    if not cuts:
        return []
    edges = np.linspace(0, BITS, cuts + 1).round().astype(int).tolist()
    return [(a, b - a, max_distance // cuts) for a, b in pairwise(edges)]


def _choose(n: int, k: int) -> int:
    result = 1
    for i in range(k):
        result = result * (n - i) // (i + 1)
    return result


class _Band:
    """Hashes by the value of some of their bits."""

    def __init__(self, hashes: NDArray[np.uint64], shift: int, width: int, radius: int) -> None:
        self._shift, self._mask = np.uint64(shift), np.uint64((1 << width) - 1)
        values = self._values(hashes)
        self._order = np.argsort(values, kind="stable").astype(np.int32 if len(hashes) < 2**31 else np.int64)
        self._start = np.zeros((1 << width) + 1, self._order.dtype)
        np.cumsum(np.bincount(values, minlength=1 << width), out=self._start[1:])
        self.masks = [
            sum(1 << bit for bit in chosen)
            for r in range(radius + 1)
            for chosen in combinations(range(width), r)
        ]

    def _values(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return ((hashes >> self._shift) & self._mask).astype(np.int64)

    def lookup(
        self, queries: NDArray[np.int64], hashes: NDArray[np.uint64], mask: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(query, hash) of all whose values in this band differ in exactly the bits of the mask."""
        wanted = self._values(hashes) ^ mask
        first = self._start[wanted].astype(np.int64)
        counts = self._start[wanted + 1] - first
        hit = np.flatnonzero(counts)
        first, counts = first[hit], counts[hit]
        ends = np.cumsum(counts)
        # In parts, as one value may be that of very many hashes.
        start = 0
        while start < len(hit):
            done = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
            n = counts[start:stop]
            within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
            members = self._order[np.repeat(first[start:stop], n) + within]
            yield np.repeat(queries[hit[start:stop]], n), members.astype(np.int64)
            start = stop


def hamming(a: NDArray[np.uint64], b: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint8]:
    """Number of bits that differ, by NumPy's rules of broadcasting."""
    different = np.bitwise_xor(a, b)
    if hasattr(np, "bitwise_count"):
        bits: NDArray[np.uint8] = np.bitwise_count(different)
        return bits
    in_bytes = np.ascontiguousarray(different).view(np.uint8).reshape(*different.shape, 8)
    counted: NDArray[np.uint8] = _BITS_OF_BYTE[in_bytes].sum(axis=-1, dtype=np.uint8)
    return counted


_BITS_OF_BYTE = np.array([n.bit_count() for n in range(256)], np.uint8)
