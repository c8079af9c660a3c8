"""Classification sets: a folder for each class in train/, val/ and test/, or right below the root.

Folders mean what they mean to Ultralytics' check_cls_dataset and to torchvision's ImageFolder: classes are the
subfolders of train/, hidden and empty ones too, numbered by name; images may lie at any depth below them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.listing import label_folder
from sanitizer.dataset.model import Split
from sanitizer.dataset.split_paths import FOLDER_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sanitizer.dataset.listing import ListedFolder, Listing

TRAINING_NAMES = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
"""Folder names that training looks for, the best first."""

_NO_CLASSES = frozenset(
    ("image", "images", "img", "imgs", "jpegimages", "leftimg8bit", "rgb", "label", "labels", "mask", "masks", "depth",
     "annotation", "annotations", "ann", "anns", "gt", "gtfine", "det", "xml", "json", "runs",
     "segmentationclass", "segmentationobject")
)  # fmt: skip
"""Folder names, in lower case and without a number, that mark a dataset of another task."""


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder that training takes for a class.

    Attributes:
        name: Its name.
        path: Its absolute path.
        groups: (absolute folder, image names in it) of the folder and of those below it, where they hold images.
        listed: What is in the folder itself, and in those below it.
    """

    name: str
    path: str
    groups: Sequence[tuple[str, Sequence[str]]]
    listed: Sequence[ListedFolder]

    @property
    def n_images(self) -> int:
        """Number of images that training finds in it."""
        return sum(len(names) for _, names in self.groups)

    @property
    def nested(self) -> Sequence[str]:
        """Folders below it that hold images."""
        return [folder for folder, _ in self.groups if folder != self.path]

    @property
    def hidden(self) -> bool:
        """Whether people do not see it."""
        return self.name.startswith(".")


@dataclass(frozen=True, slots=True)
class SplitFolder:
    """A split: its name, its absolute folder, what lies in it, and its class folders by name."""

    name: str
    path: str
    top: ListedFolder
    classes: Sequence[ClassFolder]

    @property
    def n_images(self) -> int:
        """Number of images that training finds in its class folders."""
        return sum(folder.n_images for folder in self.classes)


@dataclass(frozen=True, slots=True)
class ClassSet:
    """A classification set.

    Attributes:
        root: Absolute folder that training is given.
        splits: In the order train, val, test; one called "" where class folders lie right below the root.
        unread: Names of folders beside them that look like a split, and that training does not read.
        misnamed: No folder is called train, so that training takes the split folders for classes.
    """

    root: str
    splits: Sequence[SplitFolder]
    unread: Sequence[str] = ()
    misnamed: bool = False
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def nc(self) -> int:
        """Number of classes of training."""
        return len(self.train.classes) if self.train else 0

    @property
    def flat(self) -> bool:
        """Whether training makes the splits itself."""
        return [split.name for split in self.splits] == [""]

    @property
    def train(self) -> SplitFolder | None:
        """The split whose folders are the classes."""
        return next((split for split in self.splits if split.name in ("train", "")), None)


def find_class_set(
    root: str, listing: Listing, names: Iterable[str] | None = None, sure: bool = False
) -> ClassSet | None:
    """The classification set in an absolute folder; None where it is none.

    Args:
        root: The folder.
        listing: Lists folders.
        names: Class names of a data.yaml beside it. If given, they must be those of folders.
        sure: The user or the data.yaml says that it is one, so that any class folders will do.
    """
    top = listing.folder(root)
    places, misnamed = _split_places(top)
    if not sure and not _may_be(root, top, places, listing):
        return None
    splits = [_read_split(name, path, listing) for name, path in places]
    found = ClassSet(root, splits, _unread(top, places), misnamed)
    if not any(split.n_images for split in splits):
        return None
    if not sure and not _is_one(found, listing, names):
        return None
    return ClassSet(root, splits, found.unread, misnamed, _class_names(found))


def _split_places(top: ListedFolder) -> tuple[list[tuple[str, str]], bool]:
    """((split name, absolute folder) of each split, whether training takes these folders for classes)."""
    here = {name: f"{top.path}/{name}" for name in top.subfolders}
    if "train" in here:
        found = {
            split: next((n for n in names if n in here), None) for split, names in TRAINING_NAMES.items()
        }
        return [(split, here[name]) for split, name in found.items() if name], False
    alike = {}
    for split, aliases in FOLDER_NAMES.items():
        name = next((n for n in sorted(here) if n.lower() in aliases), None)
        if name is not None:
            alike[split] = here[name]
    return (list(alike.items()), True) if alike else ([("", top.path)], False)


def _is_of_other_task(name: str) -> bool:
    return name.lower().rstrip("0123456789_-") in _NO_CLASSES or name.lower() in _NO_CLASSES


