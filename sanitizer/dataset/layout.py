"""From a data.yaml or a folder to a `Dataset`. Paths mean the same as in Ultralytics."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.dataset.class_names import read_classes
from sanitizer.dataset.file_pairing import FilePairer
from sanitizer.dataset.folders import FolderLayout, darknet_bases, read_darknet, read_folder
from sanitizer.dataset.label_caches import find_label_caches
from sanitizer.dataset.model import Dataset, DatasetError, refuse_unknown_splits, with_states
from sanitizer.dataset.places.search import Search
from sanitizer.dataset.single_files import find_data_yamls, nearest_data_yaml
from sanitizer.dataset.slips.class_lists import class_list_faults
from sanitizer.dataset.split_faults import check_download, split_faults
from sanitizer.dataset.split_images import Gatherer, ImageFiles, SplitImages, shared_images
from sanitizer.dataset.split_paths import resolve_splits
from sanitizer.dataset.tables import dataset_fault
from sanitizer.dataset.tasks.class_dataset import class_dataset_beside, class_dataset_in
from sanitizer.dataset.tasks.declared import meant_task, refuse_packed
from sanitizer.dataset.tasks.mask_files import (
    MaskPairer,
    is_semantic,
    mask_pairer,
    read_label_mapping,
)
from sanitizer.findings.finding import Severity
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sanitizer.dataset.class_names import Classes
    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.split_paths import SplitPaths
    from sanitizer.dataset.tables import DatasetFault, Task
    from sanitizer.dataset.tasks.declared import TaskChoice
    from sanitizer.storage.base import Storage

    ShardsOfYaml = Callable[[DataYaml, str, Sequence[str] | None, Storage], Dataset | None]


_NAMES_KEPT = 100_000
"""Names in folders that are kept to explain what is missing: below ten megabytes."""


def from_yaml(
    document: DataYaml,
    data: str,
    wanted: Sequence[str] | None,
    listing: Listing,
    shards_of_yaml: ShardsOfYaml,
    task: TaskChoice,
    faults: Sequence[DatasetFault] = (),
    named: bool = False,
) -> Dataset:
    """The dataset that a data.yaml describes, or its folder where the yaml names no split that exists.

    `named`: the user names the data.yaml, and not its folder.
    """
    packed = shards_of_yaml(document, data, wanted, listing.storage)
    if packed is not None:
        refuse_unknown_splits(wanted, [*(s.name for s in packed.splits), "train", "val"], data)
        refuse_packed(document, task)
        return replace(packed, faults=[*faults, *packed.faults])
    classes = read_classes(document)
    folder = os.path.dirname(document.path)
    if not document.readable:
        layout = read_folder(folder, listing, deep=False)
        known = [*faults, *document.faults]
        return _assemble(folder, layout, data, wanted, document.path, listing, classes, known)
    found = resolve_splits(document, listing, wanted)
    of_classes = class_dataset_beside(document, found, classes.names, data, wanted, listing, task, named)
    if of_classes is not None:
        return of_classes
    refuse_unknown_splits(wanted, [*(s.name for s in found.splits), *found.missing, "train", "val"], data)
    path_faults = list(split_faults(document, found))
    known = [*faults, *document.faults, *classes.faults, *path_faults]
    val_missing = any(f.rule == "D002" and f.split == "val" for f in path_faults)
    known.extend(check_download(document, val_missing))
    declared, pairer = meant_task(document, classes, task), None
    mapping: dict[int, int] = {}
    if is_semantic(document, task, found.root, listing):
        declared, pairer = "semantic", mask_pairer(document, found.root, listing)
        mapping = read_label_mapping(document, known)
    if not found.splits and wanted is None:
        layout = read_folder(folder, listing, deep=False)
        place = document.path
        dataset = _assemble(folder, layout, data, wanted, place, listing, classes, known, declared, pairer)
        dataset = replace(dataset, search=Search(listing, found))
    else:
        gatherer = Gatherer(listing, found.root, document.path, found.bases)
        images = [gatherer.gather(split) for split in found.splits]
        dataset = _finish(images, gatherer, data, document.path, classes, known, declared, pairer, found)
    lists = class_list_faults(document, classes.names, dataset)
    return replace(dataset, label_mapping=mapping, faults=[*dataset.faults, *lists])


def from_folder(
    folder: str,
    data: str,
    wanted: Sequence[str] | None,
    listing: Listing,
    shards_of_yaml: ShardsOfYaml,
    task: TaskChoice,
) -> Dataset:
    """The dataset in a folder: by its data.yaml, or by the names of its folders and files."""
    documents = find_data_yamls(folder, listing.storage)
    if documents:
        faults = []
        usual = os.path.splitext(os.path.basename(documents[0].path))[0] in (
            "data",
            "dataset",
            os.path.basename(folder),
        )
        if len(documents) > 1 and not usual:
            names = ", ".join(shown(d.path, folder) for d in documents)
            detail = f"{len(documents)} files could be the data.yaml ({names}); the first was taken"
            faults.append(
                dataset_fault(
                    "D001", detail, "Name the one to scan.", Severity.WARNING, file=documents[0].path
                )
            )
        return from_yaml(documents[0], data, wanted, listing, shards_of_yaml, task, faults)
    if task in ("auto", "classify"):
        of_classes = class_dataset_in(folder, data, wanted, listing, task == "classify")
        if of_classes is not None:
            return of_classes
    if task == "semantic":
        raise DatasetError(f"{shown(data)} has no data.yaml: training of a semantic set needs one")
    return _from_layout(folder, read_folder(folder, listing, deep=True), data, wanted, None, listing)


def from_darknet(path: str, data: str, wanted: Sequence[str] | None, listing: Listing) -> Dataset:
    """The dataset that a .data file of darknet describes."""
    layout = read_darknet(path, listing.storage)
    return _from_layout(os.path.dirname(path), layout, data, wanted, path, listing)


def _from_layout(
    folder: str,
    layout: FolderLayout,
    data: str,
    wanted: Sequence[str] | None,
    data_file: str | None,
    listing: Listing,
) -> Dataset:
    """The dataset of a folder or .data file without yaml."""
    if not layout.splits:
        raise DatasetError(f"{shown(data)} holds neither images nor labels nor a data.yaml")
    near = None
    if not layout.names and _is_part(folder):
        near = nearest_data_yaml(os.path.dirname(folder), listing.storage)
    classes = read_classes(near)
    faults: list[DatasetFault] = []
    if near is None:
        name = shown(os.path.basename(folder))
        detail = f"no data.yaml in {name}: it was read as {layout.described_as}; training needs a data.yaml"
        advice = "Write a data.yaml with train:, val: and names:; then class ids are checked too."
        faults.append(dataset_fault("D001", detail, advice, Severity.INFO, file=data_file or folder))
    return _assemble(folder, layout, data, wanted, near.path if near else None, listing, classes, faults)


def _is_part(folder: str) -> bool:
    """Whether a folder is a part of a dataset that has its data.yaml further up."""
    parts = {"images", "labels", "train", "val", "valid", "test"}
    return os.path.basename(folder) in parts or os.path.basename(os.path.dirname(folder)) in parts


def _assemble(
    folder: str,
    layout: FolderLayout,
    data: str,
    wanted: Sequence[str] | None,
    yaml_path: str | None,
    listing: Listing,
    classes: Classes,
    faults: Sequence[DatasetFault],
    task: Task | None = None,
    pairer: FilePairer | MaskPairer | None = None,
) -> Dataset:
    """A dataset by the names of the folders and files in its folder."""
    refuse_unknown_splits(wanted, [s.name for s in layout.splits], data)
    sources = [s for s in layout.splits if wanted is None or s.name in wanted]
    if layout.nc and classes.nc is None:
        classes = replace(classes, nc=layout.nc, names=layout.names)
    root = listing.storage.realpath(folder)
    gatherer = Gatherer(
        listing, root, yaml_path or folder, darknet_bases(f"{folder}/obj.data"), for_training=False
    )
    if layout.labels_only:
        nothing = ImageFiles([], [], [], [])
        images = [SplitImages(s.name, nothing, s.paths) for s in sources]
    else:
        images = [gatherer.gather(split) for split in sources]
    return _finish(images, gatherer, data, yaml_path, classes, faults, task, pairer)


def _finish(
    images: Sequence[SplitImages],
    gatherer: Gatherer,
    data: str,
    yaml_path: str | None,
    classes: Classes,
    faults: Sequence[DatasetFault],
    task: Task | None,
    pairer: FilePairer | MaskPairer | None = None,
    found: SplitPaths | None = None,
) -> Dataset:
    """Pair images with labels, or with masks, and put everything together."""
    pairer = pairer or FilePairer(gatherer.listing, gatherer.root)
    splits = pairer.pair(images)
    storage = gatherer.listing.storage
    if storage.remote:
        splits = [with_states(split, storage) for split in splits]
    shared = shared_images(images, gatherer.root, yaml_path)
    caches = find_label_caches(gatherer.listing, splits, gatherer.root)
    lists = {split.name: split.lists for split in images if split.lists}
    return Dataset(
        root=gatherer.root,
        data=data,
        yaml_path=yaml_path,
        splits=splits,
        declared_task=task,
        nc=classes.nc,
        names=classes.names,
        kpt_shape=classes.kpt_shape,
        channels=classes.channels,
        faults=[*faults, *gatherer.faults, *shared, *pairer.faults, *caches],
        storage=storage,
        search=Search(gatherer.listing.kept_small(_NAMES_KEPT), found, lists),
    )
