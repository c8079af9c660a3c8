"""A training set that names the image files that went into each sample, and that can leave images out."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from sanitizer.ultra.library import RTDETRDataset, YOLODataset

if TYPE_CHECKING:
    from collections.abc import Iterable


class SourceDataset(YOLODataset):
    """Ultralytics' training set with one more key per sample, and with images that are never drawn.

    Ultralytics names only the first image of a mosaic or a mix. Here, the key `sources` of a sample names the files of
    all its images. Wherever an image that is left out would be drawn, alone or as a tile, another image takes its
    place. So the number of batches and all schedules stay the same. While no image is left out, no extra random number
    is drawn.

    Attributes:
        left_out: Image files that are never drawn.
    """

    left_out: frozenset[str] = frozenset()

    @classmethod
    def convert(cls, dataset: Any) -> None:
        """Change a plain dataset of Ultralytics into a `SourceDataset`, in place; those of other classes stay."""
        if type(dataset) is YOLODataset:
            dataset.__class__ = cls
        elif type(dataset) is RTDETRDataset:
            dataset.__class__ = StretchedSourceDataset

    def leave_out(self, images: Iterable[str]) -> None:
        """Never draw these image files again.

        Raises:
            ValueError: No image would be left.
        """
        left_out = self.left_out.union(images)
        kept = [i for i, label in enumerate(self.labels) if label["im_file"] not in left_out]
        if not kept:
            raise ValueError("every training image would be left out")
        self.left_out, self._kept = left_out, kept

    def __getitem__(self, index: int) -> dict[str, Any]:
        self._drawn: list[str] = []
        sample: dict[str, Any] = super().__getitem__(index)
        sample["sources"] = tuple(dict.fromkeys(self._drawn))
        return sample

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Image and labels of this index, or of a random other index if this image is left out."""
        if self.left_out and self.labels[index]["im_file"] in self.left_out:
            index = random.choice(self._kept)
        label: dict[str, Any] = super().get_image_and_label(index)
        self._drawn.append(label["im_file"])
        return label


class StretchedSourceDataset(SourceDataset, RTDETRDataset):
    """The same for RT-DETR, whose images are stretched to a square."""
