"""Spikes whose images are still to be measured, and the time that this may take."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXPLAINING_SHARE = 0.04
"""Part of an epoch's time that the attribution of spikes may take, and of the run's time with what its end adds."""
LEAST_EXPLAINING_S = 2.0
"""Seconds that the attribution may take at the end of the run even if that is a larger part."""
MOST_SPIKES = 64
"""Spikes that wait for their attribution at most: then the oldest is left as it is."""


class UnexplainedSpikes:
    """Spikes of a run that wait for their attribution.

    Attributes:
        images: Step number to the step's image files, most suspicious first.
        epoch_s: Seconds that the batches of the newest epoch took.
    """

    def __init__(self) -> None:
        self.images: dict[int, Sequence[str]] = {}
        self.epoch_s = self._spent_s = 0.0
        self._run_started_s = self._epoch_started_s = time.perf_counter()

    def add(self, step: int, images: Sequence[str]) -> None:
        """Have the images of a step wait."""
        self.images[step] = images
        if len(self.images) > MOST_SPIKES:
            del self.images[min(self.images)]

    def run_starts(self) -> None:
        """The run's time begins."""
        self._run_started_s = time.perf_counter()

    def epoch_starts(self) -> None:
        """An epoch's time begins."""
        self._epoch_started_s = time.perf_counter()

    def after_epoch_s(self) -> float:
        """The batches of an epoch are over: seconds that the attribution may take now."""
        self.epoch_s = time.perf_counter() - self._epoch_started_s
        return self.epoch_s * EXPLAINING_SHARE

    def after_run_s(self) -> float:
        """The run is over: seconds that the attribution may take now."""
        of_run_s = (time.perf_counter() - self._run_started_s) * EXPLAINING_SHARE
        return max(of_run_s - self._spent_s, LEAST_EXPLAINING_S)

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """What is done in this block counts as attribution."""
        started = time.perf_counter()
        yield
        self._spent_s += time.perf_counter() - started
