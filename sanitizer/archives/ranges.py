"""Cuts packed files into ranges that workers can share: most are one range, large ones several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.archives.member_pairing import is_image_member, is_label_member, sample_key
from sanitizer.archives.read_ahead import ReadAhead, open_unbuffered
from sanitizer.archives.tar.chunks import plain_name
from sanitizer.archives.tar.shard_names import is_tree_member
from sanitizer.archives.tar.walk import TarWalk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.dataset.model import Pack

CHUNKS_PER_RANGE = 16
"""Of a large packed file: what is found in so many chunks is handed over at once."""
SMALLEST_PAIR_BYTES = 2048
"""Two headers, and a block for each of image and label."""
_FIRST_LOOK = 16
_LOOKED_AT = 200
"""Samples that show whether an archive keeps the files of a sample together, and how long they are."""


def ranges(
    pack: Pack, pairs_per_range: int, opener: Opener = open_unbuffered
) -> Iterator[tuple[int, int, int]]:
    """(start, stop, number of the line at start) of each range: whole samples, or the whole file.

    Headers are walked up to the last cut, but only of tar shards that by their first samples hold more than two
    ranges. A shard whose parts belong together, however far apart, is one range.

    Args:
        pack: The file.
        pairs_per_range: A worker hands back what it found in a range at once, so this bounds what it holds.
        opener: Opens a path for reading, unbuffered.
    """
    if pack.kind == "ndjson":
        from sanitizer.archives.ndjson_dataset import line_ranges

        yield from line_ranges(pack.path, pack.size_bytes, opener)
        return
    start = 0
    if _may_be_cut(pack, pairs_per_range):
        try:
            with opener(pack.path) as file:
                for border in _borders(ReadAhead(file), pairs_per_range):
                    yield start, border, 1
                    start = border
        except OSError:  # whoever reads it will say so
            pass
    yield start, pack.size_bytes, 1


def _may_be_cut(pack: Pack, pairs_per_range: int) -> bool:
    """Whether a file is so large that it may hold more than two ranges."""
    large = pack.size_bytes > 2 * pairs_per_range * SMALLEST_PAIR_BYTES
    return large and pack.kind == "tar" and pack.only is None


def _borders(archive: ReadAhead, pairs_per_range: int) -> Iterator[int]:
    """Offsets where samples begin, so many apart; none in an archive whose images and labels are apart."""
    key, seen, samples, whole = "", set[str](), 0, 0
    for member in TarWalk(archive):
        name = plain_name(member.name)
        kind = "image" if is_image_member(name) else "label" if is_label_member(name) else ""
        if not kind:
            continue
        new = sample_key(name)
        if new != key:
            if samples == _FIRST_LOOK and archive.size * samples <= pairs_per_range * member.header // 4:
                return  # large images: it is far from holding so many samples
            if samples == min(_LOOKED_AT, pairs_per_range):
                apart = 2 * whole < samples or is_tree_member(name)
                if apart or archive.size * samples <= 2 * pairs_per_range * member.header:
                    return
            if samples and samples % pairs_per_range == 0:
                yield member.header
            samples, whole = samples + 1, whole + (len(seen) == 2)
            key, seen = new, set()
        seen.add(kind)
