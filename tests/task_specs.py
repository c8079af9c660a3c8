"""Tasks with their classes and keypoints, and a table of images that nothing is known of."""

from __future__ import annotations

import numpy as np

from sanitizer.dataset.tables import ImageStatus, ImageTable, TaskSpec

SPECS = {
    "detect": TaskSpec("detect", 3),
    "detect, classes unknown": TaskSpec("detect", None),
    "detect, set has 2 keypoints": TaskSpec("detect", 3, kpt_shape=(2, 2)),
    "segment": TaskSpec("segment", 3),
    "segment, set has 2 keypoints": TaskSpec("segment", 3, kpt_shape=(2, 3)),
    "pose 17x3": TaskSpec("pose", 3, kpt_shape=(17, 3)),
    "pose 2x2": TaskSpec("pose", 3, kpt_shape=(2, 2)),
    "obb": TaskSpec("obb", 3),
}


def images_not_read(n: int) -> ImageTable:
    """A table of n images that nothing is known of."""
    zeros = np.zeros(n, np.uint8)
    unknown = np.full(n, -1, np.int32)
    no, digest = np.zeros(n, np.bool_), np.zeros(n, np.uint64)
    return ImageTable(
        width=unknown,
        height=unknown,
        orientation=zeros,
        format=zeros,
        channels=zeros,
        bit_depth=zeros,
        pages=np.ones(n, np.uint8),
        size_bytes=unknown.astype(np.int64),
        digest=digest,
        status=np.full(n, ImageStatus.NOT_READ, np.uint8),
        rewritten=no,
        dropped=no,
        detail=np.full(n, None, object),
        decoded=no,
        phash=digest,
    )
