"""The clipped trainer that users get: it also logs which images and which label lines caused each spike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.probe.spike_attribution import attribute_steps
from sanitizer.train.trainer import ClippedTrainer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.train.spikes import SpikeShare


class ExplainingTrainer(ClippedTrainer):
    """A `ClippedTrainer` that attributes its spikes to images and label lines at the end of each epoch."""

    def attribute_spikes(
        self, images_of_step: Mapping[int, Sequence[str]], seconds: float
    ) -> Mapping[int, Sequence[SpikeShare]]:
        """Step number to the share of each of its images in that step's spike: see `attribute_steps`."""
        return attribute_steps(self, images_of_step, seconds)
