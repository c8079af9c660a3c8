"""Reads a chunk of a remote dataset: label bytes and the ends of images, many requests at a time, results in order.

What comes is judged by the functions that judge local files, so that a report does not depend on the place.
"""

from __future__ import annotations

import io
import warnings
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from sanitizer.dataset.tables import ChunkTables, ImageStatus
from sanitizer.images.image_files import (
    FIRST_BLOCK,
    LAST_BLOCK,
    decode_one,
    judge_ends,
    read_images,
    tabulate,
)
from sanitizer.images.verdict import Verdict
from sanitizer.labels.heads import head_of, keeps_head
from sanitizer.labels.remote import read_remote_labels
from sanitizer.storage.concurrent import concurrently, label_weight, whole_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import Chunk, ImageTable, TaskSpec
    from sanitizer.images.image_files import ImageMode, Row
    from sanitizer.storage.remote import RemoteStorage


HEAD_BYTES = 4 * FIRST_BLOCK
"""First request for an image: costs no more than a kilobyte, and holds most headers."""
WHOLE_BYTES = 16 << 10
"""An image up to this size is fetched whole: one request in place of two."""
_ODD_WHOLE_BYTES = 1 << 20
"""So is one that Pillow has to look at: it asks for many small pieces."""


def read_chunk(
    storage: RemoteStorage, chunk: Chunk, spec: TaskSpec, mode: ImageMode, head_stride: int = 0
) -> ChunkTables:
    """Read all labels and images of a chunk. A file that cannot be read is in its table with the reason.

    One label file of `head_stride` leaves its first bytes (`sanitizer.labels.heads`); none where that is 0.
    """
    sizes = [(-1, -1)] * len(chunk) if chunk.states is None else chunk.states[:, [0, 2]].tolist()
    image_sizes, label_sizes = [size for size, _ in sizes], [size for _, size in sizes]
    if spec.task == "semantic":
        from sanitizer.images.masks import MAX_MASK_BYTES, read_masks

        masks = read_masks(whole_files(storage, chunk.labels, MAX_MASK_BYTES, label_sizes))
        no_labels = read_remote_labels(storage, [None] * len(chunk), spec)
        return ChunkTables(
            chunk, no_labels, read_remote_images(storage, chunk.images, image_sizes, mode), masks
        )
    heads: dict[int, bytes] = {}

    def take(number: int, content: bytes) -> None:
        if keeps_head(chunk.labels[number], head_stride):
            heads[number] = head_of(content)

    labels = read_remote_labels(storage, chunk.labels, spec, label_sizes, take if head_stride else None)
    images = read_remote_images(storage, chunk.images, image_sizes, mode)
    return ChunkTables(chunk, labels, images, label_heads=heads)


def read_remote_images(
    storage: RemoteStorage, paths: Sequence[str | None], sizes: Sequence[int], mode: ImageMode
) -> ImageTable:
    """Images as `read_images` reads them; `sizes` are their bytes, -1 where unknown."""
    if mode == "none":
        return read_images(paths, mode)
    rows: list[Row] = []
    verdicts: dict[int, Verdict] = {}
    hashes: dict[int, int] = {}
    look = partial(_read_image, storage, mode == "decode")
    weight = _image_weight if mode == "decode" else label_weight
    # Warnings are silenced here, too, as every thread that silences them for itself would undo it for others.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (row, verdict, image_hash) in enumerate(
            concurrently(look, list(zip(paths, sizes, strict=True)), weight)
        ):
            rows.append(row)
            if verdict is not None:
                verdicts[number] = verdict
            if image_hash is not None:
                hashes[number] = image_hash
    return tabulate(rows, verdicts, hashes)


def _image_weight(item: tuple[str | None, int]) -> int:
    """A picture is held packed and unpacked."""
    return 8 * label_weight(item)


def _read_image(
    storage: RemoteStorage, whole: bool, item: tuple[str | None, int]
) -> tuple[Row, Verdict | None, int | None]:
    """(row, verdict, perceptual hash) of one image; hash only where it is read whole."""
    path, size = item
    if path is None:
        return (-1, -1, 0, -1, 0), Verdict(status=ImageStatus.NOT_READ), None
    try:
        block, tail, size = _ends(storage, path, size, whole)
        look = _Look(storage, path, size, block if len(block) == size else None)
        row, verdict = judge_ends(block, tail, size, look.first, look.closer)
        if not whole:
            return row, verdict, None
        image_hash, verdict = decode_one(look.file(), row, verdict)
        return row, verdict, image_hash
    except FileNotFoundError:
        verdict = Verdict(status=ImageStatus.MISSING, dropped=True, detail="there is no such file")
    except OSError as error:
        words = error.strerror or type(error).__name__
        verdict = Verdict(status=ImageStatus.UNREADABLE, dropped=True, detail=words)
    return (-1, -1, 0, -1, 0), verdict, None


def _ends(storage: RemoteStorage, path: str, size: int, whole: bool) -> tuple[bytes, bytes, int]:
    """(first bytes, last bytes, size); both are the whole file where that is small, or wanted whole."""
    first = None if whole or 0 <= size <= WHOLE_BYTES else HEAD_BYTES
    block, told = storage.fetch(path, 0, first, size)
    size = max(size, told)
    if size < 0:
        size = len(block) if first is None or len(block) < first else storage.ask_size(path)
    if len(block) >= size:
        return block, block, size
    return block, storage.fetch(path, size - LAST_BLOCK, size, size)[0], size


class _Look:
    """More of a file, for images whose ends do not tell enough."""

    def __init__(self, storage: RemoteStorage, path: str, size: int, content: bytes | None) -> None:
        self._storage, self._path, self._size, self._content = storage, path, size, content

    def first(self, length: int) -> bytes:
        """So many first bytes."""
        if self._content is not None:
            return self._content[:length]
        return self._storage.fetch(self._path, 0, length, self._size)[0]

    def closer(self, block: bytes) -> Verdict:
        """What Pillow says. Raises OSError where the storage fails, which Pillow would call damage."""
        from sanitizer.images.decode import check_image

        file = self.file()
        verdict = check_image(file, block)
        problem = getattr(getattr(file, "raw", None), "problem", None)
        if problem is not None:
            raise OSError(0, problem)
        return verdict

    def file(self) -> BinaryIO:
        """The file, in memory where it is not large."""
        if self._content is None and self._size <= _ODD_WHOLE_BYTES:
            self._content = self.first(self._size)
        if self._content is not None:
            return io.BytesIO(self._content)
        return self._storage.open(self._path, self._size)
