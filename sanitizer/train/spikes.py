"""Which gradient norms stand out from those of the steps before."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np


class Spike(NamedTuple):
    """A norm that stands out: `typical` is the median norm of the steps before, `score` its robust z-score."""

    typical: float
    score: float


class Carried(NamedTuple):
    """What one image has to do with a spike.

    Attributes:
        image: Its file.
        share: Its part of the sum of the squared gradient norms of the step's images; None where not finite.
        line: 1-based line of its label file through which most of its own gradient flows, or without which its loss is
            finite again; None where there is none.
        line_share: The part of its squared gradient norm that flows through that line; the rest flows through the
            other lines and through background. Parts may be negative, so one may be over 1.
    """

    image: str
    share: float | None
    line: int | None
    line_share: float | None


class SpikeDetector:
    """Judges each norm by the median and the median absolute deviation of the logarithms of the norms before it.

    Norms vary by factors, not by differences, hence the logarithm. Neither statistic is moved by the spikes
    themselves while fewer than half of the window are spikes (Leys et al. 2013, "Detecting outliers", §1).
    """

    def __init__(
        self, window: int = 200, first: int = 20, limit: float = 6.0, least_spread: float = 0.05
    ) -> None:
        """Start without any history.

        Args:
            window: Number of latest norms that count.
            first: Nothing is a spike before this many norms are known.
            limit: Robust z-score from which a norm is a spike.
            least_spread: Smallest deviation of the logarithm taken for real, so that a run whose norms hardly vary
                does not call each flutter a spike.
        """
        self.first, self.limit, self.least_spread = first, limit, least_spread
        self._logs: deque[float] = deque(maxlen=window)

    def judge(self, norm: float) -> Spike | None:
        """What makes the norm a spike, or None; the norm counts from then on. Norms not finite never count."""
        if not math.isfinite(norm) or norm <= 0:
            return None
        log, spike = math.log(norm), None
        if len(self._logs) >= self.first:
            before = np.fromiter(self._logs, np.float64)
            median = float(np.median(before))
            # 1.4826 × MAD is the standard deviation of a normal distribution.
            spread = max(1.4826 * float(np.median(np.abs(before - median))), self.least_spread)
            score = (log - median) / spread
            spike = Spike(math.exp(median), score) if score > self.limit else None
        self._logs.append(log)
        return spike
