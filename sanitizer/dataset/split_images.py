"""From the folders and lists of a split to its images, and what is wrong with them as a whole (D002, D005)."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.image_lists import read_image_list
from sanitizer.dataset.listing import (
    MAX_LINKED_FOLDERS,
    Listing,
    is_everything,
    is_image_name,
    label_folder,
)
from sanitizer.dataset.tables import RunStage, dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util.counting import counted
from sanitizer.util.paths import absolute_path, is_inside, on_windows, relative_to, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.image_lists import ImageList, LineKind
    from sanitizer.dataset.split_paths import SplitSources
    from sanitizer.dataset.tables import DatasetFault


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The images of a split, sorted by full path.

    Attributes:
        folders: Absolute image folders.
        label_folders: Where training looks for the labels of each.
        folder_index: Which folder each image is in.
        names: Name of each image.
    """

    folders: Sequence[str]
    label_folders: Sequence[str]
    folder_index: Sequence[int]
    names: Sequence[str]


class ImageCollector:
    """Collects the images of one split from several folders and lists."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], list[str]] = {}

    def add(self, folder: str, label_dir: str, names: list[str]) -> None:
        """Add images by name. The list is never changed."""
        known = self._groups.get((folder, label_dir))
        self._groups[folder, label_dir] = names if known is None else known + names

    def finish(self) -> ImageFiles:
        """All images in Ultralytics' order: sorted as text by full path, folders and lists together."""
        folders = [folder for folder, _ in self._groups]
        label_dirs = [label_dir for _, label_dir in self._groups]
        if len(folders) == 1:
            (names,) = self._groups.values()
            different = set(names)  # in the order of no folder, which takes long to sort
            unique = sorted(names if len(different) == len(names) else different)
            return ImageFiles(folders, label_dirs, [0] * len(unique), unique)
        rows = {
            f"{folder}/{n}": i for i, (folder, _) in enumerate(self._groups) for n in self._groups[folder, _]
        }
        # Before it sorts them, Ultralytics has all paths with the separator of the system.
        paths = sorted(rows, key=lambda path: path.replace("/", "\\")) if on_windows() else sorted(rows)
        index = [rows[path] for path in paths]
        names = [path[len(folders[i]) + 1 :] for path, i in zip(paths, index, strict=True)]
        return ImageFiles(folders, label_dirs, index, names)


@dataclass(frozen=True, slots=True)
class SplitImages:
    """The images of one split.

    Attributes:
        name: Split name.
        images: Sorted as Ultralytics sorts them.
        folders: Folders named as source of the split.
        lists: .txt lists named as source of the split.
        line: Line of the split's key in the data.yaml.
    """

    name: str
    images: ImageFiles
    folders: Sequence[str]
    lists: Sequence[str] = ()
    line: int | None = None


