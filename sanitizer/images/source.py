"""Hands files to Pillow: only formats that training opens, and within limits on what opening and decoding may cost.

A picture of a few hundred bytes can make Pillow take gigabytes or minutes: a canvas of 13,000² pixels, a JPEG of
nothing but padding, a thousand EXIF segments. Such files are beyond our limits, which does not make them damaged.
"""

from __future__ import annotations

import os
import sys
from struct import Struct
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError
from PIL.Image import DecompressionBombError

from sanitizer.images.header import JPEG_START
from sanitizer.util.bounded_read import MIB, open_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from PIL.Image import Image as PillowImage

PILLOW_MAX_PIXELS = 2 * 89_478_485
"""Pillow refuses larger images (PIL.Image.MAX_IMAGE_PIXELS, twice), so training drops them."""
MAX_MEMORY = 640 * MIB
"""The most bytes of memory that opening or decoding one image may take."""
MAX_SHOWN_FILE = 256 * MIB
"""Bytes of a file whose picture is shown in a report. A scan opens larger ones."""
MAX_SHOWN_SCANS = 100
"""Scans of a progressive JPEG that is shown in a report; about ten are usual. A scan of the dataset allows more."""

_FORMATS = ("WEBP", "TIFF", "AVIF", "JPEG2000", "HEIF")
_COMMON_FORMATS = ("JPEG", "PNG", "BMP")
"""The formats that check_image accepts, by the names of Pillow's plugins; Pillow always imports these three. The JPEG
plugin opens MPO, and the TIFF plugin DNG."""

_MOST_OPENED = 256 * MIB
_JPEG_HEADER = 16 * MIB
_MAX_EXIF = 65_536
"""Bytes of EXIF data; one segment of a JPEG has no more. Every entry may ask for a copy of all of it."""
_MAX_SEGMENTS = 5000
_MAX_SCANNED_PIXELS = 4_000_000_000
"""Pixels of a progressive JPEG times its scans: each scan is a pass over the whole picture."""

_COSTS = {"WEBP": 17, "AVIF": 16, "JPEG2000": 20, "HEIF": 16}
"""Bytes a pixel that a decoder holds besides the picture, and the picture."""
_WEBP_CANVAS = 8


class BeyondLimitsError(Exception):
    """An image is too costly to open or to decode; the text says what it is, in a few words.

    Attributes:
        width, height: Pixels as stored, -1 where unknown.
        format: Pillow's name of the image format, empty where unknown.
        refused_by_pillow: Training cannot open it either, and drops it.
    """

    def __init__(
        self,
        words: str,
        width: int = -1,
        height: int = -1,
        format: str = "",
        *,
        refused_by_pillow: bool = False,
    ) -> None:
        super().__init__(words)
        self.width, self.height, self.format = width, height, format
        self.refused_by_pillow = refused_by_pillow


class TooManyPixelsError(BeyondLimitsError, DecompressionBombError):
    """An image has more pixels than Pillow opens, or than fit in `MAX_MEMORY`."""


class TooManyPartsError(BeyondLimitsError):
    """The header of an image has more parts than any real image, or more bytes between them."""


class TooManyScansError(BeyondLimitsError):
    """A progressive JPEG has so many scans that decoding it could take minutes."""


class MeteredFile:
    """A file that Pillow reads from, until it has read more, or more often, than any sound image asks for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._calls_left = self._size // 64 + 20_000
        self._bytes_left = 0
        self.allow(_MOST_OPENED)

    def allow(self, most: int | None = None) -> None:
        """Let three times the file's size be read from now on, and not more than `most` bytes."""
        self._bytes_left = 3 * self._size + 4 * MIB
        if most is not None:
            self._bytes_left = min(self._bytes_left, most)

    def read(self, size: int = -1, /) -> bytes:
        """As of any file. BeyondLimitsError where that is too much or too often."""
        self._calls_left -= 1
        wanted = self._size if size is None or size < 0 else min(size, self._size)
        if wanted > self._bytes_left or self._calls_left < 0:
            raise TooManyPartsError("its structure asks for more reading than any picture needs")
        data = self._file.read(size)
        self._bytes_left -= len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def fileno(self) -> int:
        """As of any file; OSError where there is no descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """As of any file."""
        self._file.close()


def open_image(source: str | BinaryIO) -> PillowImage:
    """An image, opened by Pillow alone; a file is wound back, as every look begins at its start.

    Where Ultralytics is imported it has put into the place of `Image.open` a function of its own, which installs a
    package over every file that Pillow cannot identify, and then says something else about it.

    Args:
        source: Path of a regular file, which closes with the image, or the file itself.

    Raises:
        BeyondLimitsError: It is too costly to open.
        Exception: Whatever Pillow raises for what is no image, and OSError.
    """
    file = MeteredFile(open_regular(source) if isinstance(source, str) else source)
    try:
        _check_start(file)
        try:
            image = _open(file)
        except DecompressionBombError as error:
            raise _too_many_pixels(str(error)) from None
    except BaseException:
        if isinstance(source, str):
            file.close()
        raise
    if isinstance(source, str):
        image._exclusive_fp = True  # type: ignore[attr-defined]  # as Pillow does for what it has opened itself
    file.allow()
    return image


def _open(file: MeteredFile) -> PillowImage:
    patches = sys.modules.get("ultralytics.utils.patches")
    pillow_open: Callable[..., PillowImage] = getattr(patches, "_image_open", Image.open)
    Image.preinit()
    try:
        return pillow_open(file, formats=_COMMON_FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        Image.init()
        return pillow_open(file, formats=[name for name in _FORMATS if name in Image.OPEN])


def _too_many_pixels(words: str) -> TooManyPixelsError:
    limit = f"more than the {PILLOW_MAX_PIXELS:,} that Pillow opens"
    number = next((word.lstrip("(") for word in words.split() if word.lstrip("(").isdigit()), None)
    pixels = f"{int(number):,} pixels" if number else "pixels"
    return TooManyPixelsError(f"{pixels}, {limit}", refused_by_pillow=True)


def _check_start(file: MeteredFile) -> None:
    """BeyondLimitsError for what costs too much in Pillow's own opening; the file is wound back."""
    start = file.read(32)
    if start.startswith(JPEG_START):
        _check_segments(file)
        file.allow(_JPEG_HEADER)
    elif (size := webp_size(start)) is not None:
        width, height = size
        if width * height > PILLOW_MAX_PIXELS:
            words = f"{width:,}×{height:,} px, more than the {PILLOW_MAX_PIXELS:,} pixels that Pillow opens"
            raise TooManyPixelsError(words, width, height, "WEBP", refused_by_pillow=True)
        _afford(width, height, _WEBP_CANVAS, "WEBP")
    file.seek(0)


