"""The outputs of a head in training, by name, as the heads of 8.4 return them; those of 8.3 return lists of maps.

Before 8.4.0, a head puts box and class outputs of each level into one map (B, 4·reg_max + nc, H, W), and returns the
list of these maps, alone or before what the task adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

ADDED = {"Segment": ("mask_coefficient", "proto"), "Pose": ("kpts",), "OBB": ("angle",)}
"""Class of a head to the names of the outputs that it returns after the maps."""
_BRANCHES = ("one2many", "one2one")
_MAPS = "_feature_maps"


def name_outputs(head: nn.Module) -> Callable[[Mapping[str, Any]], Any]:
    """Let a head of 8.3 return its outputs by name. Returns a function that makes lists of named outputs again."""
    head.register_forward_pre_hook(keep_maps)
    head.register_forward_hook(_to_names)
    added = _added(head)

    def restore(outputs: Mapping[str, Any]) -> Any:
        if _BRANCHES[0] in outputs:
            return {branch: _to_maps(outputs[branch]) for branch in _BRANCHES}
        maps = _to_maps(outputs)
        return (maps, *(outputs[name] for name in added)) if added else maps

    return restore


def _added(head: nn.Module) -> Sequence[str]:
    return next((ADDED[kind.__name__] for kind in type(head).__mro__ if kind.__name__ in ADDED), ())


def keep_maps(head: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Before a head runs: keep the feature maps that it gets."""
    setattr(head, _MAPS, list(inputs[0]))  # the head puts its own maps into the list


def kept_maps(head: nn.Module) -> list[torch.Tensor]:
    """The maps that `keep_maps` kept; the head forgets them."""
    maps: list[torch.Tensor] = vars(head).pop(_MAPS)
    return maps


def _to_names(head: Any, _inputs: tuple[Any, ...], outputs: Any) -> dict[str, Any]:
    feats = kept_maps(head)
    if isinstance(outputs, dict):
        return {branch: _by_name(head, maps, feats) for branch, maps in outputs.items()}
    added = _added(head)
    maps, *rest = outputs if added else (outputs,)
    return _by_name(head, maps, feats) | dict(zip(added, rest, strict=True))


def _by_name(head: Any, maps: Sequence[torch.Tensor], feats: list[torch.Tensor]) -> dict[str, Any]:
    joined = torch.cat([m.flatten(2) for m in maps], 2)
    boxes, scores = torch.split(joined, [4 * head.reg_max, head.nc], 1)
    return {"boxes": boxes, "scores": scores, "feats": feats}


def _to_maps(outputs: Mapping[str, Any]) -> list[torch.Tensor]:
    joined = torch.cat([outputs["boxes"], outputs["scores"]], 1)
    shapes = [tuple(m.shape[2:]) for m in outputs["feats"]]
    parts = torch.split(joined, [height * width for height, width in shapes], 2)
    return [p.reshape(*p.shape[:2], *shape) for p, shape in zip(parts, shapes, strict=True)]
