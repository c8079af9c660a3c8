"""Images without label and labels without image, folder by folder: what an explanation must explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.model import Dataset, Split

MOST_NAMES = 100_000
"""Names of a kind that are kept of one folder; where there are more, the first stand for the others."""


@dataclass(frozen=True, slots=True)
class UnpairedFolder:
    """An image folder and the folder in which training looks for its labels, of one split.

    Attributes:
        split: Its name.
        image_dir, label_dir: Absolute folders.
        n_images: Images in the folder.
        n_bare: Those without label file.
        bare: Their names.
        orphans: Names of label files without image.
        paired: Stems of some images that have a label.
    """

    split: str
    image_dir: str
    label_dir: str
    n_images: int
    n_bare: int
    bare: Sequence[str]
    orphans: Sequence[str]
    paired: frozenset[str]


def unpaired_folders(dataset: Dataset) -> list[UnpairedFolder]:
    """Every folder that has an image without label or a label without image."""
    return [folder for split in dataset.splits for folder in _of_split(split)]


def _of_split(split: Split) -> list[UnpairedFolder]:
    if (split.has_image & split.has_label).all():
        return []
    numbers: dict[tuple[str, str], int] = {}
    folder_of = [
        numbers.setdefault(key, len(numbers)) for key in zip(split.image_dirs, split.label_dirs, strict=True)
    ]
    folder = np.array(folder_of, np.int64)[split.dir_index]
    by_folder = np.argsort(folder, kind="stable")
    starts = np.searchsorted(folder[by_folder], np.arange(1, len(numbers)))
    found = []
    for (image_dir, label_dir), here in zip(numbers, np.split(by_folder, starts), strict=True):
        has_image, has_label = split.has_image[here], split.has_label[here]
        bare, orphans, paired = here[has_image & ~has_label], here[~has_image], here[has_image & has_label]
        if len(bare) or len(orphans):
            names = [
                [split.file_name(i) for i in pairs[:MOST_NAMES].tolist()] for pairs in (bare, orphans, paired)
            ]
            n_images = len(bare) + len(paired)
            stems = frozenset(map(stem_of, names[2]))
            found.append(
                UnpairedFolder(
                    split.name, image_dir, label_dir, n_images, len(bare), names[0], names[1], stems
                )
            )
    return found


def stem_of(name: str) -> str:
    """A file name without its extension."""
    return name.rpartition(".")[0]
