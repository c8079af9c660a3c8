"""Time to find near perceptual hashes by look-up, against comparing each with each; both find the same.

python scripts/bench/near_hashes.py [10000 30000 100000 1000000]
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from measure import machine, table, versions

from sanitizer.rules.checks.near_hashes import MOST_CANDIDATES, Originals, bands, hamming, near_originals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_DISTANCE = 8
MOST_BY_BRUTE_FORCE = 100_000
BLOCK = 128


def clustered(n: int) -> NDArray[np.uint64]:
    """Random hashes, a third of them made from another one by flipping up to ten bits."""
    random = np.random.default_rng(1)
    hashes = random.integers(0, 2**64, n, np.uint64)
    for i in range(1, n, 3):
        value = int(hashes[random.integers(0, i)])
        for bit in random.choice(64, random.integers(0, 11), replace=False).tolist():
            value ^= 1 << bit
        hashes[i] = value
    return hashes


def looked_up(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, list[int]]]:
    """Each image with the originals near it; every second one with any is taken for a copy."""
    originals = Originals()
    for i, near in near_originals(hashes, MAX_DISTANCE, originals):
        if near:
            yield i, near
        if not near or i % 2:
            originals.add(i)


def compared(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, list[int]]]:
    """The same, a block of hashes against all before."""
    is_original = np.ones(len(hashes), np.bool_)
    for start in range(0, len(hashes), BLOCK):
        stop = min(start + BLOCK, len(hashes))
        distance = hamming(hashes[None, :stop], hashes[start:stop, None])
        earlier = np.arange(stop)[None, :] < np.arange(start, stop)[:, None]
        for row in np.flatnonzero(((distance <= MAX_DISTANCE) & earlier).any(axis=1)).tolist():
            i = start + row
            near = np.flatnonzero(is_original[:i] & (distance[row, :i] <= MAX_DISTANCE))
            near = near[np.argsort(distance[row, near], kind="stable")][:MOST_CANDIDATES]
            if len(near):
                is_original[i] = bool(i % 2)
                yield i, near.tolist()


def main() -> None:
    """Measure, compare the answers, and print a table."""
    rows = []
    for n in [int(text) for text in sys.argv[1:]] or [10_000, 30_000, 100_000, 1_000_000]:
        hashes = clustered(n)
        start = time.perf_counter()
        found = list(looked_up(hashes))
        seconds, brute, same = time.perf_counter() - start, "–", "–"
        if n <= MOST_BY_BRUTE_FORCE:
            start = time.perf_counter()
            expected = list(compared(hashes))
            brute, same = f"{time.perf_counter() - start:.2f}", "yes" if expected == found else "NO"
        cut = bands(n, MAX_DISTANCE)
        radius = cut[0][2] if cut else 0
        rows.append(
            (f"{n:,}", f"{len(found):,}", f"{len(cut)} of radius {radius}", f"{seconds:.2f}", brute, same)
        )
    print(f"{machine()}; {versions('numpy')}\n")
    print(
        table(
            ("hashes", "near an original", "bands", "look-up, s", "each with each, s", "same answer"), rows
        ),
        end="",
    )


if __name__ == "__main__":
    main()
