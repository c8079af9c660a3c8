"""The exact share of every image and every label line in a batch's gradient, for about the price of one more step.

With BatchNorm frozen the batch gradient is the sum of its images' gradients, g = Σ g_i. One backward pass that keeps
each image's part of every weight gradient gives |g_i| and <g_i, g>; one forward-mode pass with g as the direction gives
t = J g, and <d, t> restricted to the anchors of one label line is that line's part of |g|². Lines, background and
outputs that no anchor owns add up to the image; images add up to 1.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.autograd.forward_ad as fwad
from torch import nn
from torch.func import functional_call

from sanitizer.probe.gradients.folding import FoldedConv2d
from sanitizer.probe.gradients.masks import prototype_shares
from sanitizer.probe.gradients.outputs import (
    ANCHOR_OUTPUTS,
    branches,
    loss_at_outputs,
    named_outputs,
    with_outputs,
)
from sanitizer.probe.gradients.per_image import PerImageGradients

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.probe.gradients.outputs import Assignment, LossAtOutputs


_ONE_AT_A_TIME = threading.Lock()
"""PyTorch has one level of forward mode for all threads. Kernels of several devices still run side by side."""


@dataclass(frozen=True, slots=True)
class BatchAttribution:
    """A batch's gradient, taken apart. B images, A anchors, M label rows of the fullest image.

    Attributes:
        grad_norm: |g| over all trainable weights that the outputs depend on, before any clipping.
        image_norm: float64 (B,) |g_i|, with the batch's own loss normaliser.
        image_share: float64 (B,) <g_i, g> / |g|²; sums to 1. Negative where an image pulls against the others.
        row_share: float64 (B, M) the part of it that goes through anchors assigned to a label row.
        background_share: float64 (B,) the part that goes through anchors assigned to none.
        other_share: float64 (B,) what goes through outputs that no anchor owns (the semantic map of some mask heads).
        anchor_share: Branch name to float64 (B, A), the share of every anchor.
        scores: Branch name to (B, nc, A), class logits.
        loss: Loss, loss gradient at the outputs and assignments.
    """

    grad_norm: float
    image_norm: torch.Tensor
    image_share: torch.Tensor
    row_share: torch.Tensor
    background_share: torch.Tensor
    other_share: torch.Tensor
    anchor_share: dict[str, torch.Tensor]
    scores: dict[str, torch.Tensor]
    loss: LossAtOutputs


def attribute(model: nn.Module, criterion: Any, batch: Mapping[str, Any]) -> BatchAttribution:
    """Take a batch's gradient apart.

    Args:
        model: An Ultralytics model after `freeze_batchnorm`, float32; `fold` of it gives the same for less.
        criterion: Its loss.
        batch: As Ultralytics collates it, preprocessed and on the model's device.

    Returns:
        Shares and norms. Where a loss or gradient is not finite, so are the numbers that depend on it.
    """
    images = batch["img"]
    with PerImageGradients(model) as gradients:
        preds = gradients.forward(model, images)
        outputs = named_outputs(preds)
        loss = loss_at_outputs(criterion, preds, batch)
        gradients.backward(list(outputs.values()), [loss.gradient[name] for name in outputs])
    names = [branch.name for branch in branches(criterion)]
    scores = {name: outputs[f"{name}.scores" if name else "scores"].detach() for name in names}
    detached = with_outputs(preds, {})
    del preds, outputs
    squared = gradients.squared_norm
    tangents = _forward_mode(model, images, gradients.total)
    products = {name: (loss.gradient[name] * tangent).double() for name, tangent in tangents.items()}
    through_masks = prototype_shares(criterion, detached, batch, tangents, loss.assignments)
    return _assemble(gradients, products, through_masks, loss, scores, squared)


def _forward_mode(
    model: nn.Module, images: torch.Tensor, direction: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Output name to J·direction, same shape as the output."""
    with _ONE_AT_A_TIME, torch.no_grad(), fwad.dual_level():
        parameters = dict(model.named_parameters())
        duals = {
            name: fwad.make_dual(parameters[name].detach(), d)  # type: ignore[no-untyped-call]
            for name, d in _unfolded_direction(model, direction).items()
        }
        outputs = named_outputs(functional_call(model, duals, (images,)))
        unpacked = {
            name: fwad.unpack_dual(out)  # type: ignore[no-untyped-call]
            for name, out in outputs.items()
        }
        return {
            name: torch.zeros_like(u.primal) if u.tangent is None else u.tangent
            for name, u in unpacked.items()
        }


