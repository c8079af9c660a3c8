"""Finds the folders and lists behind train, val and test of a data.yaml, as Ultralytics' check_det_dataset does.

Where training would find nothing, `resolve_splits` looks for the likely folder, which is then scanned instead. This
module only looks; `split_faults` says in sentences what is wrong.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.data_yaml import KEY_TYPES
from sanitizer.util.bounded_read import MIB, read_bounded
from sanitizer.util.paths import (
    absolute_path,
    is_absolute,
    is_inside,
    is_url,
    join_path,
    normal_path,
    posix,
    relative_to,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.places.lost_paths import Slip
    from sanitizer.storage.base import Storage

SPLIT_NAMES = ("train", "val", "test", "minival")
FOLDER_NAMES = {
    "train": ("train", "training", "train2017"),
    "val": ("val", "valid", "validate", "validation", "val2017"),
    "test": ("test", "testing"),
}
"""Usual names of a split's folder."""

MAX_PATHS = 5000
"""The most paths of one split that are looked for; each is looked for in several folders."""
MAX_SLIPS = 5
"""The most lost paths of a split for which something like them is looked for."""
MAX_LOST = 100
"""The most lost paths of a split that are named one by one."""


@dataclass(slots=True)
class SplitSources:
    """What a split is read from: absolute folders and .txt lists, resolved as training resolves them."""

    name: str
    paths: list[str] = field(default_factory=list)
    line: int | None = None


@dataclass(frozen=True, slots=True)
class FoundPath:
    """A path of the data.yaml that leads to something.

    Attributes:
        value: The path as written.
        path: The absolute path behind it.
        base: Number of the base folder that `value` is relative to.
    """

    value: str
    path: str
    base: int


@dataclass(frozen=True, slots=True)
class LostPath:
    """A path of the data.yaml that leads to nothing.

    Attributes:
        value: The path as written.
        line: 1-based line, or None.
        looked_for: The absolute paths that do not exist.
        slip: What it was probably meant to be, or None.
    """

    value: str
    line: int | None
    looked_for: Sequence[str]
    slip: Slip | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """Folders that are named like a split and hold images: (relative path, number of images) of each."""

    folders: Sequence[tuple[str, int]]

    @property
    def relative(self) -> str | None:
        """The only folder; None where there is none, or a choice."""
        return self.folders[0][0] if len(self.folders) == 1 else None


@dataclass(slots=True)
class ResolvedSplit:
    """What became of one split of the data.yaml.

    Attributes:
        name: train, val, test or minival.
        line: 1-based line of its key, or None.
        n_values: Number of paths that the key lists; 0 where the key is missing or empty.
        has_key: Whether the data.yaml has the key.
        refused: (value, 1-based line) of each value that is no path: URLs, and what is not text.
        found: Paths that exist.
        lost: Paths that do not exist, the first `MAX_LOST` of them.
        n_more_lost: Number of other paths that do not exist.
        guess: Folders that the split may lie in, where no path of it was found.
        guessed_path: Absolute path of the guessed folder, which is scanned instead.
        root: Root of the dataset, as far as this split and those before it show it.
    """

    name: str
    line: int | None
    n_values: int = 0
    has_key: bool = True
    refused: list[tuple[object, int | None]] = field(default_factory=list)
    found: list[FoundPath] = field(default_factory=list)
    lost: list[LostPath] = field(default_factory=list)
    n_more_lost: int = 0
    guess: Guess | None = None
    guessed_path: str | None = None
    root: str = ""

    @property
    def paths(self) -> list[str]:
        """Absolute paths to scan."""
        return [f.path for f in self.found] + ([self.guessed_path] if self.guessed_path else [])


@dataclass(slots=True)
class SplitPaths:
    """All splits of a data.yaml.

    Attributes:
        root: Absolute folder of the dataset, links resolved.
        bases: Folders that relative paths may be relative to.
        training_bases: Folders that training takes relative paths from.
        declared: `path:` of the data.yaml, or None.
        resolved: Every split that was looked for.
    """

    root: str
    bases: list[str]
    training_bases: list[str]
    declared: str | None = None
    resolved: list[ResolvedSplit] = field(default_factory=list)

    @property
    def declared_absolute(self) -> bool:
        """Whether `path:` is absolute."""
        return self.declared is not None and is_absolute(self.declared)

    @property
    def splits(self) -> list[SplitSources]:
        """The splits of which something was found."""
        return [SplitSources(s.name, s.paths, s.line) for s in self.resolved if s.paths]

    @property
    def missing(self) -> list[str]:
        """Names of the splits that list paths of which nothing was found."""
        return [s.name for s in self.resolved if s.n_values and not s.paths]


