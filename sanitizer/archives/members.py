"""Reads single members by path (`shard.tar/a.jpg`), for rules that need a few files again."""

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
    """(shard, member) of a path that leads into a shard; None for any other path."""
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
    """(path, content) of members. Each shard is walked once; members that are missing or damaged are left out.

    A name that occurs twice in a shard is yielded twice: the last one counts, as when unpacking.
    """
    sizes = {pack.path: pack.size_bytes for pack in dataset.packs}
    wanted: dict[str, dict[str, str]] = {}
    for path in paths:
        inside = split_path(path, sizes.__contains__)
        if inside is not None:
            shard, name = inside
            wanted.setdefault(shard, {})[name] = path
    for shard, names in wanted.items():
        try:
            with opener_in(dataset.storage, sizes[shard])(shard) as file:
                archive = ReadAhead(file)
                contents = _walked(Unpacked(archive) if is_compressed(shard) else archive, names)
                yield from ((names[name], content) for name, content in contents)
        except OSError:
            continue


class Members:
    """Reads single images. A shard is walked when its first image is read. The positions of its images are kept, of at
    most `POSITIONS_HELD` images in the last shards."""

    POSITIONS_HELD = 100_000

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._sizes = {pack.path: pack.size_bytes for pack in dataset.packs}
        self._positions: dict[str, dict[str, Member]] = {}

    def contents(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """As `read_members`."""
        return read_members(paths, self._dataset)

    def open(self, path: str) -> BytesIO | None:
        """One image as a file; None where it is missing or damaged."""
        inside = split_path(path, self._sizes.__contains__)
        if inside is None:
            return None
        shard, name = inside
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
        if shard not in self._positions:
            self._positions[shard] = _positions_in(ReadAhead(file))
        member = self._positions[shard].get(name)
        while sum(map(len, self._positions.values())) > self.POSITIONS_HELD:
            del self._positions[next(iter(self._positions))]
        if member is None or member.size > limits.IMAGE_BYTES:
            return None
        archive = ReadAhead(file)
        # A sparse member needs a walk that begins at its header.
        walk = TarWalk(archive, member.header, member.header + 1)
        return next((walk.content(found) for found in walk), None)


def _positions_in(archive: ReadAhead) -> dict[str, Member]:
    """Images by name. If a name occurs twice, the last one counts, as when unpacking."""
    names = ((plain_name(member.name), member) for member in TarWalk(archive))
    return {name: member for name, member in names if is_image_member(name)}


def _walked(archive: ReadAhead | Unpacked, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    walk = TarWalk(archive)
    for member in walk:
        name = plain_name(member.name)
        content = walk.content(member) if name in names and member.size <= limits.IMAGE_BYTES else None
        if content is not None:
            yield name, content
