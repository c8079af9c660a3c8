"""What a training recipe has to fit in a model and a device: layers that need care, and what the device computes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

MAX_INIT_RATIO = 10.0
"""Untrained weights may spread so many times more or less than PyTorch's own initialisation makes them."""

_NO_FLOAT16 = re.compile(
    r"(nvidia|geforce|quadro|tesla).*?(1660|1650|1630|t400|t550|t600|t1000|t1200|t2000|k40m)", re.IGNORECASE
)
"""GPUs that Ultralytics knows to miscalculate float16 (`ultralytics.utils.checks.check_amp`)."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model before training.

    Attributes:
        is_trained: It comes with trained weights.
        imgsz: Size it was trained at, which Ultralytics takes over; None where there is none.
        stride: Pixels of one cell of its finest grid.
        bare_convs: Names of trainable convolutions without normalisation, as `named_modules` has them.
        odd_inits: Names of layers whose weights have an unusual spread, of an untrained model.
        custom_modules: Class names of modules that are neither torch's nor Ultralytics'.
    """

    is_trained: bool = True
    imgsz: float | None = None
    stride: float = 8.0
    bare_convs: tuple[str, ...] = ()
    odd_inits: tuple[str, ...] = ()
    custom_modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What training will run on.

    Attributes:
        name: For messages.
        is_gpu: Not the CPU.
        n_devices: GPUs, or 1.
        float16, bfloat16: Mixed precision of that kind is known to work.
    """

    name: str = "the CPU"
    is_gpu: bool = False
    n_devices: int = 1
    float16: bool = False
    bfloat16: bool = False


def model_facts(model: nn.Module, is_trained: bool, imgsz: float | None = None) -> ModelFacts:
    """Look at the layers of a model, as Ultralytics builds it (`YOLO(…).model`); nothing is run."""
    strides = getattr(model, "stride", None)
    return ModelFacts(
        is_trained=is_trained,
        imgsz=imgsz,
        stride=float(min(strides)) if strides is not None else 8.0,
        bare_convs=tuple(_bare_convs(model)),
        odd_inits=() if is_trained else tuple(_odd_inits(model)),
        custom_modules=tuple(_custom_modules(model)),
    )


def device_facts(device: object = None) -> DeviceFacts:
    """What Ultralytics would train on, given its argument `device`; None is the first GPU, or the CPU."""
    import torch

    text = (
        ",".join(map(str, device))
        if isinstance(device, list | tuple)
        else str(device if device is not None else "")
    )
    text = text.lower().removeprefix("cuda:").strip("[] ")
    if text in ("cpu", "mps") or not torch.cuda.is_available():
        return DeviceFacts("the CPU" if text != "mps" else "mps", is_gpu=text == "mps")
    name = torch.cuda.get_device_name(0)
    return DeviceFacts(
        name,
        is_gpu=True,
        n_devices=max(1, len([d for d in text.split(",") if d.strip()])),
        float16=not _NO_FLOAT16.search(name),
        bfloat16=torch.cuda.is_bf16_supported(including_emulation=False),
    )


def _convolutions(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """(name, convolution, module it belongs to) of all that are trained."""
    from torch.nn.modules.conv import _ConvNd

    for name, module in model.named_modules():
        if isinstance(module, _ConvNd) and any(p.requires_grad for p in module.parameters()):
            yield name, module, model.get_submodule(name.rpartition(".")[0])


def _bare_convs(model: nn.Module) -> Iterator[str]:
    """All but those that end a head, and the mask prototypes' upsampling, which Ultralytics leaves bare too."""
    from torch import nn

    layers = getattr(model, "model", None)
    head = f"model.{len(layers) - 1}." if isinstance(layers, nn.Sequential) and len(layers) else None
    for name, conv, parent in _convolutions(model):
        in_head = head is not None and name.startswith(head)
        spared = in_head and (_is_last(conv, parent) or isinstance(conv, nn.ConvTranspose2d))
        if not spared and not _is_normalised(conv, parent):
            yield name


def _is_normalised(conv: nn.Module, parent: nn.Module) -> bool:
    """Whether a sibling normalises: the next layer in a Sequential, any in another module, as Ultralytics' Conv."""
    from torch import nn

    siblings = list(parent.children())
    if isinstance(parent, nn.ModuleList):
        return False
    if isinstance(parent, nn.Sequential):
        after = siblings.index(conv) + 1
        siblings = siblings[after : after + 1]
    return any("Norm" in type(sibling).__name__ for sibling in siblings)


def _is_last(conv: nn.Module, parent: nn.Module) -> bool:
    """Whether nothing follows a convolution; the items of a ModuleList stand side by side."""
    from torch import nn

    if isinstance(parent, nn.Sequential):
        return list(parent.children())[-1] is conv
    return isinstance(parent, nn.ModuleList)


def _odd_inits(model: nn.Module) -> Iterator[str]:
    """Layers whose spread is far from 1 / sqrt(3 × fan-in), that of `torch.nn.Conv2d.reset_parameters`."""
    for name, conv, _ in _convolutions(model):
        weight: Any = conv.weight
        usual = 1 / math.sqrt(3 * weight[0].numel())
        ratio = float(weight.detach().float().std()) / usual if weight.numel() > 1 else 1.0
        if not 1 / MAX_INIT_RATIO <= ratio <= MAX_INIT_RATIO:
            yield name


def _custom_modules(model: nn.Module) -> list[str]:
    families = ("torch", "ultralytics", "torchvision")
    classes = {type(m) for m in model.modules() if type(m).__module__.split(".")[0] not in families}
    return sorted(f"{c.__module__}.{c.__qualname__}" for c in classes)
