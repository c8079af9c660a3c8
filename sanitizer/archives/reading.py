"""Reads a range of a packed file of any kind in chunks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.archives.read_ahead import opener_in
from sanitizer.archives.tar.chunks import PackChunk, TarReader
from sanitizer.dataset.left_out import NOTHING
from sanitizer.dataset.model import PAIRS_PER_CHUNK
from sanitizer.util import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.dataset.left_out import LeftOut
    from sanitizer.dataset.model import Dataset, Pack
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.images.image_files import ImageMode


def pack_chunks(
    dataset: Dataset,
    number: int,
    part: tuple[int, int, int],
    mode: ImageMode,
    left_out: LeftOut | None = None,
    opener: Opener | None = None,
    label_bytes: int = limits.LABEL_BYTES,
) -> Iterator[PackChunk]:
    """The pairs of a range of the dataset's packed file of that number.

    Args:
        dataset: Where the file is listed.
        number: Number of the file in `dataset.packs`.
        part: First byte, byte after the last, and number of the line at the first byte.
        mode: How closely to look at images.
        left_out: Images and labels that must not be read, by their number in the range.
        opener: Opens a path for reading, unbuffered; None opens it in the storage of the dataset.
        label_bytes: The largest label that is read.
    """
    pack = dataset.packs[number]
    opener = opener or opener_in(dataset.storage, pack.size_bytes)
    split = dataset.splits[pack.split].name
    start, stop, first_line = part
    if pack.kind == "ndjson":
        from sanitizer.archives.ndjson import NdjsonReader

        splits = [s.name for s in dataset.splits]
        names = frozenset(dataset.names)
        lines = NdjsonReader(
            pack, splits, names, dataset.root, mode, opener, PAIRS_PER_CHUNK[mode], label_bytes
        )
        yield from lines.chunks(start, stop, first_line)
        return
    pairs = PAIRS_PER_CHUNK[mode]
    reader = TarReader(pack, split, dataset.root, mode, opener, pairs, left_out or NOTHING, label_bytes)
    yield from reader.chunks(start, stop)


def row_spec(pack: Pack, spec: TaskSpec) -> TaskSpec:
    """The task that rows of a packed file are read for. The converter of NDJSON adds classes, so every id is valid."""
    return replace(spec, nc=None) if pack.kind == "ndjson" else spec
