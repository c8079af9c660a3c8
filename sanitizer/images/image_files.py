"""Header facts of many images: one open and two reads each. Pillow reads only images that may be unhealthy."""

from __future__ import annotations

import contextlib
import os
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import numpy as np

from sanitizer.dataset.tables import ImageStatus, ImageTable
from sanitizer.images.faults import image_faults
from sanitizer.images.header import (
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
from sanitizer.images.verdict import Verdict
from sanitizer.storage.read_ahead import read_ahead, will_need
from sanitizer.util.bounded_read import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from sanitizer.storage.read_ahead import ReadAhead

__all__ = ["image_faults", "read_images"]

ImageMode = Literal["header", "decode", "none"]

FIRST_BLOCK = 1024
"""Long enough for most headers; takes three quarters of the time of reading 4096 bytes."""
LAST_BLOCK = 32
_LONGEST_HEADER = 1 << 20
"""Cameras put previews and colour profiles before the frame header. Pillow reads headers that are even longer."""

_MOST_ANNOUNCED_BYTES = 4 << 20
"""Of one image: those of a chunk are in memory together."""

_LFS_START = b"version https://git-lfs.github.com/spec/"

Row = tuple[int, int, int, int, int]
"""width, height, packed facts, size in bytes, digest."""
_NOT_READ: tuple[Row, Verdict] = (-1, -1, 0, -1, 0), Verdict(status=ImageStatus.NOT_READ)


def read_images(paths: Sequence[str | None], mode: ImageMode, ahead: ReadAhead = read_ahead) -> ImageTable:
    """Facts of each image, in the order of `paths`. Never raises for the content of a file, and never writes.

    Args:
        paths: Absolute image paths; None for a label without image (NOT_READ).
        mode: "header" reads the first and last bytes. It finds all images that training drops or rewrites, except a
            PNG whose pixel data is damaged in the middle. "decode" also decodes every pixel, finds all such images,
            and hashes the picture. "none" opens no file.
        ahead: Reads the first and last bytes.
    """
    if mode == "none":
        paths = [None] * len(paths)
    rows: list[Row] = []
    # Most images need only their row. The others have a verdict, too, by image number.
    verdicts: dict[int, Verdict] = {}
    read = _read_ends_before_decoding if mode == "decode" else _read_ends
    ends = ahead([path for path in paths if path is not None], read, _announce)
    for number, path in enumerate(paths):
        row, verdict = _NOT_READ if path is None else _judge_read(path, next(ends))
        rows.append(row)
        if verdict is not None:
            verdicts[number] = verdict
    hashes = _decode_all(paths, rows, verdicts) if mode == "decode" else {}
    return tabulate(rows, verdicts, hashes)


def _read_ends(file: int) -> tuple[Row, bytes | None]:
    """Read the start and the end of one image. The hot path of the scan.

    Returns:
        Its row, and None; where the header may be unhealthy, a row without facts, and the first bytes.
    """
    header: Header | str = ODD
    tail = block = os.read(file, FIRST_BLOCK)
    size = len(block)
    if size == FIRST_BLOCK:
        size = os.lseek(file, -LAST_BLOCK, os.SEEK_END) + LAST_BLOCK
        tail = os.read(file, LAST_BLOCK)
    if block.startswith(JPEG_START):
        if tail.endswith(JPEG_END):
            header = jpeg_header(block)
            if header is NEED_MORE:
                header = _longer_header(file, jpeg_header)
    elif block.startswith(PNG_START) and tail.endswith(PNG_END):
        header = png_header(block)
        if header is NEED_MORE:
            header = _longer_header(file, png_header)
    digest = crc32(block) << 32 | crc32(tail, size & 0xFFFFFFFF) or 1
    if isinstance(header, tuple):
        return (*header, size, digest), None
    return (-1, -1, 0, size, digest), block


def _read_ends_before_decoding(file: int) -> tuple[Row, bytes | None]:
    """The same, with the kernel told that all of the image will be read soon."""
    ends = _read_ends(file)
    with contextlib.suppress(OSError):  # a pipe
        will_need(file, 0, min(ends[0][3], _MOST_ANNOUNCED_BYTES))
    return ends


def _announce(file: int) -> None:
    """Have the kernel fetch what `_read_ends` reads."""
    will_need(file, 0, FIRST_BLOCK)
    size = os.lseek(file, 0, os.SEEK_END)
    will_need(file, max(0, size - LAST_BLOCK), LAST_BLOCK)
    os.lseek(file, 0, os.SEEK_SET)


def _judge_read(
    path: str, ends: tuple[Row, bytes | None] | OSError | ValueError
) -> tuple[Row, Verdict | None]:
    """One image by what `_read_ends` returned. Pillow is asked here and not in a thread, as its warnings are of all."""
    if isinstance(ends, Exception):
        return _NOT_READ[0], _not_read(path, ends)
    row, block = ends
    if block is None:
        return row, None
    verdict = _look_closer(path, block)
    return (verdict.width, verdict.height, verdict.facts, *row[3:]), verdict


def judge_ends(
    block: bytes,
    tail: bytes,
    size: int,
    more: Callable[[int], bytes],
    look: Callable[[bytes], Verdict],
) -> tuple[Row, Verdict | None]:
    """One image by its first and last bytes, as `_read_header` judges it. The bytes may come from any source.

    Args:
        block: At least the first `FIRST_BLOCK` bytes, or the whole file.
        tail: The last `LAST_BLOCK` bytes, or the whole file.
        size: Bytes of the file.
        more: `more(n)` returns the first n bytes.
        look: Gives the verdict on a file that may be unhealthy, from its first bytes.
    """
    header: Header | str = ODD
    first = block[:FIRST_BLOCK]
    tail = tail[-LAST_BLOCK:] if size >= FIRST_BLOCK else first
    parse: Callable[[bytes], Header | str] | None = None
    if block.startswith(JPEG_START) and tail.endswith(JPEG_END):
        parse = jpeg_header
    elif block.startswith(PNG_START) and tail.endswith(PNG_END):
        parse = png_header
    if parse is not None:
        header = parse(first)
        if header is NEED_MORE:
            header = parse(block)
        length = 16 * FIRST_BLOCK
        while header is NEED_MORE and length <= _LONGEST_HEADER:
            block = more(length)
            header = parse(block)
            length = length * 8 if len(block) == length else _LONGEST_HEADER + 1
    digest = crc32(first) << 32 | crc32(tail, size & 0xFFFFFFFF) or 1
    if isinstance(header, tuple):
        return (*header, size, digest), None
    verdict = judge_start(first) or look(first)
    return (verdict.width, verdict.height, verdict.facts, size, digest), verdict


def _longer_header(descriptor: int, parse: Callable[[bytes], Header | str]) -> Header | str:
    """Parse again with enough of the file; ODD if even that does not reach the frame header."""
    length = 16 * FIRST_BLOCK
    while length <= _LONGEST_HEADER:
        os.lseek(descriptor, 0, os.SEEK_SET)
        block = os.read(descriptor, length)
        header = parse(block)
        if header is not NEED_MORE:
            return header
        if len(block) < length:
            break
        length *= 8
    return ODD


def _not_read(path: str, error: OSError | ValueError) -> Verdict:
    """The verdict on a path that cannot be opened or read."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, FileNotFoundError):
        try:
            target = os.readlink(path)
        except OSError:
            return Verdict(status=ImageStatus.MISSING, dropped=True, detail="there is no such file")
        words = f"a link to {target}, which does not exist"
        return Verdict(status=ImageStatus.BROKEN_LINK, dropped=True, detail=words)
    if os.path.isdir(path):
        reason = "it is a folder"
    return Verdict(status=ImageStatus.UNREADABLE, dropped=True, detail=reason)


def _look_closer(path: str, block: bytes) -> Verdict:
    """The verdict on a file that may be no healthy JPEG or PNG."""
    try:
        kind = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return _not_read(path, error)
    if not S_ISREG(kind):
        words = "it is a folder" if S_ISDIR(kind) else "it is no regular file (a pipe, socket or device)"
        return Verdict(status=ImageStatus.UNREADABLE, dropped=True, detail=words)
    verdict = judge_start(block)
    if verdict is not None:
        return verdict
    from sanitizer.images.decode import check_image

    try:
        with open_regular(path) as file:
            return check_image(file, block)
    except (OSError, ValueError) as error:
        return _not_read(path, error)


def judge_start(block: bytes) -> Verdict | None:
    """The verdict on a file whose first bytes show that it holds no picture; None for any other file."""
    if not block:
        return Verdict(status=ImageStatus.EMPTY, dropped=True, detail="the file has zero bytes")
    if block.startswith(_LFS_START):
        words = "a git-lfs pointer: the image itself was never downloaded"
        return Verdict(status=ImageStatus.LFS_POINTER, dropped=True, detail=words)
    return None


def _decode_all(paths: Sequence[str | None], rows: list[Row], verdicts: dict[int, Verdict]) -> dict[int, int]:
    """Decode the images whose header is healthy. Adds verdicts on damaged pixels; returns image number to hash."""
    hashes: dict[int, int] = {}
    for number, (path, row) in enumerate(zip(paths, rows, strict=True)):
        known = verdicts.get(number)
        if path is None or (known is not None and known.status is not ImageStatus.OK):
            continue
        try:
            with open_regular(path) as file:
                image_hash, verdict = decode_one(file, row, known)
        except (OSError, ValueError) as error:
            image_hash, verdict = None, _not_read(path, error)
        if image_hash is not None:
            hashes[number] = image_hash
        if verdict is not None:
            verdicts[number] = verdict
    return hashes


def decode_one(
    source: str | BinaryIO, row: Row, verdict: Verdict | None
) -> tuple[int | None, Verdict | None]:
    """(perceptual hash or None, verdict or None) of an image. `verdict` is the one from its first and last bytes."""
    from sanitizer.images.decode import check_image, decode

    if verdict is not None and verdict.status is not ImageStatus.OK:
        return None, verdict
    from_ends = verdict
    if verdict is None:
        # Nothing in the body of a JPEG makes check_image refuse it; every chunk of a PNG can.
        is_jpeg = row[2] >> 4 & 15 == JPEG
        verdict = Verdict(*row[:3]) if is_jpeg else check_image(source, b"")
    image_hash = decode(source, verdict) if verdict.status is ImageStatus.OK else None
    return image_hash, verdict if verdict.status is not ImageStatus.OK else from_ends


def tabulate(rows: Sequence[Row], verdicts: Mapping[int, Verdict], hashes: Mapping[int, int]) -> ImageTable:
    """The table of images, from a row for each image, and the verdicts and hashes of some, by image number."""
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
        bit_depth=(facts >> 12 & 63).astype(np.uint8),
        pages=((facts >> 18) + 1).astype(np.uint8),
        size_bytes=np.array(columns[3], np.int64),
        digest=np.array(columns[4], np.uint64),
        status=status,
        rewritten=rewritten,
        dropped=dropped,
        detail=detail,
        decoded=decoded,
        phash=phash,
    )
