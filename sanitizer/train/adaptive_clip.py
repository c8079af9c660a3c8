"""Adaptive clipping: the limit follows the gradient norms that the run itself has shown."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


class AdaptiveClip:
    """Clips at a percentile of past gradient norms.

    AutoClip (Seetharaman et al. 2020, "AutoClip: Adaptive Gradient Clipping for Source Separation Networks", §2)
    takes the percentile over all norms since the first step, the present one included. This one leaves the present
    norm out, so that a spike never raises its own limit; forgets norms older than a window, so that those of the
    warm-up fade; and never learns from a norm that is not finite.
    """

    def __init__(self, percentile: float = 10.0, window: int = 1000, first: int = 20) -> None:
        """Start without any history.

        Args:
            percentile: 0 to 100. AutoClip's authors recommend 10, which clips about nine steps in ten; 90 leaves
                ordinary steps alone and only holds spikes. Meant for optimizers of the Adam family: with SGD the step
                is as long as the gradient, whose norm is some hundreds under Ultralytics.
            window: Number of latest norms that count.
            first: While fewer norms than this are known, the trainer's fixed limit holds.

        Raises:
            ValueError: A number is out of its range.
        """
        if not 0 <= percentile <= 100:
            raise ValueError(f"the percentile of adaptive clipping is {percentile}: use 0 to 100")
        if not 1 <= first <= window:
            raise ValueError(
                f"adaptive clipping waits for {first} norms in a window of {window}: use 1 to {window}"
            )
        self.percentile, self.window, self.first = percentile, window, first
        self._norms: deque[float] = deque(maxlen=window)

    def limit(self, default: float) -> float:
        """Largest norm that the next step may have; `default` while too few norms are known."""
        if len(self._norms) < self.first:
            return default
        return float(np.percentile(np.fromiter(self._norms, np.float64), self.percentile))

    def learn(self, norms: Iterable[float]) -> None:
        """Remember pre-clip norms, oldest first. Norms that are not finite are left out."""
        self._norms.extend(norm for norm in norms if math.isfinite(norm))
