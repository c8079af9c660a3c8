"""What reading a shard will cost: its headers are walked, and the reads that follow from them are played through."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from sanitizer.dataset.images import FIRST_BLOCK, LAST_BLOCK
from sanitizer.dataset.model import PAIRS_PER_CHUNK
from sanitizer.dataset.packs.cut import CHUNKS_PER_RANGE, may_be_cut
from sanitizer.dataset.packs.pairing import is_image_member, is_label_member
from sanitizer.dataset.packs.read_ahead import ReadAhead, open_unbuffered
from sanitizer.dataset.packs.shard_names import folder_split
from sanitizer.dataset.packs.tar_chunks import MOST_LABEL_BYTES, plain_name
from sanitizer.dataset.packs.tar_walk import BLOCK, Member, TarWalk

if TYPE_CHECKING:
    from sanitizer.dataset.images import ImageMode
    from sanitizer.dataset.model import Dataset, Pack
    from sanitizer.dataset.packs.read_ahead import Opener

APPROXIMATE_STREAMED_PAIR = 32 * 1024
"""Compressed bytes of a pair in a shard that cannot be looked into without reading it whole."""


@dataclass(slots=True)
class Forecast:
    """What is in one shard, for one split, and what reading it costs; `exact` False is a guess."""

    images: int = 0
    labels: int = 0
    bytes_read: int = 0
    requests: int = 0
    exact: bool = True


def forecast(dataset: Dataset, pack: Pack, mode: ImageMode, opener: Opener = open_unbuffered) -> Forecast:
    """Walk a shard's headers, nothing else of it, and add up. An OSError ends the walk: the scan will report it."""
    if pack.kind == "stream":
        pairs = pack.size_bytes // APPROXIMATE_STREAMED_PAIR + 1
        return Forecast(pairs, pairs, pack.size_bytes, -(-pack.size_bytes // 10_240), exact=False)
    played = ReadAhead(cast(BinaryIO, _Blank(pack.size_bytes)))
    result = Forecast(exact=not may_be_cut(pack, CHUNKS_PER_RANGE * PAIRS_PER_CHUNK[mode]))
    split = dataset.splits[pack.split].name
    done, end, whole = 0, 0, False
    try:
        with opener(pack.path) as file:
            walk = TarWalk(ReadAhead(file, BLOCK, BLOCK))
            for member in walk:
                _view_headers(played, done, member.start)
                done = walk.end
                name = plain_name(member.name)
                if pack.only is None or folder_split(name, split) == pack.only:
                    _view_member(played, member, name, mode, result)
            end, whole = walk.end, walk.damage is None
    except OSError:
        result.exact = False
    _view_headers(played, done, min(end + BLOCK, pack.size_bytes))
    if whole:
        TarWalk(played, end).after_end()
    result.bytes_read, result.requests = played.bytes_read, played.requests
    return result


def _view_headers(played: ReadAhead, start: int, stop: int) -> None:
    for at in range(start, stop, BLOCK):
        played.view(at, BLOCK)


def _view_member(played: ReadAhead, member: Member, name: str, mode: ImageMode, result: Forecast) -> None:
    """The reads of `TarReader` and `read_stored`, as far as an image needs no second look."""
    if is_image_member(name):
        result.images += 1
        if mode == "none":
            return
        played.view(member.start, min(member.size, FIRST_BLOCK))
        if member.size >= FIRST_BLOCK:
            played.view(member.start + member.size - LAST_BLOCK, LAST_BLOCK)
        if mode == "decode":
            played.view(member.start, member.size)
    elif is_label_member(name) and member.size <= MOST_LABEL_BYTES:
        result.labels += 1
        played.view(member.start, member.size)


class _Blank:
    """A file of zeros, so that reads cost nothing."""

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = self._size if whence == os.SEEK_END else offset
        return self._at

    def read(self, length: int) -> bytes:
        data = bytes(max(0, min(length, self._size - self._at)))
        self._at += len(data)
        return data
