"""Contents of single members by path (`shard.tar/a.jpg`), for rules that come back to a few files of many."""

from __future__ import annotations

import os
import tarfile
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from sanitizer.dataset.packs.read_ahead import ReadAhead, open_unbuffered
from sanitizer.dataset.packs.shard_names import is_compressed, is_shard
from sanitizer.dataset.packs.tar_chunks import plain_name
from sanitizer.dataset.packs.tar_walk import TarWalk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import BinaryIO

    from sanitizer.dataset.packs.read_ahead import Opener

MAX_MEMBER_BYTES = 1 << 29


def split_path(path: str) -> tuple[str, str] | None:
    """(shard, member) of a path that leads into a shard; None for all others."""
    at = path.find(".tar")
    while at >= 0:
        slash = path.find("/", at)
        if slash < 0:
            return None
        shard = path[:slash]
        if is_shard(shard) and os.path.isfile(shard):
            return shard, path[slash + 1 :]
        at = path.find(".tar", slash)
    return None


def read_members(paths: Iterable[str], opener: Opener = open_unbuffered) -> Iterator[tuple[str, bytes]]:
    """(path, content) of members, each shard walked once; those that are gone or damaged are left out.

    A name that is there twice comes twice: the last counts, as when the shard is unpacked.
    """
    wanted: dict[str, dict[str, str]] = {}
    for path in paths:
        place = split_path(path)
        if place is not None:
            wanted.setdefault(place[0], {})[place[1]] = path
    for shard, names in wanted.items():
        try:
            with opener(shard) as file:
                contents = _streamed(file, names) if is_compressed(shard) else _walked(file, names)
                yield from ((names[name], content) for name, content in contents)
        except (OSError, tarfile.TarError, EOFError, zlib.error):
            continue


def open_member(path: str, opener: Opener = open_unbuffered) -> BytesIO | None:
    """One member as a file; None where it is gone or damaged."""
    content = dict(read_members([path], opener)).get(path)
    return None if content is None else BytesIO(content)


def _walked(file: BinaryIO, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    walk = TarWalk(ReadAhead(file))
    for member in walk:
        name = plain_name(member.name)
        content = walk.content(member) if name in names and member.size <= MAX_MEMBER_BYTES else None
        if content is not None:
            yield name, content


def _streamed(file: BinaryIO, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for info in archive:
            name = plain_name(info.name)
            archive.members = []  # type: ignore[attr-defined]
            if info.isreg() and name in names and info.size <= MAX_MEMBER_BYTES:
                content = archive.extractfile(info)
                if content is not None:
                    yield name, content.read()
