"""Takes one image out of a collated batch and out of a head's outputs, as a batch of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping


def one_image(
    batch: Mapping[str, Any], image: int, overlap: bool, without_row: int | None = None
) -> dict[str, Any]:
    """One image of a collated batch as a batch of one, optionally without one of its rows.

    Args:
        batch: B images.
        image: Number of the image in the batch.
        overlap: Masks come one per image, and their pixels hold row numbers from 1; else one mask per row.
        without_row: Number of a row of the image to leave out.
    """
    mine = batch["batch_idx"] == image
    if without_row is not None:
        mine = mine.clone()
        mine[mine.nonzero()[without_row]] = False
    part: dict[str, Any] = {"img": batch["img"][image : image + 1]}
    for key in ("cls", "bboxes", "keypoints"):
        if key in batch:
            part[key] = batch[key][mine]
    part["batch_idx"] = torch.zeros_like(batch["batch_idx"][mine])
    if "masks" in batch:
        masks = batch["masks"][image : image + 1] if overlap else batch["masks"][mine]
        if overlap and without_row is not None:
            masks = torch.where(
                masks == without_row + 1, 0, masks - (masks > without_row + 1).to(masks.dtype)
            )
        part["masks"] = masks
    if "sem_masks" in batch:
        part["sem_masks"] = batch["sem_masks"][image : image + 1]
    if "resized_shape" in batch:  # losses of 8.4.0 measure all images of a batch by the first one's
        part["resized_shape"] = batch["resized_shape"][:1]
    return part


def one_output(value: Any, image: int) -> Any:
    """The outputs of a head, (B, …) tensors in dictionaries and tuples, for one image: (1, …) tensors."""
    if isinstance(value, torch.Tensor):
        return value[image : image + 1]
    if isinstance(value, dict):
        return {key: one_output(part, image) for key, part in value.items()}
    return type(value)(one_output(part, image) for part in value)
