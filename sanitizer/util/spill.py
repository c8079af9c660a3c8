"""Columns of numbers and bytes that go to temporary files once they are long, and are read back piece by piece.

Files are read with plain reads, never mapped into memory, so that what is resident stays as small as what is asked
for. They have no name where the system allows it, and go with their last user however the process ends.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Column: TypeAlias = "NDArray[Any] | FileColumn"
    """Numbers that are asked for by index or by slice: those in memory and those in a file alike."""

_Part = TypeVar("_Part", bytes, "NDArray[Any]")

BLOCK = 65_536
"""Numbers that are read at a time by who goes through a column."""
ROWS_HELD = 250_000
"""Rows that `Buckets` keeps before it writes them."""
MOST_BUCKETS = 256


class SpillError(Exception):
    """A temporary file cannot be written or read; the text is a sentence that names the folder."""


class SpillFile:
    """A temporary file in the folder that TMPDIR names, or that of the system.

    Args:
        holds: What is in it, for errors: "the findings".
    """

    def __init__(self, holds: str) -> None:
        import tempfile  # neither needed, nor worth its time, for a handful of files

        self.holds = holds
        self.folder: str | None = None
        self.size = 0
        try:
            self.folder = tempfile.gettempdir()
            self.file: IO[bytes] = tempfile.TemporaryFile(prefix="sanitize-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self.failure(error) from error

    def failure(self, error: OSError) -> SpillError:
        """What to raise in place of an error of the system."""
        where, there = (f"{self.folder}: ", " there") if self.folder else ("", "")
        return SpillError(
            f"{where}cannot keep {self.holds} in a temporary file{there}: {error.strerror or error}"
            " (TMPDIR names another folder)"
        )

    def write_at(self, offset: int, content: bytes | NDArray[Any]) -> None:
        """Write bytes at a place, which may lie beyond the end. SpillError where that fails."""
        try:
            self.file.seek(offset)
            rest = _bytes(content)
            while len(rest):
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            raise self.failure(error) from error
        self.size = max(self.size, self.file.tell())

    def append(self, content: bytes | NDArray[Any]) -> None:
        """Write bytes at the end. SpillError where that fails."""
        self.write_at(self.size, content)

    def sink(self) -> _Sink:
        """The file as something that others write to."""
        return _Sink(self)

    def read_into(self, offset: int, target: NDArray[Any]) -> None:
        """Fill an array from a place in the file. SpillError where that fails, or the file ends before."""
        rest = _bytes(target)
        try:
            self.file.seek(offset)
            while len(rest):
                n = self.file.readinto(rest)  # type: ignore[attr-defined]
                if not n:
                    raise OSError(f"it ends at byte {offset}")
                rest = rest[n:]
        except OSError as error:
            raise self.failure(error) from error


class _Sink:
    """What is written here goes to the end of a temporary file, whole or with a SpillError."""

    closed = False

    def __init__(self, file: SpillFile) -> None:
        self._file = file

    def write(self, content: bytes) -> int:
        self._file.append(content)
        return len(content)

    def tell(self) -> int:
        return self._file.size

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """The file stays open for who reads it."""


def _bytes(content: bytes | NDArray[Any]) -> memoryview:
    return memoryview(content).cast("B") if len(content) else memoryview(b"")  # type: ignore[arg-type]


class FileColumn:
    """Numbers of one dtype in a temporary file, read as they are asked for: `column[i]`, `column[a:b]`."""

    def __init__(self, file: SpillFile, dtype: np.dtype[Any]) -> None:
        self._file, self.dtype = file, dtype

    def __len__(self) -> int:
        return self._file.size // self.dtype.itemsize

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> NDArray[Any]: ...
    def __getitem__(self, key: int | np.integer[Any] | slice) -> Any:
        """A number, or an array of those from a to b."""
        if not isinstance(key, slice):
            i = int(key)
            if not -len(self) <= i < len(self):
                raise IndexError(f"there is no number {i} among {len(self)}")
            i %= len(self)
            return self[i : i + 1][0]
        start, stop, step = key.indices(len(self))
        numbers = np.empty(max(0, stop - start), self.dtype)
        self._file.read_into(start * self.dtype.itemsize, numbers.view(np.uint8))
        return numbers[::step]


class FileBytes:
    """Bytes in a temporary file, read as they are asked for: `content[a:b]`."""

    def __init__(self, file: SpillFile) -> None:
        self._file = file

    def __len__(self) -> int:
        return self._file.size

    def __getitem__(self, key: slice) -> bytes:
        """The bytes from a to b."""
        start, stop, _ = key.indices(len(self))
        content = np.empty(max(0, stop - start), np.uint8)
        self._file.read_into(start, content)
        return content.tobytes()


class _Builder(Generic[_Part]):
    """Parts, in memory until they are told to go to a file."""

    def __init__(self, holds: str) -> None:
        self._holds = holds
        self._parts: list[_Part] = []
        self._file: SpillFile | None = None

    def add(self, part: _Part) -> None:
        """Put a part at the end."""
        if self._file is None:
            self._parts.append(part)
        else:
            self._file.append(part)

    def spill(self) -> None:
        """Move what there is to a file, where all that comes later goes, too."""
        if self._file is None:
            self._file = SpillFile(self._holds)
            for part in self._parts:
                self._file.append(part)
            self._parts = []


class ColumnBuilder(_Builder["NDArray[Any]"]):
    """A column made of parts."""

    def __init__(self, dtype: Any, holds: str) -> None:
        super().__init__(holds)
        self._dtype = np.dtype(dtype)

    def add(self, part: NDArray[Any]) -> None:
        """Put numbers at the end."""
        super().add(np.ascontiguousarray(part, self._dtype))

    def finish(self) -> Column:
        """The whole column."""
        if self._file is None:
            return np.concatenate([np.zeros(0, self._dtype), *self._parts])
        return FileColumn(self._file, self._dtype)


class BytesBuilder(_Builder[bytes]):
    """Bytes made of parts."""

    def finish(self) -> bytes | FileBytes:
        """All bytes."""
        return b"".join(self._parts) if self._file is None else FileBytes(self._file)


class Buckets:
    """Rows that are put in order of a 64-bit key, a bucket of keys at a time: a sort of what memory may not hold.

    Args:
        fields: NumPy's description of a row; the field "key" is a uint64.
        n_rows: About how many rows there will be, so that a bucket fits in memory.
        holds: What they are, for errors.
    """

    def __init__(self, fields: Any, n_rows: int, holds: str) -> None:
        self._dtype, self._holds = np.dtype(fields), holds
        self._bits = min(max(0, (n_rows - 1) // ROWS_HELD).bit_length(), MOST_BUCKETS.bit_length() - 1)
        self._pending: list[NDArray[Any]] = []
        self._n_pending = 0
        self._file: SpillFile | None = None
        self._runs: list[NDArray[np.int64]] = []
        """For each run in the file, where each bucket begins in it, in rows of the file."""

    def add(self, **columns: Any) -> None:
        """Take rows, a column each, equally long."""
        rows = np.empty(len(columns["key"]), self._dtype)
        for name, column in columns.items():
            rows[name] = column
        self._pending.append(rows)
        self._n_pending += len(rows)
        if self._n_pending > ROWS_HELD:
            self._write()

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """The rows of each bucket in turn, by key; rows of one key as they came."""
        if self._file is None:
            yield self._joined()
            return
        if self._n_pending:
            self._write()
        for bucket in range(1 << self._bits):
            parts = []
            for starts in self._runs:
                part = np.empty(starts[bucket + 1] - starts[bucket], self._dtype)
                self._file.read_into(int(starts[bucket]) * self._dtype.itemsize, part.view(np.uint8))
                parts.append(part)
            yield _by_key(np.concatenate(parts))

    def _joined(self) -> NDArray[Any]:
        return _by_key(np.concatenate([np.empty(0, self._dtype), *self._pending]))

    def _write(self) -> None:
        """Write what waits as one run, in order."""
        self._file = self._file or SpillFile(self._holds)
        first = self._file.size // self._dtype.itemsize
        rows = self._joined()
        numbers = rows["key"] >> np.uint64(64 - self._bits) if self._bits else np.zeros(len(rows), np.uint64)
        self._file.append(rows.view(np.uint8))
        self._runs.append(first + np.searchsorted(numbers, np.arange((1 << self._bits) + 1, dtype=np.uint64)))
        self._pending, self._n_pending = [], 0


def _by_key(rows: NDArray[Any]) -> NDArray[Any]:
    return rows[np.argsort(rows["key"], kind="stable")]


def blocks(length: int) -> Iterator[slice]:
    """Slices of at most `BLOCK` that make up a length."""
    for start in range(0, length, BLOCK):
        yield slice(start, min(start + BLOCK, length))
