"""From paths of packed files to a `Dataset`: shards by name, pattern, folder or data.yaml, and NDJSON."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from sanitizer.archives.member_pairing import is_image_member, is_label_member
from sanitizer.archives.read_ahead import BEHIND_REQUESTS, ReadAhead, opener_in
from sanitizer.archives.tar.chunks import plain_name
from sanitizer.archives.tar.shard_names import (
    expand,
    folder_split,
    is_compressed,
    is_shard,
    is_split_folder,
    is_tree_member,
    shard_split,
)
from sanitizer.archives.tar.walk import TarWalk
from sanitizer.dataset.class_names import Classes, read_classes
from sanitizer.dataset.model import Dataset, Pack, Split
from sanitizer.dataset.single_files import nearest_data_yaml
from sanitizer.dataset.split_paths import find_from
from sanitizer.dataset.tables import LABEL_TASKS, dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.storage.base import LOCAL, Storage
from sanitizer.util.counting import counted
from sanitizer.util.paths import absolute_path, common_path, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.tables import DatasetFault
    from sanitizer.storage.remote import RemoteStorage

SPLIT_ORDER = ("train", "val", "test", "minival")
MEMBERS_PEEKED = 8
"""Images and labels looked at to see whether a shard holds samples or a tree of images/ and labels/."""


def pack_paths(paths: Sequence[str], storage: Storage = LOCAL) -> list[str] | None:
    """Absolute paths of the packed files that a command line names; None where it names anything else.

    Args:
        paths: Absolute where the storage is remote.
        storage: Where the paths are.

    Raises:
        ValueError: A pattern stands for too many files.
    """
    if len(paths) == 1 and storage.isdir(paths[0]):
        return _shards_in(absolute_path(paths[0]), storage) or None
    if not all(_is_packed_name(path) for path in paths):
        return None
    return [absolute_path(p) for path in paths for p in _expanded(path, storage)]


def _is_packed_name(path: str) -> bool:
    return is_shard(path) or path.lower().endswith(".ndjson")


def _expanded(path: str, storage: Storage) -> list[str]:
    return expand(path) if "{" in path and not storage.lexists(path) else [path]


def _shards_in(folder: str, storage: Storage) -> list[str]:
    """Shards of a folder, else of the folders directly in it that are named like a split."""
    found = _listed(folder, storage)
    if not found:
        for name in _names(folder, storage):
            if is_split_folder(name):
                found += _listed(f"{folder}/{name}", storage)
    return found


def _listed(folder: str, storage: Storage) -> list[str]:
    return [f"{folder}/{name}" for name in _names(folder, storage) if is_shard(name) and name[0] != "."]


def _names(folder: str, storage: Storage) -> list[str]:
    try:
        return sorted(storage.names(folder))
    except OSError:
        return []


def yaml_names_shards(document: DataYaml, storage: Storage = LOCAL) -> bool:
    """Whether a data.yaml names tar shards as its splits."""
    values = [v for key in SPLIT_ORDER for v in _listed_values(document.data.get(key))]
    base = _base(document, storage)
    return any(is_shard(v) or _shards_in(find_from(base, v, storage), storage) for v in values)


def _listed_values(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str) and v and "\0" not in v]


def _base(document: DataYaml, storage: Storage) -> str:
    """The folder that split paths are relative to."""
    folder = os.path.dirname(document.path)
    declared = document.data.get("path")
    if isinstance(declared, str) and declared:
        here = [] if storage.remote else [absolute_path(declared)]
        for base in (*here, find_from(folder, declared, storage)):
            if storage.isdir(base):
                return base
    return folder


@dataclass(slots=True)
class _Gathered:
    """Packed files by split name, their faults, and the number of those that a remote storage could not read."""

    storage: Storage
    by_split: dict[str, list[Pack]] = field(default_factory=dict)
    faults: list[DatasetFault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unread: int = 0

    def finish(self, wanted: Sequence[str] | None) -> tuple[list[Split], list[Pack]]:
        """(empty splits, packs in the order of these)."""
        names = sorted(self.by_split, key=lambda n: (SPLIT_ORDER.index(n) if n in SPLIT_ORDER else 9, n))
        names = [n for n in names if wanted is None or n in wanted]
        packs = [replace(pack, split=i) for i, name in enumerate(names) for pack in self.by_split[name]]
        return [Split.empty(name) for name in names], packs


def from_paths(
    paths: Sequence[str], data: str, wanted: Sequence[str] | None, storage: Storage = LOCAL
) -> Dataset:
    """The dataset in shards given by their paths; classes from the nearest data.yaml above them.

    Args:
        paths: Absolute paths of shards.
        data: As the user gave them.
        wanted: Names of the splits to look at; all by default.
        storage: Where the paths are.
    """
    gathered = _Gathered(storage)
    root = common_path([os.path.dirname(path) for path in paths])
    _add_shards(gathered, list(dict.fromkeys(paths)), None, root)
    near = nearest_data_yaml(root, storage)
    classes = read_classes(near) if near is not None else Classes(None, {}, (0, 0), ())
    if near is None:
        detail = (
            f"no data.yaml above {shown(data)}: it was read as tar shards, and class ids were not checked"
        )
        advice = "Write a data.yaml with names: and with train: and val: naming the shards."
        gathered.faults.append(dataset_fault("D001", detail, advice, Severity.INFO, file=root))
    return _dataset(gathered, root, data, near, classes, wanted)


def from_yaml(
    document: DataYaml, data: str, wanted: Sequence[str] | None, storage: Storage = LOCAL
) -> Dataset:
    """The dataset in the shards that a data.yaml names."""
    gathered = _Gathered(storage)
    base = _base(document, storage)
    root = storage.realpath(base)
    for name in SPLIT_ORDER:
        values = _listed_values(document.data.get(name))
        if wanted is not None and name not in wanted:
            continue
        for value in values:
            _add_value(gathered, document, name, value, base, root)
    return _dataset(gathered, root, data, document, read_classes(document), wanted)


def _add_value(gathered: _Gathered, document: DataYaml, split: str, value: str, base: str, root: str) -> None:
    """One path of a data.yaml: a shard, a pattern, or a folder of shards."""
    where = {"file": document.path, "line": document.line(split), "split": split}
    storage = gathered.storage
    path = find_from(base, value, storage)
    if storage.isdir(path) and (shards := _shards_in(path, storage)):
        paths = shards
    elif is_shard(value):
        paths = _expanded(path, storage)
    else:
        detail = (
            f"`{split}: {shown(value)}` names no tar shard, as other splits do; it was not scanned:"
            " loose files and shards are scanned one at a time"
        )
        gathered.faults.append(
            dataset_fault("D002", detail, "Scan its folder by itself.", Severity.WARNING, **where)
        )
        return
    missing = {p: None for p in paths if not storage.isfile(p)}
    if missing:
        first = shown(next(iter(missing)), root)
        detail = f"`{split}: {shown(value)}`: {counted(len(missing), 'shard')} missing, first {first}"
        gathered.faults.append(
            dataset_fault("D002", detail, "Copy it there, or correct the pattern.", Severity.ERROR, **where)
        )
    _add_shards(gathered, [p for p in paths if p not in missing], split, root)


def _add_shards(gathered: _Gathered, paths: Sequence[str], split: str | None, root: str) -> None:
    """Add shards to a split. If `split` is None, add each shard to every split that its name or its folders name."""
    for path, start in zip(paths, _shard_starts(paths, split, gathered.storage), strict=True):
        own = split or shard_split(path)
        if isinstance(start.error, OSError):
            words = start.error.strerror or type(start.error).__name__
            detail = f"the shard {shown(path, root)} cannot be read: {words}"
            gathered.unread += gathered.storage.remote
            gathered.faults.append(
                dataset_fault(
                    "D002",
                    detail,
                    "Check the path and its permissions.",
                    Severity.ERROR,
                    file=path,
                    split=own,
                )
            )
        elif is_compressed(path):
            gathered.notes.append(
                f"{shown(path, root)} is compressed, which rules out random access: it is read from end to end"
            )
            gathered.by_split.setdefault(own, []).append(Pack(path, "stream", 0, None, start.size))
        elif split is not None:  # in an archive with several splits only the split of the data.yaml is read
            only = split if split in start.splits and len(start.splits) > 1 else None
            gathered.by_split.setdefault(split, []).append(Pack(path, "tar", 0, only, start.size))
        else:
            for name in start.splits:
                only = name if len(start.splits) > 1 else None
                gathered.by_split.setdefault(name, []).append(Pack(path, "tar", 0, only, start.size))


@dataclass(frozen=True, slots=True)
class _ShardStart:
    """What the start of a shard shows: size in bytes, splits of its members, or the error of reading it."""

    size: int = 0
    splits: Sequence[str] = ()
    error: OSError | None = None


def _shard_starts(paths: Sequence[str], split: str | None, storage: Storage) -> Iterable[_ShardStart]:
    """The start of each shard, in order. In a remote storage many are read at a time."""
    read = partial(_shard_start, storage, split)
    if not storage.remote:
        return map(read, paths)
    from sanitizer.storage.concurrent import concurrently

    for folder in {os.path.dirname(path) for path in paths}:
        storage.isdir(folder)  # listed once, and not by every thread
    return concurrently(read, paths, lambda _: BEHIND_REQUESTS.smallest * 8)


def _shard_start(storage: Storage, split: str | None, path: str) -> _ShardStart:
    try:
        size = cast("RemoteStorage", storage).known_size(path) if storage.remote else storage.size(path)
        if is_compressed(path):
            return _ShardStart(size)
        return _ShardStart(size, _splits_in(path, split or shard_split(path), storage, size))
    except OSError as error:
        return _ShardStart(error=error)


def _splits_in(path: str, own: str, storage: Storage, size: int) -> list[str]:
    """Splits of the members: that of the shard, or in a tree of images/ and labels/ those that the folders name."""
    with opener_in(storage, size)(path) as file:
        found: dict[str, None] = {}
        for number, name in enumerate(_names_of_pairs(TarWalk(ReadAhead(file)))):
            if is_tree_member(name):
                found.setdefault(folder_split(name, own))
            elif number >= MEMBERS_PEEKED and not found:
                return [own]
    return list(found) or [own]


def _names_of_pairs(walk: TarWalk) -> Iterator[str]:
    for member in walk:
        name = plain_name(member.name)
        if is_tree_member(name) or is_image_member(name) or is_label_member(name):
            yield name


def _dataset(
    gathered: _Gathered,
    root: str,
    data: str,
    document: DataYaml | None,
    classes: Classes,
    wanted: Sequence[str] | None,
) -> Dataset:
    splits, packs = gathered.finish(wanted)
    declared = document.data.get("task") if document is not None else None
    named = next((task for task in LABEL_TASKS if task == declared), None)
    return Dataset(
        root=root,
        data=data,
        yaml_path=document.path if document is not None else None,
        splits=splits,
        declared_task=named or ("pose" if classes.kpt_shape != (0, 0) else None),
        nc=classes.nc,
        names=classes.names,
        kpt_shape=classes.kpt_shape,
        faults=[*(document.faults if document is not None else ()), *classes.faults, *gathered.faults],
        packs=packs,
        notes=_short(gathered.notes),
        storage=gathered.storage,
        unread=gathered.unread,
    )


def _short(notes: Sequence[str], shown_at_most: int = 3) -> list[str]:
    rest = len(notes) - shown_at_most
    return [*notes[:shown_at_most], *([f"… and {rest} more such shards"] if rest > 0 else [])]
