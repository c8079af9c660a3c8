"""The clipped trainer that users get: it also says which image and which label line carried each spike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.probe.spike_attribution import attribute_steps
from sanitizer.train.trainer import ClippedTrainer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.train.spikes import SpikeShare


class ExplainingTrainer(ClippedTrainer):
    """A `ClippedTrainer` whose spikes are attributed, at the end of each epoch, to images and label lines."""

    def attribute_spikes(
        self, images_of_step: Mapping[int, Sequence[str]], seconds: float
    ) -> Mapping[int, Sequence[SpikeShare]]:
        """What each image of these steps carries, by step: see `attribute_steps`."""
        return attribute_steps(self, images_of_step, seconds)
