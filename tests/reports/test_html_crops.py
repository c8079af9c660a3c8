"""Crops of the HTML page: what they show, and that no image can stop the report."""

from __future__ import annotations

import os
import struct
import time
import warnings
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from html_pages import picture
from hypothesis import given
from hypothesis import strategies as st
from measured import run_measured
from PIL import Image

from sanitizer.images import decode as image_decode
from sanitizer.reports.html import crops
from sanitizer.reports.html.crops import LONGEST_SIDE_PX, cut_out, window_around

if TYPE_CHECKING:
    from pathlib import Path


def shown(path: Path, folder: Path, box: crops.Box | None = None) -> np.ndarray:
    cut = cut_out(os.fspath(path), [box], os.fspath(folder))
    assert cut.names[0] is not None, cut.problem
    with Image.open(folder / cut.names[0]) as crop:
        return np.asarray(crop)


class TestWindow:
    @pytest.mark.parametrize(
        ("box", "size", "expected"),
        [
            pytest.param((0.45, 0.45, 0.55, 0.55), (1000, 1000), (350, 350, 650, 650), id="box again on each side"),
            pytest.param((0.5, 0.5, 0.501, 0.501), (1000, 1000), (468, 468, 533, 533), id="never under 64 px"),
            pytest.param((0.2, 0.5, 0.7, 0.505), (1000, 1000), (0, 127, 1000, 878), id="50:1 keeps a background"),
            pytest.param((0.0, 0.0, 0.02, 0.02), (1000, 1000), (0, 0, 64, 64), id="pushed inside the image"),
            pytest.param((-0.5, 0.4, 0.1, 0.5), (1000, 1000), (0, 300, 300, 600), id="only what lies inside counts"),
            pytest.param((1.5, 0.4, 1.6, 0.5), (1000, 500), (0, 0, 1000, 500), id="outside: the whole image"),
            pytest.param((3e300, -3e300, 4e300, 2.0), (30, 20), (0, 0, 30, 20), id="absurd numbers"),
            pytest.param(None, (30, 20), (0, 0, 30, 20), id="no box"),
        ],
    )  # fmt: skip
    def test_examples(self, box: crops.Box | None, size: tuple[int, int], expected: tuple[int, ...]) -> None:
        w = window_around(box, size)
        assert (w.left, w.top, w.right, w.bottom) == expected

    @given(
        st.tuples(*[st.floats(-1.5, 2.5)] * 2),
        st.tuples(*[st.floats(0, 2)] * 2),
        st.tuples(*[st.integers(1, 5000)] * 2),
    )
    def test_shows_all_of_the_box_that_the_image_has(
        self, start: tuple[float, float], sides: tuple[float, float], size: tuple[int, int]
    ) -> None:
        box = (*start, start[0] + sides[0], start[1] + sides[1])
        w = window_around(box, size)
        assert 0 <= w.left < w.right <= size[0] and 0 <= w.top < w.bottom <= size[1]
        assert max(w.width_px, w.height_px) <= LONGEST_SIDE_PX
        assert 1 <= w.width_px <= w.right - w.left and 1 <= w.height_px <= w.bottom - w.top
        if crops.is_in_sight(box):
            assert w.left <= max(box[0], 0) * size[0] + 1e-6 and w.right >= min(box[2], 1) * size[0] - 1e-6
            assert w.top <= max(box[1], 0) * size[1] + 1e-6 and w.bottom >= min(box[3], 1) * size[1] - 1e-6


def exif(orientation: int) -> Image.Exif:
    entries = Image.Exif()
    entries[274] = orientation
    return entries


def palette(transparent: bool) -> Image.Image:
    image = picture((60, 40)).quantize(32)
    if transparent:
        image.info["transparency"] = 3
    return image


def sixteen_bits() -> Image.Image:
    ramp = np.arange(60 * 40, dtype=np.uint32).reshape(40, 60) * 65535 // 2400
    return Image.fromarray(ramp.astype(np.uint16))


def with_alpha(mode: str) -> Image.Image:
    image = picture((60, 40)).convert(mode)
    image.putalpha(Image.linear_gradient("L").resize((60, 40)))
    return image


