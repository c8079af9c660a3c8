"""The clipped trainer that users get: it also logs which images and which label lines caused each spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanitizer.probe.spike_attribution import SpikeAttribution
from sanitizer.train.trainer import ClippedTrainer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.train.spikes import SpikeShare


class ExplainingTrainer(ClippedTrainer):
    """A `ClippedTrainer` that attributes its spikes to images and label lines after epochs and at the run's end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._attribution = SpikeAttribution()
        super().__init__(*args, **kwargs)

    def attribute_spikes(
        self, images_of_step: Mapping[int, Sequence[str]], seconds: float
    ) -> Mapping[int, Sequence[SpikeShare]]:
        """Step number to the share of each of its images in that step's spike: see `SpikeAttribution`."""
        return self._attribution.measure(self, images_of_step, seconds)
