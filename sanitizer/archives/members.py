"""Contents of single members by path (`shard.tar/a.jpg`), for rules that come back to a few files of many."""

from __future__ import annotations

import contextlib
import os
from io import BytesIO
from typing import TYPE_CHECKING

from sanitizer.archives.member_pairing import is_image_member
from sanitizer.archives.read_ahead import ReadAhead, opener_in
from sanitizer.archives.tar.chunks import plain_name
from sanitizer.archives.tar.shard_names import is_compressed, is_shard
from sanitizer.archives.tar.unpacking import Unpacked
from sanitizer.archives.tar.walk import Member, TarWalk
from sanitizer.util import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from sanitizer.dataset.model import Dataset


def split_path(path: str, is_file: Callable[[str], bool] = os.path.isfile) -> tuple[str, str] | None:
    """(shard, member) of a path that leads into a shard; None for all others."""
    at = path.find(".tar")
    while at >= 0:
        slash = path.find("/", at)
        if slash < 0:
            return None
        shard = path[:slash]
        if is_shard(shard) and is_file(shard):
            return shard, path[slash + 1 :]
        at = path.find(".tar", slash)
    return None


def read_members(paths: Iterable[str], dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """(path, content) of members, each shard walked once; those that are gone or damaged are left out.

    A name that is there twice comes twice: the last counts, as when the shard is unpacked.
    """
    sizes = {pack.path: pack.size_bytes for pack in dataset.packs}
    wanted: dict[str, dict[str, str]] = {}
    for path in paths:
        place = split_path(path, sizes.__contains__)
        if place is not None:
            wanted.setdefault(place[0], {})[place[1]] = path
    for shard, names in wanted.items():
        try:
            with opener_in(dataset.storage, sizes[shard])(shard) as file:
                archive = ReadAhead(file)
                contents = _walked(Unpacked(archive) if is_compressed(shard) else archive, names)
                yield from ((names[name], content) for name, content in contents)
        except OSError:
            continue


class Members:
    """Single images, one after the other: a shard is walked when the first one in it is asked for, and what is where
    in the last shards is remembered, of `PLACES_HELD` images in all."""

    PLACES_HELD = 100_000

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._sizes = {pack.path: pack.size_bytes for pack in dataset.packs}
        self._places: dict[str, dict[str, Member]] = {}

    def contents(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """As `read_members`."""
        return read_members(paths, self._dataset)

    def open(self, path: str) -> BytesIO | None:
        """One image as a file; None where it is gone or damaged."""
        place = split_path(path, self._sizes.__contains__)
        if place is None:
            return None
        shard, name = place
        content = None
        if not is_compressed(shard):
            with contextlib.suppress(OSError), self._opened(shard) as file:
                content = self._content(file, shard, name)
        else:
            content = dict(read_members([path], self._dataset)).get(path)
        return None if content is None else BytesIO(content)

    def _opened(self, shard: str) -> BinaryIO:
        return opener_in(self._dataset.storage, self._sizes[shard])(shard)

    def _content(self, file: BinaryIO, shard: str, name: str) -> bytes | None:
        if shard not in self._places:
            self._places[shard] = _places_in(ReadAhead(file))
        member = self._places[shard].get(name)
        while sum(map(len, self._places.values())) > self.PLACES_HELD:
            del self._places[next(iter(self._places))]
        if member is None or member.size > limits.IMAGE_BYTES:
            return None
        archive = ReadAhead(file)
        # A sparse one is unpacked by a walk that begins at it.
        walk = TarWalk(archive, member.header, member.header + 1)
        return next((walk.content(found) for found in walk), None)


def _places_in(archive: ReadAhead) -> dict[str, Member]:
    """Images by name; of two with one name the last, as when the shard is unpacked."""
    names = ((plain_name(member.name), member) for member in TarWalk(archive))
    return {name: member for name, member in names if is_image_member(name)}


def _walked(archive: ReadAhead | Unpacked, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    walk = TarWalk(archive)
    for member in walk:
        name = plain_name(member.name)
        content = walk.content(member) if name in names and member.size <= limits.IMAGE_BYTES else None
        if content is not None:
            yield name, content
