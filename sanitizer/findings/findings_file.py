"""Findings in a temporary Parquet file: written in report order, read back a few thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from sanitizer.findings.finding import REAL_COLUMNS, Finding, Severity, Tally, characters_of
from sanitizer.util.spill import SpillFile

if TYPE_CHECKING:
    from collections.abc import Iterable

ROWS_AT_ONCE = 1024
"""Findings that are read at a time."""
ROWS_OF_GROUP = 8192
"""Findings that are written at a time: what the file says of each group of rows is kept in memory."""
CHARACTERS_OF_GROUP = 1 << 23
"""Text from which fewer findings make a group: each is read and written whole."""
_NAMES = tuple(f.name for f in fields(Finding))
_REALS = frozenset(REAL_COLUMNS)
_INTEGERS = frozenset(("line", "column", "n_more"))
_FEW = ("rule", "name", "severity", "split", "suggestion", "fix", "class_name", "about", "kind", "cause")
"""Columns with few different values, which are stored and restored once each."""


def write_findings(findings: Iterable[Finding], holds: str) -> SpillFile:
    """Write findings, in the order they come, to a new temporary file. SpillError where that fails.

    Args:
        findings: They are taken a few thousand at a time.
        holds: What they are, for errors.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def dtype(name: str) -> Any:
        return pa.float64() if name in _REALS else pa.int64() if name in _INTEGERS else pa.binary()

    schema = pa.schema([(name, dtype(name)) for name in _NAMES])
    file = SpillFile(holds)
    try:
        with pq.ParquetWriter(
            file.sink(), schema, compression="lz4", use_dictionary=list(_FEW), write_statistics=False
        ) as writer:
            for block in _groups(findings):
                columns = [_stored(name, block) for name in _NAMES]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    except OSError as error:
        raise file.failure(error) from error
    pa.default_memory_pool().release_unused()
    return file


def _groups(findings: Iterable[Finding]) -> Iterator[list[Finding]]:
    group: list[Finding] = []
    characters = 0
    for finding in findings:
        group.append(finding)
        characters += characters_of(finding)
        if len(group) == ROWS_OF_GROUP or characters > CHARACTERS_OF_GROUP:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _stored(name: str, block: Sequence[Finding]) -> Any:
    """A column as the file holds it.

    Text is bytes, as names may hold what UTF-8 cannot write. A class id is text, as a label file may hold one
    beyond 64 bits.
    """
    import pyarrow as pa

    values = [getattr(f, name) for f in block]
    if name in _REALS:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if name in _INTEGERS:
        return pa.array(values, pa.int64())
    if name == "severity":
        values = [s.label for s in values]
    elif name == "class_id":
        values = [None if v is None else str(v) for v in values]
    try:
        return pa.array(values, pa.binary())
    except UnicodeEncodeError:
        return pa.array(
            [None if v is None else v.encode("utf-8", "surrogatepass") for v in values], pa.binary()
        )


def _restored(name: str, column: Any) -> Sequence[Any]:
    """What `_stored` made a column of."""
    import pyarrow as pa

    if name in _FEW:
        known: list[Any] = [_text(v) for v in column.dictionary.to_pylist()]
        if name == "severity":
            known = [Severity.parse(v) for v in known]
        known.append(None)  # found at -1
        return [known[i] for i in column.indices.fill_null(-1).to_numpy().tolist()]
    if name in _REALS or name in _INTEGERS:
        missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist()
        numbers: list[Any] = column.fill_null(0).to_numpy().tolist()
        for i in missing:
            numbers[i] = None
        return numbers
    try:
        texts: list[Any] = column.cast(pa.string()).to_numpy(zero_copy_only=False).tolist()
    except (pa.ArrowInvalid, UnicodeDecodeError):
        texts = [None if v is None else _text(v) for v in column.to_pylist()]
    return [None if v is None else int(v) for v in texts] if name == "class_id" else texts


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


class FindingsFile(Sequence[Finding]):
    """The findings that `write_findings` wrote. A slice is a list, so take small ones; to see all, go through them.

    To take one by its number is slow: thousands are read to find it.

    Attributes:
        tally: What they add up to, where that was counted.
    """

    def __init__(self, file: SpillFile, counted: Tally | None = None) -> None:
        import pyarrow.parquet as pq

        self._file, self.tally = file, counted
        self._parquet = pq.ParquetFile(file.file, read_dictionary=list(_FEW), pre_buffer=False)
        metadata = self._parquet.metadata
        self._starts = [0]
        for group in range(metadata.num_row_groups):
            self._starts.append(self._starts[-1] + metadata.row_group(group).num_rows)

    def __len__(self) -> int:
        return self._starts[-1]

    def batches(self) -> Iterator[list[Finding]]:
        """All findings in order, a few thousand at a time. SpillError where the file cannot be read."""
        for group in range(len(self._starts) - 1):
            yield from self._group(group)

    def __iter__(self) -> Iterator[Finding]:
        for batch in self.batches():
            yield from batch

    def __reversed__(self) -> Iterator[Finding]:
        for group in reversed(range(len(self._starts) - 1)):
            yield from [f for batch in self._group(group) for f in batch][::-1]

    @overload
    def __getitem__(self, key: int) -> Finding: ...
    @overload
    def __getitem__(self, key: slice) -> list[Finding]: ...
    def __getitem__(self, key: int | slice) -> Finding | list[Finding]:
        """A finding, or a list of those from a to b."""
        if not isinstance(key, slice):
            if not -len(self) <= key < len(self):
                raise IndexError(f"there is no finding {key} among {len(self)}")
            return self[key % len(self) :][0] if key < 0 else self[key : key + 1][0]
        start, stop, step = key.indices(len(self))
        if step < 0:
            forward = range(start, stop, step)[::-1]
            return self[forward.start : forward.stop : forward.step][::-1] if forward else []
        found: list[Finding] = []
        for group in range(len(self._starts) - 1):
            first, end = self._starts[group], self._starts[group + 1]
            if first < stop and start < end:
                for batch in self._group(group):
                    found += batch[max(0, start - first) : max(0, stop - first)]
                    first += len(batch)
        return found[::step]

    def _group(self, group: int) -> Iterator[list[Finding]]:
        batches = self._parquet.iter_batches(ROWS_AT_ONCE, row_groups=[group], use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except OSError as error:
                raise self._file.failure(error) from error
            if batch is None:
                return
            columns = [_restored(name, batch.column(i)) for i, name in enumerate(_NAMES)]
            yield list(map(Finding, *columns))
