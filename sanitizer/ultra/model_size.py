"""What a model would cost, counted without building it: PyTorch's device `meta` knows shapes and holds no numbers."""

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
"""The largest model that Ultralytics publishes, YOLOv6-x, has 173 million."""
MAX_ACTIVATIONS = 1 << 28
"""Numbers that the layers put out for one picture of 256 px, which Ultralytics shows to every new model; published: 133
million at most."""
MAX_FLOPS = 250e9
"""Of that picture; published: 97 billion at most."""
MAX_MODULES = 5_000
"""Published: 2,200 at most."""

PICTURE_PX = 256


class TooLargeModelError(Exception):
    """The model would be larger than any that is published; the text is a phrase."""


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the numbers that operations write, and ends what would write more than a limit."""

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
    """Refuse a checked model yaml whose model would take more memory or time than any that is published.

    Args:
        config: What `check_model_yaml` let pass.
        channels: Of the pictures.

    Raises:
        TooLargeModelError: It would; nothing was built.
        Exception: What Ultralytics raises where no model can be built of it.
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
            # Every parameter is written twice: made, and initialised.
            with _Counter(2 * MAX_PARAMETERS, f"it would have more than {MAX_PARAMETERS:,} parameters"):
                layers = _layers(config, channels)
            flops = FlopCounterMode(display=False)
            with flops, _Counter(MAX_ACTIVATIONS, "a single picture would take it gigabytes"):
                _show_picture(layers, channels)
    finally:
        counting.remove()
        Conv.default_act = activation  # which Ultralytics leaves changed where it fails
    if flops.get_total_flops() > MAX_FLOPS:
        raise TooLargeModelError("a single picture would take it minutes")


def _layers(config: Mapping[str, Any], channels: int) -> torch.nn.Sequential:
    described = copy.deepcopy(dict(config))
    if described["backbone"][0][2] == "Silence":  # of YOLOv9; Ultralytics has renamed it
        described["backbone"][0][2] = "nn.Identity"
    layers: torch.nn.Sequential = tasks.parse_model(described, ch=channels, verbose=False)[0]  # type: ignore[no-untyped-call]
    return layers


def _show_picture(layers: torch.nn.Sequential, channels: int) -> None:
    """As `BaseModel._predict_once`."""
    x: Any = torch.zeros(1, channels, PICTURE_PX, PICTURE_PX)
    outputs: list[Any] = []
    for layer in layers:
        source: Any = layer.f
        if source != -1:
            x = outputs[source] if isinstance(source, int) else [x if i == -1 else outputs[i] for i in source]
        x = layer(x)
        outputs.append(x)
