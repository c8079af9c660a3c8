"""Finds the dataset behind the paths of a command line: packed or loose files, on this disk or in another storage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.archives.entry import packed_dataset, require_loose, shards_of_yaml
from sanitizer.dataset.layout import find_loose_files
from sanitizer.dataset.listing import Listing, TooManyFilesError
from sanitizer.dataset.model import DatasetError, refuse_unknown_splits
from sanitizer.dataset.tables import dataset_fault
from sanitizer.dataset.tasks.declared import require_label_task
from sanitizer.storage.opening import find_storage, refuse_remote

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
            dataset = find_loose_files(Listing(storage), given, paths, splits, shards_of_yaml, task)
        except TooManyFilesError as error:
            raise DatasetError(str(error)) from None
        return replace(dataset, faults=[*_storage_faults(storage), *dataset.faults])
    except BaseException:
        storage.drop_listings()  # the listings may be what is wrong, so the next search lists again
        raise


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
