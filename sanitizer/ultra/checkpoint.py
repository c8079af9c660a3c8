"""Checks a .pt file before anybody loads it: it must be a whole archive with an ordinary checkpoint in it.

Loading with `weights_only` is not enough. Ultralytics (8.4.190) then still
- calls any layer class that the pickle names, with any arguments: `TorchVision` downloads, `DetectionModel` reads or
  downloads a yaml, `DistillationModel` loads a second .pt without restriction;
- takes over every attribute of the model, also hooks and attributes that replace methods;
- runs the `activation` of the stored model yaml when it builds the model again, and does whatever else `model_yaml`
  lists;
- passes `modelopt` to a library that imports modules by name;
- and, for training, loads the file without any restriction.

If a file passes this check, neither Ultralytics' own loaders nor `adapter.weights` do any of these things with it.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from torch import nn

from sanitizer.ultra.model_yaml import ModelError, check_model_yaml
from sanitizer.ultra.pickle_outline import (
    NAMESPACES,
    Instance,
    Method,
    Name,
    PickleRefusedError,
    StoredTensor,
    TensorStorage,
    UnknownNameError,
    outline,
)
from sanitizer.ultra.versions import installed_version
from sanitizer.util.bounded_read import MIB, as_size, open_regular
from sanitizer.util.escape import first_line, legible

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 4096 * MIB
"""Size limit of the file. A checkpoint of the largest model, with its optimizer, has 2 GB."""
MAX_PICKLE_BYTES = 32 * MIB
"""Size limit of data.pkl. Published checkpoints have 100 kB."""
MAX_NUMBERS_PER_BYTE = 2
"""Limit of the numbers in all tensors, per byte of the file: tensors that share memory use more once converted."""

_NUMBER_BYTES = {
    "Double": 8,
    "Long": 8,
    "Float": 4,
    "Int": 4,
    "Half": 2,
    "BFloat16": 2,
    "Short": 2,
} | dict.fromkeys(("Char", "Byte", "Bool", "Untyped"), 1)
_LAYERS = re.compile(r"(torch\.nn\.modules|ultralytics\.nn\.modules)(\.[a-z0-9_]+)?")
_LOSSES = ("ultralytics.utils.loss", "ultralytics.utils.tal")
_ALIASES = {
    "ultralytics.nn.modules.block Silence": "torch.nn.modules.linear Identity",
    "ultralytics.nn.tasks YOLOv10DetectionModel": "ultralytics.nn.tasks DetectionModel",
    "ultralytics.utils.loss v10DetectLoss": "ultralytics.utils.loss E2EDetectLoss",
    **dict.fromkeys(NAMESPACES, "ultralytics.utils IterableSimpleNamespace"),
}
"""Old names of classes, in older checkpoints, to the present names; and the class that holds arguments."""
_TRANSFORMS = frozenset(
    f"torchvision.transforms.transforms {name}"
    for name in ("Compose", "Normalize", "Resize", "CenterCrop", "ToTensor")
)
_HOOKS = re.compile(r"_.*hooks(_.*)?")
_METHODS_KEPT = frozenset(("forward", "detect"))
"""Attributes in which Ultralytics itself stores a method: in fused layers, and in older segmentation heads."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The parts of a .pt file that can be read without loading it.

    Attributes:
        model_yaml: The checked model yaml in the file; None if the file holds no Ultralytics model.
        arguments: The train arguments that the model was trained with.
    """

    model_yaml: Mapping[str, Any] | None
    arguments: Mapping[str, Any]


def read_checkpoint(path: str) -> Checkpoint:
    """Check a .pt file without running or loading anything in it.

    Raises:
        ModelError: The file cannot be read, or loading it would do more than build tensors and known layers.
    """
    if not os.path.lexists(path):
        raise ModelError(
            f"{path}: there is no such file, and nothing is downloaded; name a .pt file that is here"
        )
    try:
        with open_regular(path) as file:
            pickle, sizes = _pickle_of(file)
        content = outline(pickle, is_known_class)
        _check_objects(content, sizes)
    except UnknownNameError as error:
        if _is_absent_part(error.name):
            raise ModelError(_of_other_version(path, error.name)) from error
        raise ModelError(_untrusted(path, str(error))) from error
    except PickleRefusedError as error:
        raise ModelError(_untrusted(path, str(error))) from error
    except Exception as error:
        raise ModelError(f"{path}: no checkpoint that can be read ({first_line(error)})") from error
    return _checkpoint(content, path)


def _pickle_of(file: BinaryIO) -> tuple[bytes, dict[str, int]]:
    """(the pickle of an archive of `torch.save`, size of each member in bytes by name).

    PyTorch's own reader reads the archive, so that the bytes checked here are the bytes loaded later.
    """
    n_bytes = os.fstat(file.fileno()).st_size
    if n_bytes > MAX_BYTES:
        raise ValueError(f"larger than the limit of {as_size(MAX_BYTES)}")
    # By these bytes, PyTorch distinguishes archives from its older formats, which are a single pickle.
    if file.read(4) != b"PK\x03\x04":
        raise ValueError("no archive that PyTorch 1.6 or later has written")
    file.seek(0)
    reader: Any = torch._C.PyTorchFileReader(file)
    if reader.has_record("constants.pkl"):
        raise PickleRefusedError("it is a TorchScript archive, which holds a program")
    records = reader.get_all_records()
    sizes = _sizes(reader, file)
    if len(records) != len(sizes) or sum(sizes.values()) > n_bytes:
        raise ValueError("its members are larger than the file, or have the same name")
    if sizes["data.pkl"] > MAX_PICKLE_BYTES:
        raise ValueError(f"its data.pkl is larger than the limit of {as_size(MAX_PICKLE_BYTES)}")
    pickle: bytes = reader.get_record("data.pkl")
    return pickle, sizes


def _sizes(reader: Any, file: BinaryIO) -> dict[str, int]:
    """Size of each member, unpacked, in bytes."""
    if hasattr(reader, "get_record_size"):
        return {name: reader.get_record_size(name) for name in reader.get_all_records()}
    with zipfile.ZipFile(file) as archive:  # PyTorch before 2.7
        return {entry.filename.partition("/")[2]: entry.file_size for entry in archive.infolist()}


@functools.cache
def is_known_class(name: str) -> bool:
    """Whether `module name` is a layer of PyTorch, or a layer, model or part of a loss of Ultralytics.

    A pickle may make an empty object of such a class and set its attributes. It may not call the class.
    """
    if name in _ALIASES or name in _TRANSFORMS:
        return True
    module = name.partition(" ")[0]
    if not _holds_parts(module):
        return False
    found = class_of(name)
    if found is None or getattr(found, "__new__", None) is not getattr(object, "__new__", None):
        return False
    return found.__module__ == module if module in _LOSSES else issubclass(found, nn.Module)


def _holds_parts(module: str) -> bool:
    """Whether layers, models or parts of a loss are defined in a module of this name."""
    return bool(_LAYERS.fullmatch(module)) or module == "ultralytics.nn.tasks" or module in _LOSSES


def _is_absent_part(name: str) -> bool:
    """Whether a name is that of a layer, model or part of a loss that the installed Ultralytics does not have."""
    module = name.partition(" ")[0]
    return module.startswith("ultralytics.") and _holds_parts(module) and class_of(name) is None


def class_of(name: str) -> type[Any] | None:
    """The class that `module name` is in the installed versions, by its present name; None if there is none."""
    module, _, attribute = _ALIASES.get(name, name).partition(" ")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return None
    return found if isinstance(found, type) else None


def _check_objects(content: Any, sizes: Mapping[str, int]) -> None:
    """Refuse objects with hooks or replaced methods, and tensors whose numbers are not in the archive."""
    waiting, seen, numbers = [content], set(), 0
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, str | int | float | bytes | None):
            continue
        seen.add(id(value))
        if isinstance(value, Name) and not value.text.startswith("torch "):
            raise PickleRefusedError(f"it keeps the class {value.text.replace(' ', '.')!r} itself")
        if isinstance(value, StoredTensor):
            _check_storage(value.storage, sizes)
            numbers += math.prod(value.size)
        elif isinstance(value, Instance):
            _check_attributes(value)
            waiting += value.state.values()
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, Method):
            raise PickleRefusedError("it keeps a method where none belongs")
    if numbers > MAX_NUMBERS_PER_BYTE * sum(sizes.values()):
        raise ValueError("its tensors are far larger than the file")


def _check_storage(storage: TensorStorage, sizes: Mapping[str, int]) -> None:
    n_bytes = _NUMBER_BYTES.get(storage.kind.rpartition(" ")[2].removesuffix("Storage"))
    if n_bytes is None or storage.count * n_bytes > sizes.get(f"data/{storage.key}", -1):
        raise ValueError(f"the numbers of tensor {storage.key[:20]!r} are missing")


def _check_attributes(instance: Instance) -> None:
    kind = class_of(instance.kind)
    for key, value in list(instance.state.items()):
        if key in _METHODS_KEPT and isinstance(value, Method):
            del instance.state[key]  # this method is checked
        elif _HOOKS.fullmatch(key) and value:
            raise PickleRefusedError(f"a layer has hooks ({key})")
        elif key.startswith("__") or (key == "_compiled_call_impl" and value is not None):
            raise PickleRefusedError(f"a layer has its own {key}")
        elif isinstance(value, Instance | Method | Name) and callable(getattr(kind, key, None)):
            raise PickleRefusedError(f"a layer has something else in place of its method {key}")


def _checkpoint(content: Any, path: str) -> Checkpoint:
    if not isinstance(content, dict):
        return Checkpoint(None, {})
    if content.get("modelopt"):
        raise ModelError(_untrusted(path, "modelopt: it puts a quantised model together by name"))
    models = [content[key] for key in ("model", "ema") if content.get(key) is not None]
    described = [model for model in models if isinstance(model, Instance) and "yaml" in model.state]
    for model in described:
        check_model_yaml(model.state["yaml"], f"{path}, the model yaml in it")
    is_whole = described and len(described) == len(models)
    description = described[-1].state["yaml"] if is_whole else None
    arguments = content.get("train_args")
    return Checkpoint(description, arguments if isinstance(arguments, dict) else {})


def _of_other_version(path: str, name: str) -> str:
    return (
        f"{path}: it needs {legible(name.replace(' ', '.'))[:200]}, which Ultralytics {installed_version()} does not "
        "have: another version has saved it"
    )


def _untrusted(path: str, reason: str) -> str:
    return (
        f"{path}: loading it would run code that it carries; --trust-weights allows that, "
        f"if you know who made the file ({legible(reason)[:200]})"
    )
