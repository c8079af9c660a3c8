"""Reads images inside a larger file, with the same result as for image files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from sanitizer.dataset.tables import ImageStatus
from sanitizer.images.image_files import FIRST_BLOCK, LAST_BLOCK, Row, decode_one, judge_ends, tabulate
from sanitizer.images.verdict import Verdict
from sanitizer.util import limits
from sanitizer.util.bounded_read import as_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sanitizer.dataset.tables import ImageTable
    from sanitizer.images.image_files import ImageMode

    Part = Callable[[int, int], bytes]

_NO_ROW: Row = (-1, -1, 0, -1, 0)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The facts of one image. `row` and `verdict` are those of `image_files.tabulate`."""

    row: Row
    verdict: Verdict | None
    image_hash: int | None = None


NOT_READ = StoredImage(_NO_ROW, Verdict(status=ImageStatus.NOT_READ))
"""Stands for an image that is left out. Compare with `is`: an image may have equal facts for another reason."""


def read_stored(size: int, part: Part, mode: ImageMode) -> StoredImage:
    """Read one image as `read_images` does, from a function that returns ranges of its bytes.

    Args:
        size: Length in bytes.
        part: `part(start, length)` returns a range of the image.
        mode: As for `read_images`.
    """
    if mode == "none":
        return StoredImage(_NO_ROW, Verdict(status=ImageStatus.NOT_READ))
    if mode == "decode" and size <= limits.IMAGE_BYTES:
        whole = part(0, size)
        part = partial(_part_of, whole)
    tail = block = part(0, min(size, FIRST_BLOCK))
    if size >= FIRST_BLOCK:
        tail = part(size - LAST_BLOCK, LAST_BLOCK)

    def more(length: int) -> bytes:
        return part(0, min(size, length))

    def look(first: bytes) -> Verdict:
        return _look_closer(part, size, first)

    row, verdict = judge_ends(block, tail, size, more, look)
    if mode != "decode":
        return StoredImage(row, verdict)
    if size > limits.IMAGE_BYTES:
        return StoredImage(row, verdict or _too_large(row))
    image_hash, verdict = decode_one(BytesIO(part(0, size)), row, verdict)
    return StoredImage(row, verdict, image_hash)


def _part_of(content: bytes, start: int, length: int) -> bytes:
    return content[start : start + length]


def _look_closer(part: Part, size: int, first: bytes) -> Verdict:
    if size > limits.IMAGE_BYTES:
        return _too_large(_NO_ROW)
    from sanitizer.images.decode import check_image

    return check_image(BytesIO(part(0, size)), first)


def _too_large(row: Row) -> Verdict:
    words = f"larger than the {as_size(limits.IMAGE_BYTES)} that are looked at inside another file"
    return Verdict(*row[:3], status=ImageStatus.UNREADABLE, dropped=True, detail=words)


def not_judged(problem: OSError) -> StoredImage:
    """An image that exists and cannot be read."""
    words = problem.strerror or type(problem).__name__
    return StoredImage(_NO_ROW, Verdict(status=ImageStatus.UNREADABLE, dropped=True, detail=words))


def sized_image(width: int, height: int) -> StoredImage | None:
    """An image that was not fetched, with its size in pixels; None where the size is unknown."""
    return StoredImage((width, height, 0, -1, 0), None) if min(width, height) > 0 else None


def stored_table(images: Sequence[StoredImage | None]) -> ImageTable:
    """The table of these images. None stands for a label without image, or an image without known facts."""
    rows = [_NO_ROW if image is None else image.row for image in images]
    verdicts: dict[int, Verdict] = {}
    hashes: dict[int, int] = {}
    for number, image in enumerate(images):
        if image is None:
            verdicts[number] = Verdict(status=ImageStatus.NOT_READ)
            continue
        if image.verdict is not None:
            verdicts[number] = image.verdict
        if image.image_hash is not None:
            hashes[number] = image.image_hash
    return tabulate(rows, verdicts, hashes)
