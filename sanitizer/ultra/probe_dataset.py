"""Ultralytics' training dataset over rows that were read elsewhere: it writes nothing and knows each row's line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ultralytics.data.dataset import YOLODataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.ultra.samples import Sample

_NO_FILE = Path("/dev/null/none.npy")
"""In place of the .npy copies of images that the loader would write, refresh and delete beside them."""


class ReadOnlyDataset(YOLODataset):
    """A YOLODataset of `Sample`s. Items and batches have one more key:

    row: int64 (R,) for every box of an item the number of its label row, counted through all samples; a batch has
        a tuple of these. Rows keep their numbers through mosaic and other mixing.

    Attributes:
        samples: What the items are made of, in their order.
        first_row: int64 (N + 1,) number of each sample's first row.
        unreadable: Number of a sample to what went wrong when its pixels were read; it was replaced by a grey image.
    """

    def __init__(self, samples: Sequence[Sample], **kwargs: Any) -> None:
        self.samples = samples
        self.first_row = np.concatenate([[0], np.cumsum([len(s) for s in samples])]).astype(np.int64)
        self.class_of_row = np.concatenate([s.class_id for s in samples] or [np.zeros((0, 1), np.float32)])
        self.unreadable: dict[int, str] = {}
        super().__init__(img_path="", **kwargs)
        self.npy_files = [_NO_FILE] * self.ni

    def get_img_files(self, img_path: str | list[str]) -> list[str]:
        """The samples' images."""
        return [s.image for s in self.samples]

    def get_labels(self) -> list[dict[str, Any]]:
        """The samples' rows. The class column holds row numbers until the item is ready."""
        return [
            {
                "im_file": s.image,
                "shape": (s.height, s.width),
                "cls": np.arange(first, first + len(s), dtype=np.float64)[:, None],
                "bboxes": s.xywh,
                "segments": list(s.segments),
                "keypoints": s.keypoints,
                "normalized": True,
                "bbox_format": "xywh",
            }
            for s, first in zip(self.samples, self.first_row[:-1].tolist(), strict=True)
        ]

    def load_image(
        self, i: int, *args: Any, **kwargs: Any
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """As the base class; a file whose pixels cannot be read becomes a grey image and is remembered."""
        try:
            return super().load_image(i, *args, **kwargs)
        except Exception as error:  # OpenCV raises what it likes
            self.unreadable[i] = (str(error).splitlines() or [type(error).__name__])[0]
            height, width = self.samples[i].height, self.samples[i].width
            longest = max(self.imgsz) if isinstance(self.imgsz, tuple | list) else self.imgsz
            scale = longest / max(height, width)
            resized = min(math.ceil(height * scale), longest), min(math.ceil(width * scale), longest)
            return np.full((*resized, self.channels), 114, np.uint8), (height, width), resized

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The item as training gets it, and `row`."""
        item: dict[str, Any] = super().__getitem__(index)
        rows = item["cls"].long().view(-1)
        item["row"] = rows
        classes = torch.from_numpy(self.class_of_row.reshape(-1, 1))
        item["cls"] = classes[rows]
        if "sem_masks" in item and len(rows):
            item["sem_masks"] = classes[item["sem_masks"].long(), 0]
        return item
