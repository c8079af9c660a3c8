"""Rules about single images, on tables made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sanitizer.dataset.tables import IMAGE_FORMATS, Chunk, ChunkTables, ImageStatus, ImageTable, TaskSpec
from sanitizer.findings.finding import Severity
from sanitizer.images.image_files import image_faults, read_images
from sanitizer.labels.label_files import parse_labels
from sanitizer.rules.checks import images as checks
from sanitizer.rules.hits import Params

if TYPE_CHECKING:
    from pathlib import Path

SPEC = TaskSpec("detect", 3)
NO_PARAMS = Params({})


def image_table(n: int = 1, **columns: object) -> ImageTable:
    """n healthy RGB JPEGs of 640×480, but for the columns given."""
    base = {
        "width": 640, "height": 480, "orientation": 0, "format": IMAGE_FORMATS.index("jpeg"), "channels": 3,
        "bit_depth": 8, "pages": 1, "size_bytes": 1000, "digest": 1, "status": ImageStatus.OK, "rewritten": False,
        "dropped": False, "detail": None, "decoded": False, "phash": 0,
    }  # fmt: skip
    return ImageTable(**{k: np.array(np.broadcast_to(columns.get(k, v), n)) for k, v in base.items()})


def tables(images: ImageTable, rows: str = "", name: str = "a.jpg") -> ChunkTables:
    n = len(images)
    chunk = Chunk("train", [f"/d/images/{name}"] * n, ["/d/labels/a.txt"] * n)
    return ChunkTables(chunk, parse_labels([rows.encode()] * n, SPEC), images)


@pytest.mark.parametrize(
    ("name", "content", "fires"),
    [
        ("a.jpg", "jpeg", False),
        ("a.JPEG", "jpeg", False),
        ("a.jpg", "mpo", False),
        ("a.mpo", "jpeg", False),
        ("a.tif", "tiff", False),
        ("a.v2.png", "png", False),
        ("a.dng", "tiff", False),
        ("a.jp2", "jpeg2000", False),
        ("a.jpg", "png", True),
        ("a.png", "jpeg", True),
        ("a.bmp", "webp", True),
        ("folder.jpg/a", "jpeg", True),
        ("a.jpg", "", False),
    ],
)
def test_wrong_ending(name: str, content: str, fires: bool) -> None:
    chunk = tables(image_table(format=IMAGE_FORMATS.index(content)), name=name)
    assert len(checks.wrong_image_ending(chunk, SPEC, NO_PARAMS)) == fires


@pytest.mark.parametrize(
    ("orientation", "rows", "fires"),
    [
        (0, "0 0.3 0.2 0.1 0.2", False),
        (1, "0 0.3 0.2 0.1 0.2", False),
        (6, "0 0.3 0.2 0.1 0.2", True),
        (8, "0 0.5 0.5 0.4 0.2", True),
        (6, "0 0.5 0.5 0.4 0.4", False),
        (6, "0 0.5 0.5 1 1", False),
        (3, "0 0.3 0.2 0.1 0.2", True),
        (3, "0 0.5 0.5 0.4 0.2", False),
        (3, "0 0.3 0.2 0.1 0.2\n0 0.7 0.8 0.1 0.2", False),
        (2, "0 0.3 0.2 0.1 0.2", True),
        (2, "0 0.5 0.2 0.1 0.2", False),
        (4, "0 0.3 0.5 0.1 0.2", False),
        (5, "0 0.3 0.2 0.1 0.2\n0 0.2 0.3 0.2 0.1", False),
        (7, "0 0.3 0.2 0.1 0.2\n0 0.8 0.7 0.2 0.1", False),
        (6, "", False),
        (6, "0 nan 0.2 0.1 0.2", False),
    ],
)
def test_exif_rotation_matters_where_boxes_would_move(orientation: int, rows: str, fires: bool) -> None:
    chunk = tables(image_table(orientation=orientation), rows)
    assert len(checks.exif_rotated(chunk, SPEC, NO_PARAMS)) == fires


def test_exif_message_names_both_sizes() -> None:
    hits = checks.exif_rotated(tables(image_table(orientation=6), "0 0.3 0.2 0.1 0.2"), SPEC, NO_PARAMS)
    assert {k: list(v) for k, v in hits.fields.items()} == {
        "turn": ["rotated by 90°"],
        "stored": ["640×480"],
        "upright": ["480×640"],
    }


@pytest.mark.parametrize("status", list(ImageStatus))
def test_each_status_is_one_rule(status: ImageStatus) -> None:
    """One cause, one finding."""
    chunk = tables(image_table(status=status, dropped=True, detail="words", format=0))
    unusable = len(checks.unusable_image(chunk, SPEC, NO_PARAMS))
    damaged = len(checks.damaged_image(chunk, SPEC, NO_PARAMS))
    by_reader = len([f for f in image_faults(chunk.images) if f.rule in ("L008", "I008")])
    quiet = status in (ImageStatus.OK, ImageStatus.NOT_READ)
    assert unusable + damaged + by_reader == (0 if quiet else 1)


@pytest.mark.parametrize(
    ("channels", "bits", "words"),
    [
        (3, 8, None),
        (1, 8, "gray"),
        (1, 1, "black and white"),
        (2, 8, "alpha"),
        (4, 8, "CMYK"),
        (3, 16, "16 bits"),
    ],
)
def test_unusual_channels(channels: int, bits: int, words: str | None) -> None:
    faults = image_faults(image_table(channels=channels, bit_depth=bits))
    assert [f.rule for f in faults] == ([] if words is None else ["I007"])
    if words:
        assert words in str(faults[0].values["detail"])
        assert faults[0].severity == (Severity.WARNING if bits > 8 else None)


def test_a_set_that_is_gray_throughout_is_not_told_so_image_by_image() -> None:
    channels = np.array([1] * 30 + [4])
    assert [f.file for f in image_faults(image_table(31, channels=channels))] == [30]
    assert len(image_faults(image_table(5, channels=1))) == 5


def test_published_lfs_pointers_are_named_one_by_one(shared_data: Path) -> None:
    paths = sorted(str(p) for p in (shared_data / "lfs_pointers20").rglob("*.jpg"))
    table = read_images(paths, "header")
    assert len(paths) == 20
    assert [f.file for f in image_faults(table) if f.rule == "L008"] == list(range(20))
    assert table.dropped.all()
