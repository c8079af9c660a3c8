"""Small datasets with pictures, and the data object of a finished page, for the tests of the HTML page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

Opener = Callable[..., "Page"]
"""Opens a page of ours in a browser (the fixture `open_page`)."""

YAML = "train: images/train\nval: images/train\nnames: [ship, quay]\n"


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A smooth RGB picture, different in each corner, that JPEG hardly changes."""
    corners = np.random.default_rng(seed).integers(20, 235, (3, 4, 3), np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.BICUBIC)


def dataset(folder: Path, rows: dict[str, str], yaml: str = YAML, size: tuple[int, int] = (200, 100)) -> Path:
    """A dataset with one JPEG for each label file; the path of its data.yaml."""
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for number, (stem, text) in enumerate(rows.items()):
        picture(size, number).save(folder / "images" / "train" / f"{stem}.jpg", quality=95)
        (folder / "labels" / "train" / f"{stem}.txt").write_text(text)
    (folder / "data.yaml").write_text(yaml)
    return folder / "data.yaml"


def data_of(page: Path) -> dict[str, Any]:
    """The data object that a page carries, as a browser finds it."""
    text = page.read_text("utf-8")
    start = text.index("<script", text.index('id="data"') - 60)
    start = text.index(">", text.index('id="data"', start)) + 1
    data: dict[str, Any] = json.loads(text[start : text.index("</script", start)])
    return data
