"""Finds gradient norms that are far over those of the steps before."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np


class Spike(NamedTuple):
    """A gradient norm far over the others.

    Attributes:
        typical: Median norm of the steps before.
        score: Robust z-score of the norm's logarithm (see `SpikeDetector`).
    """

    typical: float
    score: float


class SpikeShare(NamedTuple):
    """One image's share in a spike.

    Attributes:
        image: The image file.
        share: The image's squared gradient norm over the sum of those of the step's images; None if not finite.
        line: 1-based line of the label file with the largest part of the image's gradient. If the image's loss is not
            finite: the line without which the loss is finite. None if there is no such line.
        line_share: That line's part of the image's squared gradient norm. The other lines and the background have the
            rest. Parts can be negative, so a part can be over 1.
    """

    image: str
    share: float | None
    line: int | None
    line_share: float | None


class SpikeDetector:
    """Compares each norm's logarithm with the median and the median absolute deviation of those before.

    Logarithms are used because norms differ by factors. Spikes themselves hardly change these two statistics while
    fewer than half of the norms are spikes (Leys et al. 2013, "Detecting outliers", §1).
    """

    def __init__(
        self, window: int = 200, first: int = 20, limit: float = 6.0, least_spread: float = 0.05
    ) -> None:
        """Start without any history.

        Args:
            window: Number of newest norms that count.
            first: No norm is a spike before this many norms are known.
            limit: A norm with a robust z-score over this limit is a spike.
            least_spread: Lower bound of the logarithms' deviation, so that small changes are no spikes in a run whose
                norms hardly vary.
        """
        self.first, self.limit, self.least_spread = first, limit, least_spread
        self._logs: deque[float] = deque(maxlen=window)

    def judge(self, norm: float) -> Spike | None:
        """The spike that this norm is, or None. Adds the norm to the history, if it is finite and over 0."""
        if not math.isfinite(norm) or norm <= 0:
            return None
        log, spike = math.log(norm), None
        if len(self._logs) >= self.first:
            before = np.fromiter(self._logs, np.float64)
            median = float(np.median(before))
            # For a normal distribution, 1.4826 × MAD is the standard deviation.
            spread = max(1.4826 * float(np.median(np.abs(before - median))), self.least_spread)
            score = (log - median) / spread
            spike = Spike(math.exp(median), score) if score > self.limit else None
        self._logs.append(log)
        return spike
