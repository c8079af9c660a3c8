"""Pictures that are made to stop their reader cost next to nothing, and are not called damaged."""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from measured import MOST_MB, MOST_SECONDS, SCAN, run_measured
from PIL import Image
from strange_files import within
from tiny_sets import tiny_set

from sanitizer import scan
from sanitizer.dataset.tables import ImageStatus
from sanitizer.images.decode import thumbnail
from sanitizer.images.image_files import read_images
from sanitizer.images.source import open_image, webp_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sanitizer.dataset.tables import ImageTable


def jpeg(width: int = 64, height: int = 48, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 40)).save(out, "JPEG", **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, pixels: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0))
    start = b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)
    return start + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def webp(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "WEBP", lossless=True, method=0)
    return out.getvalue()


def claimed_webp(width: int, height: int) -> bytes:
    """A WebP file that claims a canvas, without pixels for it."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    canvas = b"VP8X" + struct.pack("<L", 10) + bytes(4) + size
    body = b"WEBP" + canvas + b"VP8L" + struct.pack("<L", 8) + b"\x2f" + bytes(7)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def segments(marker: bytes, payload: bytes, count: int) -> bytes:
    one = marker + struct.pack(">H", len(payload) + 2) + payload
    plain = jpeg()
    return plain[:2] + one * count + plain[2:]


def tiff_entries(count: int, length: int) -> bytes:
    """A TIFF directory whose entries each ask for the same `length` bytes."""
    entries = b"".join(struct.pack("<HHLL", 1000 + i, 7, length, 8) for i in range(count))
    return struct.pack("<2sHLH", b"II", 42, 8, count) + entries + bytes(4) + bytes(length)


def tiff_tile(width: int, height: int, tile: int) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 5), (262, 1), (277, 1),
            (322, tile), (323, tile), (324, 8), (325, 100)]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHLH", b"II", 42, 8, len(tags)) + entries + bytes(4) + bytes(200)


EXIF_BOMB = b"Exif\0\0" + tiff_entries(5000, 5000)[:65_000]
HOSTILE: dict[str, Callable[[], bytes]] = {
    "padding.jpg": lambda: b"\xff\xd8" + b"\xff" * 20_000_000,
    "exif.jpg": lambda: segments(b"\xff\xe1", b"Exif\0\0" + b"II*\0" + bytes(65_000), 1000),
    "app1.jpg": lambda: segments(b"\xff\xe1", bytes(65_000), 1000),
    "comments.jpg": lambda: segments(b"\xff\xfe", b"", 2_000_000),
    "app13.jpg": lambda: segments(b"\xff\xed", b"Photoshop 3.0\0" + b"8BIM" * 16_000, 300),
    "exif-entries.jpg": lambda: segments(b"\xff\xe1", EXIF_BOMB, 1),
    "no-end.jpg": lambda: jpeg(12_000, 12_000)[:-2],
    "progressive-no-end.jpg": lambda: jpeg(9000, 9000, progressive=True)[:-2],
    "canvas.webp": lambda: webp(13_000, 13_000),
    "claimed.webp": lambda: claimed_webp(16_384, 16_384),
    "bomb.png": lambda: png(13_000, 13_000, pixels=bytes(13_000 * 39_001)),
    "chunks.png": lambda: png(64, 64, chunk(b"tIME", bytes(7)) * 500_000),
    "text.png": lambda: png(64, 64, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 28)))),
    "texts.png": lambda: png(64, 64, *[chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(1 << 20)))] * 300),
    "exif.png": lambda: png(64, 64, chunk(b"eXIf", tiff_entries(60_000, 2_000_000))),
    "raw-exif.png": lambda: png(
        64, 64, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(
            b"\nexif\n  480000\n" + tiff_entries(20_000, 200_000).hex().encode()))),
    "entries.tif": lambda: tiff_entries(60_000, 5_000_000),
    "tile.tif": lambda: tiff_tile(64, 64, 30_000),
    "side.bmp": lambda: b"BM" + struct.pack("<LLLLllHHL", 99, 0, 54, 40, 13_000, 13_000, 1, 24, 0) + bytes(28),
    "frames.gif": lambda: b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"," * 5_000_000,
    "script.jpg": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n" + b"{ } loop\n" * 1000,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["header", "decode"])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_picture_takes_much_memory_or_time(tmp_path: Path, name: str, mode: str) -> None:
    data = tiny_set(tmp_path)
    (tmp_path / "images" / "train" / name).write_bytes(HOSTILE[name]())
    ran = run_measured(SCAN, data, "--images", mode)
    assert "status" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


def read_one(path: Path, content: bytes, mode: str = "decode") -> ImageTable:
    path.write_bytes(content)
    with within(MOST_SECONDS):
        return read_images([str(path)], mode)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "dropped", "words"),
    [
        (
            "a.png",
            png(20_000, 20_000),
            True,
            "400,000,000 pixels, more than the 178,956,970 that Pillow opens",
        ),
        ("a.webp", claimed_webp(16_384, 16_384), True, "16,384×16,384 px, more than the 178,956,970 pixels"),
        ("a.webp", claimed_webp(13_000, 13_000), False, "13,000×13,000 px, 1.4 GB of memory"),
        ("a.jpg", b"\xff\xd8" + b"\xff" * 2_000_000, False, "its structure asks for more reading"),
        (
            "a.jpg",
            segments(b"\xff\xe1", b"Exif\0\0" + bytes(65_000), 9),
            False,
            "more segments than any camera",
        ),
    ],
    ids=["png over Pillow's limit", "webp over Pillow's limit", "webp over ours", "padding", "EXIF segments"],
)
def test_what_is_beyond_the_limits_is_named_and_not_called_damaged(
    tmp_path: Path, name: str, content: bytes, dropped: bool, words: str
) -> None:
    for mode in ("header", "decode"):
        table = read_one(tmp_path / name, content, mode)
        assert ImageStatus(table.status[0]) is ImageStatus.TOO_LARGE
        assert words in table.detail[0]
        assert (table.dropped[0], table.decoded[0]) == (dropped, False)


def test_what_is_too_large_to_decode_keeps_its_size(tmp_path: Path) -> None:
    content = png(13_000, 13_000)
    header = read_one(tmp_path / "a.png", content, "header")
    assert (header.status[0], header.width[0], header.dropped[0]) == (ImageStatus.OK, 13_000, False)
    table = read_one(tmp_path / "a.png", content)
    assert ImageStatus(table.status[0]) is ImageStatus.TOO_LARGE
    assert (table.width[0], table.height[0], bool(table.dropped[0])) == (13_000, 13_000, False)
    assert "13,000×13,000 px, 1.4 GB of memory" in table.detail[0]


@pytest.mark.thorough
def test_large_photographs_are_decoded_as_ever(tmp_path: Path) -> None:
    table = read_one(tmp_path / "a.jpg", jpeg(9000, 7000))
    assert (table.status[0], table.decoded[0]) == (ImageStatus.OK, True)
    table = read_one(tmp_path / "b.jpg", jpeg(6000, 4000, progressive=True))
    assert (table.status[0], table.decoded[0]) == (ImageStatus.OK, True)


def test_a_report_says_what_was_not_judged(tmp_path: Path) -> None:
    data = tiny_set(tmp_path)
    (tmp_path / "images" / "train" / "wide.png").write_bytes(png(20_000, 20_000))
    (tmp_path / "images" / "train" / "loop.jpg").write_bytes(b"\xff\xd8" + b"\xff" * 2_000_000)
    report = scan(data, cache=False, jobs=1)
    found = {str(f.image): f for f in report.findings if f.rule == "I008"}
    wide, loop = found["images/train/wide.png"], found["images/train/loop.jpg"]
    assert (wide.severity.label, loop.severity.label) == ("error", "warning")
    assert "training drops it" in wide.message
    assert "its pixels were not judged" in loop.message
    assert report.summary.images_dropped_by_training == 1
    assert not {f.rule for f in report.findings if f.image in found} & {"I001", "I002", "I003"}


@pytest.mark.parametrize("image_format", ["GIF", "PPM", "PSD", "ICNS", "EPS", "PCX", "TGA", "ICO"])
def test_only_formats_that_training_opens_reach_pillow(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "a.jpg"
    if image_format == "PSD":
        path.write_bytes(b"8BPS" + bytes(100))
    else:
        Image.new("RGB", (64, 64)).save(path, image_format)
    before = set(Image.OPEN)
    with pytest.raises(Image.UnidentifiedImageError):
        open_image(str(path))
    table = read_images([str(path)], "decode")
    assert (table.status[0], table.dropped[0]) == (ImageStatus.NOT_IMAGE, True)
    assert before <= set(Image.OPEN)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "MPO", "AVIF", "JPEG2000"])
def test_formats_that_training_opens_are_opened(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "a.img"
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save(path, image_format)
    with open_image(str(path)) as image:
        assert image.size == (64, 48)
        image.load()
    assert thumbnail(str(path)) is not None


@pytest.mark.parametrize(("width", "height"), [(1, 1), (640, 480), (5000, 3)])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}])
def test_the_size_of_a_webp_file_stands_in_its_first_bytes(
    width: int, height: int, options: dict[str, object]
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "WEBP", **options)
    assert webp_size(out.getvalue()[:32]) == (width, height)


def test_an_image_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with within(MOST_SECONDS):
        assert thumbnail(str(tmp_path / "a.jpg")) is None
        with pytest.raises(OSError, match="no regular file"):
            open_image(str(tmp_path / "a.jpg"))


def test_a_thumbnail_of_a_large_canvas_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(claimed_webp(13_000, 13_000))
    code = "import sys; from sanitizer.images.decode import thumbnail; print(thumbnail(sys.argv[1]))"
    ran = run_measured(code, tmp_path / "a.webp")
    assert ran.stdout.strip() == "None"
    assert ran.peak_mb < MOST_MB / 4
