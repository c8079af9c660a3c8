"""Pictures of boxes: what surrounds each, cut out of the image as training sees it, as small JPEGs.

Training reads images through OpenCV with IMREAD_COLOR (Ultralytics 8.4, utils/patches.py, imread): turned as EXIF
asks, alpha left out, sixteen bits cut to eight, the first picture of several. So do we, with Pillow.
"""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from sanitizer.images.header import describe_foreign
from sanitizer.images.source import (
    MAX_MEMORY,
    MAX_SHOWN_FILE,
    MAX_SHOWN_SCANS,
    BeyondLimitsError,
    TooManyPartsError,
    TooManyPixelsError,
    TooManyScansError,
    check_decoding,
    exif_is_small,
)
from sanitizer.reports.html.pool import alone_if_large
from sanitizer.util.bounded_read import NotRegularError, as_size, open_regular
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

LONGEST_SIDE_PX = 320
"""Of a crop: what is larger in the image is made smaller."""
LEAST_WINDOW_PX = 64
"""A box of a few pixels says nothing without its surroundings."""
LONGEST_WINDOW = 2.0
"""Sides of a window differ no more than this, where the image is large enough: a box of 50:1 keeps a background."""
JPEG_QUALITY = 80

Box = tuple[float, float, float, float]
"""Left, top, right, bottom; normalised where it comes from a label, pixels in a window."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of an image that a crop shows.

    Attributes:
        left, top, right, bottom: Pixels of the upright image.
        width_px, height_px: Of the crop, which is never larger than the window.
    """

    left: int
    top: int
    right: int
    bottom: int
    width_px: int
    height_px: int

    def to_crop(self, points: NDArray[np.float64], image_size: tuple[int, int]) -> NDArray[np.float64]:
        """float64 (N, 2): pixels of the crop, from normalised points (N, 2)."""
        scale = (self.width_px / (self.right - self.left), self.height_px / (self.bottom - self.top))
        return (points * image_size - (self.left, self.top)) * scale


@dataclass(frozen=True, slots=True)
class Cut:
    """The crops of one image.

    Attributes:
        size: (width, height) in pixels as training sees it; None where it cannot be opened.
        windows: For each box that was asked for, its window; None where there is no picture.
        names: Likewise the file of the crop in the folder.
        problem: Why there is no picture, or less than the whole, a sentence; None where all is well.
    """

    size: tuple[int, int] | None
    windows: Sequence[Window | None]
    names: Sequence[str | None]
    problem: str | None = None


def cut_out(path: str, boxes: Sequence[Box | None], folder: str) -> Cut:
    """Write crops of one image, decoded once; boxes with the same window share a file.

    Args:
        path: The image.
        boxes: Normalised corners of what to show; None for the image as a whole.
        folder: Where crops are written, under names made from path and window.

    Raises:
        OSError: A crop cannot be written. Nothing that an image is raises anything.
    """
    nothing = [None] * len(boxes)
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large images; training carries on, and so do we.
        warnings.simplefilter("ignore")
        try:
            with open_regular(path) as file, _open(file) as image:
                turn = _turn(image)
                size = image.size[::-1] if turn in _SIDEWAYS else image.size
                windows = [window_around(box, size) for box in boxes]
                pixels, problem = _decode(image, turn, _finest_scale(windows))
        except Exception as error:
            return Cut(None, nothing, nothing, f"The image cannot be read: {_words(error)}.")
        if pixels is None:
            return Cut(size, nothing, nothing, problem)
        names = _write(pixels, size, windows, path, folder)
    return Cut(size, windows, names, problem)


def _open(file: BinaryIO) -> PillowImage:
    from sanitizer.images.decode import open_image

    size = os.fstat(file.fileno()).st_size
    if size > MAX_SHOWN_FILE:
        words = f"it has {as_size(size)}, and no more than {as_size(MAX_SHOWN_FILE)} are decoded"
        raise BeyondLimitsError(words)
    try:
        return open_image(file)
    except UnidentifiedImageError:
        file.seek(0)
        start = file.read(_BLOCK_BYTES)
        content = f"; its content is {describe_foreign(start)}" if start else ""
        raise UnidentifiedImageError(f"it holds no image that can be opened{content}") from None


_BLOCK_BYTES = 512
"""Bytes at the start of a file that show what it is."""


def window_around(box: Box | None, size: tuple[int, int]) -> Window:
    """The window of a box: three times its sides; the whole image without a box, or if the box lies outside."""
    image_w, image_h = size
    left, top, right, bottom = 0.0, 0.0, float(image_w), float(image_h)
    if box is not None and is_in_sight(box):
        x = [min(max(v, 0.0), 1.0) * image_w for v in (box[0], box[2])]
        y = [min(max(v, 0.0), 1.0) * image_h for v in (box[1], box[3])]
        w = max(3 * (x[1] - x[0]), LEAST_WINDOW_PX)
        h = max(3 * (y[1] - y[0]), LEAST_WINDOW_PX)
        w, h = max(w, h / LONGEST_WINDOW), max(h, w / LONGEST_WINDOW)
        left, right = _within((x[0] + x[1]) / 2, w, image_w)
        top, bottom = _within((y[0] + y[1]) / 2, h, image_h)
    edges = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
    w_px, h_px = edges[2] - edges[0], edges[3] - edges[1]
    scale = min(1.0, LONGEST_SIDE_PX / max(w_px, h_px))
    return Window(*edges, max(1, round(w_px * scale)), max(1, round(h_px * scale)))


