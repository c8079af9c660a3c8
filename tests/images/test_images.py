"""What read_images says of an image is what Ultralytics' check_image will do with it."""

from __future__ import annotations

import os
import shutil
import struct
import time
from typing import TYPE_CHECKING

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import HEALTHY, JPEG, PNG, bare_png, encoded, exif_bytes, picture, with_exif
from PIL import Image

from sanitizer.dataset.tables import IMAGE_FORMATS, ImageStatus
from sanitizer.images.header import exif_orientation
from sanitizer.images.image_files import read_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sanitizer.dataset.tables import ImageTable


WITHOUT_PIXELS = {"16bit-rgb.png", "exif.png"}
"""Made by bare_png: too little pixel data for their size, which only decoding finds."""

TURNED_TIFF = encoded(image_format="TIFF", exif=(lambda e: (e.__setitem__(274, 6), e)[1])(Image.Exif()))

HURT: dict[str, tuple[bytes, ImageStatus, bool, bool]] = {
    # name: content, status, dropped by training, rewritten by training
    "trailing-zeros.jpg": (JPEG + b"\x00\x00", ImageStatus.OK, False, True),
    "trailing-newline.jpg": (JPEG + b"\n", ImageStatus.OK, False, True),
    "trailing-gray.jpg": (encoded(picture(mode="L")) + b"xx", ImageStatus.OK, False, True),
    "trailing-cmyk.jpg": (encoded(picture(mode="CMYK")) + b"xx", ImageStatus.OK, False, True),
    "end-marker-missing.jpg": (JPEG[:-2], ImageStatus.TRUNCATED, True, False),
    "half.jpg": (JPEG[: len(JPEG) // 2], ImageStatus.TRUNCATED, True, False),
    "header-only.jpg": (JPEG[:300], ImageStatus.UNDECODABLE, True, False),
    "start-only.jpg": (JPEG[:3], ImageStatus.UNDECODABLE, True, False),
    "half.png": (PNG[: len(PNG) // 2], ImageStatus.TRUNCATED, True, False),
    "no-end.png": (PNG[:-12], ImageStatus.TRUNCATED, True, False),
    "start-only.png": (PNG[:20], ImageStatus.UNDECODABLE, True, False),
    "bad-crc.png": (PNG[:29] + b"\x00" + PNG[30:], ImageStatus.UNDECODABLE, True, False),
    "nine.jpg": (encoded(picture(9, 30)), ImageStatus.OK, True, False),
    "nine-with-tail.jpg": (encoded(picture(30, 9)) + b"xx", ImageStatus.OK, True, False),
    "eight.png": (encoded(picture(8, 8), "PNG"), ImageStatus.OK, True, False),
    "eight.bmp": (encoded(picture(8, 8), "BMP"), ImageStatus.OK, True, False),
    "empty.jpg": (b"", ImageStatus.EMPTY, True, False),
    "zeros.jpg": (b"\x00" * 5000, ImageStatus.NOT_IMAGE, True, False),
    "text.jpg": (b"not an image\n", ImageStatus.NOT_IMAGE, True, False),
    "page.jpg": (b"<!DOCTYPE html><html></html>", ImageStatus.NOT_IMAGE, True, False),
    "a.gif": (encoded(image_format="GIF"), ImageStatus.NOT_IMAGE, True, False),
    "a.ppm": (encoded(image_format="PPM"), ImageStatus.NOT_IMAGE, True, False),
    "bomb.png": (bare_png(20000, 20000), ImageStatus.TOO_LARGE, True, False),
    "large.png": (bare_png(10000, 9000), ImageStatus.OK, False, False),
    "lfs.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
                ImageStatus.LFS_POINTER, True, False),
}  # fmt: skip


def read_one(folder: Path, name: str, content: bytes, mode: str = "header") -> ImageTable:
    path = folder / name
    path.write_bytes(content)
    return read_images([str(path)], mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["header", "decode"])
@pytest.mark.parametrize("name", HEALTHY)
def test_facts_of_a_healthy_image(tmp_path: Path, name: str, mode: str) -> None:
    content, image_format, width, height, orientation, channels, bits = HEALTHY[name]
    table = read_one(tmp_path, name, content, mode)
    pixels_fit = name not in WITHOUT_PIXELS
    if mode == "header" or pixels_fit:
        assert table.status[0] == ImageStatus.OK
    assert IMAGE_FORMATS[table.format[0]] == image_format
    assert (table.width[0], table.height[0]) == (width, height)
    assert (table.orientation[0], table.channels[0], table.bit_depth[0]) == (orientation, channels, bits)
    assert table.size_bytes[0] == len(content)
    assert not table.dropped[0]
    assert not table.rewritten[0]
    assert table.digest[0] != 0
    assert table.decoded[0] == (mode == "decode" and pixels_fit)


@pytest.mark.parametrize("name", HURT)
def test_verdict_on_a_damaged_image(tmp_path: Path, name: str) -> None:
    content, status, dropped, rewritten = HURT[name]
    table = read_one(tmp_path, name, content)
    assert (ImageStatus(table.status[0]), table.dropped[0], table.rewritten[0]) == (
        status,
        dropped,
        rewritten,
    )
    assert (table.detail[0] is None) == (status == ImageStatus.OK and not rewritten)
    assert (tmp_path / name).read_bytes() == content


def test_size_of_a_turned_tiff_is_as_stored(tmp_path: Path) -> None:
    table = read_one(tmp_path, "turned.tif", TURNED_TIFF)
    assert (table.width[0], table.height[0], table.orientation[0]) == (64, 48, 6)
    assert [int(side[0]) for side in table.upright_size()] == [48, 64]


def test_truncation_at_any_offset_is_dropped(tmp_path: Path) -> None:
    for image in (JPEG, encoded(progressive=True), PNG):
        for length in range(1, len(image) - 1, 97):
            table = read_one(tmp_path, "cut", image[:length])
            assert table.dropped[0], length
            assert table.status[0] != ImageStatus.OK


def test_damage_that_only_decoding_finds(tmp_path: Path) -> None:
    """A PNG with a broken byte in its pixels; a JPEG whose scan ends early and which then seems to end well."""
    middle = len(PNG) // 2
    png = PNG[:middle] + bytes([PNG[middle] ^ 0xFF]) + PNG[middle + 1 :]
    assert not read_one(tmp_path, "a.png", png).dropped[0]
    table = read_one(tmp_path, "a.png", png, "decode")
    assert table.dropped[0]
    assert table.status[0] == ImageStatus.UNDECODABLE
    scan = JPEG.index(b"\xff\xda")
    jpeg = JPEG[: scan + 14] + b"\xff\xff\x00\x00" + b"\xff\xda" + b"\x00\x03\x00" + b"\xff\xd9"
    table = read_one(tmp_path, "a.jpg", jpeg, "decode")
    assert table.status[0] in (ImageStatus.TRUNCATED, ImageStatus.UNDECODABLE)
    assert table.detail[0]


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    names = ["folder.jpg", "link.jpg", "pipe.jpg", "gone.jpg"]
    paths: list[str | None] = [str(tmp_path / n) for n in names]
    table = read_images([*paths, None, str(tmp_path / "nul\x00.jpg"), "/dev/zero"], "decode")
    assert [ImageStatus(s).name for s in table.status] == [
        "UNREADABLE", "BROKEN_LINK", "UNREADABLE", "MISSING", "NOT_READ", "UNREADABLE", "UNREADABLE",
    ]  # fmt: skip
    assert table.dropped.tolist() == [True, True, True, True, False, True, True]
    assert "gone.jpg" in table.detail[1]


def test_a_pipe_with_a_writer_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    descriptor = os.open(tmp_path / "pipe.jpg", os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(descriptor, JPEG)
        started = time.monotonic()
        assert read_images([str(tmp_path / "pipe.jpg")], "decode").status[0] == ImageStatus.UNREADABLE
        assert time.monotonic() - started < 60
    finally:
        os.close(descriptor)


def test_mode_none_touches_no_file(tmp_path: Path) -> None:
    table = read_images([str(tmp_path / "gone.jpg"), None], "none")
    assert table.status.tolist() == [ImageStatus.NOT_READ] * 2
    assert table.width.tolist() == [-1, -1]
    assert not table.dropped.any()
    assert len(read_images([], "header")) == 0


def test_equal_files_have_equal_digests_and_others_differ(tmp_path: Path) -> None:
    contents = [JPEG, JPEG, encoded(picture(seed=1)), encoded(quality=60), PNG, JPEG + b"x"]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    digest = read_images([str(tmp_path / f"{n}.jpg") for n in range(len(contents))], "header").digest
    assert digest[0] == digest[1]
    assert len(set(digest.tolist())) == len(contents) - 1


@pytest.mark.parametrize(
    "copy",
    [
        lambda p: encoded(p, quality=35),
        lambda p: encoded(p, "PNG"),
        lambda p: encoded(p.resize((320, 240))),
        lambda p: encoded(p.resize((1280, 960))),
        lambda p: with_exif(encoded(p.transpose(Image.Transpose.ROTATE_90), quality=95), 6),
    ],
    ids=["quality", "png", "half", "double", "turned"],
)
def test_copies_have_near_hashes_and_other_pictures_have_not(
    tmp_path: Path, copy: Callable[[Image.Image], bytes]
) -> None:
    original = picture(640, 480)
    first = read_one(tmp_path, "a.jpg", encoded(original), "decode").phash[0]
    second = read_one(tmp_path, "b.jpg", copy(original), "decode").phash[0]
    other = read_one(tmp_path, "c.jpg", encoded(picture(640, 480, seed=9)), "decode").phash[0]
    assert int(first ^ second).bit_count() <= 8
    assert int(first ^ other).bit_count() > 12


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_both_byte_orders(orientation: int, endian: str) -> None:
    assert exif_orientation(exif_bytes(orientation, endian)) == orientation


# --- against the libraries that training uses -----------------------------------------------------------------


def what_ultralytics_does(path: Path) -> tuple[bool, bool]:
    """(dropped, rewritten) by the real check_image, which may rewrite the file."""
    from ultralytics.data.utils import check_image

    before = path.read_bytes() if path.is_file() else None
    try:
        check_image(str(path))
    except Exception:
        return True, False
    return False, path.read_bytes() != before


@pytest.fixture
def no_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics would install pi-heif for every file that Pillow cannot open."""
    import ultralytics.utils.checks as checks

    def refuse(*_: object, **__: object) -> bool:
        raise ModuleNotFoundError("pi_heif")

    monkeypatch.setattr(checks, "check_requirements", refuse)


@pytest.mark.ultralytics
def test_no_package_is_installed_for_what_pillow_cannot_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ultralytics.utils.checks as checks

    asked: list[object] = []
    monkeypatch.setattr(checks, "check_requirements", asked.append)
    table = read_one(tmp_path, "text.jpg", b"no picture")
    assert table.detail[0] == "its content is text"
    assert not asked


@pytest.mark.ultralytics
@pytest.mark.usefixtures("no_installs")
@pytest.mark.parametrize("mode", ["header", "decode"])
def test_every_example_as_ultralytics_does_it(tmp_path: Path, mode: str) -> None:
    examples = {name: row[0] for name, row in (HEALTHY | HURT).items()}
    for length in range(0, len(JPEG), 61):
        examples[f"cut{length}.jpg"] = JPEG[:length]
    for name, content in examples.items():
        table = read_one(tmp_path, name, content, mode)
        ours = (bool(table.dropped[0]), bool(table.rewritten[0]))
        assert ours == what_ultralytics_does(tmp_path / name), name


@pytest.mark.ultralytics
@pytest.mark.usefixtures("no_installs")
@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_images_as_ultralytics_does_them(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(
        data.draw(st.sampled_from([row[0] for row in HEALTHY.values() if len(row[0]) < 60000]))
    )
    for _ in range(data.draw(st.integers(0, 4))):
        # Header bytes decide most; the tail decides the rest.
        at = data.draw(st.one_of(st.integers(0, 700), st.integers(-20, -1), st.integers(0, len(content) - 1)))
        if -len(content) <= at < len(content):
            content[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    by_mode = {}
    for mode in ("header", "decode"):
        table = read_one(tmp_path, "mutant", bytes(content), mode)
        by_mode[mode] = (bool(table.dropped[0]), bool(table.rewritten[0]))
    theirs = what_ultralytics_does(tmp_path / "mutant")
    assert by_mode["decode"] == theirs
    # A PNG's checksums are all it takes to drop it, and its header does not show them.
    assert by_mode["header"] == theirs or (content.startswith(b"\x89PNG") and not by_mode["header"][0])


@settings(
    max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda b: JPEG[:4] + b)))
def test_no_bytes_raise(tmp_path: Path, content: bytes) -> None:
    table = read_one(tmp_path, "any", content, "decode")
    assert table.status[0] != ImageStatus.NOT_READ
    assert table.dropped[0] or table.width[0] >= 10


def test_header_and_pillow_agree_on_published_images(shared_data: Path) -> None:
    """Size, format and orientation by hand are those of Pillow, on every published image."""
    paths = [str(p) for p in sorted(shared_data.rglob("*")) if p.suffix.lower() in {".jpg", ".jpeg", ".png"}]
    table = read_images(paths, "header")
    assert len(paths) > 500
    for number, path in enumerate(paths):
        if table.status[number] == ImageStatus.LFS_POINTER:
            continue
        with Image.open(path) as image:
            assert image.size == (table.width[number], table.height[number])
            assert str(image.format).lower() == IMAGE_FORMATS[table.format[number]]
            assert image.getexif().get(274, 0) == table.orientation[number]


@pytest.mark.slow
@pytest.mark.ultralytics
@pytest.mark.usefixtures("no_installs")
def test_published_images_as_ultralytics_does_them(shared_data: Path, tmp_path: Path) -> None:
    paths = [p for p in sorted(shared_data.rglob("*")) if p.suffix.lower() in {".jpg", ".jpeg", ".png"}]
    table = read_images([str(p) for p in paths], "header")
    for number, path in enumerate(paths):
        copy = tmp_path / path.name
        shutil.copyfile(path, copy)
        ours = (bool(table.dropped[number]), bool(table.rewritten[number]))
        assert ours == what_ultralytics_does(copy), path


# --- decoders that fail in ways of their own ---

RAISED = [
    MemoryError(),
    RecursionError("too deep"),
    OverflowError("too large"),
    SyntaxError("broken PNG file"),
    struct.error("unpack requires a buffer of 4 bytes"),
    ZeroDivisionError("division by zero"),
    Image.DecompressionBombError("too many pixels"),
    KeyError("ImageWidth"),
    AssertionError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", ["open", "verify", "getexif", "load", "draft", "tag_v2", "convert"])
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "bmp"])
def test_whatever_a_decoder_raises_is_said_of_its_image_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, method: str, error: Exception
) -> None:
    paths = [str(tmp_path / name) for name in (f"a.{kind}", "b.jpg")]
    for path, side in zip(paths, (64, 48), strict=True):
        Image.new("RGB", (side, side)).save(path)
    real = Image.open

    def fail(*_: object, **__: object) -> None:
        raise error

    def open_one(file: object, *args: object, **kwargs: object) -> Image.Image:
        image = real(file, *args, **kwargs)  # type: ignore[arg-type]
        if image.size == (64, 64):
            if method == "open":
                raise error
            if method == "tag_v2":
                monkeypatch.setattr(type(image), method, property(fail), raising=False)
            else:
                monkeypatch.setattr(image, method, fail, raising=False)
        return image

    monkeypatch.setattr(Image, "open", open_one)
    for mode in ("header", "decode"):
        table = read_images(paths, mode)  # type: ignore[arg-type]
        assert table.status[1] == ImageStatus.OK
        told = {ImageStatus.OK, ImageStatus.UNDECODABLE, ImageStatus.NOT_IMAGE}
        if isinstance(error, Image.DecompressionBombError):
            told.add(ImageStatus.TOO_LARGE)
        assert table.status[0] in told
        assert table.status[0] == ImageStatus.OK or table.detail[0]
