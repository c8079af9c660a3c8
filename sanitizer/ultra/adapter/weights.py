"""Loads a checkpoint with an unpickler that knows only what `checkpoint` allows, the same for all versions.

Ultralytics' own safe loader puts empty classes in place of its layers up to 8.4.50.
"""

from __future__ import annotations

import enum
import importlib
import pathlib
import pickle
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.ultra.checkpoint import class_of, is_known_class
from sanitizer.ultra.pickle_outline import FORWARD, FUNCTIONS, GETATTR, is_torch_value

if TYPE_CHECKING:
    import os


def load_restricted(path: str | os.PathLike[str]) -> Any:
    """The content of a checkpoint, on the CPU, made of classes and functions that `checkpoint` knows, and no others.

    Raises:
        pickle.UnpicklingError: It names another class or function.
        Exception: It cannot be read.
    """
    pickles = SimpleNamespace(__name__="restricted_pickle", Unpickler=_Unpickler, load=_refuse_old_format)
    return torch.load(path, map_location="cpu", weights_only=False, pickle_module=pickles)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full = f"{module} {name}"
        if full in GETATTR:
            return _forward_of
        if is_known_class(full):
            return class_of(full)
        if full in FUNCTIONS or is_torch_value(full):
            return _present_form(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _present_form(module: str, name: str) -> Any:
    """What a name of `FUNCTIONS` is here: Python and NumPy have moved some of them."""
    if name == "scalar":
        return np.float64(0).__reduce__()[0]
    if name in ("PosixPath", "WindowsPath"):
        return pathlib.Path
    return getattr(importlib.import_module("builtins" if module == "__builtin__" else module), name)


def _forward_of(owner: Any, name: str) -> Any:
    """In place of `getattr`: the method `forward` of a layer, or a member of an enumeration."""
    kind = owner if isinstance(owner, type) else type(owner)
    is_member = isinstance(owner, type) and issubclass(owner, enum.Enum) and name.isupper()
    if is_member or (name in FORWARD and issubclass(kind, torch.nn.Module)):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"it takes the attribute {name}")


def _refuse_old_format(*_: object, **__: object) -> Any:
    raise pickle.UnpicklingError("no archive that PyTorch 1.6 or later has written")
