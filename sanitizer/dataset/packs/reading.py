"""Reads a range of any packed file in chunks: where the kinds of packed files come together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.dataset.model import Split
from sanitizer.dataset.packs.read_ahead import open_unbuffered
from sanitizer.dataset.packs.tar_chunks import PackChunk, TarReader
from sanitizer.dataset.places import place, shown
from sanitizer.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.images import ImageMode
    from sanitizer.dataset.model import Dataset, Pack
    from sanitizer.dataset.packs.read_ahead import Opener
    from sanitizer.dataset.tables import Place, TaskSpec

PAIRS_PER_CHUNK = {"none": 4096, "header": 2048, "decode": 64}


def pack_chunks(
    dataset: Dataset,
    number: int,
    part: tuple[int, int, int],
    mode: ImageMode,
    opener: Opener = open_unbuffered,
) -> Iterator[PackChunk]:
    """The pairs of a range of the dataset's packed file of that number.

    Args:
        dataset: Where the file is listed.
        number: Of the file in `dataset.packs`.
        part: First byte, byte after the last, and the line that the first byte is in.
        mode: How closely to look at images.
        opener: Opens a path for reading, unbuffered.
    """
    pack = dataset.packs[number]
    split = dataset.splits[pack.split].name
    start, stop, first_line = part
    if pack.kind == "ndjson":
        from sanitizer.dataset.packs.ndjson import NdjsonReader

        splits = [s.name for s in dataset.splits]
        names = frozenset(dataset.names)
        lines = NdjsonReader(pack, splits, names, dataset.root, mode, opener, PAIRS_PER_CHUNK[mode])
        yield from lines.chunks(start, stop, first_line)
        return
    yield from TarReader(pack, split, dataset.root, mode, opener, PAIRS_PER_CHUNK[mode]).chunks(start, stop)


def unread(dataset: Dataset, number: int, part: tuple[int, int]) -> tuple[Split, Place]:
    """(no pairs, the fault) of a range, first byte and byte after the last, that ends the process reading it."""
    pack = dataset.packs[number]
    split = dataset.splits[pack.split].name
    detail = (
        f"{shown(pack.path, dataset.root)}: reading its bytes {part[0]:,} to {part[1]:,} ends the process,"
        " so nothing in them was checked"
    )
    advice = "Unpack it and scan the files: then the one to blame is named."
    return Split.empty(split), place("D002", detail, advice, Severity.ERROR, file=pack.path, split=split)


def row_spec(pack: Pack, spec: TaskSpec) -> TaskSpec:
    """What rows of a packed file are judged by: the converter of NDJSON adds classes until every id has one."""
    return replace(spec, nc=None) if pack.kind == "ndjson" else spec
