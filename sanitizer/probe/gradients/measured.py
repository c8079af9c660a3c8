"""The measurement of one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.probe.doubt.features import RowFeatures
    from sanitizer.probe.gradients.signals import ImageSignals


@dataclass(slots=True)
class Measured:
    """The measurement of one image. R label rows in the order of training; arrays are NumPy.

    Attributes:
        index: Number of the sample.
        batch: Number of the batch that the image was measured in.
        loss: Name of each loss part to its value for this image as a batch of one.
        grad_norm: Norm of the image's own gradient, not divided by a label weight. `on_common_scale` makes the norms
            comparable with those of training steps.
        per_weight: Factor of the batch's loss: number of images over the batch's label weight.
        share: The image's part of the batch's squared gradient norm, <g_i, g> / |g|².
        row_share: float64 (R,) the part of `share` from each row's anchors.
        background_share: The part of `share` from anchors of no row.
        place: (x, y), normalised, of the background anchor with the largest share, or None.
        signals: What the model's outputs say about the rows; None if they are not finite.
        features: The rows and their twins, compared with the outputs; None as for `signals`.
        look: float64 (F,) means of the head's feature maps, to find images that look alike; empty if not measured.
        not_finite: "loss" or "gradient" if that is not finite in float32, else "".
        amp_only: The loss is finite in float32 and not finite under autocast.
        bad_row: Number of the row without which the loss is finite, or None.
        unreadable: Error from reading the pixels, or "".
    """

    index: int
    batch: int
    loss: dict[str, float] = field(default_factory=dict)
    grad_norm: float = float("nan")
    per_weight: float = float("nan")
    share: float = float("nan")
    row_share: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    background_share: float = float("nan")
    place: tuple[float, float] | None = None
    signals: ImageSignals | None = None
    features: RowFeatures | None = None
    look: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    not_finite: str = ""
    amp_only: bool = False
    bad_row: int | None = None
    unreadable: str = ""


def on_common_scale(measured: Sequence[Measured]) -> None:
    """Scale every `grad_norm`, in place, to the image's gradient norm in a batch of the usual label weight.

    The usual weight is the mean over the measured batches. So the result does not depend on the other images in the
    image's own batch.
    """
    by_batch = {m.batch: m.per_weight for m in measured if np.isfinite(m.per_weight)}
    usual = float(np.mean(list(by_batch.values()))) if by_batch else 1.0
    for m in measured:
        m.grad_norm *= usual