@pytest.mark.ultralytics
@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        *[
            (f"turned{o}.{ending}", picture((60, 40)), {"exif": exif(o)})
            for o in range(1, 9)
            for ending in ("jpg", "png", "webp", "tiff")
        ],
        ("gray.jpg", picture((60, 40)).convert("L"), {}),
        ("cmyk.jpg", picture((60, 40)).convert("CMYK"), {}),
        ("one_bit.png", picture((60, 40)).convert("1"), {}),
        ("palette.png", palette(transparent=False), {}),
        ("palette_transparent.png", palette(transparent=True), {}),
        ("rgba.png", with_alpha("RGB"), {}),
        ("la.png", with_alpha("L"), {}),
        ("sixteen.png", sixteen_bits(), {}),
        ("sixteen.tiff", sixteen_bits(), {}),
        ("animated.webp", picture((60, 40)), {"save_all": True, "append_images": [picture((60, 40), 1)]}),
        ("two_pages.tiff", picture((60, 40)), {"save_all": True, "append_images": [picture((60, 40), 1)]}),
        ("plain.bmp", picture((60, 40)), {}),
        ("plain.avif", picture((60, 40)), {}),
        ("turned.avif", picture((60, 40)), {"exif": exif(6)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_image_is_shown_as_training_reads_it(
    tmp_path: Path, name: str, image: Image.Image, options: dict[str, object]
) -> None:
    from ultralytics.utils.patches import imread

    quality = {} if name.endswith(("png", "tiff", "bmp")) else {"quality": 95}
    image.save(tmp_path / name, **quality, **options)
    read = imread(os.fspath(tmp_path / name))
    assert read is not None
    expected = np.repeat(read, 3, axis=2) if read.shape[2] == 1 else read[..., ::-1]
    actual = shown(tmp_path / name, tmp_path)
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_box_in_a_large_jpeg_is_where_it_belongs(tmp_path: Path, orientation: int) -> None:
    """Decoded at an eighth of its size, the crop must still show the box at the pixels where it is drawn."""
    upright = Image.new("RGB", (3200, 2400), (0, 0, 160))
    upright.paste((255, 0, 0), (1600, 600, 2200, 1200))
    stored = upright.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else upright
    stored.save(tmp_path / "large.jpg", quality=95, exif=exif(orientation))
    box = (0.5, 0.25, 0.6875, 0.5)
    cut = cut_out(os.fspath(tmp_path / "large.jpg"), [box], os.fspath(tmp_path))
    window, name = cut.windows[0], cut.names[0]
    assert cut.size == (3200, 2400) and window is not None and name is not None
    (left, top), (right, bottom) = window.to_crop(np.array(box).reshape(2, 2), cut.size)
    with Image.open(tmp_path / name) as crop:
        rows, columns = np.nonzero(np.asarray(crop)[..., 0] > 128)
    assert np.allclose((columns.min(), columns.max() + 1), (left, right), atol=1.5)
    assert np.allclose((rows.min(), rows.max() + 1), (top, bottom), atol=1.5)


def test_float_pixels_are_stretched_to_be_seen(tmp_path: Path) -> None:
    values = np.linspace(-3, 900, 2400, dtype=np.float32).reshape(40, 60)
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "depth.tiff")
    pixels = shown(tmp_path / "depth.tiff", tmp_path)
    assert pixels[1:].min() < 10 and pixels.max() > 245


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png_of_size(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"x") + png_chunk(b"IEND", b"")


def damaged_png() -> bytes:
    content = bytearray(png_bytes())
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


def png_bytes() -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"", "no image", id="zero bytes"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "no image", id="git-lfs pointer"),
        pytest.param(png_of_size(60_000, 60_000), "more pixels than can be opened safely", id="bomb"),
        pytest.param(b"\xff\xd8\xff\xe0garbage", "cannot be", id="damaged header"),
    ],
)
def test_what_cannot_be_shown_is_said(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "odd.jpg"
    if content is not None:
        path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut = cut_out(os.fspath(path), [None, (0.1, 0.1, 0.2, 0.2)], os.fspath(tmp_path))
    assert cut.names == [None, None] and cut.size is None
    assert words in str(cut.problem) and str(cut.problem).endswith(".")
    assert "\n" not in str(cut.problem)


@pytest.mark.parametrize("kind", ["folder", "fifo", "NUL in the name"])
def test_what_is_no_file_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image.jpg"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    name = "a\0.jpg" if "NUL" in kind else os.fspath(path)
    assert "cannot be read" in str(cut_out(name, [None], os.fspath(tmp_path)).problem)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short.jpg", None, "ends before the picture does"),
        ("bad.png", damaged_png(), "damaged"),
    ],
)
def test_of_a_damaged_image_is_shown_what_there_is(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is None:
        picture((400, 300)).save(tmp_path / name, quality=95)
        whole = (tmp_path / name).read_bytes()
        content = whole[: len(whole) * 2 // 3]
    (tmp_path / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut = cut_out(os.fspath(tmp_path / name), [None], os.fspath(tmp_path))
    assert words in str(cut.problem)
    assert name == "bad.png" or cut.names[0] is not None


def test_findings_on_one_image_share_decoding_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture((400, 300)).save(tmp_path / "a.jpg")
    opened = []
    original = image_decode.open_image
    monkeypatch.setattr(image_decode, "open_image", lambda path: opened.append(path) or original(path))
    box, other = (0.4, 0.4, 0.5, 0.5), (0.1, 0.1, 0.2, 0.2)
    (tmp_path / "out").mkdir()
    cut = cut_out(os.fspath(tmp_path / "a.jpg"), [box, other, box, None, None], os.fspath(tmp_path / "out"))
    assert len(opened) == 1
    assert cut.names[0] == cut.names[2] != cut.names[1] and cut.names[3] == cut.names[4]
    assert sorted({n for n in cut.names if n}) == sorted(os.listdir(tmp_path / "out"))


def test_a_crop_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    picture((40, 30)).save(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="gone"):
        cut_out(os.fspath(tmp_path / "a.jpg"), [None], os.fspath(tmp_path / "gone"))


# What would take a stranger's image too much


def progressive_jpeg() -> bytes:
    buffer = BytesIO()
    picture((64, 64)).save(buffer, "JPEG", progressive=True)
    return buffer.getvalue()


def jpeg_of_scans(n: int) -> bytes:
    """A progressive JPEG whose last scan comes n times more."""
    whole = progressive_jpeg()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * n + whole[-2:]


def eps() -> bytes:
    buffer = BytesIO()
    picture((40, 30)).save(buffer, "EPS")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            png_of_size(12_000, 12_000), "144 megapixels of PNG, more than fit in 640 MB", id="wide PNG"
        ),
        pytest.param(jpeg_of_scans(500), "a JPEG of over 100 scans", id="scans"),
        pytest.param(
            b"\xff\xd8" + b"\xff" * 20_000_000, "too many segments, or too much between", id="fill bytes"
        ),
        pytest.param(b"\xff\xd8" + b"\xff\x00" * 1_000_000, "too many segments", id="stuffed bytes"),
        pytest.param(
            b"\xff\xd8" + (b"\xff\xe1\xff\xffExif\0\0" + b"x" * 65_527) * 300 + progressive_jpeg()[2:],
            "too many segments",
            id="EXIF segments",
        ),
        pytest.param(eps(), "EPS, a format that training does not accept", id="a program for Ghostscript"),
    ],
)
def test_an_image_that_would_take_too_much_is_not_decoded(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(content)
    started = time.process_time()
    cut = cut_out(os.fspath(path), [None], os.fspath(tmp_path))
    assert cut.names == [None]
    assert words in str(cut.problem)
    assert time.process_time() - started < 3


def test_a_file_too_large_to_be_an_image_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes())
    os.truncate(path, 1 << 34)  # sparse
    assert "no more than 256 MB are decoded" in str(
        cut_out(os.fspath(path), [None], os.fspath(tmp_path)).problem
    )


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("file_format", "mode", "options"),
    [("WEBP", "RGB", {"lossless": True}), ("TIFF", "F", {"compression": "tiff_deflate"})],
)
def test_pixels_are_counted_by_what_their_format_takes(
    file_format: str, mode: str, options: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "odd.jpg"
    Image.new(mode, (7000, 7000)).save(path, file_format, **options)
    cut = cut_out(os.fspath(path), [None], os.fspath(tmp_path))
    assert f"it has 49 megapixels of {file_format}, more than fit in 640 MB" in str(cut.problem)


def test_entries_of_metadata_that_would_fill_the_memory_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each entry of the EXIF data points at the same 2 MB; older versions of Pillow copy these for each."""
    n_entries, n_bytes = 1000, 2_000_000
    entries = b"".join(struct.pack("<HHLL", 1000 + i, 7, n_bytes, 8) for i in range(n_entries))
    exif_data = struct.pack("<2sHLH", b"II", 42, 8, n_entries) + entries + bytes(4) + bytes(n_bytes)
    whole = png_bytes()
    (tmp_path / "odd.png").write_bytes(whole[:33] + png_chunk(b"eXIf", exif_data) + whole[33:])
    code = "import sys; from sanitizer.reports.html.crops import cut_out; print(cut_out(sys.argv[1], [None], '.'))"
    monkeypatch.chdir(tmp_path)
    ran = run_measured(code, tmp_path / "odd.png")
    assert "problem=None" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


def test_a_photograph_with_a_video_behind_it_is_shown(tmp_path: Path) -> None:
    """Bytes of the video look like the start of a scan now and then."""
    buffer = BytesIO()
    picture((64, 64)).save(buffer, "JPEG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue() + b"ftyp\xff\xda" * 500)
    cut = cut_out(os.fspath(tmp_path / "a.jpg"), [None], os.fspath(tmp_path))
    assert cut.names[0] is not None and cut.problem is None


def test_a_large_jpeg_and_a_usual_progressive_one_are_shown(tmp_path: Path) -> None:
    Image.new("RGB", (9000, 9000), "teal").save(tmp_path / "large.jpg")
    (tmp_path / "progressive.jpg").write_bytes(progressive_jpeg())
    for name in ("large.jpg", "progressive.jpg"):
        cut = cut_out(os.fspath(tmp_path / name), [None], os.fspath(tmp_path))
        assert cut.names[0] is not None and cut.problem is None
