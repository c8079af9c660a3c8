"""Checks a model yaml before Ultralytics builds a model from it: layers and numbers, but no text that would run.

Ultralytics (8.4.190, `nn/tasks.py`) builds a model from a yaml file, or from the yaml that is stored in a .pt. For each
key: what Ultralytics does with it, and what is allowed here.

- `activation`: Ultralytics runs the text with `eval`. Allowed: PyTorch's activations with plain arguments, `nn.SiLU()`.
- module of a layer: Ultralytics looks up `torch.nn.<name>`, `torchvision.ops.<name>`, or any name in its own module.
  Allowed: the layers that `ultralytics.nn.modules` exports, and some of `torch.nn`.
- arguments of a layer: Ultralytics replaces a text by the local variable of that name, or by the Python literal in it.
  Allowed: four variables, plain literals, and the modes of `nn.Upsample`.
- `TorchVision`: Ultralytics downloads weights by name, unless the arguments say not to. Allowed: without weights.
- repeats, channels, `scales`, `depth_multiple`, `width_multiple`, `nc`, `kpt_shape`, `reg_max`: Ultralytics builds as
  many layers, of any size. Allowed: numbers within limits; then `model_size` counts the size of the model.
- `text_model`: Ultralytics downloads a text encoder of this name. Allowed: the names that Ultralytics publishes.
- name of the file: Ultralytics downloads it if it is a URL. Allowed: files on this machine, and Ultralytics' own.

Ultralytics does not use other keys; they may hold plain values.
"""

from __future__ import annotations

import ast
import functools
import math
import re
from typing import TYPE_CHECKING, Any

import yaml

from sanitizer.ultra.versions import installed_version
from sanitizer.util.bounded_read import MIB, read_bounded
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = MIB
MAX_VALUES = 20_000
MAX_DEPTH = 12
MAX_LAYERS = 300
MAX_REPEATS = 100
MAX_NUMBER = 65_536
"""Limit of channels, classes and all other arguments."""
MAX_FACTOR = 16.0
"""Limit of the factors for depth and width."""
MAX_LIST = 64
MAX_TEXT = 100

ACTIVATIONS = frozenset(
    (
        "CELU",
        "ELU",
        "GELU",
        "GLU",
        "Hardshrink",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "Identity",
        "LeakyReLU",
        "LogSigmoid",
        "Mish",
        "PReLU",
        "RReLU",
        "ReLU",
        "ReLU6",
        "SELU",
        "SiLU",
        "Sigmoid",
        "Softplus",
        "Softshrink",
        "Softsign",
        "Tanh",
        "Tanhshrink",
        "Threshold",
    )
)
TORCH_LAYERS = ACTIVATIONS | frozenset(
    (
        "AdaptiveAvgPool2d",
        "AdaptiveMaxPool2d",
        "AvgPool2d",
        "BatchNorm2d",
        "Conv2d",
        "ConvTranspose2d",
        "Dropout",
        "Dropout2d",
        "Flatten",
        "GroupNorm",
        "InstanceNorm2d",
        "MaxPool2d",
        "PixelShuffle",
        "PixelUnshuffle",
        "ReflectionPad2d",
        "ReplicationPad2d",
        "Upsample",
        "UpsamplingBilinear2d",
        "UpsamplingNearest2d",
        "ZeroPad2d",
    )
)
"""Layers of `torch.nn` that a yaml may name: those whose arguments are numbers only."""

