"""Cuts packed files into ranges for workers: most files are one range, large files are several."""

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
"""Chunks in one range of a large packed file. A worker returns the findings of a range at once."""
SMALLEST_PAIR_BYTES = 2048
"""Bytes of the smallest pair: two headers, and a block each for image and label."""
_FIRST_LOOK = 16
_LOOKED_AT = 200
"""So many samples show whether image and label lie together in an archive, and how long samples are."""


def ranges(
    pack: Pack, pairs_per_range: int, opener: Opener = open_unbuffered
) -> Iterator[tuple[int, int, int]]:
    """(start, stop, number of the line at start) of each range: whole samples, or the whole file.

    If its first samples show that a tar shard holds more than two ranges, its headers are read up to the last cut. A
    shard in which the image and the label of a sample lie far apart is one range.

    Args:
        pack: The file.
        pairs_per_range: Pairs in a range. A worker returns all findings of a range at once, so this bounds its memory.
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
        except OSError:  # the reader of the range reports it
            pass
    yield start, pack.size_bytes, 1


def _may_be_cut(pack: Pack, pairs_per_range: int) -> bool:
    """Whether a file is so large that it may hold more than two ranges."""
    large = pack.size_bytes > 2 * pairs_per_range * SMALLEST_PAIR_BYTES
    return large and pack.kind == "tar" and pack.only is None


def _borders(archive: ReadAhead, pairs_per_range: int) -> Iterator[int]:
    """Offsets where a range begins, every `pairs_per_range` samples; none where images and labels lie apart."""
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
