"""Turns label files of many images into one table: a fast path for plain text, an exact path for all other text."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import adler32, crc32

import numpy as np

from sanitizer.dataset.tables import Fault, FileStatus, LabelTable, RowKind
from sanitizer.labels import encodings
from sanitizer.labels.exact_parse import parse_text
from sanitizer.labels.fast_parse import parse_block, parse_wide_line
from sanitizer.labels.row_faults import FaultLedger
from sanitizer.labels.row_kinds import not_finite, row_boxes, row_kinds
from sanitizer.labels.single_file import read_label, refusal, size_words, small_labels, too_large
from sanitizer.storage.read_ahead import read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.raw_rows import RawRows
    from sanitizer.storage.read_ahead import ReadAhead

BLOCK_BYTES = 192 * 1024
"""Text parsed at once: its arrays stay in the processor's cache, and NumPy's cost per call is spread thin."""
MAX_SEPARATE_BLOCKS = 64
"""So many blocks are joined into one: thousands of small arrays would fragment the memory, which Python then could not
return to the operating system."""

_SHORT_RUN_BYTES = 1024
"""Below this the exact parser is quicker than the fast one."""

# Every character that parse_block takes.
_PLAIN = bytes((9, 10, 13, *range(32, 127)))


class TooMuchAtOnceError(Exception):
    """The table of all these label files would be larger than the limit.

    Attributes:
        n_fit: Number of files, from the first on, whose table is within the limit; at least one.
    """

    def __init__(self, n_fit: int) -> None:
        super().__init__(n_fit)
        self.n_fit = n_fit


def read_labels(paths: Sequence[str | None], spec: TaskSpec, ahead: ReadAhead = read_ahead) -> LabelTable:
    """Read label files. One that cannot be read becomes a status and a fault, never an exception.

    Args:
        paths: One path for each image; None where there is no label file.
        spec: The task that rows are judged by, and the limits on what is read.
        ahead: Reads the files.

    Returns:
        The table, with one file for each path. Memory: the table, and about a megabyte, or a few times the
        largest single file.

    Raises:
        TooMuchAtOnceError: The table would be larger than `spec.max_table_bytes`, and not for one file alone.
    """
    builder = _TableBuilder(len(paths), spec, spec.max_table_bytes)
    files = [(i, path) for i, path in enumerate(paths) if path is not None]
    contents = small_labels([path for _, path in files], ahead)
    for (i, path), content in zip(files, contents, strict=True):
        if isinstance(content, bytes):
            builder.add(i, content)
        else:
            _read_into(builder, i, path)
    return builder.finish()


def _read_into(builder: _TableBuilder, file: int, path: str) -> None:
    """Read one file and give its bytes to the builder. No reference to the bytes is kept here."""
    try:
        data = read_label(path, builder.max_label_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        builder.add_unreadable(file, error)
        return
    builder.add(file, data)


def parse_labels(contents: Sequence[bytes | None], spec: TaskSpec) -> LabelTable:
    """`read_labels` for files that are read already: their bytes, or None where there is no file."""
    return parse_arriving(contents, len(contents), spec)


def parse_arriving(contents: Iterable[bytes | OSError | None], n_files: int, spec: TaskSpec) -> LabelTable:
    """`parse_labels` for contents that arrive one by one. An OSError in place of bytes says why a file was not read."""
    builder = _TableBuilder(n_files, spec)
    for i, data in enumerate(contents):
        if isinstance(data, OSError):
            builder.add_unreadable(i, data)
        elif data is not None:
            builder.add(i, data)
    return builder.finish()


def digest_of(data: bytes) -> int:
    """A hash of a file's bytes, 64 bits: what `LabelTable.digest` holds. It is never 0."""
    return adler32(data) << 32 | crc32(data)


