"""JPEG headers: none raises, and a header that is taken without Pillow says what Pillow says of the file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from sanitizer.dataset.tables import ImageStatus
from sanitizer.images.decode import check_image
from sanitizer.images.header import JPEG_END, JPEG_START, NEED_MORE, ODD, jpeg_header
from sanitizer.images.image_files import read_images
from targets.scratch import put

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4096
WORDS = (
    *(
        JPEG_START,
        JPEG_END,
        b"\xff\xc0",
        b"\xff\xc2",
        b"\xff\xc4",
        b"\xff\xda",
        b"\xff\xdb",
        b"\xff\xe0\0\x10JFIF\0",
    ),
    *(
        b"\xff\xe1",
        b"Exif\0\0",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"\x12\x01\x03\0\x01\0\0\0",
        b"\xff\xff",
    ),
    *(
        b"\x01\x12\0\x03\0\0\0\x01",
        b"\xff\xe2",
        b"MPF\0",
        b"ICC_PROFILE\0",
        b"\xff\xed",
        b"Photoshop 3.0\0",
        b"8BIM",
    ),
    *(
        b"\xff\xee\0\x0eAdobe",
        b"http://ns.adobe.com/xap/1.0/\0",
        b'tiff:Orientation="6"',
        b"\xff\xdd\0\x04",
        b"\xff\xfe",
    ),
)


def seeds() -> Iterator[bytes]:
    """Small pictures with every segment that Pillow looks into."""
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    options: list[dict[str, object]] = [{}, {"progressive": True}, {"exif": exif.tobytes()}]
    options += [{"comment": b"x"}, {"dpi": (72, 72)}]
    for mode in ("RGB", "L", "CMYK"):
        for more in options:
            yield _jpeg(Image.new(mode, (12, 11)), **more)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    plain = _jpeg(Image.new("RGB", (12, 11)))
    for marker, content in (
        (0xE1, xmp),
        (0xE2, b"MPF\0" + bytes(16)),
        (0xED, b"Photoshop 3.0\0" + bytes(12)),
    ):
        length = (2 + len(content)).to_bytes(2, "big")
        yield plain[:2] + bytes((0xFF, marker)) + length + content + plain[2:]


def _jpeg(image: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=5, **options)  # type: ignore[attr-defined]
    return buffer.getvalue()


def check(data: bytes) -> None:
    """See the module."""
    raw = JPEG_START + data.removeprefix(JPEG_START).removesuffix(JPEG_END) + JPEG_END
    header = jpeg_header(raw)
    if isinstance(header, tuple):
        verdict = check_image(io.BytesIO(raw), raw[:1024])
        assert verdict.status == ImageStatus.OK, f"taken as sound, but {verdict.detail}"
        assert header == (verdict.width, verdict.height, verdict.facts), f"Pillow says {verdict}"
    else:
        assert header in (NEED_MORE, ODD)
    table = read_images([put("a.jpg", raw), put("b.jpg", data)], "header")
    assert len(table.width) == 2
