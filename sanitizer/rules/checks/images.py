"""Checks of single images: unusable, damaged, misnamed, rotated, rewritten by training."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS, ImageStatus, RowKind
from sanitizer.rules.checks import file_check
from sanitizer.rules.hits import Hits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, TaskSpec
    from sanitizer.findings.finding import FindingKind
    from sanitizer.rules.hits import Params

    _Column = NDArray[np.float64]

_UNUSABLE = (
    ImageStatus.MISSING,
    ImageStatus.BROKEN_LINK,
    ImageStatus.UNREADABLE,
    ImageStatus.EMPTY,
    ImageStatus.NOT_IMAGE,
    ImageStatus.ENDS_PROCESS,
)
_WITH_LABEL = " together with its label"
_ALONG = {"classify": "", "semantic": " together with its mask"}
"""What training drops with an image, by task."""
_DAMAGED = (ImageStatus.TRUNCATED, ImageStatus.UNDECODABLE)


@file_check("unusable-image")
def unusable_image(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """I001: nothing that training can open. git-lfs pointers are L008."""
    index = np.flatnonzero(np.isin(tables.images.status, _UNUSABLE))
    ends_process = tables.images.status[index] == ImageStatus.ENDS_PROCESS
    effect = np.where(
        ends_process,
        "training may end the same way",
        f"training drops it{_ALONG.get(spec.task, _WITH_LABEL)}",
    )
    kinds: list[FindingKind | None] = ["ends-process" if ends else None for ends in ends_process.tolist()]
    return Hits(index, fields={"detail": tables.images.detail[index], "effect": effect}, kind=kinds)


@file_check("damaged-image")
def damaged_image(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """I002: the header is that of an image, the rest is cut off or damaged."""
    images = tables.images
    index = np.flatnonzero(np.isin(images.status, _DAMAGED))
    cut_off = images.status[index] == ImageStatus.TRUNCATED
    effect = np.where(
        images.dropped[index],
        "training drops it",
        "training does not check for this: it fails on the image, or learns from a picture with a part missing",
    )
    what = np.where(cut_off, "cut off", "damaged")
    return Hits(index, fields={"what": what, "detail": images.detail[index], "effect": effect})


_ENDINGS = {
    "jpeg": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "mpo": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "tiff": ("tif", "tiff", "dng"),
    "heif": ("heic", "heif"),
    "avif": ("avif", "heif"),
    "jpeg2000": ("jp2", "j2k", "jpf", "jpx", "jpc"),
    "bmp": ("bmp", "dib"),
}


@file_check("wrong-image-ending")
def wrong_image_ending(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """I004: a PNG called .jpg and the like."""
    images = tables.images
    index, endings, contents = [], [], []
    fits = [(name, *_ENDINGS.get(name, ())) for name in IMAGE_FORMATS]
    usable = ~np.isin(images.status, _UNUSABLE)
    paths = tables.chunk.images
    for file in np.flatnonzero((images.format > 0) & usable).tolist():
        path = paths[file]
        if path is None:
            continue
        ending = path[path.rfind(".") + 1 :].lower()
        if ending not in fits[images.format[file]]:
            index.append(file)
            endings.append(os.path.splitext(path)[1] or "no ending")
            contents.append(IMAGE_FORMATS[images.format[file]].upper())
    return Hits(np.array(index, np.int64), fields={"ending": endings, "content": contents})


@file_check("exif-rotated")
def exif_rotated(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """I005: pixels are stored rotated or mirrored, so labels may have been drawn in the other frame.

    Silent where the labels say the same in both frames: no rows, or boxes that the rotation maps onto each other.
    """
    images, labels = tables.images, tables.labels
    turned = np.flatnonzero((images.orientation > 1) & (images.status == ImageStatus.OK))
    if not len(turned):
        return Hits(turned)
    readable = labels.kind != RowKind.FAULTY
    index = [
        file
        for file in turned.tolist()
        if not _same_in_both_frames(
            labels.xywh[readable & (labels.file == file)], int(images.orientation[file])
        )
    ]
    kept = np.array(index, np.int64)
    upright_w, upright_h = images.upright_size()
    return Hits(
        kept,
        fields={
            "turn": [_TURNS[images.orientation[file]] for file in index],
            "stored": [f"{images.width[file]}×{images.height[file]}" for file in index],
            "upright": [f"{upright_w[file]}×{upright_h[file]}" for file in index],
        },
    )


_TURNS: Sequence[str] = (
    "",
    "",
    "mirrored",
    "rotated by 180°",
    "mirrored upside down",
    "mirrored and rotated by 90°",
    "rotated by 90°",
    "mirrored and rotated by 90°",
    "rotated by 90°",
)

_TO_UPRIGHT: dict[int, Callable[[_Column, _Column], tuple[_Column, _Column]]] = {
    2: lambda x, y: (1 - x, y),
    3: lambda x, y: (1 - x, 1 - y),
    4: lambda x, y: (x, 1 - y),
    5: lambda x, y: (y, x),
    6: lambda x, y: (1 - y, x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (y, 1 - x),
}
"""A normalised point of the stored frame, as it lies in the upright one (Exif 2.32, tag 274)."""


_SAME_PLACE = 0.002
"""Normalised distance below which two boxes are one: a pixel in 500."""


def _same_in_both_frames(xywh: NDArray[np.float64], orientation: int) -> bool:
    """Whether boxes (R, 4) drawn in the stored frame are the same boxes in the upright one."""
    if not len(xywh):
        return True
    if len(xywh) > 200:
        return False  # so many boxes never fall onto each other
    x, y = _TO_UPRIGHT[orientation](xywh[:, 0], xywh[:, 1])
    w, h = (xywh[:, 3], xywh[:, 2]) if orientation >= 5 else (xywh[:, 2], xywh[:, 3])
    moved = np.stack([x, y, w, h], axis=1)
    distance = np.abs(moved[:, None, :] - xywh[None, :, :]).max(axis=2)
    return bool((distance.min(axis=1) <= _SAME_PLACE).all())


@file_check("rewritten-image")
def rewritten_image(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """I006: a JPEG that does not end with its end marker, which training re-encodes in place."""
    index = np.flatnonzero(tables.images.rewritten)
    return Hits(index, fields={"detail": tables.images.detail[index]})
