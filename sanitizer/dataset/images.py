"""Header facts of many images: one open and two reads each, Pillow only for what is not plainly healthy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import numpy as np

from sanitizer.dataset.image_faults import image_faults
from sanitizer.dataset.image_header import (
    JPEG,
    JPEG_END,
    JPEG_START,
    MIN_SIDE_PX,
    NEED_MORE,
    ODD,
    PNG_END,
    PNG_START,
    Header,
    jpeg_header,
    png_header,
)
from sanitizer.dataset.image_verdict import Verdict
from sanitizer.dataset.tables import ImageStatus, ImageTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["StoredImage", "image_faults", "read_images", "read_stored", "stored_table"]

ImageMode = Literal["header", "decode", "none"]

FIRST_BLOCK = 1024
"""Long enough for most headers; three quarters of the price of reading 4096 bytes."""
LAST_BLOCK = 32
_LONGEST_HEADER = 1 << 20
"""Cameras put previews and colour profiles before the frame header; what is longer still, Pillow reads."""

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Not blocking, so that a named pipe cannot hold us up."""

_LFS_START = b"version https://git-lfs.github.com/spec/"

_Row = tuple[int, int, int, int, int]
"""width, height, packed facts, size in bytes, digest."""

_NOT_READ_ROW: _Row = (-1, -1, 0, -1, 0)


def read_images(paths: Sequence[str | None], mode: ImageMode) -> ImageTable:
    """Facts of each image, in the order of `paths`. Never raises for what a file is, never writes.

    Args:
        paths: Absolute image paths; None for a label without image (NOT_READ).
        mode: "header" reads first and last bytes, and is exact on what training drops and rewrites except for a
            PNG whose pixel data is damaged in the middle. "decode" decodes every pixel besides and hashes the
            picture, and is exact on all. "none" touches no file.
    """
    if mode == "none":
        paths = [None] * len(paths)
    rows: list[_Row] = []
    # Most images have nothing to tell beyond their row; for the others there is a verdict by image number.
    verdicts: dict[int, Verdict] = {}
    for number, path in enumerate(paths):
        row, verdict = _read_header(path)
        rows.append(row)
        if verdict is not None:
            verdicts[number] = verdict
    hashes = _decode_all(paths, rows, verdicts) if mode == "decode" else {}
    return _table(rows, verdicts, hashes)


def _read_header(path: str | None) -> tuple[_Row, Verdict | None]:
    """One image: open, read its start and its end, close. The hot path of the scan."""
    if path is None:
        return _NOT_READ_ROW, Verdict(status=ImageStatus.NOT_READ)
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            tail = block = os.read(descriptor, FIRST_BLOCK)
            size = len(block)
            if size == FIRST_BLOCK:
                size = os.lseek(descriptor, -LAST_BLOCK, os.SEEK_END) + LAST_BLOCK
                tail = os.read(descriptor, LAST_BLOCK)
            header = _plain_header(block, tail)
            if header is NEED_MORE:
                header = _longer_header(block, partial(_first_bytes, descriptor))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        return _NOT_READ_ROW, _not_read(path, error)
    if isinstance(header, tuple):
        return (*header, size, _digest(block, tail, size)), None
    verdict = _look_closer(path, block)
    return (verdict.width, verdict.height, verdict.facts, size, _digest(block, tail, size)), verdict


def _digest(block: bytes, tail: bytes, size: int) -> int:
    return crc32(block) << 32 | crc32(tail, size & 0xFFFFFFFF) or 1


def _plain_header(block: bytes, tail: bytes) -> Header | str:
    """The header of a plainly healthy JPEG or PNG from its first and last bytes; NEED_MORE or ODD."""
    if block.startswith(JPEG_START):
        return jpeg_header(block) if tail.endswith(JPEG_END) else ODD
    return png_header(block) if block.startswith(PNG_START) and tail.endswith(PNG_END) else ODD


def _first_bytes(descriptor: int, length: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, length)