def _unfolded_direction(model: nn.Module, direction: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The direction by the model's own parameters, where some layers stand for several of the original's."""
    own = dict(direction)
    for path, layer in model.named_modules():
        if isinstance(layer, FoldedConv2d):
            own[f"{path}.weight"], own[f"{path}.bias"] = layer.direction(direction)
            for name in layer.names:
                if name not in (f"{path}.weight", f"{path}.bias"):
                    own.pop(name, None)
    return own


def _assemble(
    gradients: PerImageGradients,
    products: Mapping[str, torch.Tensor],
    through_masks: Mapping[str, torch.Tensor],
    loss: LossAtOutputs,
    scores: dict[str, torch.Tensor],
    squared: float,
) -> BatchAttribution:
    """Add the products d·t up by anchor, by row and by image, as parts of |g|²."""
    device, n_images = gradients.image_squared.device, len(gradients.image_squared)
    n_rows = max((a.gt_boxes.shape[1] for a in loss.assignments.values()), default=0)
    row_share = torch.zeros(n_images, n_rows, dtype=torch.float64, device=device)
    background = torch.zeros(n_images, dtype=torch.float64, device=device)
    other = torch.zeros_like(background)
    anchor_share: dict[str, torch.Tensor] = {}
    for branch in scores:
        prefix = f"{branch}." if branch else ""
        mine = {
            name: p for name, p in products.items() if name.startswith(prefix) and (branch or "." not in name)
        }
        by_anchor = sum(p.sum(1) for name, p in mine.items() if name.removeprefix(prefix) in ANCHOR_OUTPUTS)
        assert isinstance(by_anchor, torch.Tensor)
        by_image = [
            p.flatten(1).sum(1) for name, p in mine.items() if name.removeprefix(prefix) not in ANCHOR_OUTPUTS
        ]
        if branch in through_masks:
            by_anchor = by_anchor + through_masks[branch]
            by_image.append(-through_masks[branch].sum(1))
        other += sum(by_image, torch.zeros_like(other)) / squared
        by_anchor = by_anchor / squared
        anchor_share[branch] = by_anchor
        rows, rest = split_by_row(by_anchor, loss.assignments[branch])
        row_share[:, : rows.shape[1]] += rows
        background += rest
    return BatchAttribution(
        grad_norm=squared**0.5,
        image_norm=gradients.image_squared.sqrt(),
        image_share=gradients.image_dot / squared,
        row_share=row_share,
        background_share=background,
        other_share=other,
        anchor_share=anchor_share,
        scores=scores,
        loss=loss,
    )


def split_by_row(by_anchor: torch.Tensor, assignment: Assignment) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of an anchor quantity (B, A) over each label row's anchors (B, M), and over all others (B,)."""
    on_rows = torch.where(assignment.foreground, by_anchor, torch.zeros((), dtype=by_anchor.dtype))
    rows = torch.zeros(
        len(by_anchor), max(assignment.gt_boxes.shape[1], 1), dtype=by_anchor.dtype, device=by_anchor.device
    )
    rows.scatter_add_(1, assignment.target.clamp_min(0), on_rows)
    off_rows = torch.where(assignment.foreground, torch.zeros((), dtype=by_anchor.dtype), by_anchor)
    return rows[:, : assignment.gt_boxes.shape[1]], off_rows.sum(1)
