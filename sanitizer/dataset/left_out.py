"""Files that are not read because reading them ends the process: a reader crashes on them, or memory runs out.

Each gets a finding: an image that cannot be used (I001), or a label that cannot be read (L001).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sanitizer.dataset.tables import Chunk, ChunkTables, Fault, FileStatus, ImageStatus

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from sanitizer.dataset.tables import ImageTable, LabelTable

ENDS_PROCESS = "reading it ends the process"
_SUGGESTION = (
    "Look at the file's size and content without decoding it, and restore or remove it: "
    "training may end the same way."
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files of a chunk that are not to be read, by the numbers of their pairs."""

    images: AbstractSet[int] = frozenset()
    labels: AbstractSet[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.images or self.labels)


NOTHING = LeftOut()


def without(chunk: Chunk, left_out: LeftOut) -> Chunk:
    """The chunk without these files. It keeps the number and the order of its pairs."""
    return replace(
        chunk,
        images=[None if i in left_out.images else path for i, path in enumerate(chunk.images)],
        labels=[None if i in left_out.labels else path for i, path in enumerate(chunk.labels)],
    )


def named(tables: ChunkTables, chunk: Chunk, left_out: LeftOut) -> ChunkTables:
    """Turn the tables of `without(chunk, left_out)` into those of `chunk`: each file left out gets a fault."""
    images = sorted(i for i in left_out.images if chunk.images[i] is not None)
    labels = sorted(i for i in left_out.labels if chunk.labels[i] is not None)
    return replace(
        tables,
        chunk=chunk,
        labels=_with_labels(tables.labels, labels),
        images=_with_images(tables.images, images),
    )


def _with_images(table: ImageTable, images: list[int]) -> ImageTable:
    status, dropped, detail = table.status.copy(), table.dropped.copy(), table.detail.copy()
    status[images], dropped[images], detail[images] = ImageStatus.ENDS_PROCESS, True, ENDS_PROCESS
    return replace(table, status=status, dropped=dropped, detail=detail)


def _with_labels(table: LabelTable, labels: list[int]) -> LabelTable:
    status, numbers_ok = table.status.copy(), table.numbers_ok.copy()
    status[labels], numbers_ok[labels] = FileStatus.UNREADABLE, False
    faults = [
        Fault("L001", i, None, None, {"problem": ENDS_PROCESS}, _SUGGESTION, kind="ends-process")
        for i in labels
    ]
    merged = sorted((*table.faults, *faults), key=lambda f: (f.file, f.line or 0, f.column or 0))
    return replace(table, status=status, numbers_ok=numbers_ok, faults=merged)
