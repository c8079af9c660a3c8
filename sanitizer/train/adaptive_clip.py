"""Adaptive clipping: the clip limit follows the run's own gradient norms."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


class AdaptiveClip:
    """Gives a clip limit: a percentile of past gradient norms.

    AutoClip (Seetharaman et al. 2020, "AutoClip: Adaptive Gradient Clipping for Source Separation Networks", §2)
    takes the percentile over all norms since the first step, with the norm of the present step. There are three
    differences here. The present norm does not count, so a spike cannot raise its own limit. Only the norms of a
    window count, so the norms of the warm-up lose their influence. Norms that are not finite never count.
    """

    def __init__(self, percentile: float = 10.0, window: int = 1000, first: int = 20) -> None:
        """Start without any history.

        Args:
            percentile: 0 to 100. AutoClip's authors recommend 10, which clips about nine steps in ten. 90 clips
                spikes and few other steps. Use it with optimizers of the Adam family: with SGD, the length of a step
                grows with the gradient norm, which is several hundred in Ultralytics.
            window: Number of newest norms that count.
            first: While fewer norms than this are known, the trainer's fixed limit is used.

        Raises:
            ValueError: `percentile`, `window` or `first` is out of range.
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
        """Clip limit for the next step, a gradient norm; `default` while too few norms are known."""
        if len(self._norms) < self.first:
            return default
        return float(np.percentile(np.fromiter(self._norms, np.float64), self.percentile))

    def learn(self, norms: Iterable[float]) -> None:
        """Add gradient norms from before clipping, oldest first. Norms that are not finite are left out."""
        self._norms.extend(norm for norm in norms if math.isfinite(norm))
