"""Finds the images of a batch whose own loss, as a batch of one, is not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from sanitizer.ultra.library import autocast, unwrap_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sanitizer.train.clipped_step import ClippedStep

_OF_OBJECTS = ("batch_idx", "cls", "bboxes", "keypoints")
"""Keys of a batch with one row per object; the other keys have one entry per image."""


@torch.no_grad()
def not_finite_alone(trainer: ClippedStep, singles: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batches, of one image each (`single_images`), whose loss is not finite with the present weights.

    This takes one forward pass per image. Normalisation layers use their running statistics, because one image is
    too small a batch, and do not change them.
    """
    model = unwrap_model(trainer.model)
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    for layer in layers:
        layer.eval()
    precision = torch.bfloat16 if trainer.args.amp == "bf16" else trainer.amp
    found = []
    try:
        for single in singles:
            with autocast(precision, device=trainer.device.type):
                loss, _ = model(single)
            if not bool(loss.isfinite().all()):
                found.append(single)
    finally:
        for layer in layers:
            layer.train()
    return found


def single_images(batch: dict[str, Any], overlap_mask: bool) -> list[dict[str, Any]]:
    """Split a preprocessed batch of B images into B batches of one image.

    Args:
        batch: The batch that `preprocess_batch` returned: `img` (B, 3, H, W), `batch_idx`, `cls`, `bboxes`, …
        overlap_mask: Ultralytics' train argument: True if there is one mask per image, False if one per object.
    """
    count = len(batch["img"])
    of_objects = (*_OF_OBJECTS, *(() if overlap_mask else ("masks",)))

    def single(i: int) -> dict[str, Any]:
        mine = batch["batch_idx"] == i
        parts = {}
        for key, value in batch.items():
            if key in of_objects:
                parts[key] = value[mine]
            elif isinstance(value, torch.Tensor | tuple | list) and len(value) == count:
                parts[key] = value[i : i + 1]
            else:
                parts[key] = value
        parts["batch_idx"] = torch.zeros_like(parts["batch_idx"])
        return parts

    return [single(i) for i in range(count)]
