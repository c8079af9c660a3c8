"""Faults that the image reader reports without a check: git-lfs pointers, unusual channels, too large images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS, Fault, ImageStatus
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from sanitizer.dataset.tables import ImageTable


def image_faults(images: ImageTable) -> list[Fault]:
    """Faults that the image reader reports: git-lfs pointers (L008), unusual channels (I007), and images that are too
    large (I008).
    """
    faults = [
        Fault("L008", file, values={"what": "image", "detail": images.detail[file]}, about="image")
        for file in np.flatnonzero(images.status == ImageStatus.LFS_POINTER).tolist()
    ]
    return faults + _too_large(images) + _unusual_channels(images)


def _too_large(images: ImageTable) -> list[Fault]:
    """I008: an error where training drops the image for it, too."""
    faults = []
    for file in np.flatnonzero(images.status == ImageStatus.TOO_LARGE).tolist():
        dropped = bool(images.dropped[file])
        effect = (
            "training drops it"
            if dropped
            else "its pixels were not judged; training reads them, whatever it takes"
        )
        values = {"detail": images.detail[file], "effect": effect}
        severity = Severity.ERROR if dropped else None
        faults.append(Fault("I008", file, values=values, severity=severity))
    return faults


_MANY = 20
"""So many images of a chunk show how many channels are usual in the dataset."""


def _unusual_channels(images: ImageTable) -> list[Fault]:
    """I007. If most images of a large chunk are gray or have alpha, that is usual in this dataset and no fault."""
    known = (images.status == ImageStatus.OK) & (images.channels > 0)
    common = 3
    if np.count_nonzero(known) >= _MANY:
        counts = np.bincount(images.channels[known])
        if counts.max() > known.sum() / 2:
            common = int(counts.argmax())
    deep = images.bit_depth > 8
    faults = []
    for file in np.flatnonzero(
        known & (deep | ((images.channels != 3) & (images.channels != common)))
    ).tolist():
        severity = Severity.WARNING if deep[file] else None
        faults.append(Fault("I007", file, values={"detail": _channel_words(images, file)}, severity=severity))
    return faults


def _channel_words(images: ImageTable, file: int) -> str:
    bits = int(images.bit_depth[file])
    if bits > 8:
        return f"{bits} bits a channel: training keeps 8 of them, so fine shades are lost"
    is_jpeg = IMAGE_FORMATS[images.format[file]] == "jpeg"
    match int(images.channels[file]):
        case 1 if bits == 1:
            return "black and white, one bit a pixel: training reads it as three equal channels"
        case 1:
            return "one channel (gray or palette): training expands it to three"
        case 2:
            return "gray with alpha: training reads three channels and ignores the transparency"
        case _ if is_jpeg:
            return "CMYK: training converts it to three channels, and colours may shift"
        case _:
            return "four channels (alpha or CMYK): training reads three and ignores transparency"
