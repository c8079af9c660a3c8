"""A training set that says of every sample which image files went into it, and that can leave images out."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from ultralytics.data.dataset import YOLODataset

if TYPE_CHECKING:
    from collections.abc import Iterable


class SourceDataset(YOLODataset):
    """Ultralytics' own training set, which names only the first image of a mosaic or a mix.

    Each sample gets the key `sources`, the files of all its images. An image that is left out is replaced wherever
    it would be drawn, alone or as a tile, so the number of batches and every schedule stay as they were. No random
    number is drawn while nothing is left out.
    """

    left_out: frozenset[str] = frozenset()

    @classmethod
    def adopt(cls, dataset: Any) -> None:
        """Make a plain `YOLODataset` one of these in place; other kinds of dataset stay what they are."""
        if type(dataset) is YOLODataset:
            dataset.__class__ = cls

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
        """Image and labels of an index, or of another one where that image is left out."""
        if self.left_out and self.labels[index]["im_file"] in self.left_out:
            index = random.choice(self._kept)
        label: dict[str, Any] = super().get_image_and_label(index)
        self._drawn.append(label["im_file"])
        return label
