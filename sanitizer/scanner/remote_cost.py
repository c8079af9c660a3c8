"""What reading loose files behind requests will cost, by their sizes in the listings: what `remote_reading` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.images.image_files import LAST_BLOCK
from sanitizer.scanner.remote_reading import HEAD_BYTES, WHOLE_BYTES

if TYPE_CHECKING:
    from sanitizer.images.image_files import ImageMode
    from sanitizer.storage.remote import RemoteStorage


def label_cost(storage: RemoteStorage, path: str, size: int) -> tuple[int, int]:
    """(requests, bytes) for a label file of that many bytes, -1 where unknown."""
    return (1, 0) if size < 0 else storage.cost(path, 0, size, size)


def sample_cost(storage: RemoteStorage, path: str, size: int, length: int) -> tuple[int, int]:
    """What looking at the first `length` bytes of a label file costs in addition: one that is shorter is kept."""
    if size > 0:
        return storage.cost(path, 0, length, size) if size >= length else (0, 0)
    return (1, 0) if size == 0 and not storage.has_folders else (0, 0)


def image_cost(storage: RemoteStorage, path: str, size: int, mode: ImageMode) -> tuple[int, int]:
    """(requests, bytes) for an image of that many bytes, -1 where unknown, as long as it needs no second look."""
    if mode == "none":
        return 0, 0
    if size < 0:
        return (1, 0) if mode == "decode" else (2, HEAD_BYTES + LAST_BLOCK)
    if mode == "decode" or size <= WHOLE_BYTES:
        return storage.cost(path, 0, size, size)
    first, last = storage.cost(path, 0, HEAD_BYTES, size), storage.cost(path, size - LAST_BLOCK, size, size)
    return first[0] + last[0], first[1] + last[1]