@dataclass(slots=True)
class Gatherer:
    """Gathers the images of one split after the other.

    Attributes:
        listing: Lists folders.
        root: Absolute folder of the dataset.
        yaml_path: The file that faults of a split name.
        bases: Folders that relative lines of a list may be relative to.
        for_training: Whether Ultralytics can train with these lists. If so, lines that it misreads are reported.
        faults: The faults found so far.
    """

    listing: Listing
    root: str
    yaml_path: str | None
    bases: Sequence[str] = ()
    for_training: bool = True
    faults: list[DatasetFault] = field(default_factory=list)

    def gather(self, split: SplitSources) -> SplitImages:
        """The images of a split; what cannot be read is reported and left out."""
        collector = ImageCollector()
        folders, lists = [], []
        for path in dict.fromkeys(split.paths):
            if self.for_training and not self.listing.storage.remote and is_everything(path):
                detail = f"`{split.name}:` leads to {shown(path)} and all that lies there; it was not read"
                advice = "Name the folder of the dataset's images."
                self._fault(split, detail, advice)
            elif self.listing.storage.isdir(path):
                folders.append(path)
                self._add_folder(collector, split, path)
            elif self.listing.storage.isfile(path) and not is_image_name(path):
                lists.append(path)
                self._add_list(collector, split, path)
            else:
                detail = (
                    f"`{split.name}:` leads to {self._show(path)}, which is neither a folder nor a text list"
                )
                self._fault(
                    split,
                    f"{detail}; training stops here",
                    "Name the folder that holds the images.",
                    stops_with=_loading_fails(split),
                )
        if len(dict.fromkeys(split.paths)) < len(split.paths):
            detail = f"`{split.name}:` names the same path twice; training sees its images twice"
            self._fault(split, detail, "Name it once.", Severity.WARNING)
        return SplitImages(split.name, collector.finish(), folders, lists, split.line)

    def _add_folder(self, collector: ImageCollector, split: SplitSources, path: str) -> None:
        total = n_folders = 0
        for folder in self.listing.walk(path):
            n_folders += 1
            if folder.error is not None:
                detail = f"the folder {self._show(folder.path)} cannot be listed ({folder.error}); training skips it"
                self._fault(split, detail, "Give yourself the right to read it.", Severity.WARNING)
            if folder.images:
                total += len(folder.images)
                collector.add(folder.path, label_folder(folder.path), folder.images)
            for name in sorted(folder.links):
                self._check_link(split, f"{folder.path}/{name}")
        if n_folders > 1:
            self.listing.storage.prefetch_listings(label_folder(path))
        if path in self.listing.unfollowed:
            detail = (
                f"{self._show(path)} holds links to folders without end; {MAX_LINKED_FOLDERS} were followed"
            )
            self._fault(split, detail, "Remove the links that lead in circles.", Severity.WARNING)
        if not total:
            top = self.listing.folder(path)
            inside = counted(top.others + len(top.label_names), "other file")
            detail = f"{self._show(path)} holds no image ({inside}, {counted(len(top.subfolders), 'folder')})"
            advice = "Name the folder that holds the images; training knows .jpg, .png, .bmp, .webp, .tif and more."
            stops = "training" if split.name in ("train", "val") else "evaluation on it"
            # Another folder or list of the split may hold images.
            stops_with = _loading_fails(split) if len(set(split.paths)) == 1 else None
            self._fault(split, f"{detail}; {stops} stops here", advice, stops_with=stops_with)

    def _check_link(self, split: SplitSources, path: str) -> None:
        target = self.listing.storage.realpath(path)
        if not is_inside(target, self.root):
            away = shown(relative_to(target, self.root))
            detail = f"{self._show(path)} is a link to {away}, outside the dataset folder"
            advice = "Copy the images into the dataset, or keep link and target together."
            self.faults.append(dataset_fault("D005", detail, advice, file=path, split=split.name))

    def _add_list(self, collector: ImageCollector, split: SplitSources, path: str) -> None:
        bases = [os.path.dirname(path), *self.bases]
        found = read_image_list(path, bases, self.listing.storage, self.listing.names_left)
        self.listing.spend(path, found.counts.total())
        for (folder, label_dir), names in found.groups.items():
            collector.add(folder, label_dir, names)
        if found.error is not None:
            self._list_fault(
                split,
                path,
                f"{found.error}; training stops here",
                "Write one image path a line, UTF-8.",
                stops_with=_loading_fails(split),
            )
        elif not found.groups:
            advice = "Write one image path a line."
            stops_with = _loading_fails(split) if len(set(split.paths)) == 1 else None
            detail = "names no image; training stops here"
            self._list_fault(split, path, detail, advice, 1, stops_with=stops_with)
        if self.for_training and found.groups:
            self._check_lines(split, path, found)
        outside = [key for key in found.groups if not is_inside(key[0], self.root)]
        if outside:
            count = sum(len(found.groups[key]) for key in outside)
            line = min(found.first_line[key] for key in outside)
            away = shown(relative_to(outside[0][0], self.root))
            detail = f"{self._show(path)} names {counted(count, 'image')} outside the dataset folder, such as in {away}"
            advice = "Move the images into the dataset folder, or set `path:` to a folder that holds both."
            self.faults.append(dataset_fault("D005", detail, advice, file=path, line=line, split=split.name))

    def _check_lines(self, split: SplitSources, path: str, found: ImageList) -> None:
        """Report lines that training reads differently from what their author meant, or at which it stops."""
        if found.first and "/" not in found.first and len(set(split.paths)) == 1:
            detail = f"begins with {shown(found.first[:80])}, a name without a folder; training stops here"
            advice = "Begin each line with ./ to make it relative to the list, or write absolute paths."
            stops_with = "ValueError: … has an empty name" if _loading_fails(split) else None
            self._list_fault(split, path, detail, advice, stops_with=stops_with)
        here = shown(absolute_path("."))
        cases: dict[LineKind, tuple[str, str]] = {
            "not an image": (
                "training skips them, as no image has such a file extension",
                "Remove these lines, or give the files the extension of an image.",
            ),
            "moved": (
                f"training takes them from the folder it is started in, and from {here} it finds none",
                "Begin each line with ./ to make it relative to the list, or write absolute paths.",
            ),
            "labels beside": (
                "with no folder before images/, training looks for labels beside the images, not in labels/",
                "Begin each line with ./ to make it relative to the list, or write absolute paths.",
            ),
        }
        for kind, (effect, advice) in cases.items():
            if kind in found.counts:
                line, text = found.examples[kind]
                detail = f"has {counted(found.counts[kind], 'line')} such as {shown(text[:80])}: {effect}"
                self._list_fault(split, path, detail, advice, line, Severity.WARNING)

    def _list_fault(
        self,
        split: SplitSources,
        path: str,
        detail: str,
        advice: str,
        line: int | None = None,
        severity: Severity = Severity.ERROR,
        stops_with: str | None = None,
    ) -> None:
        sentence = f"the list {self._show(path)} {detail}"
        place: dict[str, Any] = {"file": path, "line": line, "split": split.name}
        self.faults.append(
            dataset_fault("D002", sentence, advice, severity, **place, **_stop(split, stops_with))
        )

    def _fault(
        self,
        split: SplitSources,
        detail: str,
        advice: str,
        severity: Severity = Severity.ERROR,
        stops_with: str | None = None,
    ) -> None:
        place: dict[str, Any] = {"file": self.yaml_path, "line": split.line, "split": split.name}
        self.faults.append(
            dataset_fault("D002", detail, advice, severity, **place, **_stop(split, stops_with))
        )

    def _show(self, path: str) -> str:
        return shown(path, self.root)


