"""Pairs loose images with their label files, and reports those without a partner (D006, D007, D008, L009)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.listing import label_folder
from sanitizer.dataset.model import Split
from sanitizer.dataset.places.bare_folders import bare_folders
from sanitizer.dataset.places.other_spellings import labels_by_other_spelling
from sanitizer.dataset.places.partners import are_partners
from sanitizer.dataset.single_files import is_label_name
from sanitizer.dataset.tables import DatasetFault, dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util.counting import counted
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sanitizer.dataset.listing import ListedFolder, Listing
    from sanitizer.dataset.split_images import ImageFiles, SplitImages


@dataclass(slots=True)
class _Orphan:
    """Labels without image in one folder."""

    split: int
    image_dir: str
    label_dir: str
    names: list[str]


@dataclass(slots=True)
class FilePairer:
    """Pairs all splits of a dataset. `faults` has D006, D007, D008 and L009; each file occurs once."""

    listing: Listing
    root: str
    faults: list[DatasetFault] = field(default_factory=list)
    _paired: dict[str, set[str]] = field(default_factory=dict)
    _complete: set[str] = field(default_factory=set)
    """Label folders of which every label has its image."""
    _judged: set[tuple[str, str]] = field(default_factory=set)
    _lower_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def pair(self, splits: Sequence[SplitImages]) -> list[Split]:
        """Splits of image/label pairs, labels without image at the end of the split whose label folder they are in."""
        found = [self._find_labels(split) for split in splits]
        lists = {path for split in splits for path in split.lists}
        orphans = self._find_orphans(splits, lists)
        self._report_orphans(splits, orphans)
        return [
            _build(split, has, [o for o in orphans if o.split == i])
            for i, (split, has) in enumerate(zip(splits, found, strict=True))
        ]

    def _find_labels(self, split: SplitImages) -> list[bool]:
        """Whether training finds a label file for each image, by name."""
        images = split.images
        if self._is_complete(images):
            self._complete.update(images.label_folders)
            self._judged.update(zip(images.folders, images.label_folders, strict=True))
            return [True] * len(images.names)
        labels = [self.listing.folder(path).labels for path in images.label_folders]
        wanted = [f"{name[: name.rindex('.')]}.txt" for name in images.names]
        if len(labels) == 1:
            has = [name in labels[0] for name in wanted]
        else:
            has = [name in labels[f] for name, f in zip(wanted, images.folder_index, strict=True)]
        for i, name in labels_by_other_spelling(images, wanted, has, self.listing):
            has[i] = True
            self._paired_in(images.label_folders[images.folder_index[i]]).add(name)
        for f, names in _by_folder(wanted, images.folder_index, len(labels)):
            key = (images.folders[f], images.label_folders[f])
            unique = set(names)
            self._paired_in(key[1]).update(unique)
            if len(unique) < len(names) and key not in self._judged:
                self._report_same_stem(split, f)
        if not self._report_labels_apart(split, has):
            reported, bare = bare_folders(split, has, self.listing, self.root, self._judged)
            self.faults += reported
            for i in np.flatnonzero(~np.array(has, np.bool_)).tolist():
                if images.folder_index[i] not in bare:
                    self._report_unlabelled(split, images.folder_index[i], images.names[i], wanted[i])
        self._judged.update(zip(images.folders, images.label_folders, strict=True))
        return has

    def _is_complete(self, images: ImageFiles) -> bool:
        """Whether the images are those of one label folder, one for each of its labels, and no split had any before."""
        if len(images.label_folders) != 1 or images.label_folders[0] in self._paired:
            return False
        return are_partners(images.names, self.listing.folder(images.label_folders[0]).label_names)

    def _paired_in(self, label_dir: str) -> set[str]:
        """The label names in a folder that an image has, or lacks."""
        if label_dir not in self._paired:
            complete = label_dir in self._complete
            self._paired[label_dir] = set(self.listing.folder(label_dir).labels if complete else ())
        return self._paired[label_dir]

    def _report_labels_apart(self, split: SplitImages, has: list[bool]) -> bool:
        """One D006 for a whole split whose labels lie in a folder where training does not look."""
        images = split.images
        if any(has) or not has or list(images.folders) != list(images.label_folders):
            return False
        folder = images.folders[0]
        parent, name = os.path.split(folder)
        tries = (f"{parent}/labels/{name}", f"{os.path.dirname(parent)}/labels/{name}", f"{parent}/labels")
        stems = {name[: name.rindex(".")] for name in images.names}
        found = next((t for t in tries if any(n[:-4] in stems for n in self.listing.folder(t).labels)), None)
        if found is None:
            return False
        detail = (
            f"all {len(has)} images of {split.name or 'the folder'} are read as"
            f" {'unlabelled, and training stops' if split.name == 'train' else 'background'}: their labels are in"
            f" {self._show(found)}, but training looks beside the images, as no folder above them is called images"
        )
        advice = "Rename the folder of the images to `images`, beside `labels`."
        self.faults.append(
            dataset_fault("D006", detail, advice, Severity.ERROR, file=folder, split=split.name)
        )
        return True

    def _report_same_stem(self, split: SplitImages, f: int) -> None:
        """D008: images of one folder whose names differ in the file extension only."""
        first: dict[str, str] = {}
        images = split.images
        for folder, name in zip(images.folder_index, images.names, strict=True):
            if folder != f:
                continue
            stem = name[: name.rindex(".")]
            if stem in first:
                path, label = f"{images.folders[f]}/{name}", f"{images.label_folders[f]}/{stem}.txt"
                detail = f"{shown(name)} and {shown(first[stem])} share one label file, {self._show(label)}"
                self.faults.append(
                    dataset_fault(
                        "D008", f"{detail}: training gives both the same boxes",
                        "Rename one image and its label, or delete the copy.",
                        file=path, image=path, label=label if self._exists(label) else None, split=split.name,
                    )
                )  # fmt: skip
            first.setdefault(stem, name)

    def _exists(self, label: str) -> bool:
        folder, _, name = label.rpartition("/")
        return name in self.listing.folder(folder).labels

    def _report_unlabelled(self, split: SplitImages, f: int, name: str, wanted: str) -> None:
        """D006, or L009 where training misses the label only because of its file extension."""
        image_dir, label_dir = split.images.folders[f], split.images.label_folders[f]
        if (image_dir, label_dir) in self._judged:
            return
        path, folder = f"{image_dir}/{name}", self.listing.folder(label_dir)
        hidden = next((n for n in folder.misspelt_labels if n[:-4] == wanted[:-4]), None)
        if hidden is not None:
            label = f"{label_dir}/{hidden}"
            self._paired[label_dir].add(hidden)
            detail = (
                f"training looks for {shown(wanted)} and does not find {shown(hidden)}: it reads {shown(name)} as"
                " background"
            )
            advice = f"Rename the file to {shown(wanted)}."
            values = {"problem": detail, "detail": detail}
            self.faults.append(
                DatasetFault(
                    "L009",
                    label,
                    path,
                    label,
                    split.name,
                    values=values,
                    suggestion=advice,
                    severity=Severity.WARNING,
                )
            )
            return
        detail = f"no label file of this name in {self._show(label_dir)}"
        if folder.error is not None:
            absent = f"there is no folder {self._show(label_dir)}"
            detail += f" ({absent if not self.listing.storage.lexists(label_dir) else folder.error})"
        detail += ": training reads the image as background"
        advice = "Label the image; if there really is nothing on it, add an empty label file to say so."
        near = self._near_label(folder, wanted)
        if near is not None:
            detail += f" ({shown(near)} differs in upper and lower case only)"
            advice = f"Rename {shown(near)} to {shown(wanted)}."
            self._paired[label_dir].add(near)
        self.faults.append(dataset_fault("D006", detail, advice, file=path, image=path, split=split.name))

    def _near_label(self, folder: ListedFolder, wanted: str) -> str | None:
        """A label without image of its own whose name differs from the wanted one in case only."""
        near = self._lower_names.get(folder.path)
        if near is None:
            near = self._lower_names[folder.path] = {}
            for name in folder.labels:
                near.setdefault(name.lower(), []).append(name)
        own = self._paired[folder.path]
        return next((n for n in near.get(wanted.lower(), ()) if n not in own), None)

    def _find_orphans(self, splits: Sequence[SplitImages], lists: set[str]) -> list[_Orphan]:
        """Labels without an image in any split, in every folder where training looks for labels."""
        orphans, seen = [], set()
        for number, split in enumerate(splits):
            sought = dict(zip(split.images.label_folders, split.images.folders, strict=True))
            for root in split.folders:
                top = label_folder(root)
                if top != root or not split.images.names:
                    for folder in self.listing.walk(top):
                        sought.setdefault(folder.path, root + folder.path[len(top) :])
            for label_dir, image_dir in sought.items():
                if label_dir in seen:
                    continue
                seen.add(label_dir)
                names = self._unpaired(label_dir, image_dir, lists)
                if names:
                    orphans.append(_Orphan(number, image_dir, label_dir, names))
        return orphans

    def _unpaired(self, label_dir: str, image_dir: str, lists: set[str]) -> list[str]:
        folder = self.listing.folder(label_dir)
        rest = set(folder.misspelt_labels)
        if label_dir not in self._complete:
            rest |= folder.labels
        if rest:
            rest -= self._paired_in(label_dir)
        names = {n for n in rest if is_label_name(n) and f"{label_dir}/{n}" not in lists}
        if names:  # images that no list names are still images
            on_disk = {n[: n.rindex(".")] for n in self.listing.folder(image_dir).images}
            names = {n for n in names if n[:-4] not in on_disk}
        return sorted(names)

    def _report_orphans(self, splits: Sequence[SplitImages], orphans: Iterable[_Orphan]) -> None:
        for orphan in orphans:
            split = splits[orphan.split]
            if not split.images.names:
                detail = f"no image for {counted(len(orphan.names), 'label file')} in {self._show(orphan.label_dir)}"
                detail += ": the rows are judged without image sizes"
                advice = "Put the images beside them to have sizes, aspect ratios and the images checked too."
                self.faults.append(
                    dataset_fault(
                        "D007", detail, advice, Severity.INFO, file=orphan.label_dir, split=split.name
                    )
                )
                continue
            if (
                len(orphan.names) > 1
                and not self._paired_in(orphan.label_dir) & self.listing.folder(orphan.label_dir).labels
            ):
                detail = (
                    f"none of the {len(orphan.names)} label files in {self._show(orphan.label_dir)} has an image in"
                    f" {self._show(orphan.image_dir)}: training never reads them"
                )
                advice = f"Put the images into {self._show(orphan.image_dir)}, named as the label files are."
                self.faults.append(
                    dataset_fault("D007", detail, advice, file=orphan.label_dir, split=split.name)
                )
                continue
            for name in orphan.names:
                path = f"{orphan.label_dir}/{name}"
                detail = (
                    f"no image of this name in {self._show(orphan.image_dir)}: training never reads this file"
                )
                advice = "Restore or rename the image, or delete the label file."
                self.faults.append(
                    dataset_fault("D007", detail, advice, file=path, label=path, split=split.name)
                )

    def _show(self, path: str) -> str:
        return shown(path, self.root)


def _by_folder(names: list[str], index: Sequence[int], folders: int) -> Iterable[tuple[int, list[str]]]:
    if folders == 1:
        return [(0, names)]
    groups: list[list[str]] = [[] for _ in range(folders)]
    for name, f in zip(names, index, strict=True):
        groups[f].append(name)
    return enumerate(groups)


def _build(split: SplitImages, has_label: list[bool], orphans: Sequence[_Orphan]) -> Split:
    """The split as a table: images in training's order, then labels without image."""
    images = split.images
    n, extra = len(images.names), sum(len(o.names) for o in orphans)
    folders = len(images.folders)
    index = np.empty(n + extra, np.int32)
    index[:n] = images.folder_index
    index[n:] = np.repeat(np.arange(folders, folders + len(orphans)), [len(o.names) for o in orphans])
    return Split.build(
        split.name,
        [*images.folders, *(o.image_dir for o in orphans)],
        [*images.label_folders, *(o.label_dir for o in orphans)],
        index,
        [*images.names, *(name for o in orphans for name in o.names)],
        np.arange(n + extra) < n,
        np.array([*has_label, *([True] * extra)], np.bool_),
    )
