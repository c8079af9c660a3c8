"""The masks of a chunk of a semantic set, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MASK_IDS = 257
"""Columns of `MaskTable.counts`: ids 0 to 255, and all ids above."""
IGNORED_ID = 255
"""The class id of pixels that training leaves out of the loss."""


class MaskStatus(IntEnum):
    """How reading one mask went."""

    OK = 0
    MISSING = 1
    UNREADABLE = 2
    """Training cannot open or decode it."""
    TOO_LARGE = 3
    """Too costly to decode within our limits. We do not know its pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskTable:
    """The masks of a chunk of a semantic set. F masks.

    Attributes:
        status: uint8 (F,) a `MaskStatus`.
        detail: object (F,) str or None: what is wrong, in words, where it cannot be read.
        width, height: int32 (F,) pixels, -1 where unknown.
        mode: object (F,) Pillow's mode ("L", "P", "RGB", "I;16", …); "" where unknown.
        format: uint8 (F,) index into `IMAGE_FORMATS`, by content.
        gray_palette: bool (F,) the mask has a palette of grays, of which training reads the grays, not the indices.
        counts: int32 (F, MASK_IDS) pixels of each id, as training reads ids and before `label_mapping`.
        digest: uint64 (F,) hash of size and ids. Equal masks, equal digest; 0 where not read.
    """

    status: NDArray[np.uint8]
    detail: NDArray[np.object_]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    mode: NDArray[np.object_]
    format: NDArray[np.uint8]
    gray_palette: NDArray[np.bool_]
    counts: NDArray[np.int32]
    digest: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.status)
