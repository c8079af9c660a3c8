"""What reading a packed file will cost: the reads that follow from its headers are played through.

Headers of local shards are walked. Of remote ones, where that would cost as much as to read them, the first few are
taken for all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from sanitizer.archives.member_pairing import is_image_member, is_label_member
from sanitizer.archives.ranges import CHUNKS_PER_RANGE, may_be_cut
from sanitizer.archives.read_ahead import (
    BEHIND_REQUESTS,
    Blocks,
    ReadAhead,
    open_unbuffered,
    opener_in,
)
from sanitizer.archives.tar.chunks import plain_name
from sanitizer.archives.tar.shard_names import folder_split
from sanitizer.archives.tar.shard_sets import MEMBERS_PEEKED
from sanitizer.archives.tar.walk import BLOCK, Member, TarWalk
from sanitizer.dataset.model import PAIRS_PER_CHUNK
from sanitizer.images.image_files import FIRST_BLOCK, LAST_BLOCK
from sanitizer.util import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.dataset.model import Dataset, Pack
    from sanitizer.images.image_files import ImageMode

_MEMBERS_KNOWN = 64
_REQUESTS_TO_KNOW = 8
APPROXIMATE_STREAMED_PAIR = 32 * 1024
"""Compressed bytes of a pair in a shard that cannot be looked into without reading it whole."""


@dataclass(slots=True)
class Forecast:
    """What is in one shard, for one split, and what reading it costs; `exact` False is a guess.

    What sampling its labels costs is apart: few shards are sampled.
    """

    images: int = 0
    labels: int = 0
    bytes_read: int = 0
    requests: int = 0
    exact: bool = True
    sampling_bytes: int = 0
    sampling_requests: int = 0


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
            walk = TarWalk(ReadAhead(file, Blocks(BLOCK, BLOCK)))
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


def forecast_remote(dataset: Dataset, pack: Pack, mode: ImageMode, labels_sampled: int) -> Forecast:
    """A shard behind requests, by its first members: finding out of which split it is, sampling labels, reading it.

    Args:
        dataset, pack, mode: The shard, and how its images will be looked at.
        labels_sampled: How many of its labels will be looked at to tell the task.
    """
    if pack.kind == "stream":
        played = _played(pack)
        while played.tell() < pack.size_bytes:
            played.read(10_240)
        pairs = pack.size_bytes // APPROXIMATE_STREAMED_PAIR + 1
        return Forecast(pairs, pairs, pack.size_bytes, played.requests, exact=False)
    try:
        with opener_in(dataset.storage, pack.size_bytes)(pack.path) as file:
            known, complete = _first_members(ReadAhead(file))
    except OSError:
        known, complete = [], False
    split = dataset.splits[pack.split].name
    result = Forecast(exact=complete and not may_be_cut(pack, CHUNKS_PER_RANGE * PAIRS_PER_CHUNK["header"]))
    read, looked, sampled = _played(pack), _played(pack), _played(pack)
    n_looked = n_labels = 0
    done = 0
    for member in known if complete else _repeated(known, pack.size_bytes):
        name = plain_name(member.name)
        _view_headers(read, done, member.start)
        if n_looked <= MEMBERS_PEEKED:
            _view_headers(looked, done, member.start)
        if n_labels < labels_sampled:
            _view_headers(sampled, done, member.start)
            if is_label_member(name):
                sampled.view(member.start, member.size)
        n_looked += is_image_member(name) or is_label_member(name)
        n_labels += is_label_member(name)
        done = member.start + -(-member.size // BLOCK) * BLOCK
        if pack.only is None or folder_split(name, split) == pack.only:
            _view_member(read, member, name, mode, result)
    _view_headers(read, done, min(done + BLOCK, pack.size_bytes))
    TarWalk(read, done).after_end()
    result.requests, result.bytes_read = read.requests + looked.requests, read.bytes_read + looked.bytes_read
    result.sampling_requests, result.sampling_bytes = sampled.requests, sampled.bytes_read
    return result


def _played(pack: Pack) -> ReadAhead:
    return ReadAhead(cast(BinaryIO, _Blank(pack.size_bytes)), BEHIND_REQUESTS)


def _first_members(archive: ReadAhead) -> tuple[list[Member], bool]:
    """(members at the start, whether these are all)."""
    known: list[Member] = []
    for member in TarWalk(archive):
        known.append(member)
        if len(known) == _MEMBERS_KNOWN or archive.requests >= _REQUESTS_TO_KNOW:
            return known, False
    return known, True


def _repeated(known: Sequence[Member], size: int) -> Iterator[Member]:
    """The same members again and again, as many as an archive of that size holds."""
    if not known:
        return
    last = known[-1]
    length = last.start + -(-last.size // BLOCK) * BLOCK - known[0].header
    for shift in range(0, size, length):
        for member in known:
            if member.start + member.size + shift > size - 2 * BLOCK:
                return
            yield Member(member.name, member.start + shift, member.size, member.header + shift)


def _view_headers(played: ReadAhead, start: int, stop: int) -> None:
    for at in range(start, stop, BLOCK):
        played.view(at, BLOCK)


def _view_member(played: ReadAhead, member: Member, name: str, mode: ImageMode, result: Forecast) -> None:
    """The reads of `TarReader` and `read_stored`, as far as an image needs no second look."""
    if is_image_member(name):
        result.images += 1
        if mode == "none":
            return
        if mode == "decode":
            played.view(member.start, member.size)
            return
        played.view(member.start, min(member.size, FIRST_BLOCK))
        if member.size >= FIRST_BLOCK:
            played.view(member.start + member.size - LAST_BLOCK, LAST_BLOCK)
    elif is_label_member(name) and member.size <= limits.LABEL_BYTES:
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
