"""From a data.yaml, a folder or loose files to a `Dataset`. Paths mean the same as in Ultralytics."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.dataset.class_names import Classes, read_classes
from sanitizer.dataset.data_yaml import DataYaml, read_data_yaml
from sanitizer.dataset.file_pairing import FilePairer
from sanitizer.dataset.folders import FolderLayout, darknet_bases, read_darknet, read_folder
from sanitizer.dataset.label_caches import find_label_caches
from sanitizer.dataset.listing import ImageFiles, Listing
from sanitizer.dataset.model import Dataset, DatasetError, refuse_unknown_splits, with_states
from sanitizer.dataset.places.search import Search
from sanitizer.dataset.single_files import (
    find_data_yamls,
    is_annotation_file,
    nearest_data_yaml,
    pair_files,
    unlabelled_files,
)
from sanitizer.dataset.slips.class_lists import class_list_faults
from sanitizer.dataset.split_faults import check_download, split_faults
from sanitizer.dataset.split_images import Gatherer, SplitImages, shared_images
from sanitizer.dataset.split_paths import resolve_splits
from sanitizer.dataset.tables import dataset_fault
from sanitizer.dataset.tasks.class_dataset import class_dataset_beside, class_dataset_in
from sanitizer.dataset.tasks.declared import declared_task, refuse_packed
from sanitizer.dataset.tasks.mask_files import (
    MaskPairer,
    is_semantic,
    mask_pairer,
    read_label_mapping,
)
from sanitizer.findings.finding import Severity
from sanitizer.util.paths import common_path, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sanitizer.dataset.split_paths import SplitPaths
    from sanitizer.dataset.tables import DatasetFault, Task
    from sanitizer.dataset.tasks.declared import TaskChoice
    from sanitizer.storage.base import Storage

    ShardsOfYaml = Callable[[DataYaml, str, Sequence[str] | None, Storage], Dataset | None]


_NO_CLASSES = Classes(None, {}, (0, 0), ())
_NAMES_KEPT = 100_000
"""Names in folders that are kept to explain what is missing: below ten megabytes."""


def find_loose_files(
    listing: Listing,
    given: Sequence[str],
    paths: Sequence[str],
    splits: Sequence[str] | None,
    shards_of_yaml: ShardsOfYaml,
    task: TaskChoice = "auto",
) -> Dataset:
    """The dataset of loose files behind paths within one storage.

    Args:
        listing: The listing of that storage.
        given: Absolute paths.
        paths: The same, as the user wrote them.
        splits: Names of the splits to look at; all by default.
        shards_of_yaml: Finds the dataset where a data.yaml names shards in place of folders.
        task: What the user says that the dataset is for; "auto" asks the data.yaml and the folders.

    Raises:
        DatasetError: Nothing can be read at all, or `splits` names a split that does not exist, or the dataset is for
            a task that is not judged.
    """
    storage = listing.storage
    if storage.remote:
        paths = [storage.url(path) for path in given]
    for path, absolute in zip(paths, given, strict=True):
        if not storage.lexists(absolute):
            looked = storage.url(os.path.dirname(absolute))
            raise DatasetError(f"{shown(path)} does not exist (looked in {shown(looked)})")
    yamls = [p for p in given if p.lower().endswith((".yaml", ".yml")) and not storage.isdir(p)]
    if len(given) == 1 and yamls:
        document = read_data_yaml(yamls[0], storage)
        return _from_yaml(document, paths[0], splits, listing, shards_of_yaml, task, named=True)
    if len(given) == 1 and storage.isdir(given[0]):
        return _from_folder(given[0], paths[0], splits, listing, shards_of_yaml, task)
    if len(given) == 1 and given[0].endswith(".data"):
        layout = read_darknet(given[0], storage)
        return _from_layout(os.path.dirname(given[0]), layout, paths[0], splits, given[0], listing)
    if len(yamls) > 1 or any(storage.isdir(path) for path in given):
        raise DatasetError("give one data.yaml or one folder at a time, or label and image files")
    beside = read_data_yaml(yamls[0], storage) if yamls else None
    return _from_files(given, " ".join(paths), beside, listing, task)


def _from_yaml(
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
    declared, pairer = _declared_task(document, classes, task), None
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


def _from_folder(
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
        return _from_yaml(documents[0], data, wanted, listing, shards_of_yaml, task, faults)
    if task in ("auto", "classify"):
        of_classes = class_dataset_in(folder, data, wanted, listing, task == "classify")
        if of_classes is not None:
            return of_classes
    if task == "semantic":
        raise DatasetError(f"{shown(data)} has no data.yaml: training of a semantic set needs one")
    return _from_layout(folder, read_folder(folder, listing, deep=True), data, wanted, None, listing)


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
    classes = read_classes(near) if near is not None else _NO_CLASSES
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


def _from_files(
    paths: Sequence[str], data: str, document: DataYaml | None, listing: Listing, task: TaskChoice
) -> Dataset:
    """Label and image files given one by one."""
    files = [path for path in dict.fromkeys(paths) if is_annotation_file(path)]
    if not files:
        raise DatasetError(
            f"{shown(data)}: neither a data.yaml nor a folder, nor a label (.txt) or image file"
        )
    common = common_path([os.path.dirname(path) for path in files])
    if document is None:
        document = nearest_data_yaml(common, listing.storage)
    classes = read_classes(document) if document is not None else _NO_CLASSES
    root = os.path.dirname(document.path) if document is not None else common
    declared = _declared_task(document, classes, task)
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


def _declared_task(document: DataYaml | None, classes: Classes, wanted: TaskChoice) -> Task | None:
    """`task:` of a data.yaml, or what its keys imply."""
    return declared_task(document, wanted) or ("pose" if classes.kpt_shape != (0, 0) else None)
