"""Finds images that look alike, so that a rare but right picture is compared with its like and not with all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.util.robust import OUTLIER_Z, robust_z

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_ALIKE = 16
"""Images that a picture is compared with."""
FEWEST = 2 * N_ALIKE
"""With fewer images, all of them are one group."""
_DIRECTIONS = 16
"""Principal directions of the networks' features in which images are compared."""
_MOST_COMPARED = 20_000
"""A larger set is compared with a random sample of so many of its images, as distances grow with the square."""
_AT_ONCE = 512


class Alike:
    """The nearest images of each of N images, by the network's own features.

    Args:
        looks: float (N, F) features of each image; a row of NaN for an image without any.

    Attributes:
        nearest: int64 (N, N_ALIKE) numbers of the nearest images; of an image without features, its own number. None
            where there are too few images.
        alone: bool (N,) images that are much farther from their nearest images than others are: they look like no
            other, so that a comparison says little.
    """

    def __init__(self, looks: NDArray[np.floating]) -> None:
        known = np.flatnonzero(np.isfinite(looks).all(1)) if looks.size else np.zeros(0, np.int64)
        self.nearest: NDArray[np.int64] | None = None
        self.alone = np.zeros(len(looks), np.bool_)
        if len(known) < FEWEST:
            return
        place = _principal(looks[known].astype(np.float64))
        random = np.random.default_rng(0)
        compared = np.sort(random.permutation(len(known))[:_MOST_COMPARED])
        nearest, distance = _nearest(place, compared)
        self.nearest = np.repeat(np.arange(len(looks))[:, None], N_ALIKE, axis=1)
        self.nearest[known] = known[nearest]
        self.alone[known] = robust_z(np.log(np.maximum(distance, 1e-12))) >= OUTLIER_Z

    def excess(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (N,): by how much a number is usually larger among an image's like than among all images; at least 0.

        Args:
            values: float64 (N,), NaN where an image has none.
        """
        if self.nearest is None or not np.isfinite(values).any():
            return np.zeros(len(values))
        usual = float(np.nanmedian(values))
        filled = np.where(np.isfinite(values), values, usual)
        more = np.clip(np.median(filled[self.nearest], axis=1) - usual, 0, None)
        return np.where((self.nearest == np.arange(len(values))[:, None]).all(1), 0.0, more)


def _principal(looks: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (N, at most _DIRECTIONS): coordinates along the principal directions of the standardised features."""
    centred = (looks - looks.mean(0)) / (looks.std(0) + 1e-6)
    covariance = centred.T @ centred / len(centred)
    spread, directions = np.linalg.eigh(covariance)
    chosen = np.argsort(-spread)[:_DIRECTIONS]
    chosen = chosen[spread[chosen] > 1e-9 * max(spread.max(), 1e-12)]
    return np.asarray(centred @ directions[:, chosen])


def _nearest(
    place: NDArray[np.float64], compared: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers (N, N_ALIKE) of the nearest compared images, and the distance (N,) to the last of them."""
    others = place[compared]
    squares = (others**2).sum(1)
    numbers, distances = [], []
    for start in range(0, len(place), _AT_ONCE):
        part = place[start : start + _AT_ONCE]
        squared = (part**2).sum(1)[:, None] - 2 * part @ others.T + squares
        squared[compared[None] == np.arange(start, start + len(part))[:, None]] = np.inf
        found = np.argpartition(squared, N_ALIKE - 1, axis=1)[:, :N_ALIKE]
        numbers.append(compared[found])
        distances.append(np.take_along_axis(squared, found, 1).max(1))
    return np.concatenate(numbers), np.sqrt(np.maximum(np.concatenate(distances), 0))
