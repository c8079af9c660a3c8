"""Counts a model's size and operations without building it: on PyTorch's device `meta`, tensors hold no numbers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.module import register_module_module_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from ultralytics.nn import tasks
from ultralytics.nn.modules import Conv

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PARAMETERS = 200_000_000
"""The largest model that Ultralytics publishes, YOLOv6-x, has 173 million parameters."""
MAX_ACTIVATIONS = 1 << 28
"""Numbers in the outputs of all layers for one image of `IMAGE_PX`; published models have 133 million at most."""
MAX_FLOPS = 250e9
"""Operations for one image of `IMAGE_PX`; published models need 97 billion at most."""
MAX_MODULES = 5_000
"""Published models have 2,200 modules at most."""

IMAGE_PX = 256
"""Side, pixels, of the image that Ultralytics runs through every new model."""


class TooLargeModelError(Exception):
    """The model would be larger than all published models; the text is a phrase."""


class _NumberCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the numbers that operations write, and raises TooLargeModelError(what) over a limit."""

    def __init__(self, limit: int, what: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left, self._what = limit, what

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, torch.Tensor):
                    self._left -= tensor.numel()
            if self._left < 0:
                raise TooLargeModelError(self._what)
        return out


def check_size(config: Mapping[str, Any], channels: int = 3) -> None:
    """Refuse a model yaml whose model would need more memory or time than all published models.

    Args:
        config: A model yaml that passed `check_model_yaml`.
        channels: Channels of the images.

    Raises:
        TooLargeModelError: The model would be too large; it was not built.
        Exception: Any error of Ultralytics, if no model can be built from the yaml.
    """
    activation = Conv.default_act
    modules = 0

    def count(*_module: object) -> None:
        nonlocal modules
        modules += 1
        if modules > MAX_MODULES:
            raise TooLargeModelError(f"it would have more than {MAX_MODULES:,} modules")

    counting = register_module_module_registration_hook(count)
    try:
        with torch.device("meta"), torch.no_grad():
            # PyTorch writes every parameter twice: when it makes the tensor, and when it sets the start values.
            with _NumberCounter(2 * MAX_PARAMETERS, f"it would have more than {MAX_PARAMETERS:,} parameters"):
                layers = _layers(config, channels)
            flops = FlopCounterMode(display=False)
            with flops, _NumberCounter(MAX_ACTIVATIONS, "a single picture would take it gigabytes"):
                _run_image(layers, channels)
    finally:
        counting.remove()
        Conv.default_act = activation  # Ultralytics changes it, and does not reset it after an error
    if flops.get_total_flops() > MAX_FLOPS:
        raise TooLargeModelError("a single picture would take it minutes")


def _layers(config: Mapping[str, Any], channels: int) -> torch.nn.Sequential:
    described = copy.deepcopy(dict(config))
    if described["backbone"][0][2] == "Silence":  # a layer of YOLOv9 that Ultralytics has renamed
        described["backbone"][0][2] = "nn.Identity"
    layers: torch.nn.Sequential = tasks.parse_model(described, ch=channels, verbose=False)[0]  # type: ignore[no-untyped-call]
    return layers


def _run_image(layers: torch.nn.Sequential, channels: int) -> None:
    """Run one empty image through the layers. Source: `BaseModel._predict_once` in ultralytics/nn/tasks.py, 8.4."""
    x: Any = torch.zeros(1, channels, IMAGE_PX, IMAGE_PX)
    outputs: list[Any] = []
    for layer in layers:
        source: Any = layer.f
        if source != -1:
            x = outputs[source] if isinstance(source, int) else [x if i == -1 else outputs[i] for i in source]
        x = layer(x)
        outputs.append(x)