class _TableBuilder:
    """Collects files until there is a block of text, parses it, and joins the pieces at the end."""

    def __init__(self, n_files: int, spec: TaskSpec, most_bytes: int | None = None) -> None:
        self._spec = spec
        self._bytes_left = most_bytes
        self.max_label_bytes = spec.max_label_bytes
        self._large_bytes = min(BLOCK_BYTES, spec.max_label_bytes)
        self._status = np.full(n_files, FileStatus.MISSING, np.uint8)
        self._numbers_ok = np.ones(n_files, np.bool_)
        self._size = np.full(n_files, -1, np.int64)
        self._digest = np.zeros(n_files, np.uint64)
        self._faults: list[Fault] = []
        self._odd_blank_in = -1
        self._ledger = FaultLedger(spec)
        self._waiting: list[bytes] = []
        self._waiting_files: list[int] = []
        self._waiting_bytes = 0
        self._pieces: dict[str, list[np.ndarray]] = {name: [] for name in _PIECE_COLUMNS}
        self._n_separate = 0

    def add(self, file: int, data: bytes) -> None:
        """Add the bytes of one file. Files are added in ascending order."""
        size = len(data)
        if size > self._large_bytes:
            if size > self.max_label_bytes:
                self._refuse(*too_large(file, size_words(size, self.max_label_bytes)))
                return
            self._flush()
        self._waiting.append(data)
        self._waiting_files.append(file)
        self._waiting_bytes += size
        if self._waiting_bytes > BLOCK_BYTES:
            self._flush()

    def add_unreadable(self, file: int, error: Exception) -> None:
        """Add a file that cannot be read, is no regular file, or is too large."""
        self._refuse(*refusal(file, error))

    def finish(self) -> LabelTable:
        """The table of everything added."""
        self._flush()
        faults = self._faults + self._ledger.close()
        columns = {name: _joined(self._pieces.pop(name), name) for name in _PIECE_COLUMNS}
        first_token = np.zeros(len(columns["n_columns"]) + 1, np.int64)
        np.cumsum(columns["n_columns"], out=first_token[1:])

        has_rows = np.zeros(len(self._status), np.bool_)
        has_rows[columns["file"]] = True
        empty = (self._status == FileStatus.OK) & ~has_rows
        self._status[empty] = FileStatus.EMPTY
        faults += [Fault("L007", int(i)) for i in np.flatnonzero(empty)]
        # In UTF-16 every \r stands alone, as it has a NUL beside it: that says nothing about line ends.
        not_text = self._status == FileStatus.NOT_TEXT
        faults = [f for f in faults if f.rule != "L009" or not not_text[f.file]]
        faults.sort(key=lambda f: (f.file, f.line or 0, f.column or 0))
        return LabelTable(
            **columns,
            first_token=first_token,
            class_id=columns["tokens"][first_token[:-1]],
            faults=faults,
            status=self._status,
            size_bytes=self._size,
            digest=self._digest,
            numbers_ok=self._numbers_ok,
        )

    def _refuse(self, fault: Fault, status: FileStatus) -> None:
        """Add a file as a fault and a status, without rows."""
        self._faults.append(fault)
        self._status[fault.file] = status
        self._numbers_ok[fault.file] = False

    def _flush(self) -> None:
        """Parse the waiting files: a block of small files, or one large file."""
        files, parts, size = self._waiting_files, self._waiting, self._waiting_bytes
        self._waiting, self._waiting_files, self._waiting_bytes = [], [], 0
        if not parts:
            return
        count = len(parts)
        self._status[files] = FileStatus.OK
        self._size[files] = np.fromiter(map(len, parts), np.int64, count)
        self._digest[files] = np.fromiter(map(digest_of, parts), np.uint64, count)
        if not self._spec.behaviour.skips_blank_lines:
            self._note_blank_lines(files, parts)
        if b"\r" in b"".join(parts):
            found = map(encodings.carriage_return_fault, parts, files)
            self._faults += [fault for fault in found if fault]
        if count == 1 and size > BLOCK_BYTES:
            self._add_large(files[0], parts[0])
            return
        rows = parse_block(parts, files)
        # A pointer's first word is no number.
        if rows is None or (len(rows.refused) and any(map(_is_lfs_pointer, parts))):
            self._add_one_by_one(files, parts)
        else:
            self._keep(rows)

    def _note_blank_lines(self, files: list[int], parts: list[bytes]) -> None:
        """Note files with a line of blanks between rows, for versions of Ultralytics that drop their images."""
        for file, part in zip(files, parts, strict=True):
            line = encodings.blank_line_within(part)
            if line is not None:
                self._status[file] = FileStatus.MISREAD
                self._faults.append(encodings.blank_line_fault(file, line))

    def _add_one_by_one(self, files: list[int], parts: list[bytes]) -> None:
        """Parse each file that is no plain text exactly, and each run of plain files between them fast."""
        run_files: list[int] = []
        run: list[bytes] = []
        for file, part in zip(files, parts, strict=True):
            text = self._as_text(file, part)
            if text is None:
                continue
            if not text.translate(None, _PLAIN):
                run_files.append(file)
                run.append(text)
                continue
            self._add_run(run_files, run)
            run_files, run = [], []
            self._add_exactly(file, text, 1)
        self._add_run(run_files, run)

    def _add_run(self, files: list[int], parts: list[bytes]) -> None:
        """Parse consecutive plain files."""
        rows = parse_block(parts, files) if sum(map(len, parts)) > _SHORT_RUN_BYTES else None
        if rows is not None:
            self._keep(rows)
            return
        for file, part in zip(files, parts, strict=True):
            self._add_exactly(file, part, 1)

    def _add_large(self, file: int, data: bytes) -> None:
        """Parse one file piece by piece, so that only the table grows with it."""
        text = self._as_text(file, data)
        if text is None:
            return
        data = text
        if b"\r" in data:
            data = data.replace(b"\r\n", b" \n").replace(b"\r", b"\n")
        start, line = 0, 1
        while start < len(data):
            stop = data.rfind(b"\n", start, start + BLOCK_BYTES) + 1
            if stop:
                rows = parse_block([data[start:stop]], [file], line)
            else:  # one line longer than a block
                stop = data.find(b"\n", start + BLOCK_BYTES) + 1 or len(data)
                rows = parse_wide_line(data, start, stop, BLOCK_BYTES, file, line)
            if rows is not None:
                self._keep(rows)
            else:
                self._add_exactly(file, data[start:stop], line)
            line += data.count(b"\n", start, stop)
            start = stop

    def _as_text(self, file: int, data: bytes) -> bytes | None:
        """The file's text without byte-order mark; None, with a fault, where it is not UTF-8 or a git-lfs pointer."""
        if _is_lfs_pointer(data):
            self._refuse(Fault("L008", file, 1, None, {"what": "label"}), FileStatus.LFS_POINTER)
            return None
        if data.isascii() and b"\0" not in data:
            return data
        if encodings.UTF8_MARK.startswith(data):
            if not self._spec.behaviour.skips_mark:
                self._note_mark(file)
            return b""  # part of a byte-order mark and nothing else: Python reads this as empty text
        fault = encodings.not_text_fault(data, file)
        if fault:
            self._refuse(fault, FileStatus.NOT_TEXT)
            return None
        if data.startswith(encodings.UTF8_MARK):
            self._note_mark(file)
            return data[len(encodings.UTF8_MARK) :]
        return data

    def _note_mark(self, file: int) -> None:
        """Note a byte-order mark, and that the version of Ultralytics at hand drops the image for it, if it does."""
        skipped = self._spec.behaviour.skips_mark
        self._faults.append(encodings.mark_fault(file, skipped))
        if not skipped:
            self._status[file] = FileStatus.MISREAD

    def _add_exactly(self, file: int, data: bytes, first_line: int) -> None:
        """Parse one file, or one piece of it, as Python reads it."""
        text = data.decode("utf-8")
        # One such fault for each file, however many pieces it has.
        if file != self._odd_blank_in and (fault := encodings.odd_blank_fault(text, file, first_line)):
            self._faults.append(fault)
            self._odd_blank_in = file
        self._keep(parse_text(text, file, first_line))

    def _keep(self, rows: RawRows) -> None:
        """Judge a block of rows, and keep its columns for the table."""
        if self._bytes_left is not None:
            self._bytes_left -= _ROW_BYTES * len(rows) + _TOKEN_BYTES * len(rows.tokens)
            if self._bytes_left < 0 and len(rows) and (n_fit := int(rows.file[0])):
                raise TooMuchAtOnceError(n_fit)
        kind = row_kinds(rows.n_columns, self._spec)
        bad_tokens = not_finite(rows.tokens)
        if len(bad_tokens):
            kind[np.searchsorted(rows.first_token, bad_tokens, side="right") - 1] = RowKind.FAULTY
        if len(rows.unusual) or (kind == RowKind.FAULTY).any():
            self._ledger.add(rows, kind, bad_tokens)
        if len(rows.refused):
            of_row = np.searchsorted(rows.first_token, rows.refused, side="right") - 1
            self._numbers_ok[rows.file[of_row]] = False
        for name in ("file", "line", "n_columns", "tokens", "token_column"):
            self._pieces[name].append(getattr(rows, name))
        self._pieces["kind"].append(kind)
        self._pieces["xywh"].append(row_boxes(rows, kind))
        self._n_separate += 1
        if self._n_separate == MAX_SEPARATE_BLOCKS:
            for pieces in self._pieces.values():
                pieces[-MAX_SEPARATE_BLOCKS:] = [np.concatenate(pieces[-MAX_SEPARATE_BLOCKS:])]
            self._n_separate = 0


_PIECE_COLUMNS = {
    "file": np.int32,
    "line": np.int32,
    "kind": np.uint8,
    "n_columns": np.int32,
    "xywh": np.float64,
    "tokens": np.float64,
    "token_column": np.int32,
}
_ROW_BYTES, _TOKEN_BYTES = 61, 12
"""Bytes of a row and of a token in a `LabelTable`."""


def _is_lfs_pointer(data: bytes) -> bool:
    return data.startswith(encodings.LFS_START)


def _joined(pieces: list[np.ndarray], name: str) -> np.ndarray:
    """The pieces as one array, freeing them one column at a time."""
    if not pieces:
        return np.zeros((0, 4) if name == "xywh" else 0, _PIECE_COLUMNS[name])
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