def _may_be(root: str, top: ListedFolder, places: Sequence[tuple[str, str]], listing: Listing) -> bool:
    """A quick test before folders are walked: by names, and by where the images of the first split are."""
    if any(map(_is_of_other_task, (os.path.basename(root), *top.subfolders))):
        return False
    first = listing.folder(places[0][1])
    return bool(first.subfolders) and not first.labels and not any(map(_is_of_other_task, first.subfolders))


def _is_one(found: ClassSet, listing: Listing, names: Iterable[str] | None) -> bool:
    """Whether folders of images are classes: no label belongs to an image, and the names agree with the data.yaml."""
    folders = [folder for split in found.splits for folder in split.classes if folder.n_images]
    if any(_has_annotations(folder, listing) for folder in folders):
        return False
    outside = sum(len(split.top.images) for split in found.splits)
    if 2 * outside > sum(folder.n_images for folder in folders):
        return False
    held = {folder.name for folder in folders}
    if names is None:
        return len(held) > 1
    known = {str(name).strip().lower() for name in names}
    return 2 * sum(name.strip().lower() in known for name in held) >= max(len(held), 1)


def _has_annotations(folder: ClassFolder, listing: Listing) -> bool:
    """Whether labels lie beside the images or where a detector's training looks, or another file beside each image."""
    if any(_is_of_other_task(os.path.basename(each.path)) for each in folder.listed):
        return True
    if any(each.labels and _pairs(each) for each in folder.listed):
        return True
    if any(
        listing.folder(label_folder(path)).labels for path, _ in folder.groups if label_folder(path) != path
    ):
        return True
    return sum(each.others for each in folder.listed) > folder.n_images / 2 + 1


def _pairs(folder: ListedFolder) -> bool:
    return any(f"{name.rpartition('.')[0]}.txt" in folder.labels for name in folder.images)


def _read_split(name: str, path: str, listing: Listing) -> SplitFolder:
    top = listing.folder(path)
    classes = []
    for folder in sorted([*top.subfolders, *top.hidden_folders]):
        listed = list(listing.walk(f"{path}/{folder}"))
        groups = [
            (each.path, sorted([*each.images, *each.hidden_images]))
            for each in listed
            if each.images or each.hidden_images
        ]
        classes.append(ClassFolder(folder, f"{path}/{folder}", groups, listed))
    return SplitFolder(name, path, top, classes)


def _unread(top: ListedFolder, places: Sequence[tuple[str, str]]) -> list[str]:
    read = {os.path.basename(path) for _, path in places}
    aliases = {alias for names in FOLDER_NAMES.values() for alias in names}
    if not read & set(top.subfolders):
        return []
    return [name for name in sorted(top.subfolders) if name not in read and name.lower() in aliases]


def _class_names(found: ClassSet) -> dict[int, str]:
    """Class id to name: training's classes, then those that only other splits have."""
    names = [folder.name for folder in found.train.classes] if found.train else []
    others = {folder.name for split in found.splits for folder in split.classes if folder.n_images}
    return dict(enumerate([*names, *sorted(others - set(names))]))


def class_ids(found: ClassSet, split: SplitFolder) -> dict[str, int]:
    """Class id that training gives to the images of each class folder; from `nc` on, it skips them.

    Where no folder of a split is a class of train, training numbers the folders by name and does not compare names.
    """
    ids = {name: number for number, name in found.names.items()}
    of_train = {folder.name for folder in found.train.classes} if found.train else set()
    folders = [folder.name for folder in split.classes]
    if of_train and of_train.isdisjoint(folders):
        return {name: n if n < found.nc else ids.get(name, found.nc) for n, name in enumerate(folders)}
    return {name: ids.get(name, found.nc) for name in folders}


def class_splits(found: ClassSet, wanted: Sequence[str] | None) -> list[Split]:
    """The images of each split as a table, none with a label file."""
    return [_table(found, split) for split in found.splits if wanted is None or split.name in wanted]


def _table(found: ClassSet, split: SplitFolder) -> Split:
    ids = class_ids(found, split)
    groups = [(folder, names, ids[each.name]) for each in split.classes for folder, names in each.groups]
    folders = [folder for folder, _, _ in groups]
    lengths = [len(names) for _, names, _ in groups]
    n = sum(lengths)
    table = Split.build(
        split.name,
        folders,
        folders,
        np.repeat(np.arange(len(groups), dtype=np.int32), lengths),
        [name for _, names, _ in groups for name in names],
        np.ones(n, np.bool_),
        np.zeros(n, np.bool_),
    )
    return replace(table, dir_classes=[number for _, _, number in groups])
