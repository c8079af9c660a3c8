"""Makes a model's criterion, and lets its head return outputs by name, whatever the version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanitizer.ultra.adapter.detr import DetrLoss, name_detr_outputs
from sanitizer.ultra.adapter.heads import name_outputs
from sanitizer.ultra.adapter.losses import NamedLoss
from sanitizer.ultra.library import v8DetectionLoss
from sanitizer.ultra.model import is_detr

if TYPE_CHECKING:
    from torch import nn

NAMES_OUTPUTS = hasattr(v8DetectionLoss, "get_assigned_targets_and_loss")
"""Heads return their outputs by name: from 8.4.0 on."""


def named_criterion(model: nn.Module) -> Any:
    """The criterion of a model: called with the head's outputs by name, it returns the loss and its parts by name.

    The model is changed so that it returns its outputs by name in training mode.
    """
    made: Any = model
    if is_detr(model):
        name_detr_outputs(made.model[-1])
        return DetrLoss(made.init_criterion())
    return NamedLoss(made.init_criterion(), None if NAMES_OUTPUTS else name_outputs(made.model[-1]))
