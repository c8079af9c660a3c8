"""Keys that training does not read: of other tools, in capitals, or at a wrong place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_OTHER_TOOLS = {
    "train": ("training", "train_images", "train_path", "train_dir"),
    "val": ("valid", "validate", "vali", "val_images", "val_path", "val_dir", "validation_images"),
    "names": ("classes", "class_names", "classnames", "categories", "labels", "name"),
}


def key_of_other_tool(data: Mapping[Any, Any], key: str) -> str | None:
    """The key that stands for one that training misses, with a value that would fit; None where there is none."""
    fits = (list, dict) if key == "names" else (str, list)
    for written, value in data.items():
        lower = written.strip().lower() if isinstance(written, str) else ""
        if written != key and lower in (key, *_OTHER_TOOLS[key]) and isinstance(value, fits) and value:
            return str(written)
    return None


def entries_at_top(data: Mapping[Any, Any]) -> dict[int, str]:
    """Class ids and names that stand at the top level of a data.yaml, as those below `names:` were not indented."""
    found = {key: value for key, value in data.items() if isinstance(key, int) and not isinstance(key, bool)}
    return {
        key: str(value) for key, value in found.items() if not isinstance(value, (list, dict, type(None)))
    }


def parent_of(data: Mapping[Any, Any], key: str) -> str | None:
    """The key below which one stands that training looks for at the top level."""
    return next((str(k) for k, value in data.items() if isinstance(value, dict) and value.get(key)), None)
