"""What holds for every packed file: found, cut, read and its labels judged, without an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.archives.finding import find_dataset
from sanitizer.archives.reading import pack_chunks
from sanitizer.dataset.model import DatasetError
from sanitizer.labels.label_files import parse_arriving
from sanitizer.scanner.pieces import PackPiece, pieces

if TYPE_CHECKING:
    from sanitizer.archives.tar.chunks import PackChunk
    from sanitizer.dataset.model import Dataset


def check_pack(path: str) -> None:
    """Read a packed file from end to end."""
    try:
        dataset = find_dataset([path])
    except DatasetError:
        return
    for piece in pieces(dataset, 64):
        assert isinstance(piece, PackPiece)
        for chunk in pack_chunks(dataset, piece.pack, (piece.start, piece.stop, piece.first_line), "header"):
            _check_chunk(dataset, chunk)


def _check_chunk(dataset: Dataset, chunk: PackChunk) -> None:
    table = parse_arriving(chunk.labels, len(chunk.labels), dataset.task_spec("detect"))
    assert len(table.status) == len(chunk.labels) == len(chunk.pairs)
    for fault in chunk.faults:
        assert fault.rule
