"""Single label and image files, as a commit hook passes them: paired by name, judged by the nearest data.yaml."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.class_names import read_classes
from sanitizer.dataset.data_yaml import DataYaml, read_data_yaml
from sanitizer.dataset.listing import (
    IMAGE_EXTENSIONS,
    Listing,
    image_folder,
    is_image_name,
    label_folder,
    label_of,
)
from sanitizer.dataset.model import Dataset, DatasetError, Split, with_states
from sanitizer.dataset.tables import dataset_fault
from sanitizer.dataset.tasks.declared import meant_task
from sanitizer.storage.base import LOCAL, Storage, raise_if_unreachable
from sanitizer.util.paths import common_path, join_path, posix, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sanitizer.dataset.tables import DatasetFault
    from sanitizer.dataset.tasks.declared import TaskChoice

_USUAL_EXTENSIONS = ("jpg", "png", "jpeg", "JPG", "PNG", "JPEG")
_MAX_LEVELS = 10
_MAX_SEARCHED_FOLDERS = 500
_OTHER_YAML = frozenset(("sanitize.yaml", "sanitize.yml"))

_NOT_LABEL_NAMES = ("classes.txt", "class.txt", "class_names.txt", "names.txt", "labels.txt", "notes.txt",
              "predefined_classes.txt", "train.txt", "training.txt", "val.txt", "valid.txt", "validation.txt",
              "test.txt", "trainval.txt", "readme*.txt", "license*.txt", "licence*.txt", "requirements*.txt",
              "cmakelists.txt")  # fmt: skip

_NOT_LABEL = re.compile("|".join(map(fnmatch.translate, _NOT_LABEL_NAMES)))


def dataset_of_files(
    paths: Sequence[str], data: str, document: DataYaml | None, listing: Listing, task: TaskChoice
) -> Dataset:
    """The dataset of label and image files given one by one.

    Args:
        paths: The files, absolute.
        data: What the user gave.
        document: The data.yaml that was given along; None looks for the nearest.
        listing: The listing of the storage where the files are.
        task: What the user says that they are for; "auto" asks the data.yaml.

    Raises:
        DatasetError: None of them is a label or an image, or the data.yaml is for a task that is not judged.
    """
    files = [path for path in dict.fromkeys(paths) if is_annotation_file(path)]
    if not files:
        raise DatasetError(
            f"{shown(data)}: neither a data.yaml nor a folder, nor a label (.txt) or image file"
        )
    common = common_path([os.path.dirname(path) for path in files])
    if document is None:
        document = nearest_data_yaml(common, listing.storage)
    classes = read_classes(document)
    root = os.path.dirname(document.path) if document is not None else common
    declared = meant_task(document, classes, task)
    split = pair_files(files, listing)
    unlabelled = [] if declared in ("classify", "semantic") else unlabelled_files(split, root)
    if listing.storage.remote:
        split = with_states(split, listing.storage)
    return Dataset(
        root=root,
        data=data,
        yaml_path=document.path if document is not None else None,
        splits=[split],
        declared_task=declared,
        nc=classes.nc,
        names=classes.names,
        kpt_shape=classes.kpt_shape,
        channels=classes.channels,
        faults=[*(document.faults if document else ()), *classes.faults, *unlabelled],
        files_only=True,
        storage=listing.storage,
    )


def is_label_name(name: str) -> bool:
    """Whether a file of that name, with no image beside it, is meant as labels: not classes.txt and the like."""
    lower = name.lower()
    return lower.endswith(".txt") and not name.startswith(".") and _NOT_LABEL.match(lower) is None


def is_annotation_file(path: str) -> bool:
    """Whether a path is an image or a label by its name."""
    return is_image_name(os.path.basename(path)) or is_label_name(os.path.basename(path))


def pair_files(paths: Sequence[str], listing: Listing) -> Split:
    """One split, called "", of absolute paths; an image and its label given together are one pair."""
    pairs: dict[str, tuple[str | None, str | None]] = {}
    for path in paths:
        if is_image_name(os.path.basename(path)):
            expected = label_of(path)
            pairs[path] = (path, expected if listing.storage.lexists(expected) else None)
        else:
            found = _image_of(path, listing)
            pairs.setdefault(found or path, (found, path))
    folders: dict[tuple[str, str], int] = {}
    index, names = [], []
    for image, label in pairs.values():
        folder, _, name = (image or label or "").rpartition("/")
        key = (folder, label_folder(folder)) if image else (image_folder(folder), folder)
        index.append(folders.setdefault(key, len(folders)))
        names.append(name)
    return Split.build(
        "",
        [folder for folder, _ in folders],
        [label_dir for _, label_dir in folders],
        np.array(index, np.int32),
        names,
        np.array([image is not None for image, _ in pairs.values()], np.bool_),
        np.array([label is not None for _, label in pairs.values()], np.bool_),
    )


def _image_of(label: str, listing: Listing) -> str | None:
    """The image that training pairs with a label, or None. Few names are tried before a folder is listed."""
    folder, _, name = label.rpartition("/")
    stem = name[:-4]
    for image_dir in dict.fromkeys((image_folder(folder), folder)):
        if label_folder(image_dir) != folder:
            continue
        for extension in _USUAL_EXTENSIONS:
            path = f"{image_dir}/{stem}.{extension}"
            if listing.storage.lexists(path):
                return path
        for other in listing.folder(image_dir).images:
            if other.startswith(f"{stem}.") and other[len(stem) + 1 :].lower() in IMAGE_EXTENSIONS:
                return f"{image_dir}/{other}"
    return None


def unlabelled_files(split: Split, root: str) -> Iterable[DatasetFault]:
    """D006 for the images of a split of single files."""
    for i in np.flatnonzero(~split.has_label).tolist():
        image = split.image_path(i)
        detail = f"no label file {shown(split.expected_label_path(i), root)}: training reads the image as background"
        advice = "Label the image; if there really is nothing on it, add an empty label file to say so."
        yield dataset_fault("D006", detail, advice, file=image, image=image, split="")


def nearest_data_yaml(folder: str, storage: Storage = LOCAL) -> DataYaml | None:
    """The nearest data.yaml: in the folder or above it, up to the root of the repository."""
    for _ in range(_MAX_LEVELS):
        found = data_yamls_in(folder, storage)
        if found:
            return found[0]
        parent = os.path.dirname(folder)
        if parent == folder or storage.lexists(f"{folder}/.git"):
            return None
        folder = parent
    return None


def data_yamls_in(folder: str, storage: Storage = LOCAL) -> list[DataYaml]:
    """The files of a folder that describe a dataset, the most likely first.

    data.yaml, dataset.yaml and a yaml named like the folder always count. Other files count if they hold `names` or
    `nc` and are no model.
    """
    try:
        names = [n for n in storage.names(folder) if n.endswith((".yaml", ".yml")) and n not in _OTHER_YAML]
    except OSError:
        return []
    own = {"data", "dataset", os.path.basename(folder)}
    usual = [n for n in ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml") if n in names]
    rest = sorted(n for n in names if n not in usual and n[0] != ".")
    ordered = usual + sorted(rest, key=lambda n: (os.path.splitext(n)[0] not in own, n.endswith(".yml"), n))
    found = []
    for name in ordered:
        path = join_path(folder, name)
        if not _mentions_classes(path, storage) and name not in usual:
            continue
        document = read_data_yaml(path, storage)
        if name in usual or (
            ("names" in document.data or "nc" in document.data) and "backbone" not in document.data
        ):
            found.append(document)
    return found


def _mentions_classes(path: str, storage: Storage) -> bool:
    """A cheap test before a yaml is parsed: most yaml files of a repository describe no dataset."""
    try:
        with storage.open(path) as file:
            head = file.read(1 << 20)
    except OSError as error:
        raise_if_unreachable(storage, path, error)
        return False
    return b"names" in head or b"nc" in head


def find_data_yamls(folder: str, storage: Storage) -> list[DataYaml]:
    """The data.yaml files of a folder, or else of its subfolders other than images and labels."""
    found = data_yamls_in(folder, storage)
    if found:
        return found
    for searched, (path, folders) in enumerate(_walk(folder, storage)):
        folders[:] = sorted(f for f in folders if f[0] != "." and f not in ("images", "labels"))
        if searched > _MAX_SEARCHED_FOLDERS:
            break
        if path != folder:
            found.extend(d for d in data_yamls_in(path, storage) if "train" in d.data or "val" in d.data)
    return found


def _walk(folder: str, storage: Storage) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of its subfolders), from the top. The caller may remove names, so that they are not walked."""
    if not storage.remote:
        yield from ((posix(path), folders) for path, folders, _ in os.walk(folder))
        return
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        folders = [entry.name for entry in storage.list(path) if entry.is_folder]
        yield path, folders
        waiting += [f"{path}/{name}" for name in reversed(folders)]
