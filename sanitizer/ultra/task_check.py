"""Which images training drops, for tasks without label files: classification and semantic segmentation.

Source: `verify_image_mask` in ultralytics/data/utils.py and `ClassificationDataset` in ultralytics/data/dataset.py,
version 8.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tasks.mask_table import IGNORED_ID, MASK_IDS, MaskStatus
from sanitizer.ultra.label_check import Verdicts, refused_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, ImageTable, TaskSpec
    from sanitizer.dataset.tasks.mask_table import MaskTable


def task_verdicts(tables: ChunkTables, spec: TaskSpec) -> Verdicts:
    """What training does with each image. One that was not read counts as good, as does one whose mask is too large
    for us.
    """
    images = tables.images
    dropped = refused_images(images, spec.behaviour)
    if tables.masks is not None:
        dropped |= _bad_masks(tables.masks, images, spec)
    elif tables.chunk.classes is not None and spec.nc is not None:
        dropped |= tables.chunk.classes >= spec.nc
    none = np.zeros(len(images), np.bool_)
    return Verdicts(dropped, background=none, found=~none, boxed=none)


def _bad_masks(masks: MaskTable, images: ImageTable, spec: TaskSpec) -> NDArray[np.bool_]:
    bad: NDArray[np.bool_] = np.isin(masks.status, (MaskStatus.MISSING, MaskStatus.UNREADABLE))
    bad |= other_size(masks, images)
    bad |= wrong_ids(masks, spec)
    return bad


def wrong_ids(masks: MaskTable, spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (F,): the mask holds an id that is no class."""
    return np.asarray(np.count_nonzero(masks.counts[:, no_class(spec)], axis=1) > 0)


def other_size(masks: MaskTable, images: ImageTable) -> NDArray[np.bool_]:
    """bool (F,): the mask is not as large as the upright image; where both sizes are known."""
    width, height = images.upright_size()
    known = (masks.width > 0) & (width > 0)
    return np.asarray(known & ((masks.width != width) | (masks.height != height)))


def no_class(spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (MASK_IDS,): ids that are neither a class nor ignored once `label_mapping` is applied.

    With one class, masks hold 0 for background and 1 for the class.
    """
    mapped = mapped_ids(spec)
    last = IGNORED_ID if spec.nc is None else max(spec.nc - 1, 1)
    bad: NDArray[np.bool_] = (mapped > last) & (mapped != IGNORED_ID)
    bad[MASK_IDS - 1] = True
    return bad


def mapped_ids(spec: TaskSpec) -> NDArray[np.int64]:
    """int64 (MASK_IDS,): the class id that training makes of each id in a mask."""
    mapped = np.arange(MASK_IDS)
    for source, target in spec.label_mapping.items():
        mapped[source] = target
    return mapped