def resolve_splits(document: DataYaml, listing: Listing, wanted: Sequence[str] | None) -> SplitPaths:
    """Sources of every split that the yaml names (only those in `wanted`, where given)."""
    resolver = _Resolver(document, listing)
    for name in SPLIT_NAMES:
        if wanted is not None and name not in wanted:
            continue
        has_key, value = _value_of(document, name)
        if value and isinstance(value, KEY_TYPES["train"]):
            resolver.look_up(name, value if isinstance(value, list) else [value])
        elif name in ("train", "val") and not document.data.get(name):
            resolver.look_for_missing(name, has_key)
        # Else the value is of a wrong type, which D001 reports.
    return resolver.result


def _value_of(document: DataYaml, name: str) -> tuple[bool, Any]:
    """(whether the data.yaml has the key of a split, its value): Ultralytics reads `validation:` as `val:`."""
    if name == "val" and name not in document.data:
        name = "validation"
    return name in document.data, document.data.get(name)


class _Resolver:
    """Looks up one split after the other. The first path that exists settles the root of the dataset."""

    def __init__(self, document: DataYaml, listing: Listing) -> None:
        self.document = document
        self.listing = listing
        self.storage = listing.storage
        bases, training_bases = _bases(document, listing.storage)
        self.result = SplitPaths("", bases, training_bases, declared_path(document))
        self.result.root = self._root(0)
        self.root_is_settled = False

    def _root(self, base: int) -> str:
        folder = self.result.bases[base]
        if not self.storage.isdir(folder):
            folder = os.path.dirname(self.document.path)
        return self.storage.realpath(folder)

    def look_up(self, name: str, values: list[Any]) -> None:
        """Look for the paths that a split lists."""
        is_list = isinstance(self.document.data.get(name), list)
        split = ResolvedSplit(name, self.document.line(name), len(values))
        for i, value in enumerate(values[:MAX_PATHS]):
            line = self.document.line(name, i) if is_list else split.line
            if not isinstance(value, str) or is_url(value):
                split.refused.append((value, line))
            elif found := self._find(value, step_up=not is_list):
                split.found.append(found)
            elif len(split.lost) < MAX_LOST:
                slip = self._slip(name, value) if len(split.lost) < MAX_SLIPS else None
                split.lost.append(LostPath(value, line, self._looked_for(value), slip))
            else:
                split.n_more_lost += 1
        if split.lost and not split.found:
            self._guess(split)
        self._add(split)

    def _slip(self, name: str, value: str) -> Slip | None:
        from sanitizer.dataset.places.lost_paths import Slip, find_archive, find_slip

        bases = [*self.result.bases, os.path.dirname(self.document.path)]
        slip = find_slip(value, bases, self.listing, FOLDER_NAMES.values())
        if slip is None and not self._likely_folders(name).folders:
            archive = find_archive(value, name, bases, self.listing)
            return Slip("archive", archive, 0) if archive is not None else None
        return slip

    def look_for_missing(self, name: str, has_key: bool) -> None:
        """Look for the folder of a split that training needs and the data.yaml does not name."""
        split = ResolvedSplit(name, self.document.line(name), has_key=has_key)
        self._guess(split)
        self._add(split)

    def _add(self, split: ResolvedSplit) -> None:
        split.root = self.result.root
        self.result.resolved.append(split)

    def _find(self, value: str, step_up: bool) -> FoundPath | None:
        """The path behind a value, from the first base folder where it exists."""
        for number, base in enumerate(self.result.bases):
            for path in self._readings(base, value, step_up):
                if self.storage.exists(path):
                    if not self.root_is_settled:
                        self.root_is_settled = True
                        self.result.root = self._root(number)
                    return FoundPath(value, path, number)
        return None

    def _looked_for(self, value: str) -> list[str]:
        bases = dict.fromkeys([*self.result.training_bases, *self.result.bases])
        return [path for base in bases for path in self._readings(base, value, step_up=True)]

    def _readings(self, base: str, value: str, step_up: bool) -> list[str]:
        """Where training looks for a value from a base folder. `step_up`: `../train/images`, as Roboflow writes it,
        is also tried without `../`."""
        value = posix(value)
        paths = [find_from(base, value, self.storage)]
        if step_up and value.startswith("../"):
            paths.append(find_from(base, value[3:], self.storage))
        return paths

    def _guess(self, split: ResolvedSplit) -> None:
        """Find the folders that are named like the split; scan the folder if there is only one."""
        split.guess = self._likely_folders(split.name)
        slip = split.lost[0].slip if len(split.lost) == 1 else None
        taken = {path for each in self.result.resolved for path in each.paths}
        if split.guess.relative is None and slip is not None and slip.count and slip.path not in taken:
            split.guess = Guess([(relative_to(slip.path, self._base_above(slip.path)), slip.count)])
        relative = split.guess.relative
        if relative is None:
            return
        paths = (find_from(base, relative, self.storage) for base in self.result.bases)
        split.guessed_path = next((path for path in paths if self.storage.exists(path)), None)
        self.root_is_settled |= split.guessed_path is not None

    def _base_above(self, path: str) -> str:
        bases = self.result.bases
        return next((base for base in bases if is_inside(path, base)), os.path.dirname(self.document.path))

    def _likely_folders(self, name: str) -> Guess:
        """Folders that are named like the split, hold images and belong to no split before it."""
        found: dict[str, tuple[str, int]] = {}
        for base in self.result.bases:
            for alias in FOLDER_NAMES.get(name, (name,)):
                for relative in (f"{alias}/images", f"images/{alias}", alias):
                    path = find_from(base, relative, self.storage)
                    inside = any(is_inside(known, path) for known in found)
                    if path not in found and not inside and self.storage.isdir(path):
                        count = self.listing.count_images(path)
                        if count:
                            found[path] = (relative, count)
        taken = {path for split in self.result.resolved for path in split.paths}
        return Guess([folder for path, folder in found.items() if path not in taken])


