"""Whether images that may have one source look so: their perceptual hashes against those of other images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.util.chance import at_least_by_chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

BY_CHANCE = 0.01
"""Share of other pairs that may look as alike as a pair of one source does."""
BEFOREHAND = 10
"""Other pairs that count as seen before any are: without them, none would say that all look alike or none."""
SURE = 8
"""Bits by which re-encoded copies differ at most, as D009 has it."""
_SIDEWAYS = np.uint64(0x5555555555555555)
_UPSIDE_DOWN = np.uint64(0x00FF00FF00FF00FF)
"""Bits of odd frequencies along x and y: mirroring an image turns the sign of these of its cosine transform."""


def distance(a: NDArray[np.uint64], b: NDArray[np.uint64], *, mirrored: bool) -> NDArray[np.int64]:
    """int64 (N,): bits in which hashes differ; the least of those of all mirrored images if `mirrored`."""
    from sanitizer.rules.checks.near_hashes import hamming

    masks = (0, _SIDEWAYS, _UPSIDE_DOWN, _SIDEWAYS ^ _UPSIDE_DOWN) if mirrored else (0,)
    least: NDArray[np.int64] = np.min([hamming(a ^ np.uint64(mask), b) for mask in masks], axis=0).astype(
        np.int64
    )
    return least


def alike(distances: NDArray[np.int64], others: NDArray[np.int64]) -> tuple[NDArray[np.bool_], float]:
    """(which pairs look alike, how likely so many would by chance).

    Args:
        distances: int64 (N,) of the pairs in question.
        others: int64 (M,) of pairs of other images.
    """
    limits = [SURE]
    if len(others) * BY_CHANCE >= 1:
        limits.append(_nearer_than(others, BY_CHANCE))
    best, least = np.zeros(len(distances), bool), 1.0
    for limit in limits:
        chance = _chance(distances, others, limit)
        if chance < least:
            best, least = distances <= limit, chance
    return best, least


def nearer_on_the_whole(distances: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """How likely so many pairs would be nearer than most other pairs by chance, if none of them were special.

    Images that were turned a little, or cropped, do not look alike by their hashes, but more alike than others do.
    """
    if not len(others):
        return 1.0
    return min(_chance(distances, others, _nearer_than(others, share)) for share in (0.1, 0.5))


def _nearer_than(others: NDArray[np.int64], share: float) -> int:
    return int(np.sort(others)[int(share * len(others))]) - 1


def _chance(distances: NDArray[np.int64], others: NDArray[np.int64], limit: int) -> float:
    # As if some more other pairs had been seen, of which as few look alike as should.
    usual = (int((others <= limit).sum()) + BY_CHANCE * BEFOREHAND) / (len(others) + BEFOREHAND)
    return at_least_by_chance(int((distances <= limit).sum()), len(distances), min(0.99, usual))
