"""The directory at the end of a zip archive, read within limits: the members of the archive, and faults of members.

The directory may lie. So it is checked before any member is read: members that share bytes, that reach beyond the end
of the archive, or that claim more unpacked bytes than their packed bytes can hold are found first. Field layout:
APPNOTE.TXT 4.3.12 to 4.3.16.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass
from struct import Struct, error
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from sanitizer.storage.base import StorageFault
from sanitizer.storage.folder_entries import FolderEntries, stamp_of
from sanitizer.util import limits
from sanitizer.util.bounded_read import as_size
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator


STORED, DEFLATED = 0, 8
_ENCRYPTED, _UTF_8 = 1, 1 << 11
_MOST_DEFLATED = 1032
"""The most bytes that one byte of Deflate can unpack to."""
_NAMED = 100
"""Members that cannot be used are named up to this number; the others are counted."""
_END, _END_64, _LOCATOR_64 = Struct("<4s4H2LH"), Struct("<4sQ2H2L4Q"), Struct("<4sLQL")
_ENTRY = Struct("<4s4B4HL2L5H2L")
_LOCAL_HEADER_BYTES = 30
_READ_BYTES = 1 << 20


class DirectoryError(Exception):
    """The directory cannot be read; the text follows the name of the archive in a sentence."""


class ZipMember(NamedTuple):
    """One file of an archive.

    Attributes:
        offset: Byte of the archive where its local header starts.
        packed, size: Bytes in the archive, and bytes unpacked.
        crc: CRC-32 of the unpacked bytes.
        method: How it is packed (APPNOTE.TXT 4.4.5).
        name_bytes: Length of its name.
        problem: Why it cannot be read, or None.
    """

    offset: int
    packed: int
    size: int
    crc: int
    method: int
    name_bytes: int
    problem: str | None


class Directory:
    """The members of an archive.

    Attributes:
        tree: Folder to its entries.
        faults: Members that cannot be used (D002, D005), or whose name occurs twice (D008).
        size: Bytes of the archive.
    """

    def __init__(self, file: BinaryIO, anchor: str) -> None:
        """Read it.

        Args:
            file: The archive.
            anchor: The folder that all paths begin with.

        Raises:
            DirectoryError: It is missing or damaged, or the archive holds more than the limits allow.
            OSError: The archive cannot be read.
        """
        self._anchor = anchor
        self._number: dict[str, int] = {}
        self._columns = {
            name: array("Q") for name in ("offset", "packed", "size", "crc", "method", "name", "flags")
        }
        self.tree = {anchor: FolderEntries()}
        self.faults: list[StorageFault] = []
        self._n_faults = self._folder_bytes = 0
        self.size = file.seek(0, os.SEEK_END)
        end = _find_end(file, self.size)
        if end.count > limits.ZIP_MEMBERS or end.stop - end.start > limits.ZIP_DIRECTORY_BYTES:
            raise DirectoryError(
                f"holds more than {limits.ZIP_MEMBERS:,} files: unpack it, and scan the folder"
            )
        self._take_all(file, end)
        self._overlapping = self._find_overlapping(end.start)
        self._refuse_bomb()
        for path, number in self._number.items():
            folder, name = os.path.split(path)
            size, crc = self._columns["size"][number], self._columns["crc"][number]
            self.tree[folder].add(name, size, stamp_of(f"{crc}-{size}"))
        if self._n_faults > _NAMED:
            more = self._n_faults - _NAMED
            detail = f"{more:,} more members of {self._shown()} are there twice or have no place"
            self.faults.append(StorageFault("D002", anchor, detail, "Pack the archive again."))

    def member(self, path: str) -> ZipMember | None:
        """The member at a path, or None. If a name occurs several times, its last member, as when unpacking."""
        number = self._number.get(path)
        if number is None:
            return None
        columns = self._columns
        packed, size, method = columns["packed"][number], columns["size"][number], columns["method"][number]
        problem = self._problem(number, packed, size, method, columns["flags"][number])
        crc, name_bytes = columns["crc"][number], columns["name"][number]
        return ZipMember(columns["offset"][number], packed, size, crc, method, name_bytes, problem)

    def _problem(self, number: int, packed: int, size: int, method: int, flags: int) -> str | None:
        if flags & _ENCRYPTED:
            return "it is encrypted in the archive"
        if number in self._overlapping:
            return "it shares its bytes with another member of the archive, or lies outside of it"
        if (method == STORED and packed != size) or (
            method == DEFLATED and size > _MOST_DEFLATED * packed + 64
        ):
            return "it is damaged in the archive: its directory entry is false"
        return None

    def _take_all(self, file: BinaryIO, end: _End) -> None:
        for fields, raw_name, extra in _entries(file, end):
            flags, method, crc, packed, size, offset = fields
            packed, size, offset = _wide(packed, size, offset, extra)
            name = _decoded(raw_name, flags)
            path = self._path(name)
            if path is None:
                continue
            if path in self._number:
                detail = f"{_in_short(name)} is there twice in {self._shown()}: unpacking keeps only the last"
                self._fault("D008", detail, "Pack it once.", path)
            self._number[path] = len(self._columns["offset"])
            for column, value in zip(
                self._columns.values(),
                (offset + end.shift, packed, size, crc, method, len(raw_name), flags),
                strict=True,
            ):
                column.append(min(max(value, 0), _LARGEST))

    def _path(self, name: str) -> str | None:
        """The absolute path of a file; adds its folders to `tree`. None for a folder, or a name that cannot be used."""
        *folders, base = name.split("/")
        problem = _odd(name, folders, base)
        if problem:
            rule, words, advice = problem
            self._fault(
                rule, f"the member {_in_short(name)} of {self._shown()} {words}", advice, self._anchor
            )
            return None
        folder = self._anchor
        for part in folders:
            below = f"{folder}/{part}"
            if below not in self.tree:
                self._folder_bytes += len(below) + _FOLDER_BYTES
                if self._folder_bytes > limits.ZIP_FOLDERS_BYTES:
                    raise DirectoryError(
                        "holds more folders than any dataset needs: unpack it, and scan the part that you want"
                    )
                self.tree[folder].folders[part] = None
                self.tree[below] = FolderEntries()
            folder = below
        return f"{folder}/{base}" if base else None

    def _fault(self, rule: str, detail: str, advice: str, path: str) -> None:
        self._n_faults += 1
        if self._n_faults <= _NAMED:
            self.faults.append(StorageFault(rule, path, detail, advice))

    def _shown(self) -> str:
        return f"the archive {shown(self._anchor[1:])}"

    def _find_overlapping(self, start_of_directory: int) -> set[int]:
        """Numbers of members that share bytes with others, or with the directory."""
        columns = {name: np.frombuffer(self._columns[name], np.uint64).astype(np.float64) for name in _SPANS}
        start = columns["offset"]
        stop = start + _LOCAL_HEADER_BYTES + columns["name"] + columns["packed"]
        order = np.argsort(start, kind="stable")
        reach = np.maximum.accumulate(stop[order])
        second = np.flatnonzero(reach[:-1] > start[order][1:]) + 1
        first = np.flatnonzero(stop[order][:-1] > start[order][1:])
        outside = np.flatnonzero(stop > start_of_directory)
        return {*order[second].tolist(), *order[first].tolist(), *outside.tolist()}

    def _refuse_bomb(self) -> None:
        """DirectoryError where the members claim far more unpacked bytes than images and labels can have."""
        total = 0
        for size, method in zip(self._columns["size"], self._columns["method"], strict=True):
            if method != STORED and size <= limits.IMAGE_BYTES:
                total += size
        limit = limits.unpacked_limit(self.size)
        if total > limit:
            raise DirectoryError(
                f"unpacks to {as_size(total)}, over {limits.UNPACKED_TIMES} times its own size, as no images do:"
                " if you trust it, unpack it, and scan the folder"
            )


_FOLDER_BYTES = 500
"""Memory that an empty folder takes."""
_SPANS = ("offset", "name", "packed")
_LARGEST = (1 << 63) - 1


def _in_short(name: str) -> str:
    return shown(name) if len(name) <= _SHOWN else f"{shown(name[:_SHOWN])}…"


_SHOWN = 100


def _odd(name: str, folders: list[str], base: str) -> tuple[str, str, str] | None:
    """(rule, what is wrong, what to do) for a name that is no plain relative path; None for a good name."""
    if len(name) > limits.MEMBER_NAME_BYTES:
        return (
            "D002",
            f"has a name of {len(name):,} characters and was not read",
            "Pack it under a shorter name.",
        )
    if len(folders) > limits.MEMBER_DEPTH:
        return "D002", f"lies {len(folders):,} folders deep and was not read", "Pack it under a shorter name."
    if ".." in folders or base == ".." or name.startswith("/"):
        words = "leads out of the folder that it is unpacked into, and was not read"
        return "D005", words, "Pack it under a plain relative name."
    if "\0" in name or any(part in ("", ".") for part in folders) or base == ".":
        return (
            "D002",
            "has a name that no file can have, and was not read",
            "Pack it under a plain relative name.",
        )
    return None


@dataclass(frozen=True, slots=True)
class _End:
    """Where the directory lies: its first byte, the byte after its last, and what is added to every offset in it."""

    start: int
    stop: int
    shift: int
    count: int


def _find_end(file: BinaryIO, size: int) -> _End:
    """Read the record at the end of the archive."""
    tail_at = max(0, size - _END.size - (1 << 16))
    file.seek(tail_at)
    tail = file.read(size - tail_at)
    at = tail.rfind(b"PK\5\6")
    try:
        _, _, _, _, count, length, start, _ = _END.unpack_from(tail, at)
    except error:
        at = -1
    if at < 0:
        raise DirectoryError("is no zip archive, or its directory at the end is cut off")
    stop = tail_at + at
    if stop >= _LOCATOR_64.size + _END_64.size:
        file.seek(stop - _LOCATOR_64.size)
        locator = file.read(_LOCATOR_64.size)
        if locator.startswith(b"PK\6\7"):
            stop -= _LOCATOR_64.size + _END_64.size
            file.seek(stop)
            record = file.read(_END_64.size)
            if not record.startswith(b"PK\6\6"):
                raise DirectoryError("is no zip archive, or its directory at the end is cut off")
            count, length, start = _END_64.unpack(record)[7:]
    shift = stop - length - start
    if shift < 0:
        raise DirectoryError("is no zip archive, or its directory at the end is cut off")
    return _End(stop - length, stop, shift, count)


_Fields = tuple[int, int, int, int, int, int]
"""flags, method, CRC, packed bytes, bytes, offset."""


def _entries(file: BinaryIO, end: _End) -> Iterator[tuple[_Fields, bytes, bytes]]:
    """(fields, name, extra field) of each entry of the directory."""
    file.seek(end.start)
    left, buffer, at, count = end.stop - end.start, b"", 0, 0
    while True:
        if len(buffer) - at < _LONGEST_ENTRY and left > 0:
            part = file.read(min(left, _READ_BYTES))
            left = left - len(part) if part else 0
            buffer, at = buffer[at:] + part, 0
        if at == len(buffer):
            return
        count += 1
        if count > limits.ZIP_MEMBERS:
            raise DirectoryError(
                f"holds more than {limits.ZIP_MEMBERS:,} files: unpack it, and scan the folder"
            )
        if len(buffer) - at < _ENTRY.size or buffer[at : at + 4] != b"PK\1\2":
            raise DirectoryError("is no zip archive that can be read: its directory is damaged")
        entry = _ENTRY.unpack_from(buffer, at)
        flags, method, crc, packed, size = entry[5], entry[6], *entry[9:12]
        name_bytes, extra_bytes, comment_bytes = entry[12:15]
        at += _ENTRY.size
        stop = at + name_bytes + extra_bytes
        yield (
            (flags, method, crc, packed, size, entry[18]),
            buffer[at : at + name_bytes],
            buffer[at + name_bytes : stop],
        )
        at = stop + comment_bytes


_LONGEST_ENTRY = _ENTRY.size + 3 * 0xFFFF


def _wide(packed: int, size: int, offset: int, extra: bytes) -> tuple[int, int, int]:
    """(packed bytes, bytes, offset) with the 64-bit numbers of an extra field in place of those that are all ones."""
    values = [size, packed, offset]
    if 0xFFFFFFFF not in values:
        return packed, size, offset
    at = 0
    while at + 4 <= len(extra):
        kind, length = (
            int.from_bytes(extra[at : at + 2], "little"),
            int.from_bytes(extra[at + 2 : at + 4], "little"),
        )
        if kind == 1:
            numbers = extra[at + 4 : at + 4 + length]
            for i, value in enumerate(values):
                if value == 0xFFFFFFFF and len(numbers) >= 8:
                    values[i], numbers = int.from_bytes(numbers[:8], "little"), numbers[8:]
        at += 4 + length
    return values[1], values[0], values[2]


def _decoded(name: bytes, flags: int) -> str:
    if flags & _UTF_8:
        return name.decode("utf-8", "surrogateescape")
    return name.decode("ascii", "strict") if name.isascii() else name.decode("cp437")
