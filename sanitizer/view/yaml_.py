"""The data.yaml of a view: the classes and keypoints of the original, in the form that training accepts."""

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
"""Keys that are left out: code that training would run, and folders that a view does not have."""
_MOST_UNNAMED_CLASSES = 10_000


def view_yaml(dataset: Dataset, view_folder: str, lists: Mapping[str, str], highest_class: int) -> str:
    """Text of the view's data.yaml.

    Args:
        dataset: The original.
        view_folder: Absolute path of the view.
        lists: Split name to the split's image list, relative to `view_folder`.
        highest_class: Highest class id in the view's labels, -1 without labels. If the dataset does not say how many
            classes there are, this id gives the number.

    Raises:
        ViewError: There are too many classes without a name.
    """
    original: Mapping[Any, Any] = read_data_yaml(dataset.yaml_path).data if dataset.yaml_path else {}
    n_classes = dataset.nc or max(highest_class + 1, 1)
    if n_classes > _MOST_UNNAMED_CLASSES and n_classes > 10 * len(dataset.names):
        raise ViewError(
            f"there are {n_classes:,} classes and next to no names: name them in a data.yaml first"
        )
    names = {i: dataset.names.get(i, f"class_{i}") for i in range(n_classes)}
    values: dict[Any, Any] = {"path": view_folder, **lists, "nc": n_classes, "names": names}
    if dataset.kpt_shape != (0, 0):
        values["kpt_shape"] = list(dataset.kpt_shape)
        flip = original.get("flip_idx")
        if isinstance(flip, list) and len(flip) == dataset.kpt_shape[0]:
            values["flip_idx"] = flip
    values |= {k: v for k, v in original.items() if k not in (*_WRITTEN_ANEW, *_LEFT_OUT)}
    head = f"# A view of {legible(dataset.data)}, by `sanitize fix --view`: links to its images, copies of labels"
    return f"{head}\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