def _stop(split: SplitSources, stops_with: str | None) -> dict[str, Any]:
    return {"stops_with": stops_with, "stops_at": RunStage.VAL if split.name == "val" else RunStage.TRAIN}


def _loading_fails(split: SplitSources) -> str | None:
    """The exception where a source of a split cannot be read, if training reads that split."""
    return "FileNotFoundError: … Error loading data from" if split.name in ("train", "val") else None


def shared_images(splits: Sequence[SplitImages], root: str, yaml_path: str | None) -> list[DatasetFault]:
    """D009 for every two splits that read the same image files."""
    faults = []
    for i, first in enumerate(splits):
        for second in splits[i + 1 :]:
            count = _count_shared(first.images, second.images)
            if not count:
                continue
            both = f"{first.name} and {second.name}"
            if count == len(first.images.names) == len(second.images.names):
                where = (
                    ", ".join(shown(p, root) for p in (*second.folders, *second.lists)) or "the same folder"
                )
                detail = f"{both} are the same {counted(count, 'image')} ({where})"
            else:
                detail = f"{both} have {counted(count, 'image')} in common"
            detail += f": {second.name} measures what the model has seen, not what it learned"
            advice = f"Give {second.name} images of its own."
            where_named = {"file": yaml_path, "line": second.line, "split": second.name}
            faults.append(dataset_fault("D009", detail, advice, None, kind="leak", **where_named))
    return faults


def _count_shared(a: ImageFiles, b: ImageFiles) -> int:
    """Number of image files that are in both, by path."""
    common = set(a.folders) & set(b.folders)
    if not common:
        return 0
    if list(a.folders) == list(b.folders) and a.names == b.names and a.folder_index == b.folder_index:
        return len(a.names)
    paths = Counter(
        (a.folders[f], n) for f, n in zip(a.folder_index, a.names, strict=True) if a.folders[f] in common
    )
    return sum((b.folders[f], n) in paths for f, n in zip(b.folder_index, b.names, strict=True))
