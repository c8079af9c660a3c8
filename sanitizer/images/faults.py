"""Faults that the image reader reports without a check: git-lfs pointers, unusual channels, too large images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS, Fault, ImageStatus
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from sanitizer.dataset.tables import ImageTable


def image_faults(images: ImageTable, channels: int = 3) -> list[Fault]:
    """Faults that the image reader reports: git-lfs pointers (L008), unusual channels (I007), and images that are too
    large (I008).
    """
    faults = [
        Fault("L008", file, values={"what": "image", "detail": images.detail[file]}, about="image")
        for file in np.flatnonzero(images.status == ImageStatus.LFS_POINTER).tolist()
    ]
    return faults + _too_large(images) + _unusual_channels(images, channels)


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


def _other_channels(images: ImageTable, channels: int) -> list[Fault]:
    """I007 where the data.yaml asks for another number of channels than 1 and 3, to which training converts nothing."""
    gray_tiff = (images.format == IMAGE_FORMATS.index("tiff")) & (images.channels == 1)
    own = np.where(gray_tiff, images.pages, images.channels)
    wrong = (images.status == ImageStatus.OK) & (own > 0) & (own != channels)
    return [
        Fault(
            "I007",
            file,
            values={
                "detail": f"{own[file]} channels, and `channels: {channels}` needs {channels}: training stops at it"
            },
            severity=Severity.ERROR,
        )
        for file in np.flatnonzero(wrong).tolist()
    ]


def _unusual_channels(images: ImageTable, channels: int) -> list[Fault]:
    """I007. If most images of a large chunk are gray or have alpha, that is usual in this dataset and no fault."""
    if channels not in (1, 3):
        return _other_channels(images, channels)
    known = (images.status == ImageStatus.OK) & (images.channels > 0)
    common = channels
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
        severity = Severity.ERROR if _is_too_deep(images, file) else severity
        faults.append(Fault("I007", file, values={"detail": _channel_words(images, file)}, severity=severity))
    return faults


def _is_too_deep(images: ImageTable, file: int) -> bool:
    """Whether OpenCV, with which training reads pixels, opens it neither as colour nor as gray."""
    return IMAGE_FORMATS[images.format[file]] == "tiff" and int(images.bit_depth[file]) > 16


def _channel_words(images: ImageTable, file: int) -> str:
    bits = int(images.bit_depth[file])
    if _is_too_deep(images, file):
        return f"{bits} bits a channel: training cannot open it and stops; save it with 8 or 16 bits"
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
