"""Images of two splits that look alike whatever they are called, where other images of the set do not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.rules.checks.copies import found_copies
from sanitizer.rules.checks.near_hashes import BITS, hamming
from sanitizer.rules.checks.sources.looks import SURE
from sanitizer.util.chance import at_least_by_chance
from sanitizer.util.robust import MAD_TO_SIGMA, median_of_counts
from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.rules.survey import Survey

MOST_PAIRS = 50_000_000
"""Hashes that are compared: fewer images of the one split are looked at where the other is large."""
TAKEN_TWICE = 0.01
"""Share of images with a lookalike in the other split that any set may have: photographers press the button twice."""
CHANCE = 1e-4
_AT_ONCE, _ROWS_AT_ONCE = 8192, 256


def lookalikes(survey: Survey, there: int, here: int) -> tuple[NDArray[np.int64], int]:
    """(int64 (K, 2) images of a split and one each of the other split that looks the same; images looked at).

    None where so many would be alike by chance, by how unlike the images of the set are as a rule. Images that are
    copies (D009) are left out.
    """
    theirs, mine = _decoded_images(survey, there), _decoded_images(survey, here)
    nothing = np.zeros((0, 2), np.int64)
    if not len(theirs) or not len(mine):
        return nothing, 0
    mine = mine[:: max(1, math.ceil(len(theirs) * len(mine) / MOST_PAIRS))]
    my_hashes = _hashes(survey, mine)
    nearest, least = np.zeros(len(mine), np.int64), np.full(len(mine), BITS + 1)
    usual = np.zeros(BITS + 1, np.int64)
    their_hashes = _hashes(survey, theirs)
    for start in range(0, len(theirs), _AT_ONCE):
        for first in range(0, len(mine), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            distances = hamming(my_hashes[part, None], their_hashes[None, start : start + _AT_ONCE])
            usual += np.bincount(distances.ravel(), minlength=BITS + 1)
            at = distances.argmin(axis=1)
            found = distances[np.arange(len(at)), at]
            better = found < least[part]
            nearest[part] = np.where(better, start + at, nearest[part])
            least[part] = np.where(better, found, least[part])
    alike = least <= SURE
    by_chance = min(0.99, max(TAKEN_TWICE, len(theirs) * _share_alike(usual)))
    if at_least_by_chance(int(alike.sum()), len(mine), by_chance) > CHANCE:
        return nothing, len(mine)
    return np.column_stack([mine[alike], theirs[nearest[alike]]]), len(mine)


def _share_alike(usual: NDArray[np.int64]) -> float:
    """Share of pairs that would look alike if all distances were spread as most are: the tail of a normal curve."""
    bits = np.arange(len(usual))
    middle = median_of_counts(bits, usual)
    spread = max(1.0, MAD_TO_SIGMA * median_of_counts(np.abs(bits - middle), usual))
    return 0.5 * math.erfc((middle - SURE - 0.5) / spread / math.sqrt(2))


def _decoded_images(survey: Survey, split: int) -> NDArray[np.int64]:
    start, stop = survey.split_start[split : split + 2].tolist()
    copies = found_copies(survey)
    parts = [np.zeros(0, np.int64)]
    for part in blocks(stop - start):
        images = slice(start + part.start, start + part.stop)
        decoded = np.asarray(survey.decoded[images], bool)
        if copies is not None:
            decoded = decoded & ~copies.settled(images)
        parts.append(images.start + np.flatnonzero(decoded))
    return np.concatenate(parts)


def _hashes(survey: Survey, images: NDArray[np.int64]) -> NDArray[np.uint64]:
    """uint64 (N,) of images in ascending order."""
    parts = [np.zeros(0, np.uint64)]
    for part in blocks(len(survey)):
        first, end = np.searchsorted(images, [part.start, part.stop])
        if end > first:
            parts.append(survey.phash[part][images[first:end] - part.start])
    return np.concatenate(parts)
