"""From a folder, or the data.yaml beside it, to the `Dataset` of a classification set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sanitizer.dataset.label_caches import find_label_caches
from sanitizer.dataset.listing import is_everything
from sanitizer.dataset.model import Dataset, DatasetError, refuse_unknown_splits, with_states
from sanitizer.dataset.tasks.declared import declared_task
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.split_paths import SplitPaths
    from sanitizer.dataset.tasks.class_folders import ClassSet
    from sanitizer.dataset.tasks.declared import TaskChoice

_WANTED = "training wants train/CLASS/ and val/CLASS/ with images"


def class_dataset_beside(
    document: DataYaml,
    found: SplitPaths,
    names: Mapping[int, str],
    data: str,
    wanted: Sequence[str] | None,
    listing: Listing,
    task: TaskChoice,
    named: bool,
) -> Dataset | None:
    """The classification set beside a data.yaml, which training does not read; None where there is none.

    Args:
        document: The data.yaml.
        found: The splits that it names.
        names: Class names that it has.
        data: The path as the user gave it.
        wanted: Names of the splits to look at; all by default.
        listing: Lists folders.
        task: What the user says that the dataset is for.
        named: The user names the data.yaml, and not its folder.

    Raises:
        DatasetError: The user or the data.yaml asks for classification, and there are no folders of classes.
    """
    declared = declared_task(document, task)
    sure = "classify" in (task, declared if task == "auto" else None)
    if not sure and (task != "auto" or declared is not None):
        return None
    train = next((split.paths for split in found.splits if split.name == "train"), [])
    if not sure and not (len(train) == 1 and _has_folders(train[0], listing)):
        return None
    from sanitizer.dataset.tasks.class_folders import find_class_set

    folder = os.path.dirname(document.path)
    root = os.path.dirname(train[0]) if len(train) == 1 else listing.storage.realpath(folder)
    class_set = find_class_set(root, listing, names.values() if names else None, sure)
    if class_set is not None:
        return _dataset(class_set, data, wanted, listing, names, document.path if named else None, sure)
    if sure:
        named_by = (
            "" if task == "classify" else f", which {shown(document.path)} declares with `task: classify`"
        )
        raise DatasetError(f"{shown(folder)} holds no folders of classes{named_by}: {_WANTED}")
    return None


def _has_folders(path: str, listing: Listing) -> bool:
    """Whether a split is a folder with folders in it, and not the whole disk."""
    storage = listing.storage
    if not storage.isdir(path) or (not storage.remote and is_everything(path)):
        return False
    return bool(listing.folder(path).subfolders)


def class_dataset_in(
    folder: str, data: str, wanted: Sequence[str] | None, listing: Listing, sure: bool
) -> Dataset | None:
    """The classification set in a folder without data.yaml; None where there is none.

    Raises:
        DatasetError: It is `sure` to be one, and there are no folders of classes.
    """
    from sanitizer.dataset.tasks.class_folders import find_class_set

    class_set = find_class_set(listing.storage.realpath(folder), listing, sure=sure)
    if class_set is not None:
        return _dataset(class_set, data, wanted, listing, {}, None, sure)
    if sure:
        raise DatasetError(f"{shown(data)} holds no folders of classes: {_WANTED}")
    return None


def _dataset(
    class_set: ClassSet,
    data: str,
    wanted: Sequence[str] | None,
    listing: Listing,
    names: Mapping[int, str],
    given_yaml: str | None,
    sure: bool,
) -> Dataset:
    from sanitizer.dataset.tasks.class_faults import class_set_faults
    from sanitizer.dataset.tasks.class_folders import class_splits

    refuse_unknown_splits(wanted, [split.name for split in class_set.splits], data)
    splits = class_splits(class_set, wanted)
    if listing.storage.remote:
        splits = [with_states(split, listing.storage) for split in splits]
    how = "a folder of images for each class and no labels: judged as a classification set (--task detect if not)"
    return Dataset(
        root=class_set.root,
        data=data,
        yaml_path=given_yaml,
        splits=splits,
        declared_task="classify",
        nc=class_set.nc,
        names=class_set.names,
        faults=[
            *class_set_faults(class_set, listing, names, given_yaml),
            *find_label_caches(listing, splits, class_set.root),
        ],
        notes=() if sure else (how,),
        storage=listing.storage,
    )
