"""D006 told once for a split or a folder in which no image has a label file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util.counting import counted
from sanitizer.util.paths import common_path, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.split_images import SplitImages
    from sanitizer.dataset.tables import DatasetFault


def bare_folders(
    split: SplitImages,
    has: Sequence[bool],
    listing: Listing,
    root: str,
    judged: AbstractSet[tuple[str, str]],
) -> tuple[list[DatasetFault], set[int]]:
    """(one D006 for the split, or one for each folder, without any label; numbers of the folders that it speaks for).

    An image alone in its folder is told by itself, and so are images whose label folder has labels of other names.

    Args:
        split: The images.
        has: Whether each has a label file.
        listing: Lists folders.
        root: Paths are shown relative to it.
        judged: (image folder, label folder) that a split before this one told of.
    """
    images = split.images
    if not has:
        return [], set()
    folder_index, has_label = np.asarray(images.folder_index, np.int64), np.array(has, np.bool_)
    total = np.bincount(folder_index, minlength=len(images.folders))
    labelled = np.bincount(folder_index[has_label], minlength=len(total))
    keys = list(zip(images.folders, images.label_folders, strict=True))
    empty = {
        f
        for f in np.flatnonzero(labelled == 0).tolist()
        if keys[f] not in judged and not _has_labels(listing, images.label_folders[f])
    }
    is_train = split.name == "train"
    if not any(has) and (is_train or (len(has) > 1 and len(empty) == len(keys))):
        top = common_path(images.folders)
        what = f"none of the {counted(len(has), 'image')} of {split.name or 'the folder'} has a label file"
        fault = _fault(split, top, range(len(keys)), what, listing, root, stops=is_train)
        return [fault], empty
    faults = []
    empty = {f for f in empty if total[f] > 1}
    for f in sorted(empty):
        what = f"none of the {total[f]} images in {shown(images.folders[f], root)} has a label file"
        faults.append(_fault(split, images.folders[f], [f], what, listing, root, stops=False))
    return faults, empty


def _fault(
    split: SplitImages,
    folder: str,
    numbers: Sequence[int],
    what: str,
    listing: Listing,
    root: str,
    stops: bool,
) -> DatasetFault:
    path = split.images.label_folders[numbers[0]]
    sought = shown(path, root)
    if len(numbers) > 1:
        where = f" (sought in {sought} and {counted(len(numbers) - 1, 'other folder')})"
    elif not listing.storage.lexists(path):
        where = f" (there is no folder {sought})"
    else:
        error = listing.folder(path).error
        where = f" (looked in {sought}{': ' + error if error else ''})"
    effect = "; training stops here" if stops else ": training reads them as background"
    advice = f"Put the label files into {sought}, named as the images are."
    if not stops:
        advice = f"{advice[:-1]}; if there really is nothing on them, add empty label files to say so."
    severity = Severity.ERROR if stops else None
    return dataset_fault("D006", f"{what}{effect}{where}", advice, severity, file=folder, split=split.name)


def _has_labels(listing: Listing, label_dir: str) -> bool:
    folder = listing.folder(label_dir)
    return bool(folder.labels or folder.misspelt_labels)
