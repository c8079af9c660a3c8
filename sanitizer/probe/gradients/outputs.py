"""A network and its loss, cut apart at the network's raw outputs, so that each can be differentiated by itself.

The gradient of a batch is g = Jᵀd: d is the loss gradient at the outputs, J the Jacobian of the network. With BatchNorm
frozen, J has a block for each image, so everything that is asked about images, anchors and label lines is a dot product
with a part of d.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ANCHOR_OUTPUTS = ("boxes", "scores", "mask_coefficient", "kpts", "kpts_sigma", "angle")
"""Outputs with an anchor axis at the end, (B, channels, A)."""
IMAGE_OUTPUTS = ("proto",)
"""Outputs that all anchors of an image share."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One set of outputs with a loss and an assigner of its own; an end-to-end head has two.

    Attributes:
        name: "" or "one2many", "one2one".
        criterion: The Ultralytics loss of this branch.
    """

    name: str
    criterion: Any


@dataclass(slots=True)
class Assignment:
    """What the task-aligned assigner decided for a batch. B images, A anchors, M boxes of the fullest image.

    Attributes:
        foreground: bool (B, A) anchors that some box was given to.
        target: int64 (B, A) number of that box among its image's boxes; meaningless where not foreground.
        target_scores: float (B, A, nc) the class scores that anchors are trained towards.
        anchors: float (A, 2) anchor centres, input pixels.
        predicted_boxes: float (B, A, 4 or 5) decoded boxes, input pixels, xyxy (oriented: xywh and angle).
        gt_boxes: float (B, M, 4 or 5) the labels' boxes in the same form, zero where an image has fewer.
    """

    foreground: torch.Tensor
    target: torch.Tensor
    target_scores: torch.Tensor
    anchors: torch.Tensor
    predicted_boxes: torch.Tensor
    gt_boxes: torch.Tensor


def freeze_batchnorm(model: nn.Module) -> None:
    """Put the model in training mode with all normalisation statistics and dropout fixed, so images do not mix."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            module.eval()


def named_outputs(preds: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Every differentiable output of a head in training mode by a flat name, such as "one2one.scores"."""
    flat: dict[str, torch.Tensor] = {}
    for name, value in _walk(preds):
        if name.rpartition(".")[2].partition("#")[0] in ANCHOR_OUTPUTS + IMAGE_OUTPUTS:
            flat[name] = value
    return flat


def with_outputs(preds: Mapping[str, Any], replaced: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The head's output dictionary with these tensors in place of its own, features detached."""
    return {key: _replace(value, key, replaced) for key, value in preds.items()}


def _walk(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key != "feats":
                yield from _walk(part, f"{name}.{key}" if name else key)
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            yield from _walk(part, f"{name}#{number}")


def _replace(value: Any, name: str, replaced: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return replaced.get(name, value.detach())
    if isinstance(value, dict):
        return {key: _replace(part, f"{name}.{key}", replaced) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_replace(part, f"{name}#{i}", replaced) for i, part in enumerate(value))
    return value


def branches(criterion: Any) -> list[Branch]:
    """The losses that make up a model's criterion: one, or one2many and one2one of an end-to-end head."""
    if hasattr(criterion, "one2many"):
        return [Branch("one2many", criterion.one2many), Branch("one2one", criterion.one2one)]
    return [Branch("", criterion)]


@dataclass(slots=True)
class LossAtOutputs:
    """The loss of a batch as a function of the network's outputs alone.

    Attributes:
        total: float, the loss summed as training sums it (loss vector times batch size).
        items: Loss part to its value, per image on average, as Ultralytics logs it.
        gradient: Output name to d, the loss gradient there, same shape as the output.
        assignments: Branch name to what its assigner decided.
    """

    total: float
    items: dict[str, float]
    gradient: dict[str, torch.Tensor]
    assignments: dict[str, Assignment] = field(default_factory=dict)


def loss_at_outputs(criterion: Any, preds: Mapping[str, Any], batch: Mapping[str, Any]) -> LossAtOutputs:
    """Loss, d, and the assignment of anchors to label rows.

    Args:
        criterion: What `model.init_criterion()` gives.
        preds: Outputs of the head in training mode; their graph, if any, is left alone.
        batch: As Ultralytics collates it, on the outputs' device.
    """
    leaves = {name: out.detach().requires_grad_() for name, out in named_outputs(preds).items()}
    parts = branches(criterion)
    with _Assigners(parts) as assigners, torch.enable_grad():
        loss, items = criterion(with_outputs(preds, leaves), batch)
        total = loss.sum()
        names, tensors = list(leaves), list(leaves.values())
        gradients = torch.autograd.grad(total, tensors, allow_unused=True)
    return LossAtOutputs(
        total.item(),
        {name: float(value) for name, value in items.items()},
        {
            name: torch.zeros_like(leaf) if grad is None else grad
            for name, leaf, grad in zip(names, tensors, gradients, strict=True)
        },
        assigners.seen,
    )


class _Assigners:
    """Listens to the assigner of every branch while a loss is computed."""

    def __init__(self, parts: Sequence[Branch]) -> None:
        self.parts = parts
        self.seen: dict[str, Assignment] = {}

    def __enter__(self) -> _Assigners:
        self._handles = [
            part.criterion.assigner.register_forward_hook(self._listener(part.name)) for part in self.parts
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _listener(self, name: str) -> Any:
        def listen(_module: nn.Module, arguments: tuple[Any, ...], result: tuple[Any, ...]) -> None:
            _scores, predicted, anchors, _labels, gt_boxes = arguments[:5]
            _target_labels, _target_boxes, target_scores, foreground, target = result
            self.seen[name] = Assignment(
                foreground.bool(), target.long(), target_scores, anchors, predicted, gt_boxes
            )

        return listen