def _longer_header(block: bytes, first_bytes: Callable[[int], bytes]) -> Header | str:
    """Parse again with enough of the file; ODD if even that does not reach the frame header."""
    parse = jpeg_header if block.startswith(JPEG_START) else png_header
    length = 16 * FIRST_BLOCK
    while length <= _LONGEST_HEADER:
        block = first_bytes(length)
        header = parse(block)
        if header is not NEED_MORE:
            return header
        if len(block) < length:
            break
        length *= 8
    return ODD


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What was found of an image inside a larger file. `row` and `verdict` are as the table takes them."""

    row: _Row
    verdict: Verdict | None
    image_hash: int | None = None


def read_stored(size: int, part: Callable[[int, int], bytes], mode: ImageMode) -> StoredImage:
    """What `read_images` does, for an image of which `part(start, length)` gives bytes.

    Args:
        size: Length in bytes.
        part: Reads a range of it.
        mode: As for `read_images`.
    """
    if mode == "none":
        return StoredImage(_NOT_READ_ROW, Verdict(status=ImageStatus.NOT_READ))
    tail = block = part(0, min(size, FIRST_BLOCK))
    if len(block) == FIRST_BLOCK:
        tail = part(size - LAST_BLOCK, LAST_BLOCK)
    header = _plain_header(block, tail)
    if header is NEED_MORE:
        header = _longer_header(block, lambda length: part(0, min(size, length)))
    verdict: Verdict | None = None
    if not isinstance(header, tuple):
        verdict = _look_closer_at(part, size, block)
        header = (verdict.width, verdict.height, verdict.facts)
    row = (*header, size, _digest(block, tail, size))
    if mode != "decode" or (verdict is not None and verdict.status is not ImageStatus.OK):
        return StoredImage(row, verdict)
    judged, image_hash = _decode_one(part(0, size), row, verdict)
    return StoredImage(row, judged if judged.status is not ImageStatus.OK else verdict, image_hash)


def _look_closer_at(part: Callable[[int, int], bytes], size: int, block: bytes) -> Verdict:
    known = _known_by_start(block)
    if known is not None:
        return known
    if size > _MOST_IN_MEMORY:
        words = f"{size:,} bytes are too many to look at inside another file"
        return Verdict(status=ImageStatus.UNREADABLE, dropped=True, detail=words)
    from sanitizer.dataset.image_decode import check_image

    return check_image(part(0, size), block)


_MOST_IN_MEMORY = 1 << 29


def stored_table(images: Sequence[StoredImage | None]) -> ImageTable:
    """The table of images inside larger files; None for a label without image."""
    rows = [_NOT_READ_ROW if image is None else image.row for image in images]
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
    return _table(rows, verdicts, hashes)


def _not_read(path: str, error: OSError | ValueError) -> Verdict:
    """Why a path cannot be opened or read, in words."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, FileNotFoundError):
        if not os.path.islink(path):
            return Verdict(status=ImageStatus.MISSING, dropped=True, detail="there is no such file")
        target = os.readlink(path)
        words = f"a link to {target}, which does not exist"
        return Verdict(status=ImageStatus.BROKEN_LINK, dropped=True, detail=words)
    if os.path.isdir(path):
        reason = "it is a folder"
    return Verdict(status=ImageStatus.UNREADABLE, dropped=True, detail=reason)


def _look_closer(path: str, block: bytes) -> Verdict:
    """The verdict on a file that is not plainly a healthy JPEG or PNG."""
    try:
        kind = os.stat(path).st_mode
    except OSError as error:
        return _not_read(path, error)
    if not S_ISREG(kind):
        words = "it is a folder" if S_ISDIR(kind) else "it is no regular file (a pipe, socket or device)"
        return Verdict(status=ImageStatus.UNREADABLE, dropped=True, detail=words)
    known = _known_by_start(block)
    if known is not None:
        return known
    from sanitizer.dataset.image_decode import check_image

    return check_image(path, block)


def _known_by_start(block: bytes) -> Verdict | None:
    """The verdict on a file that is no image at all, without asking Pillow."""
    if not block:
        return Verdict(status=ImageStatus.EMPTY, dropped=True, detail="the file has zero bytes")
    if block.startswith(_LFS_START):
        words = "a git-lfs pointer: the image itself was never downloaded"
        return Verdict(status=ImageStatus.LFS_POINTER, dropped=True, detail=words)
    return None


def _decode_all(
    paths: Sequence[str | None], rows: list[_Row], verdicts: dict[int, Verdict]
) -> dict[int, int]:
    """Decode what is readable so far; adds verdicts on damaged pixels, returns image number to hash."""
    hashes: dict[int, int] = {}
    for number, (path, row) in enumerate(zip(paths, rows, strict=True)):
        verdict = verdicts.get(number)
        if path is None or (verdict is not None and verdict.status is not ImageStatus.OK):
            continue
        verdict, image_hash = _decode_one(path, row, verdict)
        if image_hash is not None:
            hashes[number] = image_hash
        if verdict.status is not ImageStatus.OK:
            verdicts[number] = verdict
    return hashes


def _decode_one(source: str | bytes, row: _Row, verdict: Verdict | None) -> tuple[Verdict, int | None]:
    """(verdict, hash) of an image whose header passed, given its path or its bytes."""
    from sanitizer.dataset.image_decode import check_image, decode

    if verdict is None:
        # Nothing in the body of a JPEG makes check_image refuse it; every chunk of a PNG can.
        is_jpeg = row[2] >> 4 & 15 == JPEG
        verdict = Verdict(*row[:3]) if is_jpeg else check_image(source, b"")
    return verdict, decode(source, verdict) if verdict.status is ImageStatus.OK else None


def _table(rows: Sequence[_Row], verdicts: Mapping[int, Verdict], hashes: Mapping[int, int]) -> ImageTable:
    n = len(rows)
    columns = list(zip(*rows, strict=True)) or [()] * 5
    width, height = np.array(columns[0], np.int32), np.array(columns[1], np.int32)
    facts = np.array(columns[2], np.int64)
    status = np.full(n, ImageStatus.OK, np.uint8)
    rewritten = np.zeros(n, np.bool_)
    dropped = np.minimum(width, height) < MIN_SIDE_PX
    detail = np.full(n, None, np.object_)
    for number, verdict in verdicts.items():
        status[number], detail[number] = verdict.status, verdict.detail
        rewritten[number], dropped[number] = verdict.rewritten, verdict.dropped
    decoded, phash = np.zeros(n, np.bool_), np.zeros(n, np.uint64)
    for number, image_hash in hashes.items():
        decoded[number], phash[number] = True, image_hash
    return ImageTable(
        width=width,
        height=height,
        orientation=(facts & 15).astype(np.uint8),
        format=(facts >> 4 & 15).astype(np.uint8),
        channels=(facts >> 8 & 15).astype(np.uint8),
        bit_depth=(facts >> 12).astype(np.uint8),
        size_bytes=np.array(columns[3], np.int64),
        digest=np.array(columns[4], np.uint64),
        status=status,
        rewritten=rewritten,
        dropped=dropped,
        detail=detail,
        decoded=decoded,
        phash=phash,
    )
