"""Ultralytics train arguments as `yolo train` spells them: k=v."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from ultralytics.utils import DEFAULT_CFG_DICT

from sanitizer.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

_OURS = {
    "model": "--model",
    "data": "the first argument",
    "device": "--device",
    "task": "--task",
    "mode": "the command",
}


class OverrideError(ValueError):
    """No train argument of that form or name; the text is a sentence."""


def parse_overrides(words: Iterable[str]) -> dict[str, Any]:
    """{"imgsz": 640} of ["imgsz=640"].

    Raises:
        OverrideError: A word is no k=v, Ultralytics has no such argument, or a value is of the wrong kind.
    """
    overrides: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise OverrideError(f"{word!r} is no train argument: write k=v, as in imgsz=640")
        if key in _OURS:
            raise OverrideError(f"{word!r}: {key} is given by {_OURS[key]}")
        if key not in DEFAULT_CFG_DICT:
            raise OverrideError(
                f"{word!r}: Ultralytics has no train argument {key!r}{did_you_mean(key, DEFAULT_CFG_DICT)}"
            )
        try:
            overrides[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            overrides[key] = text
    try:
        from ultralytics.cfg import get_cfg

        get_cfg(overrides=overrides)
    except (TypeError, ValueError, SyntaxError) as error:
        raise OverrideError(f"{' '.join(words)}: {str(error).splitlines()[0]}") from error
    return overrides
