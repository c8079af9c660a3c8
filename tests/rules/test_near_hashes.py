"""Near hashes by look-up are those that comparing each with each finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sanitizer.rules.checks import near_hashes
from sanitizer.rules.checks.near_hashes import MOST_CANDIDATES, Originals, bands, hamming, near_originals

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Judge = Callable[[int, list[int]], bool]


def by_brute_force(
    hashes: NDArray[np.uint64], max_distance: int, is_copy: Judge
) -> list[tuple[int, list[int]]]:
    """What every image is compared with, by comparing its hash with all before."""
    is_original = np.ones(len(hashes), np.bool_)
    found = []
    for i in range(len(hashes)):
        distance = hamming(hashes[:i], hashes[i])
        near = np.flatnonzero(is_original[:i] & (distance <= max_distance))
        near = near[np.argsort(distance[near], kind="stable")][:MOST_CANDIDATES]
        if len(near):
            found.append((i, near.tolist()))
            is_original[i] = not is_copy(i, near.tolist())
    return found


def by_lookup(hashes: NDArray[np.uint64], max_distance: int, is_copy: Judge) -> list[tuple[int, list[int]]]:
    originals, found = Originals(), []
    for i, near in near_originals(hashes, max_distance, originals):
        if near:
            found.append((i, near))
        if not (near and is_copy(i, near)):
            originals.add(i)
    return found


def some_copies(i: int, near: list[int]) -> bool:
    return (i * 7 + near[0]) % 3 == 0


def no_copies(i: int, near: list[int]) -> bool:
    return False


def clustered(n: int, seed: int, most_bits: int = 10) -> NDArray[np.uint64]:
    """Random hashes, a third of them made from another by flipping up to so many bits."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, n, np.uint64)
    for i in range(1, n, 3):
        value = int(hashes[random.integers(0, i)])
        for bit in random.choice(64, random.integers(0, most_bits + 1), replace=False).tolist():
            value ^= 1 << bit
        hashes[i] = value
    return hashes


@pytest.mark.parametrize("max_distance", [0, 1, 2, 5, 8, 12, 20, 64])
@pytest.mark.parametrize("n", [0, 1, 2, 50, pytest.param(1500, marks=pytest.mark.thorough)])
def test_near_hashes_are_those_of_comparing_each_with_each(
    n: int, max_distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_hashes, "_POSITIONS_AT_ONCE", 100)
    hashes = clustered(n, seed=n + max_distance)
    assert by_lookup(hashes, max_distance, some_copies) == by_brute_force(hashes, max_distance, some_copies)


@pytest.mark.parametrize("is_copy", [some_copies, no_copies])
def test_masses_of_equal_and_of_neighbouring_hashes(is_copy: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_hashes, "_PAIRS_AT_ONCE", 500)
    random = np.random.default_rng(5)
    hashes = np.full(2000, 12345, np.uint64)
    hashes[::2] ^= np.uint64(1) << random.integers(0, 64, 1000, np.uint64)
    hashes[::5] = random.integers(0, 2**64, 400, np.uint64)
    assert by_lookup(hashes, 8, is_copy) == by_brute_force(hashes, 8, is_copy)


@pytest.mark.parametrize("n", [513, 10_000, 1_000_000, 100_000_000])
@pytest.mark.parametrize("max_distance", [0, 3, 8, 15])
def test_bands_cover_all_bits_and_catch_every_pair(n: int, max_distance: int) -> None:
    cut = bands(n, max_distance)
    if not cut:
        assert n < 2000, "each is compared with each"
        return
    assert [first for first, _, _ in cut] == [0, *np.cumsum([width for _, width, _ in cut])[:-1].tolist()]
    assert sum(width for _, width, _ in cut) == 64
    # So many differing bits, spread as evenly as they may be, leave one band with no more than its radius.
    assert all(max_distance // len(cut) <= radius for _, _, radius in cut)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10_000, 50_000])
def test_many_hashes(n: int) -> None:
    hashes = clustered(n, seed=3)
    assert by_lookup(hashes, 8, some_copies) == by_brute_force(hashes, 8, some_copies)
