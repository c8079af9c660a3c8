"""Tiny datasets, made in code, that Ultralytics can train on: one coloured box an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import yaml
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 96


def tiny_set(folder: Path, task: str = "detect", train: int = 4, val: int = 2, seed: int = 0) -> Path:
    """Write a dataset with two classes; returns its data.yaml. Images are train/0.jpg … and val/0.jpg …"""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i in range(count):
            cls, x, y, w, h = i % 2, *rng.uniform(0.35, 0.65, 2), *rng.uniform(0.3, 0.5, 2)
            pixels = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
            top, left = int((y - h / 2) * SIDE), int((x - w / 2) * SIDE)
            pixels[top : top + int(h * SIDE), left : left + int(w * SIDE), cls] = 230
            Image.fromarray(pixels).save(folder / "images" / split / f"{i}.jpg", quality=95)
            (folder / "labels" / split / f"{i}.txt").write_text(f"{cls} {_row(task, x, y, w, h)}\n")
    content = {"path": str(folder), "train": "images/train", "val": "images/val", "names": ["red", "green"]}
    if task == "pose":
        content["kpt_shape"] = [2, 3]
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


def _row(task: str, x: float, y: float, w: float, h: float) -> str:
    """The columns behind the class, in the format of the task."""
    numbers = [x, y, w, h]
    if task in ("segment", "obb"):
        x1, y1, x2, y2 = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        numbers = [x1, y1, x2, y1, x2, y2, x1, y2]
    elif task == "pose":
        numbers += [x - w / 4, y, 2, x + w / 4, y, 2]
    return " ".join(f"{n:.6f}" for n in numbers)


TINY_RT_DETR = """\
nc: 80
backbone:
  - [-1, 1, Conv, [8, 3, 4]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [[1, 2, 3], 1, RTDETRDecoder, [nc, 32, 40, 4, 4, 2, 64]]
"""


def tiny_rt_detr(folder: Path) -> str:
    """Write a model.yaml of RT-DETR with 40 queries and two layers of decoder; returns its path."""
    path = folder / "tiny-rtdetr.yaml"
    path.write_text(TINY_RT_DETR)
    return str(path)