_MARKER = Struct(">HH")


def _check_segments(file: MeteredFile) -> None:
    """Walk the segments of a JPEG: Pillow joins the EXIF ones, each time anew, and parses all of it."""
    at, n_segments, n_exif = 2, 0, 0
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10:
            return
        marker, length = _MARKER.unpack_from(head)
        if marker < 0xFFC0 or marker == 0xFFFF or marker == 0xFFDA or length < 2:
            return  # the first scan, padding, or no segment: the meter watches what Pillow makes of it
        n_segments += 1
        if marker == 0xFFE1 and head.startswith(b"Exif\0\0", 4):
            n_exif += length
        if n_exif > _MAX_EXIF or n_segments > _MAX_SEGMENTS:
            raise TooManyPartsError("its header has more segments than any camera writes")
        at += 2 + length


def webp_size(start: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels that a WebP file claims in its first 30 bytes; None for all other files.

    See the WebP Container Specification and RFC 9649, sections 2.5 to 2.7.
    """
    if len(start) < 30 or start[:4] != b"RIFF" or start[8:12] != b"WEBP":
        return None
    if start[12:16] == b"VP8X":
        return 1 + int.from_bytes(start[24:27], "little"), 1 + int.from_bytes(start[27:30], "little")
    if start[12:16] == b"VP8L":
        bits = int.from_bytes(start[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if start[12:16] == b"VP8 ":
        size = int.from_bytes(start[26:28], "little"), int.from_bytes(start[28:30], "little")
        return size[0] & 0x3FFF, size[1] & 0x3FFF
    return None


def check_decoding(
    image: PillowImage, full_size: tuple[int, int], copies: int = 1, max_scans: int | None = None
) -> int:
    """Make sure that an open image can be decoded within the limits.

    Args:
        image: As opened, or as `draft` has scaled it down.
        full_size: (width, height) in pixels, before that.
        copies: How many pictures of this size are held at a time.
        max_scans: The most scans of a progressive JPEG, besides the limit on pixels times scans; None for no other.

    Returns:
        The most memory that decoding takes, in bytes.

    Raises:
        BeyondLimitsError: Decoding the image would exceed a limit.
    """
    width, height = full_size
    name = str(image.format)
    if name in ("JPEG", "MPO") and image.info.get("progressive"):
        # The decoder keeps every coefficient, whatever size is asked for.
        needed = _afford(width, height, 6 + 4 * copies, name)
        _check_scans(image, width * height, max_scans)
    elif image.mode in ("I", "F"):
        needed = _afford(width, height, 24, name)
    else:
        needed = _afford(*image.size, _COSTS.get(name, 8) + 4 * (copies - 1), name)
    if name == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        tile = [tags.get(number, 1) for number in (322, 323)]  # TileWidth, TileLength
        if all(isinstance(side, int) for side in tile):
            needed = max(needed, _afford(tile[0], tile[1], 8, name))
    return needed


def _afford(width: int, height: int, bytes_a_pixel: int, image_format: str) -> int:
    """Bytes that so many pixels take; TooManyPixelsError where they are more than `MAX_MEMORY`."""
    needed = width * height * bytes_a_pixel
    if needed > MAX_MEMORY:
        words = f"{width:,}×{height:,} px, {needed / 1e9:.1f} GB of memory"
        raise TooManyPixelsError(words, width, height, image_format)
    return needed


def _check_scans(image: PillowImage, n_pixels: int, max_scans: int | None) -> None:
    most = _MAX_SCANNED_PIXELS // max(n_pixels, 1)
    if max_scans is not None:
        most = min(most, max_scans)
    file = image.fp  # type: ignore[attr-defined]
    at = file.tell()
    file.seek(0)
    n_scans, last = 0, b""
    while (data := file.read(MIB)) and n_scans <= most:
        n_scans += (last + data).count(b"\xff\xda")
        last = data[-1:]
    file.seek(at)
    if n_scans > most:
        raise TooManyScansError(f"{n_pixels:,} pixels in more than {n_scans - 1:,} scans")


def exif_is_small(image: PillowImage) -> bool:
    """Whether Pillow can be let parse the EXIF data of an image: every entry may ask for a copy of all of it."""
    keys = ("exif", "Raw profile type exif", "Raw profile type APP1")
    return all(len(image.info.get(key) or b"") <= _MAX_EXIF for key in keys)
