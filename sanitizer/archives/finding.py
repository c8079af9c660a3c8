"""Finds the dataset behind the paths of a command line: packed or loose files, on this disk or in another storage."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.archives.entry import packed_dataset, require_loose, shards_of_yaml
from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.dataset.listing import Listing, TooManyFilesError
from sanitizer.dataset.model import DatasetError, refuse_unknown_splits
from sanitizer.dataset.single_files import dataset_of_files
from sanitizer.dataset.tables import dataset_fault
from sanitizer.dataset.tasks.declared import require_label_task
from sanitizer.storage.opening import find_storage, refuse_remote
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import DatasetFault
    from sanitizer.dataset.tasks.declared import TaskChoice
    from sanitizer.storage.base import Storage


def find_dataset(
    paths: Sequence[str], splits: Sequence[str] | None = None, task: TaskChoice = "auto"
) -> Dataset:
    """Find the images and labels behind the paths of a command line.

    Args:
        paths: One data.yaml, one dataset folder, one darknet .data file, or label and image files (with or
            without the data.yaml that they belong to), or packed files: tar shards, one .ndjson. They may lie
            behind a URL or in an archive.
        splits: Names of the splits to look at; all by default.
        task: What the user says that the dataset is for; "auto" asks the data.yaml and the folders.

    Returns:
        The dataset, of which only the data.yaml and folder listings are read. Its faults say what is wrong.

    Raises:
        DatasetError: Nothing can be read at all, or `splits` names a split that does not exist, or there are more
            files than `listing.max_files` allows.
        StorageError: A remote storage cannot be reached.
    """
    if not paths:
        raise DatasetError("no path was given: name a data.yaml, a dataset folder or label files")
    storage, given = find_storage(paths)
    try:
        packed = packed_dataset(given if storage.remote else paths, splits, storage)
        if packed is not None:
            refuse_unknown_splits(splits, [s.name for s in packed.splits], packed.data)
            return replace(packed, faults=[*_storage_faults(storage), *packed.faults])
        try:
            dataset = _loose_files(Listing(storage), given, paths, splits, task)
        except TooManyFilesError as error:
            raise DatasetError(str(error)) from None
        return replace(dataset, faults=[*_storage_faults(storage), *dataset.faults])
    except BaseException:
        storage.drop_listings()  # the listings may be what is wrong, so the next search lists again
        raise


def _loose_files(
    listing: Listing,
    given: Sequence[str],
    paths: Sequence[str],
    splits: Sequence[str] | None,
    task: TaskChoice,
) -> Dataset:
    """The dataset of loose files behind absolute paths within one storage; `paths`: the same as the user wrote them."""
    storage = listing.storage
    if storage.remote:
        paths = [storage.url(path) for path in given]
    for path, absolute in zip(paths, given, strict=True):
        if not storage.lexists(absolute):
            looked = storage.url(os.path.dirname(absolute))
            raise DatasetError(f"{shown(path)} does not exist (looked in {shown(looked)})")
    yamls = [p for p in given if p.lower().endswith((".yaml", ".yml")) and not storage.isdir(p)]
    if len(given) == 1 and (yamls or given[0].endswith(".data") or storage.isdir(given[0])):
        from sanitizer.dataset import layout  # not worth its time for a handful of files

        if yamls:
            document = read_data_yaml(yamls[0], storage)
            return layout.from_yaml(document, paths[0], splits, listing, shards_of_yaml, task, named=True)
        if storage.isdir(given[0]):
            return layout.from_folder(given[0], paths[0], splits, listing, shards_of_yaml, task)
        return layout.from_darknet(given[0], paths[0], splits, listing)
    if len(yamls) > 1 or any(storage.isdir(path) for path in given):
        raise DatasetError("give one data.yaml or one folder at a time, or label and image files")
    beside = read_data_yaml(yamls[0], storage) if yamls else None
    return dataset_of_files(given, " ".join(paths), beside, listing, task)


def find_loose_dataset(paths: Sequence[str], splits: Sequence[str] | None = None) -> Dataset:
    """`find_dataset` for commands that change labels, train on images or show single images.

    Raises:
        DatasetError: As `find_dataset`, and for packed files and for tasks without label files.
        StorageError: The files are not on this disk.
    """
    refuse_remote(paths)
    return require_label_task(require_loose(find_dataset(paths, splits)))


def _storage_faults(storage: Storage) -> list[DatasetFault]:
    return [dataset_fault(o.rule, o.detail, o.advice, file=o.path) for o in storage.faults]
