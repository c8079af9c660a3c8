"""Reads the masks of a semantic set: which class ids their pixels hold, as Ultralytics' read_mask sees them.

Source: `read_mask` and `verify_image_mask` in ultralytics/data/utils.py, version 8.4. OpenCV makes gray of colours
there; where that gray is rounded in another way here, an id may differ by one.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from zlib import crc32

import numpy as np

from sanitizer.dataset.tasks.mask_table import MASK_IDS, MaskStatus, MaskTable
from sanitizer.images.header import FORMAT_NUMBER
from sanitizer.images.source import BeyondLimitsError, check_decoding, open_image
from sanitizer.util.bounded_read import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

MAX_MASK_BYTES = 256 << 20
"""The largest mask file that is fetched from elsewhere."""
_GRAY = np.array([299, 587, 114], np.uint32)
"""Weights of red, green and blue in the gray of ITU-R BT.601, in thousandths."""


class _Mask(NamedTuple):
    status: MaskStatus
    detail: str | None = None
    width: int = -1
    height: int = -1
    mode: str = ""
    format: int = 0
    gray_palette: bool = False
    counts: NDArray[np.int32] | None = None
    digest: int = 0


def read_masks(sources: Iterable[str | bytes | OSError | None]) -> MaskTable:
    """The masks, in order. Never raises for the content of a file, and never writes.

    Args:
        sources: Absolute path of each mask, or its bytes, or the error of reading it; None where there is none.
    """
    masks = [_read(source) for source in sources]
    none = np.zeros(MASK_IDS, np.int32)
    return MaskTable(
        status=np.array([m.status for m in masks], np.uint8),
        detail=np.array([m.detail for m in masks], np.object_),
        width=np.array([m.width for m in masks], np.int32),
        height=np.array([m.height for m in masks], np.int32),
        mode=np.array([m.mode for m in masks], np.object_),
        format=np.array([m.format for m in masks], np.uint8),
        gray_palette=np.array([m.gray_palette for m in masks], np.bool_),
        counts=np.array([none if m.counts is None else m.counts for m in masks], np.int32).reshape(
            -1, MASK_IDS
        ),
        digest=np.array([m.digest for m in masks], np.uint64),
    )


def _read(source: str | bytes | OSError | None) -> _Mask:
    if source is None:
        return _Mask(MaskStatus.MISSING)
    if isinstance(source, OSError):
        return _Mask(MaskStatus.UNREADABLE, source.strerror or type(source).__name__)
    try:
        with open_regular(source) if isinstance(source, str) else BytesIO(source) as file:
            return _decoded(file)
    except (OSError, ValueError) as error:
        return _Mask(MaskStatus.UNREADABLE, getattr(error, "strerror", None) or str(error))


def _decoded(file: BinaryIO) -> _Mask:
    """The mask in an open file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_image(file) as image:
                check_decoding(image, image.size, copies=4)
                width, height = image.size
                form = FORMAT_NUMBER.get(str(image.format).lower(), FORMAT_NUMBER["other"])
                gray = image.mode == "P" and _is_gray_palette(image)
                ids = _ids(image, gray)
                return _Mask(
                    MaskStatus.OK, None, width, height, image.mode, form, gray, _count(ids), _digest(ids)
                )
        except BeyondLimitsError as error:
            status = MaskStatus.UNREADABLE if error.refused_by_pillow else MaskStatus.TOO_LARGE
            return _Mask(status, str(error))
        except Exception as error:  # a decoder may raise anything; only this mask is faulty
            words = " ".join(str(error).split())[:200] or type(error).__name__
            return _Mask(MaskStatus.UNREADABLE, words.split(" <")[0])


def _is_gray_palette(image: PillowImage) -> bool:
    palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _ids(image: PillowImage, gray_palette: bool) -> NDArray[np.integer]:
    """(height, width): the id of each pixel."""
    if image.mode == "P":
        return np.asarray(image.convert("L") if gray_palette else image)
    pixels = np.asarray(image if image.mode != "CMYK" else image.convert("RGB"))
    if image.mode == "1":
        return pixels.astype(np.uint8)
    if pixels.ndim == 2:
        return pixels if np.issubdtype(pixels.dtype, np.integer) else pixels.astype(np.int64)
    if pixels.shape[2] < 3:  # gray and alpha
        return pixels[:, :, 0]
    return (pixels[:, :, :3] @ _GRAY + 500) // 1000


def _count(ids: NDArray[np.integer]) -> NDArray[np.int32]:
    """int32 (MASK_IDS,): pixels of each id, of all above 255 in the last column."""
    flat = ids.ravel()
    if ids.dtype != np.uint8:
        flat = np.clip(flat, 0, MASK_IDS - 1)
    return np.bincount(flat, minlength=MASK_IDS).astype(np.int32)


def _digest(ids: NDArray[np.integer]) -> int:
    data = np.ascontiguousarray(ids.astype(np.uint16 if ids.max(initial=0) > 255 else np.uint8))
    size = crc32(repr(ids.shape).encode())
    return size << 32 | crc32(data.tobytes()) or 1