VARIABLES = frozenset(("nc", "kpt_shape", "reg_max", "end2end"))
MODES = frozenset(("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "area"))
_DOWNLOADING = "TorchVision"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_TEXT_MODEL = re.compile(r"(clip|mobileclip2?):[A-Za-z0-9/-]{1,20}")


class ModelError(Exception):
    """The model cannot be used; the text is a sentence."""


def read_model_yaml(name: str) -> dict[str, Any]:
    """The checked content of a model yaml, with the keys `scale` and `yaml_file` that Ultralytics adds.

    Args:
        name: A path, or a name that Ultralytics knows, such as yolo11n.yaml, where n is the scale.

    Raises:
        ModelError: There is no such file, it cannot be read, or something in it is not allowed.
    """
    from ultralytics.nn.tasks import guess_model_scale

    try:
        text = read_bounded(_find(name), MAX_BYTES).decode()
        _check_nesting(text)
        config = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{name}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # bad values (`!!int x`, the 31st of February) raise exceptions of many types
        raise ModelError(f"{name}: no model yaml: {legible(' '.join(str(error).split()))}") from error
    check_model_yaml(config, name)
    scale = guess_model_scale(name)  # type: ignore[no-untyped-call]
    result: dict[str, Any] = config | {"scale": scale, "yaml_file": name}
    return result


def check_model_yaml(config: object, where: str) -> None:
    """Refuse a model yaml with anything in it that the module's docstring does not allow.

    Args:
        config: The content of the yaml.
        where: Name of the file, for the error message.

    Raises:
        ModelError: The text names the file and the key, and says which values are allowed.
    """
    try:
        _check(config)
    except _RefusedError as error:
        raise ModelError(f"{where}: {error}; no model is built of it") from None


class _RefusedError(Exception):
    """The yaml is not allowed; the text is a phrase that names the key and says what is wrong with its value."""


def _find(name: str) -> str:
    """Path of the file. Looks in the same places as Ultralytics, but not on the network."""
    from ultralytics.utils import checks

    if "://" in name:
        raise ModelError(f"{name}: nothing is downloaded; name a model yaml that is here")
    scale_less = re.sub(r"(\d+)([nslmx])(.+)?$", r"\1\3", _with_p6_suffix(name))
    for candidate in (_with_p6_suffix(name), scale_less):
        found = checks.check_file(candidate, download=False, hard=False)  # type: ignore[no-untyped-call]
        if found:
            return str(found)
    raise ModelError(
        f"{name}: there is no such file, and Ultralytics {installed_version()} has none of that name"
    )


def _with_p6_suffix(name: str) -> str:
    """The name with -p6 in place of 6: yolov8n6.yaml is the old name of yolov8n-p6.yaml."""
    return re.sub(r"((?:^|[/\\])yolov[58][nsmlx])6(\.ya?ml)$", r"\1-p6\2", name)


def _check_nesting(text: str) -> None:
    """Raise ValueError for a deeply nested yaml, before PyYAML builds values, which recurses in C.

    Aliases are not followed here; `_check_plain` counts what they stand for.
    """
    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"values are nested more than {MAX_DEPTH} deep")


def _check(config: object) -> None:
    if not isinstance(config, dict):
        raise _RefusedError("no model yaml: a model is a mapping with backbone and head")
    _check_plain(config, "the yaml", _ValueCount(), 0)
    _check_layers(config)
    _check_activation(config.get("activation"))
    for key in ("depth_multiple", "width_multiple"):
        _check_number(config.get(key, 1.0), key, 0, MAX_FACTOR)
    _check_scales(config.get("scales"), config.get("scale"))
    for key, most in (("nc", MAX_NUMBER), ("reg_max", 1024), ("ch", 1024), ("channels", 1024)):
        if config.get(key) is not None:
            _check_integer(config[key], key, 0, most)
    for key in ("end2end", "inplace"):
        if not isinstance(config.get(key), bool | int | None):
            raise _RefusedError(f"{key}: {_shown(config[key])} is neither true nor false")
    shape = config.get("kpt_shape")
    if shape is not None and not (
        isinstance(shape, list | tuple) and len(shape) == 2 and all(_is_integer(n, 0, 1000) for n in shape)
    ):
        raise _RefusedError(f"kpt_shape: {_shown(shape)} is no pair of numbers such as [17, 3]")
    text_model = config.get("text_model")
    if text_model is not None and not (isinstance(text_model, str) and _TEXT_MODEL.fullmatch(text_model)):
        raise _RefusedError(f"text_model: {_shown(text_model)} is no text encoder that Ultralytics publishes")


class _ValueCount:
    """Number of values so far; a value counts again for each alias."""

    def __init__(self) -> None:
        self.n = 0


def _check_plain(value: object, where: str, seen: _ValueCount, depth: int) -> None:
    """Refuse values other than mappings, lists and plain scalars, and too many or too deeply nested values."""
    seen.n += 1
    if seen.n > MAX_VALUES or depth > MAX_DEPTH:
        raise _RefusedError(f"holds more than {MAX_VALUES:,} values, or nests them over {MAX_DEPTH} deep")
    if type(value) in (dict,):
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) not in (str, int):
                raise _RefusedError(f"{where}: the key {_shown(key)} is no text")
            _check_plain(item, str(key), seen, depth + 1)
    elif type(value) in (list, tuple):
        for item in value:  # type: ignore[attr-defined]
            _check_plain(item, where, seen, depth + 1)
    elif type(value) not in (str, int, float, bool, type(None)):
        raise _RefusedError(f"{where}: holds {_shown(value)}, which is no plain value")


