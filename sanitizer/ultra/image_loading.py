"""How many channels Ultralytics' loader makes of an image, and which images OpenCV cannot open for it.

Source: `imread` in ultralytics/utils/patches.py and `BaseDataset.cv2_flag`, version 8.4. With `channels: 1` OpenCV
reads every image as gray, with `channels: 3` as colour, with any other number as it is. The check of images, which
drops the bad ones, opens them with Pillow: so an image can pass the check and stop training later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS, ImageStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ImageTable

CANNOT_OPEN = 0
UNKNOWN = 255

_NUMBER = {name: i for i, name in enumerate(IMAGE_FORMATS)}
_DEEPEST_BITS = 16
"""OpenCV reads TIFFs of more bits a sample only as they are, neither as gray nor as colour."""

# Channels that OpenCV makes of an image as it is, by format, for each number of channels in the file.
_AS_IT_IS: dict[str, dict[int, int]] = {
    "jpeg": {1: 1, 3: 3, 4: 3},
    "mpo": {1: 1, 3: 3, 4: 3},
    "png": {1: 1, 2: 4, 3: 3, 4: 4},
    "bmp": {1: UNKNOWN, 3: 3},
    "webp": {3: 3, 4: 4},
    "avif": {1: 3, 2: 3, 3: 3, 4: 3},
    "jpeg2000": {1: 1, 2: CANNOT_OPEN, 3: 3},
    "tiff": {2: 1, 3: 3, 4: 4},
}
_TABLE = np.full((len(IMAGE_FORMATS), 16), UNKNOWN, np.uint8)
for _name, _channels in _AS_IT_IS.items():
    for _in_file, _loaded in _channels.items():
        _TABLE[_NUMBER[_name], _in_file] = _loaded


def loaded_channels(images: ImageTable, channels: int) -> NDArray[np.uint8]:
    """uint8 (F,): channels of the array that training gets of each image; CANNOT_OPEN; UNKNOWN where nothing is known.

    Args:
        images: The images.
        channels: `channels:` of the data.yaml, which says how OpenCV is asked to read.
    """
    tiff = images.format == _NUMBER["tiff"]
    if channels in (1, 3):
        loaded = np.full(len(images), channels, np.uint8)
        loaded[tiff & (images.bit_depth > _DEEPEST_BITS)] = CANNOT_OPEN
        loaded[images.format == 0] = UNKNOWN
    else:
        loaded = _TABLE[images.format, np.minimum(images.channels, 15)]
        gray = tiff & (images.channels == 1)
        loaded[gray] = np.minimum(images.pages[gray], UNKNOWN - 1)
    loaded[tiff & (images.pages == 0)] = CANNOT_OPEN
    loaded[images.status != ImageStatus.OK] = UNKNOWN
    return loaded
