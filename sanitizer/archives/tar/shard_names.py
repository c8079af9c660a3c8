"""Reads names of shards and of folders in them: which files a pattern stands for, and which split they belong to."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from sanitizer.dataset.model import DatasetError
from sanitizer.dataset.split_paths import FOLDER_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
MAX_EXPANDED = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[A-Za-z])(?=\d)")
_SPLITS = {alias: name for name, aliases in FOLDER_NAMES.items() for alias in aliases} | {"trainval": "train"}


def is_shard(path: str) -> bool:
    """Whether a path is a tar shard by its name, compressed or not."""
    return path.lower().endswith((".tar", *COMPRESSED))


def is_compressed(path: str) -> bool:
    """Whether a shard is compressed by its name."""
    return path.lower().endswith(COMPRESSED)


def expand(pattern: str) -> list[str]:
    """The paths that a brace pattern stands for: {000..099} counts, keeping zeros; {a,b} lists, as in a shell.

    Raises:
        DatasetError: The pattern stands for more than `MAX_EXPANDED` paths.
    """
    choices: list[list[str]] = []
    total, at = 1, 0
    for match in _BRACES.finditer(pattern):
        choices.append([pattern[at : match.start()]])
        choices.append(list(_choice(match[1])))
        total *= len(choices[-1])
        if total > MAX_EXPANDED:
            raise DatasetError(f"{pattern} stands for more than {MAX_EXPANDED:,} files")
        at = match.end()
    choices.append([pattern[at:]])
    return ["".join(parts) for parts in itertools.product(*choices)]


def _choice(text: str) -> Iterable[str]:
    counted = _RANGE.fullmatch(text)
    if counted is None:
        return text.split(",") if "," in text else (f"{{{text}}}",)
    first, last = counted.groups()
    width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
    low, high = int(first), int(last)
    if abs(high - low) > MAX_EXPANDED:
        raise DatasetError(f"{{{text}}} stands for more than {MAX_EXPANDED:,} files")
    step = 1 if low <= high else -1
    return (f"{n:0{width}d}" for n in range(low, high + step, step))


def shard_split(path: str) -> str:
    """The split that the name of a shard (coco-train-000001.tar) or of its folder (val/0001.tar) says; else train."""
    folder, _, name = path.rpartition("/")
    for text in (name, folder[folder.rfind("/") + 1 :]):
        for word in _WORDS.split(text.lower()):
            if word in _SPLITS:
                return _SPLITS[word]
    return "train"


def is_split_folder(name: str) -> bool:
    """Whether a folder has the name of a split."""
    return shard_split(f"/{name}/0") == name or name in ("valid", "training", "testing")


def folder_split(member: str, otherwise: str) -> str:
    """The split that a member's folders say (images/val/a.jpg, val/images/a.jpg)."""
    return next((_SPLITS[part] for part in member.split("/")[:-1] if part in _SPLITS), otherwise)


def is_tree_member(member: str) -> bool:
    """Whether a member lies in a tree of images/ and labels/ folders."""
    return not {"images", "labels"}.isdisjoint(member.split("/")[:-1])
