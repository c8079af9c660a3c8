"""Finds out whether paths or a data.yaml name packed files. Every command does this, so few modules are imported."""

from __future__ import annotations

import contextlib
import os
import re
from itertools import islice
from typing import TYPE_CHECKING

from sanitizer.dataset.model import DatasetError
from sanitizer.dataset.single_files import data_yamls_in
from sanitizer.storage.base import LOCAL, Storage
from sanitizer.util.paths import join_path, normal_path, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.model import Dataset

_PACKED_NAME = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|ndjson)$", re.IGNORECASE)
_SPLIT_FOLDERS = frozenset(("train", "val", "test", "minival", "valid", "training", "testing"))
_SPLIT_KEYS = ("train", "val", "test")


def packed_dataset(
    paths: Sequence[str], wanted: Sequence[str] | None, storage: Storage = LOCAL
) -> Dataset | None:
    """The dataset in packed files: those named, or those in a folder whose data.yaml, if any, names no split.

    Args:
        paths: As the user gave them; absolute where the storage is remote.
        wanted: Names of the splits to look at; all by default.
        storage: Where the paths are.

    Returns:
        The dataset; None where the paths name anything else.

    Raises:
        DatasetError: The files cannot be read together, or do not exist; the text is a sentence.
    """
    named = [path for path in paths if _PACKED_NAME.search(path)]
    if not named and not (len(paths) == 1 and storage.isdir(paths[0]) and _may_hold(paths[0], storage)):
        return None
    from sanitizer.archives.ndjson_dataset import from_ndjson
    from sanitizer.archives.tar.shard_sets import from_paths, pack_paths

    found = pack_paths(paths, storage)
    if found is None:
        if named:
            raise DatasetError("give packed files (tar shards, .ndjson) by themselves, without other paths")
        return None
    missing = [path for path in found if not storage.lexists(path)]
    if missing:
        first = shown(storage.url(missing[0]))
        of_how_many = f" ({len(missing):,} of {len(found):,} shards)" if len(found) > 1 else ""
        raise DatasetError(f"{first} does not exist{of_how_many}")
    lines = [path for path in found if path.lower().endswith(".ndjson")]
    if lines and len(found) > 1:
        raise DatasetError("give one .ndjson at a time")
    data = " ".join(map(storage.url, paths))
    if lines:
        return from_ndjson(lines[0], data, wanted, storage)
    return from_paths(found, data, wanted, storage)


def shards_of_yaml(
    document: DataYaml, data: str, wanted: Sequence[str] | None, storage: Storage = LOCAL
) -> Dataset | None:
    """The dataset in the shards that a data.yaml names; None where it names none.

    Raises:
        DatasetError: A pattern stands for too many files.
    """
    if not document.readable or not any(_may_be_shards(p, storage) for p in _split_paths(document, storage)):
        return None
    from sanitizer.archives.tar.shard_sets import from_yaml, yaml_names_shards

    return from_yaml(document, data, wanted, storage) if yaml_names_shards(document, storage) else None


def require_loose(dataset: Dataset) -> Dataset:
    """The same dataset, if its files are loose.

    Raises:
        DatasetError: The files are packed; the text says what to do.
    """
    if not dataset.packs:
        return dataset
    first = dataset.packs[0]
    how = "let `yolo train` convert it, then name the data.yaml that it wrote"
    if first.kind != "ndjson":
        unpack = f"`tar -xf {shown(os.path.basename(first.path))} -C FOLDER"
        how = f"unpack it ({unpack}`), then name that folder"
        if first.only is None and len({pack.split for pack in dataset.packs}) > 1:
            # Shards of two splits may well hold members of the same name.
            split = shown(dataset.splits[first.split].name)
            how = f"unpack each split's shards into a folder of its own ({unpack}/{split}`), named by a data.yaml"
    raise DatasetError(f"{shown(dataset.data)} is packed, and only `scan` reads packed files: {how}")


def _may_hold(folder: str, storage: Storage) -> bool:
    """Whether a folder may hold shards, by the names in it. A data.yaml that names splits rules it out."""
    try:
        names = storage.names(folder)
    except OSError:
        return False
    if not any(name in _SPLIT_FOLDERS or _PACKED_NAME.search(name) for name in names):
        return False
    return not any(key in d.data for d in data_yamls_in(folder, storage)[:1] for key in _SPLIT_KEYS)


def _split_paths(document: DataYaml, storage: Storage) -> Iterator[str]:
    """Absolute paths that the split paths of a data.yaml may mean."""
    folder, base = os.path.dirname(document.path), str(document.data.get("path") or "")
    for key in _SPLIT_KEYS:
        value = document.data.get(key)
        for path in value if isinstance(value, list) else (value,):
            if isinstance(path, str) and "\0" not in path + base:
                yield join_path(folder, base, path)
                if not storage.remote:
                    yield join_path(base, path)


def _may_be_shards(path: str, storage: Storage) -> bool:
    """Whether a path may name shards, by a cheap test: its name, or the first names in the folder."""
    if _PACKED_NAME.search(path):
        return True
    if storage.remote:
        path = normal_path(path)
        return storage.isdir(path) and any(map(_PACKED_NAME.search, islice(storage.names(path), 100)))
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        first = next(entries, None)
        return first is not None and _PACKED_NAME.search(first.name) is not None
    return False
