"""Ultralytics' training dataset made from `Sample`s: writes nothing, and names the label row of each box."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.ultra.library import RTDETRDataset, YOLODataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.ultra.samples import Sample

_NO_FILE = Path("/dev/null/none.npy")
"""Replaces the paths of the .npy copies that Ultralytics' loader would write and delete beside the images."""


class ReadOnlyDataset(YOLODataset):
    """A YOLODataset of N `Sample`s. Items and batches have one more key:

    row: int64 (R,) for each box of an item, the number of its label row; rows are numbered through all samples. A
        batch has a tuple of these arrays. Mosaic and other augmentations keep the numbers.

    Attributes:
        is_stretched: Images are stretched to a square, and not padded.
        samples: The samples, in the order of the items.
        first_row: int64 (N + 1,) number of each sample's first row.
        class_of_row: float32 (all rows, 1) class ids.
        unreadable: Number of each sample whose pixels cannot be read, to the error; a grey image replaces it.
    """

    is_stretched = False

    def __init__(self, samples: Sequence[Sample], **kwargs: Any) -> None:
        self.samples = samples
        self.first_row = np.concatenate([[0], np.cumsum([len(s) for s in samples])]).astype(np.int64)
        self.class_of_row = np.concatenate([s.class_id for s in samples] or [np.zeros((0, 1), np.float32)])
        self.unreadable: dict[int, str] = {}
        super().__init__(img_path="", **kwargs)
        self.npy_files = [_NO_FILE] * self.ni

    def get_img_files(self, img_path: str | list[str]) -> list[str]:
        """Paths of the samples' images."""
        return [s.image for s in self.samples]

    def get_labels(self) -> list[dict[str, Any]]:
        """The samples' label rows in Ultralytics' form. `cls` holds row numbers; `__getitem__` puts in the classes.

        If some rows are boxes and others polygons, no row keeps its polygon, as in training: mosaic wants as many
        polygons as boxes. Source: `YOLODataset.verify_labels`, version 8.4.
        """
        mixed = sum(len(s.segments) for s in self.samples) != sum(len(s) for s in self.samples)
        return [
            {
                "im_file": s.image,
                "shape": (s.height, s.width),
                "cls": np.arange(first, first + len(s), dtype=np.float64)[:, None],
                "bboxes": s.xywh,
                "segments": [] if mixed else list(s.segments),
                "keypoints": s.keypoints,
                "normalized": True,
                "bbox_format": "xywh",
            }
            for s, first in zip(self.samples, self.first_row[:-1].tolist(), strict=True)
        ]

    def load_image(
        self, i: int, *args: Any, **kwargs: Any
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """(image, its height and width in pixels, resized height and width), as in the base class.

        If the pixels cannot be read, the image is grey, and the error is kept in `unreadable`.
        """
        try:
            return super().load_image(i, *args, **kwargs)
        except Exception as error:  # OpenCV raises exceptions of many types
            self.unreadable[i] = (str(error).splitlines() or [type(error).__name__])[0]
            height, width = self.samples[i].height, self.samples[i].width
            longest = max(self.imgsz) if isinstance(self.imgsz, tuple | list) else self.imgsz
            scale = longest / max(height, width)
            resized = min(math.ceil(height * scale), longest), min(math.ceil(width * scale), longest)
            if self.is_stretched:
                resized = longest, longest
            return np.full((*resized, self.channels), 114, np.uint8), (height, width), resized

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The item that training gets, with the key `row` added."""
        item: dict[str, Any] = super().__getitem__(index)
        rows = item["cls"].long().view(-1)
        item["row"] = rows
        classes = torch.from_numpy(self.class_of_row.reshape(-1, 1))
        item["cls"] = classes[rows]
        if "sem_masks" in item and len(rows):
            item["sem_masks"] = classes[item["sem_masks"].long(), 0]
        return item


class StretchedReadOnlyDataset(ReadOnlyDataset, RTDETRDataset):
    """The same for RT-DETR."""

    is_stretched = True


def read_only_dataset(is_detr: bool, samples: Sequence[Sample], **kwargs: Any) -> ReadOnlyDataset:
    """The samples as a YOLO model, or as RT-DETR, is trained on them; keywords as for `YOLODataset`."""
    return (StretchedReadOnlyDataset if is_detr else ReadOnlyDataset)(samples, **kwargs)
