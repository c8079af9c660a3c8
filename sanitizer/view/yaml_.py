"""The data.yaml of a view: what the original says of classes and keypoints, in the form that training accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.util.escape import legible
from sanitizer.view.folder import ViewError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.dataset.model import Dataset

_WRITTEN_ANEW = (
    "path",
    "train",
    "val",
    "validation",
    "test",
    "minival",
    "names",
    "nc",
    "kpt_shape",
    "flip_idx",
)
_LEFT_OUT = ("download", "masks_dir", "depth_dir", "yaml_file")
"""Code that training would run, and folders that a view does not have."""
_MOST_UNNAMED_CLASSES = 10_000


def view_yaml(dataset: Dataset, place: str, lists: Mapping[str, str], highest_class: int) -> str:
    """Text of the view's data.yaml.

    Args:
        dataset: The original.
        place: Absolute path of the view.
        lists: Split name to its list, relative to `place`.
        highest_class: Highest class id in the view's labels, -1 without any: for data that names no classes.

    Raises:
        ViewError: The classes are not named anywhere, and the ids are too high to be counted instead.
    """
    original: Mapping[Any, Any] = read_data_yaml(dataset.yaml_path).data if dataset.yaml_path else {}
    n_classes = dataset.nc or max(highest_class + 1, 1)
    if n_classes > _MOST_UNNAMED_CLASSES and n_classes > 10 * len(dataset.names):
        raise ViewError(
            f"there are {n_classes:,} classes and next to no names: name them in a data.yaml first"
        )
    names = {i: dataset.names.get(i, f"class_{i}") for i in range(n_classes)}
    values: dict[Any, Any] = {"path": place, **lists, "nc": n_classes, "names": names}
    if dataset.kpt_shape != (0, 0):
        values["kpt_shape"] = list(dataset.kpt_shape)
        flip = original.get("flip_idx")
        if isinstance(flip, list) and len(flip) == dataset.kpt_shape[0]:
            values["flip_idx"] = flip
    values |= {k: v for k, v in original.items() if k not in (*_WRITTEN_ANEW, *_LEFT_OUT)}
    head = f"# A view of {legible(dataset.data)}, by `sanitize fix --view`: links to its images, copies of labels"
    return f"{head}\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
