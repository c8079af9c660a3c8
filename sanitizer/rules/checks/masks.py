"""Checks of the masks of a semantic set: readable, as large as the image, with ids that are classes, one channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS
from sanitizer.dataset.tasks.mask_table import IGNORED_ID, MASK_IDS, MaskStatus
from sanitizer.findings.finding import Severity
from sanitizer.rules.checks import file_check
from sanitizer.rules.checks.geometry import no_hits
from sanitizer.rules.hits import Hits
from sanitizer.ultra.task_check import mapped_ids, no_class, other_size, wrong_ids
from sanitizer.util.counting import listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, TaskSpec
    from sanitizer.dataset.tasks.mask_table import MaskTable
    from sanitizer.rules.hits import Params

IDS_SHOWN = 8
_BACKGROUND = frozenset(
    ("background", "bg", "_background_", "__background__", "unlabeled", "unlabelled", "void", "none")
)
"""Names, in lower case, of a class 0 that stands for nothing."""
_LOSSY = ("jpeg", "mpo")
_CHANNELS = {"LA": "gray and alpha", "RGB": "red, green and blue", "RGBA": "red, green, blue and alpha"}


@file_check("unreadable-mask")
def unreadable_mask(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """M002: a mask that cannot be opened or decoded, or is too costly for us."""
    if tables.masks is None:
        return no_hits()
    status = tables.masks.status
    index = np.flatnonzero(np.isin(status, (MaskStatus.UNREADABLE, MaskStatus.TOO_LARGE)))
    large = (status[index] == MaskStatus.TOO_LARGE).tolist()
    return Hits(
        index,
        fields={
            "what": ["is too large to be judged" if big else "cannot be read" for big in large],
            "detail": tables.masks.detail[index],
            "effect": [
                "training reads it, whatever it takes" if big else "training drops the image" for big in large
            ],
        },
        severity=[Severity.WARNING if big else Severity.ERROR for big in large],
    )


@file_check("mask-size")
def mask_size(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """M003: a mask that is not as large as its image, upright."""
    masks, images = tables.masks, tables.images
    if masks is None:
        return no_hits()
    index = np.flatnonzero(other_size(masks, images))
    width, height = images.upright_size()
    turned = (masks.width == images.width) & (masks.height == images.height)
    hint = " (that of the image before its EXIF rotation)"
    return Hits(
        index,
        fields={
            "mask": [f"{masks.width[i]}×{masks.height[i]}" for i in index.tolist()],
            "image": [f"{width[i]}×{height[i]}" for i in index.tolist()],
            "hint": [hint if turned[i] else "" for i in index.tolist()],
        },
    )


@file_check("mask-ids")
def mask_ids(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """M004: ids that are no class of the data.yaml, and not 255."""
    masks = tables.masks
    if masks is None:
        return no_hits()
    bad = no_class(spec)
    index = np.flatnonzero(wrong_ids(masks, spec))
    share = [masks.counts[i, bad].sum() / max(masks.counts[i].sum(), 1) for i in index.tolist()]
    return Hits(
        index,
        np.array(share),
        fields={
            "ids": [_ids(masks, i, bad) for i in index.tolist()],
            "share": [f"{s:.1%}" if s >= 0.001 else "under 0.1%" for s in share],
            "limit": [_limit(spec)] * len(index),
        },
    )


def _ids(masks: MaskTable, i: int, wanted: NDArray[np.bool_]) -> str:
    """The ids in mask i among those wanted, in words."""
    found = np.flatnonzero((masks.counts[i] > 0) & wanted).tolist()
    return listed([str(n) if n < MASK_IDS - 1 else "over 255" for n in found], IDS_SHOWN)


def _limit(spec: TaskSpec) -> str:
    if spec.nc is None:
        return "ids end at 255"
    if spec.nc <= 1:
        return "with one class, 0 is background and 1 the class"
    mapped = " once label_mapping is applied" if spec.label_mapping else ""
    return f"data.yaml names classes 0 to {spec.nc - 1}{mapped}"


@file_check("mask-without-class")
def mask_without_class(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """M005: a mask of ignored pixels alone, or of background alone where class 0 is one."""
    masks = tables.masks
    if masks is None:
        return no_hits()
    mapped = mapped_ids(spec)
    total = masks.counts.sum(axis=1)
    read = (masks.status == MaskStatus.OK) & (total > 0)
    ignored = masks.counts[:, mapped == IGNORED_ID].sum(axis=1)
    nothing = read & (ignored == total)
    names_background = spec.nc == 1 or spec.names.get(0, "").strip().lower() in _BACKGROUND
    background = masks.counts[:, mapped == 0].sum(axis=1)
    empty = read & ~nothing & (background + ignored == total) & names_background
    index = np.flatnonzero(nothing | empty)
    of_nothing = nothing[index].tolist()
    words = ("every pixel is ignored (255): training learns nothing from the image",
             "every pixel is background: the image shows training what is no object")  # fmt: skip
    return Hits(
        index,
        fields={"detail": [words[0] if n else words[1] for n in of_nothing]},
        severity=[Severity.WARNING if n else Severity.INFO for n in of_nothing],
    )


@file_check("mask-channels")
def mask_channels(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """M006: colours in place of ids. A palette of colours is none: training reads its indices."""
    masks = tables.masks
    if masks is None:
        return no_hits()
    coloured = np.array(
        [len(mode) > 1 and not mode.startswith("I;") for mode in masks.mode.tolist()], np.bool_
    )
    drops = wrong_ids(masks, spec)
    index = np.flatnonzero(coloured | (masks.gray_palette & drops))
    what = [
        f"has {_CHANNELS.get(masks.mode[i], f'several channels ({masks.mode[i]})')}: training reads its gray as ids"
        if coloured[i]
        else "has a palette of grays: training reads the grays as ids, not the indices"
        for i in index.tolist()
    ]
    return _judged(masks, index, drops, what)


@file_check("lossy-mask")
def lossy_mask(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """M007: a JPEG, whose ids blur at every edge."""
    masks = tables.masks
    if masks is None:
        return no_hits()
    lossy = np.isin(masks.format, [IMAGE_FORMATS.index(name) for name in _LOSSY])
    drops = wrong_ids(masks, spec)
    index = np.flatnonzero(lossy)
    return _judged(masks, index, drops, ["is a JPEG, which changes ids along every edge"] * len(index))


def _judged(masks: MaskTable, index: NDArray[np.int64], drops: NDArray[np.bool_], what: list[str]) -> Hits:
    """Hits that say which ids training reads, and whether it drops the image for them."""
    every = np.ones(MASK_IDS, np.bool_)
    lost = drops[index].tolist()
    return Hits(
        index,
        fields={
            "what": what,
            "ids": [_ids(masks, i, every) for i in index.tolist()],
            "effect": [
                "some are no class, so training drops the image" if n else "all are classes" for n in lost
            ],
        },
        severity=[Severity.ERROR if n else Severity.WARNING for n in lost],
    )