def _check_layers(config: Mapping[str, Any]) -> None:
    rows = []
    for part in ("backbone", "head"):
        if not isinstance(config.get(part), list):
            raise _RefusedError(f"{part}: is missing, or no list of layers")
        rows += [(f"{part} layer {n}", row) for n, row in enumerate(config[part])]
    if not 0 < len(rows) <= MAX_LAYERS:
        raise _RefusedError(f"backbone and head have {len(rows):,} layers; a model has 1 to {MAX_LAYERS}")
    for where, row in rows:
        if not isinstance(row, list | tuple) or len(row) != 4:
            raise _RefusedError(f"{where}: {_shown(row)} is no [from, repeats, module, arguments]")
        _check_layer(where, *row)


def _check_layer(where: str, source: Any, repeats: Any, module: Any, arguments: Any) -> None:
    sources = source if isinstance(source, list | tuple) else [source]
    if len(sources) > MAX_LIST or not all(_is_integer(s, -MAX_LAYERS, MAX_LAYERS) for s in sources):
        raise _RefusedError(f"{where}: it comes from {_shown(source)}, which is no number of a layer")
    _check_integer(repeats, f"{where}, repeats", 1, MAX_REPEATS)
    if not isinstance(module, str) or not _is_known_layer(module):
        raise _RefusedError(f"{where}: there is no layer {_shown(module)}")
    if not isinstance(arguments, list | tuple) or len(arguments) > MAX_LIST:
        raise _RefusedError(f"{where}, {module}: its arguments are no list of at most {MAX_LIST}")
    if module == _DOWNLOADING:
        arguments = _without_download(arguments, where)
    for argument in arguments:
        _check_argument(argument, f"{where}, {module}")


def _is_known_layer(module: str) -> bool:
    if module.startswith("nn."):
        return module[3:] in TORCH_LAYERS
    return module == "Silence" or module in _ultralytics_layers()


@functools.cache
def _ultralytics_layers() -> frozenset[str]:
    """Names of the layers that a yaml of the installed Ultralytics may use."""
    from torch import nn
    from ultralytics.nn import modules, tasks

    exported = {name: getattr(modules, name, None) for name in modules.__all__}
    return frozenset(
        name
        for name, layer in exported.items()
        if isinstance(layer, type) and issubclass(layer, nn.Module) and vars(tasks).get(name) is layer
    )


