"""Divides the gradient share of the mask prototypes among the anchors whose masks use the prototypes.

All anchors of an image share its prototypes p. The mask loss is a sum over foreground anchors, L = Σ w_a L_a with all
w_a = 1, and every L_a depends on p. So anchor a's part of <dL/dp, t> is the derivative of <dL/dp, t> by w_a. One more
backward pass, through the loss only, computes these derivatives.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch.nn import functional

from sanitizer.probe.gradients.outputs import IMAGE_OUTPUTS, branches, named_outputs, with_outputs
from sanitizer.ultra.library import crop_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sanitizer.probe.gradients.outputs import Assignment


def prototype_shares(
    criterion: Any,
    preds: Mapping[str, Any],
    batch: Mapping[str, Any],
    tangents: Mapping[str, torch.Tensor],
    assignments: Mapping[str, Assignment],
) -> dict[str, torch.Tensor]:
    """Each anchor's part of <d, t> at the prototypes.

    Args:
        criterion: As in `loss_at_outputs`.
        preds: The head's outputs, detached.
        batch: A batch that Ultralytics collated.
        tangents: Output name to t, in the output's shape.
        assignments: Branch name to the assigner's result for these outputs.

    Returns:
        Branch name to float64 (B, A); empty for heads without masks.
    """
    leaves = {
        name: out.detach().requires_grad_()
        for name, out in named_outputs(preds).items()
        if _is_prototype(name)
    }
    if not leaves:
        return {}
    weights: dict[str, list[torch.Tensor]] = {}
    with contextlib.ExitStack() as patched, torch.enable_grad():
        for branch in branches(criterion):
            weights[branch.name] = []
            weighted = _weighted_mask_loss(weights[branch.name])
            patched.enter_context(mock.patch.object(branch.criterion, "single_mask_loss", weighted))
        loss, _items = criterion(with_outputs(preds, leaves), batch)
        gradients = torch.autograd.grad(
            loss.sum(), list(leaves.values()), create_graph=True, allow_unused=True
        )
        flows = [
            (g * tangents[name]).sum() for name, g in zip(leaves, gradients, strict=True) if g is not None
        ]
        all_weights = [w for per_image in weights.values() for w in per_image]
        if not flows or not all_weights:
            return {}
        parts = iter(torch.autograd.grad(torch.stack(flows).sum(), all_weights, allow_unused=True))
    shares = {}
    for name, per_image in weights.items():
        foreground = assignments[name].foreground
        share = torch.zeros(foreground.shape, dtype=torch.float64, device=foreground.device)
        # The loss goes through the images with foreground anchors in order, and through each one's anchors in order.
        for image, _weight in zip(foreground.any(1).nonzero()[:, 0].tolist(), per_image, strict=True):
            part = next(parts)
            if part is not None:
                share[image, foreground[image]] = part.double()
        shares[name] = share
    return shares


def _is_prototype(name: str) -> bool:
    """Whether the name is that of the prototypes, and not of the semantic map beside them, which has no anchors."""
    base, _, number = name.rpartition(".")[2].partition("#")
    return base in IMAGE_OUTPUTS and number in ("", "0")


def _weighted_mask_loss(weights: list[torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`v8SegmentationLoss.single_mask_loss` (ultralytics 8.4) with a weight w_a = 1 for every anchor.

    Each call of the loss, one per image, appends its weights (number of anchors,) to the list.
    """

    def loss(
        gt_mask: torch.Tensor, pred: torch.Tensor, proto: torch.Tensor, xyxy: torch.Tensor, area: torch.Tensor
    ) -> torch.Tensor:
        predicted = torch.einsum("in,nhw->ihw", pred, proto)
        by_pixel = functional.binary_cross_entropy_with_logits(predicted, gt_mask, reduction="none")
        weight = torch.ones(len(pred), device=pred.device, requires_grad=True)
        weights.append(weight)
        cropped: torch.Tensor = crop_mask(by_pixel, xyxy)
        return (weight * cropped.mean(dim=(1, 2)) / area).sum()

    return loss
