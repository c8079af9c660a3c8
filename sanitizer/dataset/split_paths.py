"""Finds the folders and lists behind train, val and test of a data.yaml, as Ultralytics' check_det_dataset does.

Where training would find nothing, the likely folder is looked for and scanned in its stead, and D002 says so.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.data_yaml import KEY_TYPES
from sanitizer.dataset.dataset_faults import dataset_fault, find_from
from sanitizer.findings.finding import Severity
from sanitizer.util.bounded_read import MIB, read_bounded
from sanitizer.util.counting import counted
from sanitizer.util.paths import is_inside, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.tables import DatasetFault
    from sanitizer.storage.base import Storage

SPLIT_NAMES = ("train", "val", "test", "minival")
FOLDER_NAMES = {
    "train": ("train", "training", "train2017"),
    "val": ("val", "valid", "validate", "validation", "val2017"),
    "test": ("test", "testing"),
}
"""What people call the folder of a split."""

STOPS = "training stops here"

MAX_PATHS = 5000
"""Paths that one split may list here; each is looked for in several folders."""
MAX_LOST = 100
"""Lost paths of a split that are named one by one."""


@dataclass(slots=True)
class SplitSources:
    """What a split is read from: absolute folders and .txt lists, resolved as training resolves them."""

    name: str
    paths: list[str] = field(default_factory=list)
    line: int | None = None


@dataclass(slots=True)
class SplitPaths:
    """All splits of a data.yaml.

    Attributes:
        root: Absolute folder of the dataset, links resolved.
        splits: Those of which something was found.
        bases: Folders that relative paths may be meant from.
        faults: D002, D004, D005.
        missing: Names of the splits of which nothing was found.
    """

    root: str
    splits: list[SplitSources] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    faults: list[DatasetFault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def resolve_splits(document: DataYaml, listing: Listing, wanted: Sequence[str] | None) -> SplitPaths:
    """Sources of every split that the yaml names (only those in `wanted`, where given)."""
    resolver = _Resolver(document, listing)
    values = {name: document.data.get(name) for name in SPLIT_NAMES}
    if values["val"] is None and "val" not in document.data:
        values["val"] = document.data.get("validation")
    has_key = {name: name in document.data for name in SPLIT_NAMES}
    has_key["val"] |= "validation" in document.data
    for name, value in values.items():
        if wanted is not None and name not in wanted:
            continue
        if value and isinstance(value, KEY_TYPES["train"]):
            resolver.add_split(name, value if isinstance(value, list) else [value])
        elif name in ("train", "val"):
            resolver.guess_split(name, has_key[name])
    resolver.report_base()
    resolver.report_outside()
    return resolver.result


class _Resolver:
    """Resolves one split after the other, and remembers from which folder they were found."""

    def __init__(self, document: DataYaml, listing: Listing) -> None:
        self.document = document
        self.listing = listing
        self.storage = listing.storage
        folder = os.path.dirname(document.path)
        declared = document.data.get("path")
        self.declared = declared if isinstance(declared, str) and declared else None
        self.tried_bases = [folder]
        bases = [folder]
        if self.declared is not None:
            self.tried_bases = _training_bases(self.declared, self.storage)
            bases = [self.tried_bases[0], find_from(folder, self.declared, self.storage), folder]
            if os.path.isabs(self.declared):
                bases = [self.declared, folder]
        self.bases = list(dict.fromkeys(os.path.normpath(b) for b in bases))
        self.linked: set[str] = set()
        self.elsewhere: dict[int, list[str]] = {}
        self.result = SplitPaths(self._root(0), bases=self.bases)
        self.found_any = False
        if self.declared is not None and "://" in self.declared:
            self._url("path", self.declared)

    def _root(self, base: int) -> str:
        chosen = self.bases[base]
        return self.storage.realpath(
            chosen if self.storage.isdir(chosen) else os.path.dirname(self.document.path)
        )

    def add_split(self, name: str, values: list[Any]) -> None:
        """Resolve one split's paths."""
        split = SplitSources(name, line=self.document.line(name))
        written_as_list = isinstance(self.document.data.get(name), list)
        lost: list[tuple[str, int | None]] = []
        if len(values) > MAX_PATHS:
            detail = f"`{name}:` lists {len(values):,} paths; only the first {MAX_PATHS:,} were looked for"
            advice = "Name the folders that hold the images, or one .txt list of them."
            self._fault("D002", detail, advice, Severity.ERROR, split.line, name)
        for i, value in enumerate(values[:MAX_PATHS]):
            line = self.document.line(name, i) if written_as_list else split.line
            if not isinstance(value, str):
                self._no_text(name, value, line)
            elif "://" in value:
                self._url(name, value)
            else:
                found = self._find(name, value, step_up=not written_as_list)
                if found is not None:
                    split.paths.append(found)
                else:
                    lost.append((value, line))
        for value, line in lost[:MAX_LOST]:
            self._report_lost(split, value, line)
        if len(lost) > MAX_LOST:
            detail = f"`{name}:` lists {len(lost) - MAX_LOST:,} more paths that do not exist; {STOPS}"
            self._fault("D002", detail, "Correct the list.", Severity.ERROR, split.line, name)
        if split.paths:
            self.result.splits.append(split)
        else:
            self.result.missing.append(name)

    def _find(self, name: str, value: str, step_up: bool) -> str | None:
        """The path behind a value, from the first base where there is something."""
        for number, base in enumerate(self.bases):
            for path in self._readings(base, value, step_up):
                if self.storage.exists(path):
                    if number:
                        self.elsewhere.setdefault(number, []).append(name)
                    if not self.found_any:
                        self.found_any = True
                        self.result.root = self._root(number)
                    if (
                        not is_inside(path, self.result.root)
                        and ".." not in value
                        and not os.path.isabs(value)
                    ):
                        self.linked.add(path)
                    return path
        return None

    def guess_split(self, name: str, has_key: bool) -> None:
        """A split that must be there is not: report it, and scan the folder that looks like it."""
        key = f"`{name}:`"
        detail = f"{key} is empty; {STOPS}" if has_key else f"the key {key} is missing; {STOPS}"
        if has_key and name in self.document.data and self.document.data[name]:
            return  # of a wrong type, which D001 has said
        split = SplitSources(name, line=self.document.line(name))
        guess, phrase = self._likely_folder(name)
        advice = f"Write `{name}: {guess}`." if guess else f"Write `{name}:` and the folder of its images."
        self._fault("D002", f"{detail}{phrase}", advice, Severity.ERROR, split.line or 1, name)
        self._take_guess(split, guess)
        if split.paths:
            self.result.splits.append(split)

    def _report_lost(self, split: SplitSources, value: str, line: int | None) -> None:
        looked = [
            shown(p, self.result.root)
            for base in self._looked_from()
            for p in self._readings(base, value, True)
        ]
        places = " and ".join(dict.fromkeys(looked))
        guess, phrase = (None, "") if split.paths else self._likely_folder(split.name)
        stops = STOPS if split.name in ("train", "val") else "evaluation on it stops"
        detail = f"`{split.name}: {shown(value)}` does not exist (looked for {places}); {stops}{phrase}"
        advice = (
            f"Write `{split.name}: {guess}`."
            if guess
            else "Correct the path; it is taken from the dataset root."
        )
        severity = Severity.ERROR if split.name in ("train", "val") else Severity.WARNING
        self._fault("D002", detail, advice, severity, line, split.name)
        self._take_guess(split, guess)

    def _readings(self, base: str, value: str, step_up: bool) -> list[str]:
        """Where training looks for a split from a base; Roboflow's `../train/images` is also tried without `../`."""
        paths = [find_from(base, value, self.storage)]
        if step_up and value.startswith("../"):
            paths.append(find_from(base, value[3:], self.storage))
        return paths

    def _looked_from(self) -> list[str]:
        return list(dict.fromkeys([*self.tried_bases, *self.bases]))

    def _likely_folder(self, name: str) -> tuple[str | None, str]:
        """(path relative to its base, phrase on what was found): the one folder that is named like the split."""
        found: dict[str, tuple[str, int]] = {}
        for base in self.bases:
            for alias in FOLDER_NAMES.get(name, (name,)):
                for relative in (f"{alias}/images", f"images/{alias}", alias):
                    path = find_from(base, relative, self.storage)
                    inside = any(is_inside(known, path) for known in found)
                    if path not in found and not inside and self.storage.isdir(path):
                        count = self.listing.count_images(path)
                        if count:
                            found[path] = (relative, count)
        taken = {path for split in self.result.splits for path in split.paths}
        free = {path: what for path, what in found.items() if path not in taken}
        if not free:
            return None, ""
        listed = ", ".join(f"{relative} ({counted(count, 'image')})" for relative, count in free.values())
        if len(free) > 1:
            return None, f". It could be one of {listed}; none was scanned"
        (relative, _count) = next(iter(free.values()))
        return relative, f". Found {listed} instead, scanned here as {name}"

    def _take_guess(self, split: SplitSources, guess: str | None) -> None:
        if guess is None:
            return
        for base in self.bases:
            path = find_from(base, guess, self.storage)
            if self.storage.isdir(path):
                split.paths.append(path)
                self.found_any = True
                return

    def report_base(self) -> None:
        """`path:` leads elsewhere than the folder in which the splits were found: one finding for all splits."""
        for number, names in self.elsewhere.items():
            folder, declared = os.path.dirname(self.document.path), shown(self.declared or "")
            base = (
                "beside the yaml"
                if self.bases[number] == folder
                else f"in {shown(self.bases[number], folder)}"
            )
            looked = " and ".join(shown(b) for b in self.tried_bases)
            what = f"{', '.join(dict.fromkeys(names))} found {base} instead"
            severity = Severity.WARNING
            if os.path.isabs(self.declared or ""):
                detail = f"`path: {declared}` does not hold the splits on this machine; {STOPS} ({what})"
                severity = Severity.ERROR
            else:
                detail = (
                    f"`path: {declared}` is taken from the folder in which training is started, not from the"
                    f" yaml's: from here training looks in {looked} and stops ({what})"
                )
            advice = "Leave `path:` out: then paths are taken from the folder of the yaml."
            self._fault("D002", detail, advice, severity, self.document.line("path"))

    def report_outside(self) -> None:
        """Sources that are not below the dataset's folder (D005)."""
        for split in self.result.splits:
            for path in split.paths:
                if is_inside(path, self.result.root):
                    continue
                away = shown(os.path.relpath(path, self.result.root))
                detail = f"`{split.name}:` leads to {away}, outside the dataset folder"
                if path in self.linked:
                    detail += (
                        f" (through a link; labels are then sought from {away}, not from where the link is)"
                    )
                else:
                    detail += ": a copy of the folder would train on other images, or none"
                advice = (
                    "Move the images into the dataset folder, or set `path:` to the folder that holds both."
                )
                self._fault("D005", detail, advice, None, split.line, split.name)

    def _no_text(self, name: str, value: object, line: int | None) -> None:
        detail = f"`{name}:` lists a {type(value).__name__}, not a path; {STOPS}"
        self._fault("D001", detail, "List paths only.", Severity.ERROR, line, name)

    def _url(self, key: str, value: str) -> None:
        detail = (
            f"`{key}: {shown(value)}` is a URL: training does not fetch it, takes it for a folder and stops"
        )
        advice = f"Download it yourself, look at it, then write the folder's path under `{key}:`."
        self._fault("D004", detail, advice, Severity.ERROR, self.document.line(key))

    def _fault(
        self,
        rule: str,
        detail: str,
        advice: str,
        severity: Severity | None,
        line: int | None,
        split: str | None = None,
    ) -> None:
        self.result.faults.append(
            dataset_fault(rule, detail, advice, severity, file=self.document.path, line=line, split=split)
        )


def _training_bases(declared: str, storage: Storage) -> list[str]:
    """Where training looks for `path:`: the folder it is started in, then Ultralytics' datasets folder.

    The first is the one it settles on from here.
    """
    here = os.path.abspath(declared)
    if os.path.isabs(declared):
        return [here]
    datasets = _datasets_folder()
    if storage.exists(here) or datasets is None:
        return [here]
    return [os.path.normpath(os.path.join(datasets, declared)), here]


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
        path = os.path.join(os.path.expanduser(config), "Ultralytics", "settings.json")
        folder = json.loads(read_bounded(path, MIB)).get("datasets_dir")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return folder if isinstance(folder, str) else None
