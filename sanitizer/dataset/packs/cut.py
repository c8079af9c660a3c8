"""Cuts packed files into ranges that workers can share: most are one range, large ones several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.dataset.packs.pairing import is_image_member, is_label_member, sample_key
from sanitizer.dataset.packs.read_ahead import ReadAhead, open_unbuffered
from sanitizer.dataset.packs.shard_names import is_tree_member
from sanitizer.dataset.packs.tar_chunks import plain_name
from sanitizer.dataset.packs.tar_walk import TarWalk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Pack
    from sanitizer.dataset.packs.read_ahead import Opener

RANGE_BYTES = 1 << 28
"""A worker hands back what it found in a range at once: some 100 MB at most, with the smallest files there are."""
_LOOKED_AT = 1000
"""Samples that show whether an archive keeps the files of a sample together."""


def ranges(pack: Pack, opener: Opener = open_unbuffered) -> Iterator[tuple[int, int, int]]:
    """(start, stop, number of the line at start) of each range: whole samples, or the whole file.

    Walks headers up to the last cut only of tar shards larger than `RANGE_BYTES`. A shard whose parts belong
    together, however far apart, is one range.
    """
    if pack.kind == "ndjson":
        from sanitizer.dataset.packs.ndjson_dataset import line_ranges

        yield from line_ranges(pack.path, pack.size_bytes, opener)
        return
    start = 0
    if pack.kind == "tar" and pack.size_bytes > RANGE_BYTES and pack.only is None:
        try:
            with opener(pack.path) as file:
                for border in _borders(ReadAhead(file)):
                    if border - start >= RANGE_BYTES:
                        yield start, border, 1
                        start = border
        except OSError:  # whoever reads it will say so
            pass
    yield start, pack.size_bytes, 1


def _borders(archive: ReadAhead) -> Iterator[int]:
    """Offsets where a sample begins; none in an archive whose images and labels are apart."""
    key, seen, samples, whole = "", set[str](), 0, 0
    for member in TarWalk(archive):
        name = plain_name(member.name)
        kind = "image" if is_image_member(name) else "label" if is_label_member(name) else ""
        if not kind:
            continue
        new = sample_key(name)
        if new != key:
            samples, whole = samples + 1, whole + (len(seen) == 2)
            if samples == _LOOKED_AT and (2 * whole < samples or is_tree_member(name)):
                return
            if samples >= _LOOKED_AT:
                yield member.header
            key, seen = new, set()
        seen.add(kind)
