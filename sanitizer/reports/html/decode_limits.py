"""What keeps the decoding of a stranger's image small: formats, pixels, and what makes a decoder go round for minutes.

Bytes for each pixel were measured as the peak of `crops.cut_out` on images of 49 megapixels (Pillow 13).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sanitizer.util.bounded_read import MIB, as_size, open_regular

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL.Image import Image as PillowImage

MAX_FILE_BYTES = 256 * MIB
MAX_DECODED_BYTES = 640 * MIB
"""Memory that one image may take."""
MAX_SEGMENTS = 256
"""Of a JPEG before its pixels: Pillow copies all EXIF segments again for each."""
MAX_FILL_BYTES = 4096
"""Of a JPEG between its segments: Pillow reads them one by one."""
MAX_SCANS = 100
"""Of a progressive JPEG, which has about ten: each goes over the whole picture."""

FORMATS = frozenset(
    ("JPEG", "MPO", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "HEIF", "HEIC", "JPEG2000", "DNG")
)
"""Pillow's names of what is decoded: what training reads, and GIF. To decode EPS, Pillow would start Ghostscript."""

_PIXEL_BYTES = {"WEBP": 16, "JPEG2000": 20, "AVIF": 16, "HEIF": 16, "HEIC": 16}
_OTHER_PIXEL_BYTES = 8
_WIDE_PIXEL_BYTES = 28
_TURNED_PIXEL_BYTES = 4
_COEFFICIENT_BYTES = 8
"""For each pixel of a progressive JPEG, which keeps all its coefficients, however small it is shown."""

_SOI, _SOS, _EOI = 0xD8, 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))


class TooMuchError(Exception):
    """Decoding the image would take too much; the text ends a sentence that begins with "The image cannot be read:"."""


def refuse_slow_file(path: str) -> None:
    """Look at the bytes, before any decoder does.

    Raises:
        TooMuchError: The file is too large, or built to keep a decoder busy.
        OSError: It cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise TooMuchError(
                f"it has {as_size(size)}, and no more than {as_size(MAX_FILE_BYTES)} are decoded"
            )
        if file.read(2) == bytes((0xFF, _SOI)):
            _refuse_slow_jpeg(file)


def refuse_large_image(image: PillowImage, full_px: int, turned: bool) -> None:
    """Refuse an image, opened and not decoded yet.

    Args:
        image: Of the size that it will be decoded to, which may be smaller than the whole.
        full_px: Pixels of the whole.
        turned: A turned copy will be made.

    Raises:
        TooMuchError: Its format is none of `FORMATS`, or its pixels would take more than `MAX_DECODED_BYTES`.
    """
    if image.format not in FORMATS:
        raise TooMuchError(f"its content is {image.format}, a format that training does not accept")
    if decoded_bytes(image, full_px, turned) > MAX_DECODED_BYTES:
        megapixels = f"{full_px / 1e6:,.0f} megapixels of {image.format}"
        raise TooMuchError(f"it has {megapixels}, more than fit in {as_size(MAX_DECODED_BYTES)}")


def decoded_bytes(image: PillowImage, full_px: int, turned: bool) -> int:
    """Most memory that decoding takes, in bytes; arguments as those of `refuse_large_image`."""
    pixel_bytes = _PIXEL_BYTES.get(str(image.format), _OTHER_PIXEL_BYTES)
    if image.mode in ("I", "F"):
        pixel_bytes = max(pixel_bytes, _WIDE_PIXEL_BYTES)
    if turned:
        pixel_bytes += _TURNED_PIXEL_BYTES
    coefficients = full_px * _COEFFICIENT_BYTES if image.info.get("progressive") else 0
    return image.width * image.height * pixel_bytes + coefficients


def _refuse_slow_jpeg(file: BinaryIO) -> None:
    """Walk over the segments that come before the pixels (ITU T.81, B.1.1), then count the scans."""
    n_segments = n_fill = 0
    while n_segments <= MAX_SEGMENTS and n_fill <= MAX_FILL_BYTES:
        byte = file.read(1)
        if not byte:
            return
        if byte != b"\xff":
            n_fill += 1
            continue
        marker = file.read(1)
        if marker in (b"\xff", b"\0"):
            file.seek(-1, os.SEEK_CUR)
            n_fill += 1
        elif not marker or marker[0] == _EOI:
            return
        elif marker[0] == _SOS:
            _refuse_many_scans(file)
            return
        elif marker[0] not in _WITHOUT_LENGTH:
            n_segments += 1
            file.seek(max(int.from_bytes(file.read(2), "big") - 2, 0), os.SEEK_CUR)
        else:
            n_fill += 1
    raise TooMuchError(
        "it has too many segments, or too much between them, for a JPEG of a camera or a program"
    )


def _refuse_many_scans(file: BinaryIO) -> None:
    n_scans, last = 1, b""
    while part := file.read(MIB):
        n_scans += (last + part).count(bytes((0xFF, _SOS)))
        last = part[-1:] if part[-1:] == b"\xff" else b""
        if n_scans > MAX_SCANS:
            raise TooMuchError(f"it is a JPEG of over {MAX_SCANS} scans, and decoding it could take minutes")
