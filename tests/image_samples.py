"""Small pictures of every kind that training reads, made by code."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(width: int = 64, height: int = 48, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Structured noise: coarse blobs with fine grain, different for each seed."""
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((width, height))
    grain = rng.integers(-12, 12, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(blobs) + grain, 0, 255).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image | None = None, image_format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, image_format, **options)
    return buffer.getvalue()


def exif_bytes(orientation: int, endian: str = "<", extra_tags: int = 2) -> bytes:
    """A TIFF structure whose first directory holds the orientation among other tags."""
    order = {"<": b"II*\x00", ">": b"MM\x00*"}[endian]
    entries = [struct.pack(f"{endian}HHLL", 0x0100 + i, 4, 1, 7) for i in range(extra_tags)]
    entries.append(struct.pack(f"{endian}HHLHH", 0x0112, 3, 1, orientation, 0))
    directory = struct.pack(f"{endian}H", len(entries)) + b"".join(entries) + b"\x00" * 4
    return order + struct.pack(f"{endian}L", 8) + directory


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment right after its start."""
    return jpeg[:2] + struct.pack(">HH", marker, len(content) + 2) + content + jpeg[2:]


def with_exif(jpeg: bytes, orientation: int, endian: str = "<") -> bytes:
    return with_segment(jpeg, 0xFFE1, b"Exif\x00\x00" + exif_bytes(orientation, endian))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def bare_png(width: int, height: int, depth: int = 8, colour: int = 2, chunks: bytes = b"") -> bytes:
    """A PNG of any claimed size whose chunks are all well-formed."""
    header = struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunks + png_chunk(b"IDAT", zlib.compress(b"\x00" * 100))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body + png_chunk(b"IEND", b"")


XMP = b'http://ns.adobe.com/xap/1.0/\x00<x tiff:Orientation="6"/>'
JPEG = encoded()
PNG = encoded(image_format="PNG")

HEALTHY: dict[str, tuple[bytes, str, int, int, int, int, int]] = {
    # name: content, format, width, height, orientation, channels, bits
    "baseline.jpg": (JPEG, "jpeg", 64, 48, 0, 3, 8),
    "progressive.jpg": (encoded(progressive=True), "jpeg", 64, 48, 0, 3, 8),
    "optimised.jpg": (encoded(optimize=True, subsampling=0, quality=97), "jpeg", 64, 48, 0, 3, 8),
    "gray.jpg": (encoded(picture(mode="L")), "jpeg", 64, 48, 0, 1, 8),
    "cmyk.jpg": (encoded(picture(mode="CMYK")), "jpeg", 64, 48, 0, 4, 8),
    "exif6-little.jpg": (with_exif(JPEG, 6, "<"), "jpeg", 64, 48, 6, 3, 8),
    "exif8-big.jpg": (with_exif(JPEG, 8, ">"), "jpeg", 64, 48, 8, 3, 8),
    "exif3.jpg": (with_exif(JPEG, 3), "jpeg", 64, 48, 3, 3, 8),
    "exif9.jpg": (with_exif(JPEG, 9), "jpeg", 64, 48, 0, 3, 8),
    "xmp6.jpg": (with_segment(JPEG, 0xFFE1, XMP), "jpeg", 64, 48, 6, 3, 8),
    "exif-wins-over-xmp.jpg": (with_exif(with_segment(JPEG, 0xFFE1, XMP), 1), "jpeg", 64, 48, 1, 3, 8),
    "long-header.jpg": (
        with_exif(with_segment(with_segment(JPEG, 0xFFEC, b"p" * 60000), 0xFFE5, b"q" * 60000), 6),
        "jpeg", 64, 48, 6, 3, 8,
    ),
    "comment.jpg": (encoded(comment=b"hello " * 400), "jpeg", 64, 48, 0, 3, 8),
    "fill-bytes.jpg": (JPEG[:2] + b"\xff" * 3 + JPEG[2:], "jpeg", 64, 48, 0, 3, 8),
    "ten.jpg": (encoded(picture(10, 10)), "jpeg", 10, 10, 0, 3, 8),
    "rgb.png": (PNG, "png", 64, 48, 0, 3, 8),
    "gray.png": (encoded(picture(mode="L"), "PNG"), "png", 64, 48, 0, 1, 8),
    "palette.png": (encoded(picture().quantize(16), "PNG"), "png", 64, 48, 0, 1, 4),
    "rgba.png": (encoded(picture(mode="RGBA"), "PNG"), "png", 64, 48, 0, 4, 8),
    "one-bit.png": (encoded(picture(mode="1"), "PNG"), "png", 64, 48, 0, 1, 1),
    "16bit.png": (
        encoded(Image.fromarray(np.arange(3072, dtype=np.uint16).reshape(48, 64) * 20), "PNG"),
        "png", 64, 48, 0, 1, 16,
    ),
    "16bit-rgb.png": (bare_png(64, 48, depth=16), "png", 64, 48, 0, 3, 16),
    "exif.png": (bare_png(64, 48, chunks=png_chunk(b"eXIf", exif_bytes(6, ">"))), "png", 64, 48, 6, 3, 8),
    "trailing.png": (PNG + b"\x00\x00", "png", 64, 48, 0, 3, 8),
    "a.bmp": (encoded(image_format="BMP"), "bmp", 64, 48, 0, 3, 8),
    "a.webp": (encoded(image_format="WEBP"), "webp", 64, 48, 0, 3, 8),
    "a.tif": (encoded(image_format="TIFF"), "tiff", 64, 48, 0, 3, 8),
    "a.avif": (encoded(image_format="AVIF"), "avif", 64, 48, 0, 3, 8),
    "a.jp2": (encoded(image_format="JPEG2000"), "jpeg2000", 64, 48, 0, 3, 8),
    "two-pictures.mpo": (
        encoded(image_format="MPO", save_all=True, append_images=[picture(seed=1)]), "mpo", 64, 48, 0, 3, 8,
    ),
}  # fmt: skip
