"""Lists of images: no line raises, and the images are those that Ultralytics takes from the same text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from sanitizer.dataset.image_lists import read_image_list
from targets.scratch import put, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4096
ENDINGS = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "avif", "heic", "dng", "mpo", "jp2", "heif")
"""Of names that training takes for images, all that are sure to be among them."""
WORDS = (
    *(
        b"./",
        b"../",
        b"images/",
        b"/images/",
        b"/",
        b".jpg",
        b".PNG",
        b".jpeg\r\n",
        b".png\n",
        b"C:\\",
        b"~/",
    ),
    *(b"\xef\xbb\xbf", b"\0", b"\r", b"\x0b", b"\x1c", b"\xc2\x85", b"\xe2\x80\xa8", b"http://a/b.jpg", b" "),
)


def seeds() -> Iterator[bytes]:
    """Lists of every kind."""
    yield b"./images/train/a.jpg\n./images/train/b.jpg\n"
    yield b"/data/images/train/a.jpg\r\nimages/a.png\r\ndata/obj/a.jpg\n"
    yield b"\n\n  \n./a.jpg\n\n# no image\nb.txt\n"
    yield b"\xef\xbb\xbf./a.jpg\n"
    yield "./ä.jpg\u2028./b.jpg\n".encode()
    yield b"./a\xff.jpg\n"
    yield b"./a\0.jpg\n" + b"../" * 40 + b"x.jpg\n"


def check(data: bytes) -> None:
    """See the module."""
    path = put("list.txt", data)
    found = read_image_list(path, [str(scratch())])
    named = sum(map(len, found.groups.values()))
    assert set(found.first_line) == set(found.groups)
    if found.error is not None:
        assert not found.groups
        return
    with io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig") as decoded:
        lines = decoded.read().strip().splitlines()
    sure = sum("." in line and line.rpartition(".")[-1].lower() in ENDINGS for line in lines)
    assert sure <= named <= len(lines), f"{named} images in a list of {sure} or more"
    assert sum(found.counts.values()) >= named
    for number, text in found.examples.values():
        assert number >= 1 and isinstance(text, str)
