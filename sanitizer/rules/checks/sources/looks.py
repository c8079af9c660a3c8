"""Whether images that may have one source look so: their perceptual hashes against those of other images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.rules.checks.near_hashes import hamming
from sanitizer.util.chance import expected_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

BY_CHANCE = 0.01
"""Share of other pairs that may look as alike as a pair of one source does."""
ENOUGH = 100
"""Other pairs of which one in a hundred can be told."""
SURE = 8
"""Bits by which re-encoded copies differ at most, as D009 has it."""
_SIDEWAYS = np.uint64(0x5555555555555555)
_UPSIDE_DOWN = np.uint64(0x00FF00FF00FF00FF)
"""Bits of odd frequencies along x and y: mirroring an image turns the sign of these of its cosine transform."""


def distance(a: NDArray[np.uint64], b: NDArray[np.uint64], *, mirrored: bool) -> NDArray[np.int64]:
    """int64 (N,): bits in which hashes differ; the least of those of all mirrored images if `mirrored`."""
    masks = (0, _SIDEWAYS, _UPSIDE_DOWN, _SIDEWAYS ^ _UPSIDE_DOWN) if mirrored else (0,)
    least: NDArray[np.int64] = np.min([hamming(a ^ np.uint64(mask), b) for mask in masks], axis=0).astype(
        np.int64
    )
    return least


def limit_of(others: NDArray[np.int64]) -> tuple[int, float]:
    """The largest distance that few other pairs keep, and the chance that one does.

    Args:
        others: int64 (N,) distances of pairs of other images. Of few of them it can only be said that none is nearer.
    """
    if len(others) < ENOUGH:
        return min([SURE, *(others - 1).tolist()]), BY_CHANCE
    limit = int(np.sort(others)[int(BY_CHANCE * len(others))]) - 1
    return limit, expected_share(int((others <= limit).sum()), len(others))
