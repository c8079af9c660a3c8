"""From paths of packed files to a `Dataset`: shards by name, pattern, folder or data.yaml, and NDJSON."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sanitizer.dataset.class_names import Classes, read_classes
from sanitizer.dataset.model import Dataset, Pack, Split
from sanitizer.dataset.packs.read_ahead import ReadAhead, open_unbuffered
from sanitizer.dataset.packs.shard_names import (
    expand,
    folder_split,
    is_compressed,
    is_shard,
    is_tree_member,
    shard_split,
)
from sanitizer.dataset.packs.tar_chunks import plain_name
from sanitizer.dataset.packs.tar_walk import TarWalk
from sanitizer.dataset.places import counted, find_from, place, shown
from sanitizer.dataset.single_files import nearest_data_yaml
from sanitizer.dataset.storage import LOCAL
from sanitizer.dataset.tables import TASKS
from sanitizer.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.packs.read_ahead import Opener
    from sanitizer.dataset.tables import Place

SPLIT_ORDER = ("train", "val", "test", "minival")
_PEEKED = 64
"""Members looked at to see whether a shard holds samples or a tree of images/ and labels/."""


def pack_paths(paths: Sequence[str]) -> list[str] | None:
    """Absolute paths of the packed files that a command line names; None where it names anything else.

    Raises:
        ValueError: A pattern stands for too many files.
    """
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return _shards_in(os.path.abspath(paths[0])) or None
    if not all(_is_packed_name(path) for path in paths):
        return None
    return [os.path.abspath(p) for path in paths for p in (expand(path) if _is_pattern(path) else [path])]


def _is_packed_name(path: str) -> bool:
    return is_shard(path) or path.lower().endswith(".ndjson")


def _is_pattern(path: str) -> bool:
    return "{" in path and not os.path.lexists(path)


def _shards_in(folder: str) -> list[str]:
    """Shards of a folder, else of the folders directly in it that are called as a split is."""
    found = _listed(folder)
    if not found:
        for name in _names(folder):
            if shard_split(f"/{name}/0") == name or name in ("valid", "training", "testing"):
                found += _listed(f"{folder}/{name}")
    return found


def _listed(folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in _names(folder) if is_shard(name) and name[0] != "."]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def yaml_names_shards(document: DataYaml) -> bool:
    """Whether a data.yaml names tar shards as its splits."""
    values = [v for key in SPLIT_ORDER for v in _listed_values(document.data.get(key))]
    folder = os.path.dirname(document.path)
    return any(is_shard(v) or _shards_in(find_from(_base(document, folder), v, LOCAL)) for v in values)


def _listed_values(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str) and v and "\0" not in v]


def _base(document: DataYaml, folder: str) -> str:
    """The folder that split paths are relative to."""
    declared = document.data.get("path")
    if isinstance(declared, str) and declared:
        for base in (os.path.abspath(declared), find_from(folder, declared, LOCAL)):
            if os.path.isdir(base):
                return base
    return folder


@dataclass(slots=True)
class _Gathered:
    """Packs by split name, and what was wrong with them."""

    by_split: dict[str, list[Pack]] = field(default_factory=dict)
    faults: list[Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def finish(self, wanted: Sequence[str] | None) -> tuple[list[Split], list[Pack]]:
        """(empty splits, packs in the order of these)."""
        names = sorted(self.by_split, key=lambda n: (SPLIT_ORDER.index(n) if n in SPLIT_ORDER else 9, n))
        names = [n for n in names if wanted is None or n in wanted]
        packs = [replace(pack, split=i) for i, name in enumerate(names) for pack in self.by_split[name]]
        return [Split.empty(name) for name in names], packs


def from_paths(
    paths: Sequence[str], data: str, wanted: Sequence[str] | None, opener: Opener = open_unbuffered
) -> Dataset:
    """The dataset in shards given by their paths; classes from the nearest data.yaml above them.

    Args:
        paths: Absolute paths of shards.
        data: As the user gave them.
        wanted: Names of the splits to look at; all by default.
        opener: Opens a shard.
    """
    gathered = _Gathered()
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    for path in dict.fromkeys(paths):
        _add_shard(gathered, path, None, root, opener)
    near = nearest_data_yaml(root)
    classes = read_classes(near) if near is not None else Classes(None, {}, (0, 0), ())
    if near is None:
        detail = (
            f"no data.yaml above {shown(data)}: it was read as tar shards, and class ids were not checked"
        )
        advice = "Write a data.yaml with names: and with train: and val: naming the shards."
        gathered.faults.append(place("D001", detail, advice, Severity.INFO, file=root))
    return _dataset(gathered, root, data, near, classes, wanted)


def from_yaml(
    document: DataYaml, data: str, wanted: Sequence[str] | None, opener: Opener = open_unbuffered
) -> Dataset:
    """The dataset in the shards that a data.yaml names."""
    gathered = _Gathered()
    base = _base(document, os.path.dirname(document.path))
    root = os.path.realpath(base)
    for name in SPLIT_ORDER:
        values = _listed_values(document.data.get(name))
        if wanted is not None and name not in wanted:
            continue
        for value in values:
            _add_value(gathered, document, name, value, base, root, opener)
    return _dataset(gathered, root, data, document, read_classes(document), wanted)


def _add_value(
    gathered: _Gathered, document: DataYaml, split: str, value: str, base: str, root: str, opener: Opener
) -> None:
    """One path of a data.yaml: a shard, a pattern, or a folder of shards."""
    where = {"file": document.path, "line": document.line(split), "split": split}
    path = find_from(base, value, LOCAL)
    if os.path.isdir(path) and (shards := _shards_in(path)):
        paths = shards
    elif is_shard(value):
        paths = expand(path) if _is_pattern(path) else [path]
    else:
        detail = (
            f"`{split}: {shown(value)}` names no tar shard, as other splits do; it was not scanned:"
            " loose files and shards are scanned one at a time"
        )
        gathered.faults.append(place("D002", detail, "Scan its folder by itself.", Severity.WARNING, **where))
        return
    missing = [p for p in paths if not os.path.isfile(p)]
    if missing:
        detail = f"`{split}: {shown(value)}`: {counted(len(missing), 'shard')} missing, first {shown(missing[0], root)}"
        gathered.faults.append(
            place("D002", detail, "Copy it there, or correct the pattern.", Severity.ERROR, **where)
        )
    for p in paths:
        if p not in missing:
            _add_shard(gathered, p, split, root, opener)


def _add_shard(gathered: _Gathered, path: str, split: str | None, root: str, opener: Opener) -> None:
    """One shard, once for each split that the folders in it name."""
    own = split or shard_split(path)
    try:
        size = os.path.getsize(path)
        if is_compressed(path):
            gathered.notes.append(
                f"{shown(path, root)} is compressed, which rules out random access: it is read from end to end"
            )
            gathered.by_split.setdefault(own, []).append(Pack(path, "stream", 0, None, size))
            return
        splits = _splits_in(path, own, opener)
    except OSError as error:
        detail = f"the shard {shown(path, root)} cannot be read: {error.strerror or type(error).__name__}"
        gathered.faults.append(
            place("D002", detail, "Check the path and its permissions.", Severity.ERROR, file=path, split=own)
        )
        return
    if split is not None:  # of one archive with several splits, that which the data.yaml asks for
        only = split if split in splits and len(splits) > 1 else None
        gathered.by_split.setdefault(split, []).append(Pack(path, "tar", 0, only, size))
        return
    for name in splits:
        only = name if len(splits) > 1 else None
        gathered.by_split.setdefault(name, []).append(Pack(path, "tar", 0, only, size))


def _splits_in(path: str, own: str, opener: Opener) -> list[str]:
    """Splits of the members: the shard's own, or in a tree of images/ and labels/ those that its folders name."""
    with opener(path) as file:
        archive = ReadAhead(file)
        found: dict[str, None] = {}
        for number, member in enumerate(TarWalk(archive)):
            name = plain_name(member.name)
            if is_tree_member(name):
                found.setdefault(folder_split(name, own))
            elif number >= _PEEKED and not found:
                return [own]
    return list(found) or [own]


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
    named = next((task for task in TASKS if task == declared), None)
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
    )


def _short(notes: Sequence[str], shown_at_most: int = 3) -> list[str]:
    rest = len(notes) - shown_at_most
    return [*notes[:shown_at_most], *([f"… and {rest} more such shards"] if rest > 0 else [])]
