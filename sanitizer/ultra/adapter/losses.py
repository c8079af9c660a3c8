"""A criterion as the newest version has it: called with named outputs, and its loss parts have names.

Up to 8.4.100 or so, Ultralytics returns the loss parts as one tensor, and the names are known to its trainers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAMES: Mapping[str, Sequence[str]] = {
    "v8DetectionLoss": ("box_loss", "cls_loss", "dfl_loss"),
    "v8SegmentationLoss": ("box_loss", "seg_loss", "cls_loss", "dfl_loss", "sem_loss"),
    "v8PoseLoss": ("box_loss", "pose_loss", "kobj_loss", "cls_loss", "dfl_loss"),
    "PoseLoss26": ("box_loss", "pose_loss", "kobj_loss", "cls_loss", "dfl_loss", "rle_loss"),
    "v8OBBLoss": ("box_loss", "cls_loss", "dfl_loss", "angle_loss"),
}
"""Class of a criterion to the names of its loss parts, as Ultralytics' trainers have them; some versions have fewer."""


def named_items(items: Any, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Name of each loss part to the part, a tensor ().

    Args:
        items: What the criterion returned beside the loss: such a dict, or one tensor (n,) or ().
        names: Names of the parts of a tensor; parts beyond them are numbered.
    """
    if isinstance(items, dict):
        return items
    values = torch.as_tensor(items).reshape(-1)
    return {names[i] if i < len(names) else f"loss_{i + 1}": value for i, value in enumerate(values)}


def items_of(trainer: Any) -> dict[str, torch.Tensor]:
    """Name of each loss part of a trainer's newest batch to the part."""
    return named_items(trainer.loss_items, getattr(trainer, "loss_names", ()))


class NamedLoss:
    """A criterion that takes the outputs by name and names its loss parts; all else is the criterion's own.

    Attributes:
        wrapped: The criterion.

    Args:
        criterion: From `model.init_criterion()`.
        restore: Makes of named outputs what this version's criterion takes; None where it takes them by name.
    """

    def __init__(self, criterion: Any, restore: Callable[[Mapping[str, Any]], Any] | None = None) -> None:
        self.wrapped, self._restore = criterion, restore
        part = getattr(criterion, "one2one", criterion)
        self._names = NAMES.get(type(part).__name__, ())

    def __call__(
        self, preds: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> tuple[Any, dict[str, torch.Tensor]]:
        """(the loss, name of each part to the part)."""
        loss, items = self.wrapped(self._restore(preds) if self._restore else preds, batch)
        return loss, named_items(items, self._names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)
