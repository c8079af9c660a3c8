"""Datasets without data.yaml: darknet's obj.data and obj.names, split folders, images beside labels, labels alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.dataset.class_names import MAX_CLASSES
from sanitizer.dataset.listing import image_folder
from sanitizer.dataset.single_files import is_label_name
from sanitizer.dataset.split_paths import FOLDER_NAMES, SplitSources
from sanitizer.storage.base import raise_if_unreachable
from sanitizer.util.paths import absolute_path, join_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.listing import Listing
    from sanitizer.storage.base import Storage

_MAX_BYTES = 1_000_000
_NAME_FILES = (
    "obj.names",
    "classes.txt",
    "data.names",
    "labels/classes.txt",
    "_darknet.labels",
    "labels/obj.names",
)


@dataclass(slots=True)
class FolderLayout:
    """The layout of a folder without data.yaml.

    Attributes:
        splits: Folders and lists of each split; one split called "" where there are none.
        names: Class names by id, from obj.names, classes.txt and the like.
        nc: `classes=` of a .data file, or the number of names.
        described_as: The layout in words.
        labels_only: The splits' paths are image folders that do not exist or hold no image.
    """

    splits: list[SplitSources] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    nc: int | None = None
    described_as: str = ""
    labels_only: bool = False


def read_folder(folder: str, listing: Listing, deep: bool) -> FolderLayout:
    """Find the layout of an absolute folder. `deep`: images may be anywhere below it."""
    for name in sorted(_file_names(folder, listing.storage)):
        if name.endswith(".data"):
            layout = read_darknet(join_path(folder, name), listing.storage)
            if layout.splits:
                return layout
    layout = FolderLayout()
    _find_splits(folder, listing, deep, layout)
    for name in _NAME_FILES:
        lines = _lines(join_path(folder, name), listing.storage)
        if lines:
            layout.names = dict(enumerate(line.strip() for line in lines))
            layout.nc = len(lines)
            break
    return layout


def _find_splits(folder: str, listing: Listing, deep: bool, layout: FolderLayout) -> None:
    for base in (folder, f"{folder}/images"):
        layout.splits = list(_named_folders(base, listing))
        if layout.splits:
            layout.described_as = "a folder for each split"
            return
    partner = image_folder(folder)
    places = [(f"{folder}/images", "images and labels"), (folder, "images and labels together")]
    if partner != folder:
        places.append((partner, "labels with their images folder"))
    for path, words in places:
        if listing.count_images(path) if deep or path != folder else _has_pair(path, listing):
            layout.splits, layout.described_as = [SplitSources("", [path])], words
            return
    layout.labels_only = True
    layout.splits = list(_label_folders(folder, listing, deep))
    layout.described_as = "labels without images"


def _has_pair(folder: str, listing: Listing) -> bool:
    """Whether an image lies beside its label. Without this test, one picture would make a home folder a dataset."""
    found = listing.folder(folder)
    return any(f"{name.rpartition('.')[0]}.txt" in found.labels for name in found.images)


def _named_folders(base: str, listing: Listing) -> Iterator[SplitSources]:
    for name, aliases in FOLDER_NAMES.items():
        for path in (p for alias in aliases for p in (f"{base}/{alias}/images", f"{base}/{alias}")):
            if listing.storage.isdir(path) and listing.count_images(path):
                yield SplitSources(name, [listing.storage.realpath(path)])
                break


def _label_folders(folder: str, listing: Listing, deep: bool) -> Iterator[SplitSources]:
    """Splits made of label files alone."""
    labels = f"{folder}/labels"
    if listing.storage.isdir(labels):
        found = False
        for name, aliases in FOLDER_NAMES.items():
            for alias in aliases:
                if _holds_labels(f"{labels}/{alias}", listing):
                    found = True
                    yield SplitSources(name, [f"{folder}/images/{alias}"])
        if not found and _holds_labels(labels, listing):
            yield SplitSources("", [f"{folder}/images"])
    elif deep and _holds_labels(folder, listing):
        yield SplitSources("", [image_folder(folder)])


def _holds_labels(path: str, listing: Listing) -> bool:
    return any(is_label_name(name) for folder in listing.walk(path) for name in folder.labels)


def read_darknet(path: str, storage: Storage) -> FolderLayout:
    """Splits and classes of a darknet .data file: lines of `key = value`.

    Darknet takes paths from the folder in which it is started, usually the parent of the file's folder; all likely
    folders are tried.
    """
    values: dict[str, str] = {}
    for line in _lines(path, storage):
        key, equals, value = line.partition("=")
        if equals:
            values[key.strip()] = value.strip()
    bases = darknet_bases(path)
    layout = FolderLayout(described_as=f"darknet ({os.path.basename(path)})")
    for name, key in (("train", "train"), ("val", "valid"), ("test", "test")):
        found = _first_existing(values.get(key, ""), bases, storage)
        if found is not None:
            layout.splits.append(SplitSources(name, [storage.realpath(found)]))
    names = _first_existing(values.get("names", ""), bases, storage)
    layout.names = dict(enumerate(line.strip() for line in _lines(names, storage))) if names else {}
    declared = values.get("classes", "")
    nc = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 9 else 0
    layout.nc = nc if nc <= MAX_CLASSES else None
    layout.nc = max(layout.nc or 0, len(layout.names)) or None
    return layout


def darknet_bases(path: str) -> list[str]:
    """Folders that the paths of a darknet .data file may be relative to."""
    folder = os.path.dirname(path)
    return [folder, os.path.dirname(folder), absolute_path(".")]


def _first_existing(value: str, bases: Sequence[str], storage: Storage) -> str | None:
    if not value or "\0" in value:
        return None
    tries = [join_path(base, value) for base in bases]
    tries.append(join_path(bases[0], os.path.basename(value)))
    return next((path for path in tries if storage.exists(path)), None)


def _file_names(folder: str, storage: Storage) -> Sequence[str]:
    try:
        return storage.names(folder)
    except OSError:
        return []


def _lines(path: str, storage: Storage) -> list[str]:
    """Lines of a small text file that are not blank; none where it cannot be read."""
    try:
        with storage.open(path) as file:
            raw = file.read(_MAX_BYTES)
    except OSError as error:
        raise_if_unreachable(storage, path, error)
        return []
    return [line for line in raw.decode("utf-8-sig", "replace").splitlines() if line.strip()]
