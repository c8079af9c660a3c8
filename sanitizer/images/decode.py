"""Reads an image with Pillow: the steps of Ultralytics' check_image, the pixels, and the perceptual hash.

Nothing here writes a file: a JPEG that training would re-encode in place is re-encoded in memory.
"""

from __future__ import annotations

import os
import warnings
from contextlib import nullcontext
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import ImageStatus
from sanitizer.images.header import (
    FORMAT_NUMBER,
    JPEG_END,
    JPEG_START,
    MIN_SIDE_PX,
    PNG_START,
    describe_foreign,
    pack,
    png_depth_and_channels,
)
from sanitizer.images.source import BeyondLimitsError, check_decoding, exif_is_small, open_image
from sanitizer.images.verdict import Verdict
from sanitizer.util.bounded_read import open_regular

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

__all__ = ["check_image", "decode", "open_image", "perceptual_hash", "stretched", "thumbnail", "turned"]

HASHED_SIDE_PX = 64
"""Side of the gray square that the perceptual hash is made from."""
COMPARED_SIDE_PX = 32
"""Side of the gray square by which two pictures are compared: so small that copies differ by a gray level or two, and
so large that different pictures differ more."""

_CHANNELS = {"1": 1, "L": 1, "P": 1, "I": 1, "F": 1, "LA": 2, "PA": 2, "La": 2}
_CHANNELS |= {"RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3, "RGBA": 4, "RGBa": 4, "RGBX": 4, "CMYK": 4}
_BITS = {"1": 1, "I": 32, "F": 32}


def check_image(source: str | BinaryIO, block: bytes) -> Verdict:
    """Do what Ultralytics' `check_image` does (data/utils.py, 8.4), on the file as it is and without writing.

    Args:
        source: Path of a regular file that can be read, or the file itself.
        block: First bytes of the file, to name its format if Pillow cannot open it.

    Raises:
        OSError: The file can no longer be read.
    """
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large images. Training does not stop, nor do we.
        warnings.simplefilter("ignore")
        try:
            return _check_image(source, block)
        except OSError:
            raise
        except Exception as error:  # a decoder may raise anything; only this image is faulty
            return _damaged(Verdict(), error)


def _check_image(source: str | BinaryIO, block: bytes) -> Verdict:
    verdict = Verdict()
    try:
        _open_heif_too(block)
        image = open_image(source)
    except BeyondLimitsError as error:
        return _beyond_limits(Verdict(error.width, error.height), error)
    except Exception as error:
        return _not_opened(error, block)
    with image:
        verdict.width, verdict.height = image.size
        pages = _pages(image) if image.format == "TIFF" else 1
        try:
            image.verify()
        except BeyondLimitsError as error:
            return _beyond_limits(verdict, error)
        except Exception as error:
            verdict.facts = _facts(image, 0, block)
            return _damaged(verdict, error)
        orientation = _orientation(image)
        if image.format == "TIFF" and orientation >= 5:
            # Pillow gives the size of a TIFF after rotation; the table holds the size as stored.
            verdict.width, verdict.height = verdict.height, verdict.width
        verdict.facts = _facts(image, orientation, block, pages)
        name = str(image.format).lower()
    if min(verdict.width, verdict.height) < MIN_SIDE_PX:
        verdict.dropped = True
    if name == "jpeg" and not verdict.dropped:
        _check_jpeg_end(source, verdict)
    return verdict


def _open_heif_too(block: bytes) -> None:
    """Let Pillow open HEIF if pi-heif is installed, as training does for such a file."""
    if block[4:8] != b"ftyp":
        return
    try:
        from pi_heif import register_heif_opener  # type: ignore[import-not-found]
    except ImportError:
        return
    register_heif_opener()


def _not_opened(error: Exception, block: bytes) -> Verdict:
    from PIL import UnidentifiedImageError

    verdict = Verdict(dropped=True, status=ImageStatus.NOT_IMAGE)
    known = "JPEG" if block.startswith(JPEG_START) else "PNG" if block.startswith(PNG_START) else None
    if known is not None:
        verdict.status = ImageStatus.UNDECODABLE
        verdict.facts = pack(0, FORMAT_NUMBER[known.lower()], 0, 0)
        verdict.detail = f"it starts like a {known}, but its header is damaged or cut off"
    elif isinstance(error, UnidentifiedImageError):
        verdict.detail = f"its content is {describe_foreign(block)}"
    else:
        verdict.detail = f"Pillow cannot open it: {_words(error)}"
    return verdict


def _beyond_limits(verdict: Verdict, error: BeyondLimitsError) -> Verdict:
    """The verdict on an image that is too costly to open or to decode."""
    verdict.status, verdict.detail = ImageStatus.TOO_LARGE, str(error)
    verdict.dropped |= error.refused_by_pillow
    return verdict


def _damaged(verdict: Verdict, error: BaseException) -> Verdict:
    """The verdict on an image whose pixels cannot be read to the end."""
    words = _words(error)
    cut_off = "truncated" in words.lower()
    verdict.status = ImageStatus.TRUNCATED if cut_off else ImageStatus.UNDECODABLE
    verdict.dropped = True
    verdict.detail = "the file ends before the picture does" if cut_off else words
    return verdict


def _words(error: BaseException) -> str:
    """An exception as a few words without line breaks."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _orientation(image: PillowImage) -> int:
    """EXIF orientation 1 to 8 or 0, read as check_image reads it (exif_size, after verify)."""
    if not exif_is_small(image):
        return 0
    try:
        exif = image.tag_v2 if image.format == "TIFF" else image.getexif()  # type: ignore[attr-defined]
        value = exif.get(274)
    except Exception:
        return 0
    return value if isinstance(value, int) and 1 <= value <= 8 else 0


MAX_PAGES = 255
"""Pages of a TIFF that are looked at; a model takes channels in the tens."""
_GRAY_MODES = frozenset(("1", "L", "I", "F", "I;16", "I;16B", "I;16L"))
_NO_DECODER = frozenset((34925, 50000, 50001))
"""TIFF compressions (LZMA, Zstandard, WebP) that OpenCV's wheels are built without."""


def _pages(image: PillowImage) -> int:
    """`ImageTable.pages` of a TIFF, from the directories of its pages."""
    if image.tag_v2.get(259) in _NO_DECODER:  # type: ignore[attr-defined]  # Compression
        return 0
    if image.mode not in _GRAY_MODES:
        return 1
    size, pages = image.size, 1
    try:
        while pages < MAX_PAGES:
            image.seek(pages)
            if image.size != size or image.mode not in _GRAY_MODES:
                pages = 1
                break
            pages += 1
    except Exception:  # the last page, or a damaged one: Pillow raises errors of many types
        pass
    image.seek(0)
    return pages


def _facts(image: PillowImage, orientation: int, block: bytes, pages: int = 1) -> int:
    name = str(image.format).lower()
    name = "heif" if name == "heic" else name
    number = FORMAT_NUMBER.get(name, FORMAT_NUMBER["other"])
    bits = 16 if image.mode.startswith("I;16") else _BITS.get(image.mode, 8)
    channels = _CHANNELS.get(image.mode, 1 if image.mode.startswith("I;16") else 0)
    if name == "png":
        bits, channels = png_depth_and_channels(block) or (bits, channels)
    elif name == "tiff":
        samples = image.tag_v2.get(258)  # type: ignore[attr-defined]  # BitsPerSample
        if isinstance(samples, tuple) and samples and all(isinstance(s, int) for s in samples):
            bits = min(max(samples), 63)
    return pack(orientation, number, channels, bits, pages)


def _check_jpeg_end(source: str | BinaryIO, verdict: Verdict) -> None:
    """Training re-encodes a JPEG whose last two bytes are not its end marker, and drops it if that fails."""
    with open_regular(source) if isinstance(source, str) else nullcontext(source) as file:
        start = file.seek(max(0, file.seek(0, os.SEEK_END) - _END_SEARCHED))
        last = file.read()
    if last.endswith(JPEG_END):
        return
    try:
        _reencode(source)
    except BeyondLimitsError as error:
        _beyond_limits(verdict, error)
        verdict.detail = f"its end marker is missing, and it is too large to be written anew here: {error}"
        return
    except Exception as error:
        _damaged(verdict, error)
        verdict.detail = f"no end marker, and {verdict.detail}"
        return
    verdict.rewritten = True
    end = last.rfind(JPEG_END)
    extra = len(last) - end - len(JPEG_END)
    if end >= 0:
        verdict.detail = f"{extra} byte{'s' if extra > 1 else ''} after its end marker"
    else:
        verdict.detail = "its end marker is missing" + (f" from the last {len(last)} bytes" if start else "")


_END_SEARCHED = 1 << 16
"""Number of last bytes that are searched for the end marker."""


def _reencode(source: str | BinaryIO) -> None:
    """Decode a JPEG and encode it again as check_image does, into memory; raises whatever that raises."""
    from PIL import ImageOps

    with open_image(source) as image:
        check_decoding(image, image.size, copies=2)
        upright = ImageOps.exif_transpose(image)
        # The whole image must decode; encoding one corner shows that the mode can be encoded.
        upright.crop((0, 0, 16, 16)).save(BytesIO(), "JPEG", subsampling=0, quality=100)


def decode(source: str | BinaryIO, verdict: Verdict) -> int | None:
    """Decode every pixel of an image that `check_image` accepted, and hash the picture.

    Args:
        source: The image's path, or the file itself.
        verdict: Gets status and detail where pixels are damaged. `dropped` stays: check_image decodes only JPEGs
            without end marker, so training keeps the image and meets the damage when it loads it.

    Returns:
        Perceptual hash as an unsigned 64-bit int; None where the image could not be decoded, or is too large.
    """
    dropped = verdict.dropped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return perceptual_hash(_small_and_upright(source, HASHED_SIDE_PX, fast=True))
        except BeyondLimitsError as error:
            _beyond_limits(verdict, error).dropped = dropped
            return None
        except Exception as error:
            _damaged(verdict, error).dropped = dropped
            return None


def thumbnail(source: str | BinaryIO) -> NDArray[np.uint8] | None:
    """Gray uint8 (32, 32) thumbnail of the upright image; None where it cannot be decoded.

    Decoded at full resolution and then averaged, so that it hardly depends on quality or size of a copy.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(_small_and_upright(source, COMPARED_SIDE_PX, fast=False))
        except Exception:
            return None


def perceptual_hash(gray: PillowImage) -> int:
    """64-bit hash of an image's low frequencies: copies of a picture differ in few bits.

    The bits are those of `imagehash.phash`: of the lowest 8 by 8 coefficients of the DCT-II of the 32 by 32 picture,
    whether each is above their median, row by row, the first as the highest bit.
    """
    from PIL import Image

    pixels = np.asarray(gray.convert("L").resize((_DCT_SIDE_PX, _DCT_SIDE_PX), Image.Resampling.LANCZOS))
    coefficients = _DCT_ROWS @ pixels.astype(np.float64) @ _DCT_ROWS.T
    bits = coefficients > np.median(coefficients)
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


_DCT_SIDE_PX = 32
_DCT_ROWS = 2 * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(_DCT_SIDE_PX) + 1) / (2 * _DCT_SIDE_PX))
"""float64 (8, 32): the first rows of the matrix of the DCT-II, without normalisation."""


def _small_and_upright(source: str | BinaryIO, side_px: int, *, fast: bool) -> PillowImage:
    """The whole image decoded, as an 8-bit gray square, turned as EXIF asks.

    `fast` lets the JPEG decoder skip fine detail. It still decodes the whole scan, and finds every damage.
    """
    from PIL import Image

    with open_image(source) as image:
        # Pillow rotates a TIFF by itself.
        orientation = 0 if image.format == "TIFF" else _orientation(image)
        full_size = image.size
        if fast:
            image.draft("L", (side_px, side_px))
        check_decoding(image, full_size)
        image.load()
        gray = _gray(image)
    # A triangle filter is so wide that the pixel grid of a resized copy has no effect.
    small = gray.resize((side_px, side_px), Image.Resampling.BILINEAR)
    return turned(small, orientation)


def _gray(image: PillowImage) -> PillowImage:
    """8-bit gray. Alpha is left out, as training leaves it out; 16-bit keeps its high byte."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return Image.fromarray(stretched(np.asarray(image, np.float64)))
    if image.mode in ("P", "PA"):
        return image.convert("RGBA").convert("L")
    return image.convert("L")


def stretched(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """uint8 from values of unknown range: the least becomes 0, the greatest 255."""
    finite = np.nan_to_num(pixels, posinf=0.0, neginf=0.0)
    low, high = finite.min(), finite.max()
    gray: NDArray[np.uint8] = ((finite - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)
    return gray


def turned(image: PillowImage, orientation: int) -> PillowImage:
    """Turned as EXIF asks (Exif 2.32, 4.6.4, tag 274)."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image
