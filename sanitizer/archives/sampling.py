"""A few labels of packed files, spread over these, for whoever must know what kind of rows they hold."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from sanitizer.archives.read_ahead import ReadAhead, opener_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.dataset.model import Dataset, Pack

SAMPLED_PACKS = 8
_MEMBERS_LOOKED_AT = 4000
_LABEL_BYTES = 1 << 16


def sample_labels(dataset: Dataset, at_most: int) -> list[bytes]:
    """Contents of up to `at_most` labels from the starts of up to `SAMPLED_PACKS` packed files."""
    labels: list[bytes] = []
    packs = dataset.packs[:: -(-len(dataset.packs) // SAMPLED_PACKS) or 1]
    for pack in packs:
        opener = opener_in(dataset.storage, pack.size_bytes)
        labels += islice(_labels(pack, opener), -(-at_most // len(packs)))
    return labels[:at_most]


def _labels(pack: Pack, opener: Opener) -> Iterator[bytes]:
    if pack.kind == "ndjson":
        from sanitizer.archives.ndjson import first_labels

        yield from first_labels(pack, opener)
        return
    from sanitizer.archives.member_pairing import is_label_member
    from sanitizer.archives.tar.chunks import plain_name, streamed_labels
    from sanitizer.archives.tar.walk import TarWalk

    try:
        with opener(pack.path) as file:
            if pack.kind == "stream":
                yield from streamed_labels(ReadAhead(file), _MEMBERS_LOOKED_AT)
                return
            archive = ReadAhead(file)
            for member in islice(TarWalk(archive), _MEMBERS_LOOKED_AT):
                if is_label_member(plain_name(member.name)) and member.sparse is None:
                    yield archive.view(member.start, min(member.size, _LABEL_BYTES))
    except OSError:
        return