def is_in_sight(box: Box) -> bool:
    """Whether any of a normalised box lies in its image."""
    return box[0] < 1 and box[1] < 1 and box[2] > 0 and box[3] > 0 and box[0] <= box[2] and box[1] <= box[3]


def _within(centre: float, length: float, limit: int) -> tuple[float, float]:
    """An interval of that length around the centre, pushed into 0 … limit, and cut where it is longer."""
    start = min(max(centre - length / 2, 0.0), max(limit - length, 0.0))
    return start, min(start + length, float(limit))


def _finest_scale(windows: Sequence[Window]) -> float:
    """Pixels of a crop for a pixel of the image, in the window that needs most."""
    return max(
        (max(w.width_px / (w.right - w.left), w.height_px / (w.bottom - w.top)) for w in windows), default=1.0
    )


def _decode(image: PillowImage, turn: int, scale: float) -> tuple[PillowImage | None, str | None]:
    """(upright RGB pixels or None, what is wrong with them); of a large JPEG only as fine as is needed."""
    image_size = image.size
    image.draft(image.mode, (math.ceil(image_size[0] * scale), math.ceil(image_size[1] * scale)))
    needed = check_decoding(image, image_size, copies=2 if turn else 1, max_scans=MAX_SHOWN_SCANS)
    with alone_if_large(needed):
        return _decoded(image, turn)


def _decoded(image: PillowImage, turn: int) -> tuple[PillowImage | None, str | None]:
    from PIL import ImageFile

    from sanitizer.images.decode import turned

    problem = None
    try:
        image.load()
    except Exception as error:
        problem = _words(error)
        # What there is of the picture is worth seeing: the finding may be just that it ends early.
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            image.load()
        except Exception:
            return None, f"The image cannot be decoded: {problem}."
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
        problem = f"The image is damaged, and shown as far as it can be decoded: {problem}."
    return turned(_as_rgb(image), turn), problem


def _as_rgb(image: PillowImage) -> PillowImage:
    """Eight bits, three channels: without alpha, and the high byte of sixteen bits, as training reads it."""
    from sanitizer.images.decode import stretched

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):  # training has no use for these; stretched, they can at least be looked at
        return Image.fromarray(stretched(np.asarray(image, np.float64))).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _write(
    pixels: PillowImage, size: tuple[int, int], windows: Sequence[Window], path: str, folder: str
) -> list[str]:
    """Write each window once; the names of their files."""
    from PIL.Image import Resampling

    x_scale, y_scale = pixels.width / size[0], pixels.height / size[1]
    names: dict[Window, str] = {}
    for window in windows:
        if window in names:
            continue
        key = f"{path}\0{window}".encode("utf-8", "surrogateescape")
        names[window] = f"{blake2b(key, digest_size=10).hexdigest()}.jpg"
        box = (window.left * x_scale, window.top * y_scale, window.right * x_scale, window.bottom * y_scale)
        crop = pixels.resize(
            (window.width_px, window.height_px), Resampling.BILINEAR, box=box, reducing_gap=1.5
        )
        crop.save(join_path(folder, names[window]), "JPEG", quality=JPEG_QUALITY)
    return [names[window] for window in windows]


def _turn(image: PillowImage) -> int:
    """EXIF orientation 2 to 8 that training undoes; 0 for none. An orientation in XMP alone is not looked at."""
    # Pillow turns a TIFF by itself, and OpenCV no JPEG 2000.
    if image.format in ("TIFF", "JPEG2000") or not exif_is_small(image):
        return 0
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif") or b"")
        value = exif.get(274)
    except Exception:
        return 0
    return value if isinstance(value, int) and 2 <= value <= 8 else 0


_SIDEWAYS = (5, 6, 7, 8)


def _words(error: Exception) -> str:
    """An exception as a clause about the image."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, NotRegularError):
        return "it is no regular file"
    if isinstance(error, BeyondLimitsError):
        return _words_on_limits(error)
    if "truncated" in str(error).lower():
        return "the file ends before the picture does"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split())[:200].rstrip(". ") or type(error).__name__


def _words_on_limits(error: BeyondLimitsError) -> str:
    """What exceeds a limit of decoding, as a clause about the image."""
    if error.refused_by_pillow:
        return "it has more pixels than can be opened safely"
    if isinstance(error, TooManyPixelsError):
        megapixels = f"{error.width * error.height / 1e6:,.0f} megapixels of {error.format}"
        return f"it has {megapixels}, more than fit in {as_size(MAX_MEMORY)}"
    if isinstance(error, TooManyScansError):
        return f"it is a JPEG of over {MAX_SHOWN_SCANS} scans, and decoding it could take minutes"
    if isinstance(error, TooManyPartsError):
        return "its header has too many segments, or too much between them, for a picture of a camera or a program"
    return str(error)
