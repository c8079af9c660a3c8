"""What is wrong with the folders of a classification set, in sentences (F001 to F007)."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from typing import TYPE_CHECKING

from sanitizer.dataset.slips.texts import plain_name
from sanitizer.dataset.tables import dataset_fault
from sanitizer.dataset.tasks.class_folders import TRAINING_NAMES
from sanitizer.findings.finding import Severity
from sanitizer.util.counting import in_thousands, listed
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.listing import ListedFolder, Listing
    from sanitizer.dataset.tables import DatasetFault
    from sanitizer.dataset.tasks.class_folders import ClassFolder, ClassSet, SplitFolder

NAMES_SHOWN = 5
TRAIN_SHARE = 0.8
"""Share of each class that training takes when it makes the splits itself (Ultralytics' split_classify_dataset)."""

_PICTURES = frozenset(
    ("gif", "jfif", "jpe", "pjpeg", "pjp", "ppm", "pgm", "pbm", "pnm", "tga", "ico", "svg", "psd", "exr", "hdr", "raw",
     "cr2", "cr3", "nef", "arw", "orf", "rw2", "jxl", "j2k", "jpx")
)  # fmt: skip
"""File extensions of pictures that training does not look for."""


def class_set_faults(
    found: ClassSet, listing: Listing, yaml_names: Mapping[int, str], given_yaml: str | None
) -> Iterator[DatasetFault]:
    """Every fault of the folders.

    Args:
        found: The set.
        listing: Lists folders.
        yaml_names: Class names of the data.yaml beside it, by id; empty where there is none.
        given_yaml: Absolute path of the data.yaml, where the user names that and not the folder.
    """
    if given_yaml is not None:
        yield _not_a_folder(found, given_yaml)
    yield from _missing_splits(found)
    yield from _misread(found, yaml_names)
    for split in found.splits:
        if found.train is not None and split is not found.train:
            yield from _other_classes(found, found.train, split)
    yield from _without_images(found)
    yield from _alike(found)
    for split in found.splits:
        yield from _unread_files(found, split, listing)
        yield from _nested(found, split)


def _not_a_folder(found: ClassSet, yaml_path: str) -> DatasetFault:
    where = shown(found.root)
    detail = (
        f"this is a classification set, a folder for each class: training takes the folder that holds train/, and stops"
        f" at {shown(os.path.basename(yaml_path))} (ValueError)"
    )
    return dataset_fault(
        "F001",
        detail,
        f"Train with data={where}; no data.yaml is needed.",
        file=yaml_path,
        stops_with="ValueError: … is not a folder of classes",
    )


def _missing_splits(found: ClassSet) -> Iterator[DatasetFault]:
    """F001: no images to train on or to validate on."""
    if found.flat or found.misnamed:
        return
    by_name = {split.name: split for split in found.splits}
    train, val = by_name["train"], by_name.get("val") or by_name.get("test")
    if not train.n_images:
        detail = f"no class folder of {_show(found, train.path)} holds an image; training stops here"
        yield dataset_fault(
            "F001",
            detail,
            "Put a folder for each class there.",
            file=train.path,
            split="train",
            stops_with=detail,
        )
    if val is None:
        detail = "there is neither a folder val/ (validation/, valid/) nor test/; training stops here"
        advice = "Move a part of each class into val/, in a folder of the same name."
        yield dataset_fault("F001", detail, advice, file=found.root, split="val", stops_with=detail)
    elif not val.n_images:
        detail = f"no class folder of {_show(found, val.path)} holds an image; training stops here"
        yield dataset_fault(
            "F001",
            detail,
            "Put images of each class there.",
            file=val.path,
            split=val.name,
            stops_with=detail,
        )
    elif val.name == "test":
        detail = "there is no folder val/: training validates on test/, which then tests nothing new"
        yield _f002(detail, "Move a part of each class of train/ into val/.", found.root, Severity.WARNING)


def _misread(found: ClassSet, yaml_names: Mapping[int, str]) -> Iterator[DatasetFault]:
    """F002: folders that training reads as something else than they are meant to be."""
    folders = [os.path.basename(split.path) for split in found.splits]
    if found.misnamed:
        detail = (
            f"no folder is called train/: training takes {listed([f'{shown(n)}/' for n in folders], NAMES_SHOWN)} for"
            f" the classes, and all images below each for its examples"
        )
        advice = "Rename the folders to train/ and val/, in lower case."
        yield _f002(detail, advice, found.root, Severity.ERROR)
    if found.flat:
        copy = shown(f"{os.path.basename(found.root)}_split")
        detail = (
            f"there is no folder train/: training copies the images into {copy}/ beside this folder, 80 % of each class"
            " for training and the rest for validation, at random"
        )
        advice = "Make train/ and val/ yourself where pictures of one series must stay in one split."
        yield _f002(detail, advice, found.root, Severity.INFO)
    for name in found.unread:
        read = next(
            (
                os.path.basename(s.path)
                for s in found.splits
                if name.lower() in TRAINING_NAMES.get(s.name, ())
            ),
            None,
        )
        instead = f"it takes {shown(read)}/ for that split" if read else "no split has that name"
        detail = f"training does not read the folder {shown(name)}/: {instead}"
        yield _f002(
            detail, "Merge the folders, or move this one away.", f"{found.root}/{name}", Severity.WARNING
        )
    for folder in found.train.classes if found.train else ():
        if folder.hidden:
            detail = f"training takes the hidden folder {_show(found, folder.path)}/ for a class"
            advice = "Delete it, or move it out of the folder of the classes."
            yield _f002(
                f"{detail}, as it does with every folder there", advice, folder.path, Severity.WARNING
            )
    ids = {number: name for number, name in found.names.items() if number < found.nc}
    if yaml_names and yaml_names != ids and sorted(yaml_names.values()) == sorted(ids.values()):
        number = next(n for n in ids if yaml_names.get(n) != ids[n])
        detail = (
            f"training numbers classes by the names of their folders and reads no data.yaml: class {number} is"
            f" {shown(ids[number])}, and the data.yaml calls it {shown(yaml_names.get(number, 'nothing'))}"
        )
        yield _f002(
            detail, "Read class numbers with the names that the model holds.", found.root, Severity.WARNING
        )


def _f002(detail: str, advice: str, file: str, severity: Severity) -> DatasetFault:
    return dataset_fault("F002", detail, advice, severity, file=file)


def _other_classes(found: ClassSet, train: SplitFolder, split: SplitFolder) -> Iterator[DatasetFault]:
    """F003: class folders that only one of two splits has."""
    known = {folder.name for folder in train.classes}
    here = {folder.name: folder.n_images for folder in split.classes}
    if here and known and known.isdisjoint(here):
        detail = (
            f"no class folder of {split.name} ({_names(here)}) has the name of one of train ({_names(known)}): training"
            " compares no names then and numbers both by the alphabet, so that each is taken for another"
        )
        advice = f"Give the folders of {split.name} the names of those of train."
        yield dataset_fault("F003", detail, advice, Severity.ERROR, file=split.path, split=split.name)
        return
    for name, n_images in here.items():
        if name not in known and n_images:
            near = next((k for k in sorted(known) if plain_name(k) == plain_name(name)), None)
            images = in_thousands(n_images, "image")
            detail = (
                f"class {shown(name)} is in {split.name} and not in train: training skips its {images} there"
            )
            detail += f" (train has {shown(near)})" if near else ""
            advice = (
                f"Rename the folder to {shown(near)}." if near else f"Add images of {shown(name)} to train."
            )
            number = next(n for n, text in found.names.items() if text == name)
            yield dataset_fault(
                "F003", detail, advice, Severity.ERROR,
                file=f"{split.path}/{name}", split=split.name, class_id=number,
            )  # fmt: skip
    absent = [f.name for f in train.classes if f.n_images and not f.hidden and not here.get(f.name)]
    if absent and split.n_images:
        detail = (
            f"{split.name} has no image of {_names(absent)}: what is measured there says nothing about it"
        )
        advice = f"Move some images of each class from train into {split.name}."
        yield dataset_fault("F003", detail, advice, Severity.INFO, file=split.path, split=split.name)


def _without_images(found: ClassSet) -> Iterator[DatasetFault]:
    """F004: classes of training without an image to learn from."""
    train = found.train
    if train is None or not train.n_images:
        return
    fewest = 1 / (1 - TRAIN_SHARE) if found.flat else 0
    empty = [folder for folder in train.classes if not folder.n_images and not folder.hidden]
    for folder in empty[:NAMES_SHOWN]:
        detail = f"the folder of class {shown(folder.name)} holds no image: training predicts a class that it never saw"
        yield _f004(found, folder, detail, train)
    if len(empty) > NAMES_SHOWN:
        names = _names([folder.name for folder in empty[NAMES_SHOWN:]])
        yield _f004(found, empty[NAMES_SHOWN], f"neither do the folders of {names}", train)
    for folder in train.classes if fewest else ():
        if folder.n_images == 1:
            detail = (
                f"class {shown(folder.name)} has one image, which goes to val: training never sees the class"
            )
            yield _f004(found, folder, detail, train)


def _f004(found: ClassSet, folder: ClassFolder, detail: str, train: SplitFolder) -> DatasetFault:
    number = next(n for n, name in found.names.items() if name == folder.name)
    advice = "Put more images there, or delete the folder."
    return dataset_fault("F004", detail, advice, file=folder.path, split=train.name or None, class_id=number)


def _alike(found: ClassSet) -> Iterator[DatasetFault]:
    """F005: names of classes of training that people take for one."""
    first: dict[str, str] = {}
    for folder in found.train.classes if found.train else ():
        other = first.setdefault(plain_name(folder.name), folder.name)
        if other != folder.name:
            detail = (
                f"class folders {shown(other)!r} and {shown(folder.name)!r} differ by letter case, blanks or marks"
                " only: training learns them as two classes"
            )
            yield dataset_fault(
                "F005", detail, "Merge the two folders.", file=folder.path, split=found.splits[0].name
            )


def _unread_files(found: ClassSet, split: SplitFolder, listing: Listing) -> Iterator[DatasetFault]:
    """F006: pictures that training does not read, one finding a split."""
    outside = len(split.top.images)
    if outside:
        where = f"{_show(found, split.path)}/" if split.path != found.root else "the folder"
        detail = f"{in_thousands(outside, 'image')} in {where} itself, such as {shown(split.top.images[0])}: training"
        detail += " reads only what lies in the folder of a class"
        yield _f006(detail, "Move each into the folder of its class.", split.path, split)
    kinds: Counter[str] = Counter()
    example: dict[str, str] = {}
    for folder in split.classes:
        for each in folder.listed:
            for name in _names_in(each, listing):
                extension = name.rpartition(".")[2].lower()
                if extension in _PICTURES and "." in name:
                    kinds[extension] += 1
                    example.setdefault(extension, f"{each.path}/{name}")
    for extension, n in kinds.most_common():
        one = _show(found, example[extension])
        detail = (
            f"{in_thousands(n, 'file')} of {split.name or 'the set'} with the extension .{extension}, such as"
        )
        detail += f" {one}: training does not read this format, and says nothing"
        yield _f006(detail, "Convert them to PNG or JPEG.", example[extension], split)


def _names_in(folder: ListedFolder, listing: Listing) -> Sequence[str]:
    """All names in a folder that holds files other than images and labels."""
    with contextlib.suppress(OSError):
        return sorted(listing.storage.names(folder.path)) if folder.others else ()
    return ()


def _f006(detail: str, advice: str, file: str, split: SplitFolder) -> DatasetFault:
    return dataset_fault("F006", detail, advice, file=file, split=split.name or None)


def _nested(found: ClassSet, split: SplitFolder) -> Iterator[DatasetFault]:
    """F007: images below a folder in the folder of a class."""
    inner = {folder.name: folder.nested for folder in split.classes if folder.nested}
    if not inner:
        return
    name, folders = next(iter(inner.items()))
    n_images = sum(len(n) for f in split.classes for path, n in f.groups if path != f.path)
    detail = (
        f"{in_thousands(n_images, 'image')} of {split.name or 'the set'} in folders below the folder of a class, such"
        f" as {_show(found, folders[0])}: training counts them as {shown(name)}"
    )
    # A class without an image of its own is a folder too many, or a group of classes.
    grouped = any(len(f.nested) == len(f.groups) for f in split.classes if f.nested)
    advice = "If the inner folders are the classes, move them up; else put the images into the folder of their class."
    severity = Severity.WARNING if grouped else Severity.INFO
    yield dataset_fault("F007", detail, advice, severity, file=folders[0], split=split.name or None)


def _names(names: Sequence[str] | Mapping[str, object] | set[str]) -> str:
    return listed([shown(name) for name in sorted(names)], NAMES_SHOWN)


def _show(found: ClassSet, path: str) -> str:
    return shown(path, found.root)
