"""A small detection set of coloured rectangles on noise, for benchmarks that need images that a model can learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

BOXES = (1, 12)
"""Rectangles of an image, least and most."""


def make(folder: str | Path, images: int, side_px: int, seed: int = 0) -> str:
    """Write a train and a val split of so many square images, and return the path of the data.yaml."""
    random = np.random.default_rng(seed)
    root = Path(folder).resolve()
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(images):
            pixels = random.integers(0, 80, (side_px, side_px, 3), np.uint8)
            rows = [_draw(pixels, random) for _ in range(int(random.integers(BOXES[0], BOXES[1] + 1)))]
            Image.fromarray(pixels).save(root / "images" / split / f"{number}.jpg", quality=90)
            (root / "labels" / split / f"{number}.txt").write_text("".join(rows), encoding="utf-8")
    data = root / "data.yaml"
    data.write_text(f"path: {root}\ntrain: images/train\nval: images/val\nnames: [red, green, blue]\n")
    return str(data)


def _draw(pixels: np.ndarray, random: np.random.Generator) -> str:
    """Draw one rectangle; its label row."""
    side = pixels.shape[0]
    w, h = random.integers(side // 10, side // 3, 2).tolist()
    x, y = int(random.integers(0, side - w)), int(random.integers(0, side - h))
    class_id = int(random.integers(3))
    pixels[y : y + h, x : x + w] //= 2
    pixels[y : y + h, x : x + w, class_id] = 240
    return f"{class_id} {(x + w / 2) / side:.6f} {(y + h / 2) / side:.6f} {w / side:.6f} {h / side:.6f}\n"