def _without_download(arguments: Any, where: str) -> Any:
    """The arguments of a TorchVision layer without the model's name and weights; refuses weights to download."""
    channels, name, weights, *others = [*arguments, None, "", "DEFAULT"][: max(len(arguments), 3)]
    if weights not in (None, "None") or len(arguments) < 3:
        raise _RefusedError(
            f"{where}: TorchVision would download weights; write null as its third argument, and nothing is downloaded"
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _RefusedError(f"{where}, TorchVision: {_shown(name)} is no name of a model")
    return [channels, *others]


def _check_argument(value: Any, where: str) -> None:
    if isinstance(value, list | tuple):
        if len(value) > MAX_LIST:
            raise _RefusedError(f"{where}: a list of {len(value):,} arguments")
        for item in value:
            _check_argument(item, where)
    elif isinstance(value, str):
        if value not in VARIABLES and value not in MODES:
            _check_argument(_literal(value, where), where)
    elif isinstance(value, int | float):
        _check_number(value, where, -MAX_NUMBER, MAX_NUMBER)
    elif value is not None:
        raise _RefusedError(f"{where}: {_shown(value)} is neither a number nor a list of numbers")


def _literal(text: str, where: str) -> Any:
    try:
        if len(text) > MAX_TEXT:
            raise ValueError
        value = ast.literal_eval(text)
        if not isinstance(value, int | float | list | tuple | None):
            raise ValueError
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise _RefusedError(
            f"{where}: the argument {_shown(text)} is no number, and no name that is known"
        ) from None
    return value


def _check_activation(text: object) -> None:
    if text and not (isinstance(text, str) and is_activation(text)):
        raise _RefusedError(
            f"activation: {_shown(text)} is none of PyTorch's activations with plain arguments, such as nn.SiLU(), "
            "and Ultralytics would run it as code"
        )


def is_activation(text: str) -> bool:
    """Whether a text is `nn.X(…)` or `torch.nn.X(…)` with a known activation X and plain arguments."""
    try:
        call = ast.parse(text.strip(), mode="eval").body if len(text) <= MAX_TEXT else None
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    if not isinstance(call, ast.Call):
        return False
    package, _, name = ast.unparse(call.func).rpartition(".")
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    return (
        package in ("nn", "torch.nn")
        and name in ACTIVATIONS
        and all(keyword.arg for keyword in call.keywords)
        and all(map(_is_plain_argument, values))
    )


def _is_plain_argument(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        node = node.operand
    if not isinstance(node, ast.Constant):
        return False
    value = node.value
    if isinstance(value, int | float):
        return -MAX_NUMBER <= value <= MAX_NUMBER
    return value is None or value in ("none", "tanh")


def _check_scales(scales: object, scale: object) -> None:
    if scale is not None and not isinstance(scale, str):
        raise _RefusedError(f"scale: {_shown(scale)} is no name of a scale")
    if not scales:
        return
    if not isinstance(scales, dict):
        raise _RefusedError(
            f"scales: {_shown(scales)} is no mapping of a name to [depth, width, max_channels]"
        )
    for name, values in scales.items():
        if not isinstance(values, list | tuple) or len(values) != 3:
            raise _RefusedError(
                f"scales, {_shown(name)}: {_shown(values)} is no [depth, width, max_channels]"
            )
        for value, most in zip(values, (MAX_FACTOR, MAX_FACTOR, MAX_NUMBER), strict=True):
            _check_number(value, f"scales, {name}", 0, most)


def _check_number(value: object, where: str, least: float, most: float) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
        raise _RefusedError(f"{where}: {_shown(value)} is no number from {least:g} to {most:g}")


def _check_integer(value: object, where: str, least: int, most: int) -> None:
    if not _is_integer(value, least, most):
        raise _RefusedError(f"{where}: {_shown(value)} is no whole number from {least} to {most}")


def _is_integer(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _shown(value: object) -> str:
    """A value for a message: one line, cut if it is long."""
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__}"  # its text could be endless
    if isinstance(value, int) and abs(value) > 10**20:
        return "a number of over 20 digits"  # which Python may refuse to write
    if isinstance(value, int | float | None):
        return str(value)
    text = legible(str(value)[:200])
    return f"{text[:60]!r}…" if len(text) > 60 else repr(text)
