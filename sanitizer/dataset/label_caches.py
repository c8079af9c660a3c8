"""Label caches that a training left in the dataset (D011). They are pickles, so only their bytes are read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sanitizer.dataset.tables import dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util.bounded_read import NotRegularError
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.model import Split
    from sanitizer.dataset.tables import DatasetFault

_HEAD_BYTES = 1 << 16
"""Enough bytes for the path of the first image, at the start of a cache."""


def find_label_caches(listing: Listing, splits: Sequence[Split], root: str) -> Iterator[DatasetFault]:
    """One fault for each `*.cache` beside the label and image folders, and in the root."""
    seen = set()
    for split in splits:
        folders = [root, *map(os.path.dirname, (*split.label_dirs, *split.image_dirs)), *split.label_dirs]
        for folder in dict.fromkeys(folders):
            for name in sorted(listing.folder(folder).caches):
                path = f"{folder}/{name}"
                if path not in seen:
                    seen.add(path)
                    yield _judge(path, splits, listing, root)


def _judge(path: str, splits: Sequence[Split], listing: Listing, root: str) -> DatasetFault:
    name = shown(path, root)
    image_dirs = {folder for split in splits for folder in split.image_dirs}
    advice = "Delete it; training makes a new one."
    try:
        with listing.storage.open(path) as file:
            head = file.read(_HEAD_BYTES)
        made_at = listing.storage.mtime(path)
    except NotRegularError:
        detail = f"{name} is no file but a folder, pipe or device: training stops or hangs where it expects its cache"
        return dataset_fault("D011", detail, "Remove it.", Severity.WARNING, file=path)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        return dataset_fault(
            "D011", f"{name} cannot be read ({problem})", advice, Severity.WARNING, file=path
        )
    if not any(os.fsencode(folder) + b"/" in head for folder in image_dirs):
        detail = f"{name} is a label cache from elsewhere (it names no image of this dataset): training unpickles it,"
        detail += " and a pickle can run any code"
        return dataset_fault("D011", detail, advice, Severity.WARNING, file=path)
    newer = _newer_label(_label_dirs_of(path, splits), made_at, listing)
    if newer is not None:
        detail = f"{name} is a label cache older than {shown(newer, root)}: a training that trusts it learns old labels"
        return dataset_fault("D011", detail, advice, Severity.WARNING, file=path)
    detail = f"{name} is a label cache (a pickle) of an earlier training, not older than the labels"
    return dataset_fault("D011", detail, "Do not ship it with the dataset.", Severity.INFO, file=path)


def _label_dirs_of(path: str, splits: Sequence[Split]) -> list[str]:
    """Label folders of a cache with that name: Ultralytics writes labels/train.cache for labels/train."""
    stem = path.removesuffix(".cache")
    dirs = [d for split in splits for d in split.label_dirs]
    return [d for d in dict.fromkeys(dirs) if os.path.splitext(d)[0] == stem] or list(dict.fromkeys(dirs))


def _newer_label(label_dirs: Sequence[str], made_at: float, listing: Listing) -> str | None:
    """A label file changed after the cache was made."""
    for folder in label_dirs:
        for name in sorted(listing.folder(folder).labels):
            path = f"{folder}/{name}"
            try:
                if listing.storage.mtime(path) > made_at:
                    return path
            except OSError:
                continue
    return None
