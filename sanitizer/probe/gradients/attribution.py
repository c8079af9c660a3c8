"""The exact share of every image and every label row in a batch's gradient, at about the cost of one more step.

With BatchNorm frozen, the batch gradient is the sum of its images' gradients, g = Σ g_i.

1. One backward pass that keeps each image's part of every weight gradient gives |g_i| and <g_i, g> (`per_image`).
2. One forward-mode pass with g as its direction gives t = J g: how much each output changes if the weights change by g.
   With the loss gradient d at the outputs, |g|² = <Jᵀd, g> = <d, t>, which is a sum over outputs.
3. The terms d·t of the anchors that are assigned to one label row are that row's part of |g|².

The shares of an image's rows, of its background, and of outputs that belong to no anchor add up to the image's share.
The shares of the images add up to 1.

The worked example of `per_image`, continued. The model is y = w·x + v, and g = (14, 5), so t = 14·x + 5. Each pixel is
an anchor. The second pixel of image 1 and the first pixel of image 2 are assigned to label rows:

                        image 1                     image 2
    d                   (1, 2)                      (3, -1)
    t = 14·x + 5        (19, 33)                    (47, 5)
    d·t                 (19, 66)                    (141, -5)         image 1: 85, image 2: 136, both: 221 = |g|²
    row share           66/221 = 0.299              141/221 = 0.638
    background share    19/221 = 0.086              -5/221 = -0.023   negative: it pulls against the batch
    image share         85/221 = 0.385              136/221 = 0.615
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
import torch.autograd.forward_ad as fwad
from torch import nn
from torch.func import functional_call
from torch.nn import functional

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
from sanitizer.ultra.adapter.detr import sampled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.probe.gradients.outputs import Assignment, LossAtOutputs


_ONE_AT_A_TIME = threading.Lock()
"""Lock, because PyTorch's forward mode has one level for all threads. Kernels on several devices run in parallel."""


@dataclass(frozen=True, slots=True)
class BatchAttribution:
    """The shares in a batch's gradient. B images, A anchors, M label rows in the image with the most rows.

    Attributes:
        grad_norm: |g| over all trainable weights that the outputs depend on, before any clipping.
        image_norm: float64 (B,) |g_i|; the loss is normalised as for the whole batch.
        image_share: float64 (B,) <g_i, g> / |g|²; sums to 1. A share is negative if the image's gradient points
            against the batch gradient.
        row_share: float64 (B, M) the part of the image's share from anchors that are assigned to the label row.
        background_share: float64 (B,) the part from anchors that are assigned to no row.
        other_share: float64 (B,) the part from outputs that belong to no anchor (the semantic map of some mask heads).
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
    """Measure the shares of images, label rows and background in a batch's gradient.

    Args:
        model: An Ultralytics model after `freeze_batchnorm`, float32. `fold(model)` gives the same result faster.
        criterion: The model's loss, from `model.init_criterion()`.
        batch: A batch that Ultralytics collated, preprocessed and on the model's device; `img` is float32
            (B, 3, H, W), 0 to 1.

    Returns:
        Shares and norms. If a loss or gradient is not finite, the numbers that depend on it are not finite either.

    Raises:
        ValueError: A BatchNorm is not frozen.
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
    """Output name to t = J·direction, in the output's shape."""
    sampling = mock.patch.object(functional, "grid_sample", sampled)  # PyTorch's own has no forward mode
    with _ONE_AT_A_TIME, torch.no_grad(), sampling, fwad.dual_level():
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
    """The direction, by names of this model's parameters: a folded layer replaces the three of the original model."""
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
    """Sum the products d·t for each anchor, row and image, and divide by |g|²."""
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
    """Sum a number of each anchor, (B, A): over each label row's anchors, (B, M), and over all other anchors, (B,)."""
    on_rows = torch.where(assignment.foreground, by_anchor, torch.zeros((), dtype=by_anchor.dtype))
    rows = torch.zeros(
        len(by_anchor), max(assignment.gt_boxes.shape[1], 1), dtype=by_anchor.dtype, device=by_anchor.device
    )
    rows.scatter_add_(1, assignment.target.clamp_min(0), on_rows)
    off_rows = torch.where(assignment.foreground, torch.zeros((), dtype=by_anchor.dtype), by_anchor)
    return rows[:, : assignment.gt_boxes.shape[1]], off_rows.sum(1)