def _bases(document: DataYaml, storage: Storage) -> tuple[list[str], list[str]]:
    """(base folders that are tried, base folders that training tries) of relative paths, best first."""
    folder = os.path.dirname(document.path)
    declared = declared_path(document)
    if declared is None:
        return [normal_path(folder)], [folder]
    training = _training_bases(declared, storage)
    bases = [training[0], find_from(folder, declared, storage), folder]
    if is_absolute(declared):
        bases = [declared, folder]
    return list(dict.fromkeys(map(normal_path, bases))), training


def declared_path(document: DataYaml) -> str | None:
    """`path:` of the data.yaml, where it is text and not empty."""
    declared = document.data.get("path")
    return declared if isinstance(declared, str) and declared else None


def _training_bases(declared: str, storage: Storage) -> list[str]:
    """Folders that training may take `path:` for, best first.

    Training tries the folder that it is started in, then Ultralytics' datasets folder.
    """
    here = absolute_path(declared)
    if is_absolute(declared):
        return [here]
    datasets = _datasets_folder()
    if storage.exists(here) or datasets is None:
        return [here]
    return [normal_path(join_path(datasets, declared)), here]


def _datasets_folder() -> str | None:
    """`datasets_dir` of the user's Ultralytics settings, or None where there are none."""
    import json

    config = os.environ.get("YOLO_CONFIG_DIR")
    if not config and sys.platform == "darwin":
        config = "~/Library/Application Support"
    elif not config and sys.platform == "win32":
        config = "~/AppData/Roaming"
    elif not config:
        config = os.environ.get("XDG_CONFIG_HOME", "~/.config")
    try:
        path = join_path(os.path.expanduser(config), "Ultralytics", "settings.json")
        folder = json.loads(read_bounded(path, MIB)).get("datasets_dir")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return folder if isinstance(folder, str) else None


def find_from(base: str, path: str, storage: Storage) -> str:
    """Absolute path of `path` relative to `base`, symbolic links resolved, as Ultralytics resolves split paths."""
    joined = join_path(base, path)
    try:
        return storage.realpath(joined)
    except ValueError:  # a NUL or half a surrogate pair, which no file name can hold
        return normal_path(joined)
