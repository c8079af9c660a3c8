"""Trainers whose batches are spoilt on the way to the model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sanitizer.train.trainer import ClippedTrainer


class OneBadImage(ClippedTrainer):
    """Whatever batch 3.jpg is in, its pixels are NaN."""

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = super().preprocess_batch(batch)
        for i, file in enumerate(batch["im_file"]):
            if Path(file).name == "3.jpg":
                batch["img"][i] = math.nan
        return batch


class AllBad(ClippedTrainer):
    """All pixels are NaN."""

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = super().preprocess_batch(batch)
        batch["img"][:] = math.nan
        return batch
