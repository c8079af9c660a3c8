"""Train arguments in the form of `yolo train`, key=value: parsing, defaults, and errors for unknown keys."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
from typing import TYPE_CHECKING, Any

import yaml

from sanitizer.util.bounded_read import MIB, read_bounded
from sanitizer.util.bounded_yaml import Loader, find_hazard
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OWN_ARGUMENTS: Mapping[str, Any] = {"max_grad_norm": "auto", "adaptive_percentile": None}
"""Further arguments, which only the clipped trainer has, with their defaults."""

ULTRALYTICS_LIMIT = 10.0
"""Gradient norm at which Ultralytics' own trainer clips; it has no argument for this."""

_STILL_ACCEPTED = {
    *("augmentations", "save_dir"),
    *("boxes", "hide_labels", "hide_conf", "line_thickness", "end2end", "int8", "half"),
    *("label_smoothing", "save_hybrid", "crop_fraction", "keras"),
}
"""Keys that Ultralytics accepts although its default.yaml does not have them (`cfg._handle_deprecation`)."""

_OTHER_NAMES = {
    "lr": "lr0",
    "learning_rate": "lr0",
    "batch_size": "batch",
    "batchsize": "batch",
    "img_size": "imgsz",
    "image_size": "imgsz",
    "size": "imgsz",
    "warmup": "warmup_epochs",
    "num_workers": "workers",
    "clip": "max_grad_norm",
    "grad_clip": "max_grad_norm",
    "max_norm": "max_grad_norm",
    "fp16": "amp",
}
"""Names of arguments in other trainers. By similar spelling alone, the suggestion for `lr` would be `lrf`."""


MAX_ARGUMENTS_BYTES = MIB
"""Size limit of a file of train arguments; Ultralytics' own has 8 kB."""


class ArgumentError(ValueError):
    """A train argument does not exist, or its value cannot be used. The text names it and suggests another, if any."""


def parse_arguments(texts: Iterable[str]) -> dict[str, Any]:
    """Key to value, from key=value texts. The last value of a key counts. Values get the types that Ultralytics gives.

    Raises:
        ArgumentError: A text is not key=value, or its key is unknown.
    """
    arguments = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            raise ArgumentError(f"{text!r} is no train argument: write key=value, such as lr0=0.01")
        arguments[key] = value if key in ("name", "project") else _value(value)
    check_keys(arguments)
    return arguments


def check_keys(arguments: Iterable[str]) -> None:
    """Raise ArgumentError for the first key that neither Ultralytics nor the clipped trainer knows."""
    known = {*default_arguments(), *OWN_ARGUMENTS}
    for key in arguments:
        if key not in known and key not in _STILL_ACCEPTED:
            other = _OTHER_NAMES.get(key.lower().replace("-", "_"))
            hint = f" (did you mean {other!r}?)" if other else did_you_mean(key, known)
            raise ArgumentError(f"there is no train argument {key!r}{hint}")


def resolve_arguments(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments with their values. Overrides come before the file that `cfg` names, and that before the defaults.

    Raises:
        ArgumentError: A key is unknown, or the `cfg` file cannot be read.
    """
    check_keys(overrides)
    from_file: dict[str, Any] = {}
    if overrides.get("cfg"):
        from_file = _read_mapping(str(overrides["cfg"]))
        check_keys(from_file)
    return {**default_arguments(), **OWN_ARGUMENTS, **from_file, **overrides}


@functools.cache
def default_arguments() -> Mapping[str, Any]:
    """Ultralytics' own defaults, from the default.yaml of the installed version, without a slow import of Ultralytics.

    Raises:
        ArgumentError: Ultralytics is not installed.
    """
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        raise ArgumentError(
            "Ultralytics is not installed, so its train arguments are unknown: pip install ultralytics"
        )
    return _read_mapping(os.path.join(next(iter(spec.submodule_search_locations)), "cfg", "default.yaml"))


def _read_mapping(path: str) -> dict[str, Any]:
    try:
        text = read_bounded(path, MAX_ARGUMENTS_BYTES).decode()
        hazard = find_hazard(text)
        content = None if hazard else yaml.load(text, Loader)
    except Exception as e:  # bad values (`!!int x`, the 31st of February) raise exceptions of many types
        raise ArgumentError(
            f"{path}: cannot be read as train arguments: {' '.join(str(e).split())}"
        ) from None
    if hazard:
        raise ArgumentError(f"{path}: cannot be read as train arguments: it {hazard.problem}")
    if not isinstance(content, dict):
        raise ArgumentError(f"{path}: train arguments are a mapping of key to value")
    return {str(key): value for key, value in content.items()}


def number(arguments: Mapping[str, Any], key: str) -> float:
    """The value of an argument that must be a number.

    Raises:
        ArgumentError: The value is not a number.
    """
    value = arguments[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(f"{key}={value}: {key} is a number")
    return float(value)


def _value(text: str) -> Any:
    """The value of a text: None, True or False in upper or lower case, else a Python literal, else the text itself."""
    word = {"none": None, "true": True, "false": False}
    if text.lower() in word:
        return word[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
