"""Whether paths or a data.yaml are about packed files: asked of every command line, so it imports next to nothing."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from sanitizer.dataset.places import shown
from sanitizer.dataset.single_files import data_yamls_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.model import Dataset

_PACKED_NAME = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|ndjson)$", re.IGNORECASE)
_SPLIT_KEYS = ("train", "val", "test")


def packed_dataset(paths: Sequence[str], wanted: Sequence[str] | None) -> Dataset | None:
    """The dataset in packed files that are named, or lie in a folder whose data.yaml, if any, names no split.

    Args:
        paths: As the user gave them.
        wanted: Names of the splits to look at; all by default.

    Returns:
        The dataset; None where the paths are about anything else.

    Raises:
        ValueError: They cannot be read together, or are not there; the text is a sentence.
    """
    named = [path for path in paths if _PACKED_NAME.search(path)]
    if not named and not (len(paths) == 1 and os.path.isdir(paths[0]) and not _names_splits(paths[0])):
        return None
    from sanitizer.dataset.packs.find import from_paths, pack_paths
    from sanitizer.dataset.packs.ndjson_dataset import from_ndjson

    found = pack_paths(paths)
    if found is None:
        if named:
            raise ValueError("give packed files (tar shards, .ndjson) by themselves, without other paths")
        return None
    missing = [path for path in found if not os.path.lexists(path)]
    if missing:
        of_how_many = f" ({len(missing):,} of {len(found):,} shards)" if len(found) > 1 else ""
        raise ValueError(f"{shown(missing[0])} does not exist{of_how_many}")
    lines = [path for path in found if path.lower().endswith(".ndjson")]
    if lines and len(found) > 1:
        raise ValueError("give one .ndjson at a time")
    data = " ".join(paths)
    return from_ndjson(lines[0], data, wanted) if lines else from_paths(found, data, wanted)


def shards_of_yaml(document: DataYaml, data: str, wanted: Sequence[str] | None) -> Dataset | None:
    """The dataset in the shards that a data.yaml names; None where it names none.

    Raises:
        ValueError: A pattern stands for too many files.
    """
    if not document.readable or not any(map(_may_be_shards, _places(document))):
        return None
    from sanitizer.dataset.packs.find import from_yaml, yaml_names_shards

    return from_yaml(document, data, wanted) if yaml_names_shards(document) else None


def unpacked(dataset: Dataset) -> Dataset:
    """The same dataset, for commands that change labels, train on images or look at single ones.

    Raises:
        ValueError: It is packed; the text says what to do.
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
    raise ValueError(f"{shown(dataset.data)} is packed, and only `scan` reads packed files: {how}")


def _names_splits(folder: str) -> bool:
    """Whether a data.yaml in the folder says where the splits are; one that only has names leaves it to the folder."""
    return any(key in d.data for d in data_yamls_in(folder)[:1] for key in _SPLIT_KEYS)


def _places(document: DataYaml) -> Iterator[str]:
    """Where the paths of a data.yaml may lead."""
    folder, base = os.path.dirname(document.path), str(document.data.get("path") or "")
    for key in _SPLIT_KEYS:
        value = document.data.get(key)
        for path in value if isinstance(value, list) else (value,):
            if isinstance(path, str) and "\0" not in path + base:
                yield from (os.path.join(folder, base, path), os.path.join(base, path))


def _may_be_shards(path: str) -> bool:
    """By a cheap look: its name, or the first name in it. Most splits are folders of images."""
    if _PACKED_NAME.search(path):
        return True
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        first = next(entries, None)
        return first is not None and _PACKED_NAME.search(first.name) is not None
    return False
