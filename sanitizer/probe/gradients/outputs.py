"""Separates a network from its loss at the network's raw outputs, so that each can be differentiated alone.

The gradient of a batch is g = Jᵀd, where d is the loss gradient at the outputs and J is the Jacobian of the network.
With BatchNorm frozen, J has one block for each image. So the shares of images, anchors and label rows in |g|² are dot
products with parts of d.
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
"""Outputs that belong to a whole image and not to its single anchors."""


BRANCHES = (("one2many", "one2one"), ("last", "earlier"))
"""Branches of an end-to-end head, and of RT-DETR."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A set of outputs that has its own loss and assigner; some heads have two branches.

    Attributes:
        name: "" or one of `BRANCHES`.
        criterion: The Ultralytics loss of this branch.
    """

    name: str
    criterion: Any


@dataclass(slots=True)
class Assignment:
    """The task-aligned assigner's result for a batch. B images, A anchors, M boxes in the image with the most boxes.

    Attributes:
        foreground: bool (B, A) anchors that are assigned to a label box.
        target: int64 (B, A) number of this box among its image's boxes; without meaning for other anchors.
        target_scores: float (B, A, nc) target of the class scores.
        anchors: float (A, 2) anchor centres, input pixels. RT-DETR: (B, A, 2), centres of the predicted boxes.
        predicted_boxes: float (B, A, 4 or 5) decoded boxes, input pixels, xyxy (oriented: xywh and angle).
        gt_boxes: float (B, M, 4 or 5) the labels' boxes in the same form, zero where an image has fewer.
    """

    foreground: torch.Tensor
    target: torch.Tensor
    target_scores: torch.Tensor
    anchors: torch.Tensor
    predicted_boxes: torch.Tensor
    gt_boxes: torch.Tensor

    @property
    def has_grid(self) -> bool:
        """Every image has the same anchors, at fixed places."""
        return self.anchors.dim() == 2

    def place(self, image: int, anchor: int) -> tuple[float, float]:
        """x and y of an anchor of an image, input pixels."""
        x, y = (self.anchors if self.has_grid else self.anchors[image])[anchor].tolist()
        return x, y


def freeze_batchnorm(model: nn.Module) -> None:
    """Set the model to training mode, but BatchNorm and dropout to evaluation mode, so that images do not mix."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            module.eval()


def named_outputs(preds: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Flat name, such as "one2one.scores", to each differentiable output of a head in training mode."""
    flat: dict[str, torch.Tensor] = {}
    for name, value in _walk(preds):
        if name.rpartition(".")[2].partition("#")[0] in ANCHOR_OUTPUTS + IMAGE_OUTPUTS:
            flat[name] = value
    return flat


def with_outputs(preds: Mapping[str, Any], replaced: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """A copy of a head's outputs: `replaced`, by flat name, replaces outputs; all other tensors are detached."""
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
    """The branches of a criterion; that with the predictions which are compared with labels comes first."""
    for names in BRANCHES:
        if hasattr(criterion, names[0]):
            return [Branch(name, getattr(criterion, name)) for name in names]
    return [Branch("", getattr(criterion, "wrapped", criterion))]


@dataclass(slots=True)
class LossAtOutputs:
    """The loss of a batch, and its gradient at the network's outputs.

    Attributes:
        total: The loss that training starts backward() from (sum of the loss parts times batch size).
        items: Name of each loss part to its mean over the images, as Ultralytics logs it.
        gradient: Output name to d, the loss gradient at this output, in the output's shape.
        assignments: Branch name to the result of its assigner.
    """

    total: float
    items: dict[str, float]
    gradient: dict[str, torch.Tensor]
    assignments: dict[str, Assignment] = field(default_factory=dict)


def loss_at_outputs(criterion: Any, preds: Mapping[str, Any], batch: Mapping[str, Any]) -> LossAtOutputs:
    """The loss, its gradient d at the outputs, and the assignment of anchors to label rows.

    Args:
        criterion: The loss, from `model.init_criterion()`.
        preds: Outputs of the head in training mode. Their autograd graph, if they have one, is neither used nor freed.
        batch: A batch that Ultralytics collated, on the outputs' device.
    """
    leaves = {name: out.detach().requires_grad_() for name, out in named_outputs(preds).items()}
    parts = branches(criterion)
    with _AssignmentRecorder(parts) as recorder, torch.enable_grad():
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
        recorder.assignments,
    )


def predictions(
    criterion: Any, preds: Mapping[str, Any], batch: Mapping[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Class probabilities (B, A, nc) and decoded boxes (B, A, 4 or 5), input pixels, of the head's first branch.

    Args:
        criterion: As in `loss_at_outputs`; it decodes the boxes on the way to its assigner, where it is stopped.
        preds: Outputs of the head in training mode.
        batch: Any batch of as many images.
    """
    main = branches(criterion)[0]

    def stop(_assigner: nn.Module, arguments: tuple[Any, ...]) -> None:
        raise _Decoded(arguments[1])

    handle = main.criterion.assigner.register_forward_pre_hook(stop)
    try:
        with torch.no_grad():
            criterion(preds, batch)
        raise AssertionError("the loss called no assigner")
    except _Decoded as found:
        boxes = found.boxes
    finally:
        handle.remove()
    scores = named_outputs(preds)[f"{main.name}.scores" if main.name else "scores"]
    return scores.sigmoid().transpose(1, 2), boxes.float()


class _Decoded(Exception):  # noqa: N818
    """Ends the loss where it has decoded the boxes: what follows is of no use and costs as much as the loss."""

    def __init__(self, boxes: torch.Tensor) -> None:
        super().__init__()
        self.boxes = boxes


def features_of(preds: Any) -> Sequence[torch.Tensor]:
    """The feature maps (B, C, H, W) that the head's outputs hold; none if it keeps none."""
    if isinstance(preds, dict):
        if "feats" in preds:
            maps: Sequence[torch.Tensor] = preds["feats"]
            return maps
        preds = list(preds.values())
    if isinstance(preds, tuple | list):
        return next((found for part in preds if (found := features_of(part))), ())
    return ()


class _AssignmentRecorder:
    """Inside the `with` block, records the result of every branch's assigner: `assignments`, by branch name."""

    def __init__(self, parts: Sequence[Branch]) -> None:
        self.parts = parts
        self.assignments: dict[str, Assignment] = {}

    def __enter__(self) -> _AssignmentRecorder:
        self._handles = [
            part.criterion.assigner.register_forward_hook(self._hook(part.name)) for part in self.parts
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def record(_module: nn.Module, arguments: tuple[Any, ...], result: tuple[Any, ...]) -> None:
            _scores, predicted, anchors, _labels, gt_boxes = arguments[:5]
            _target_labels, _target_boxes, target_scores, foreground, target = result
            self.assignments[name] = Assignment(
                foreground.bool(), target.long(), target_scores, anchors, predicted, gt_boxes
            )

        return record
