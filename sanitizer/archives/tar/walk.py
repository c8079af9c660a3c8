"""Walks the members of a tar archive. Unusual headers are read by tarfile of the standard library.

Members and the end of the archive are the same as for tarfile with its defaults, which WebDataset's reader uses.
Header layout: POSIX.1-1988 ustar, pax (POSIX.1-2001) and GNU as in the tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from zlib import adler32

from sanitizer.util import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.archives.read_ahead import ReadAhead
    from sanitizer.archives.tar.unpacking import Unpacked

BLOCK = 512
_ZEROS = bytes(BLOCK)
_ADLER = 65521
_REGULAR = frozenset(b"0\x007")
_WITHOUT_DATA = frozenset(b"12346")
_FOLDER = ord("5")
_PLAIN_KINDS = _REGULAR | _WITHOUT_DATA | {_FOLDER}
_SHORT, _LONG = rb"(?:[0-7]{7}[ \0]|[0-7]{6} \0)", rb"[0-7]{11}[ \0]"
_NUMBERS = re.compile(_SHORT * 3 + rb"([0-7]{11})[ \0]" + _LONG + rb"([0-7]{6})(?:\0 | \0|\0\0)")
"""Mode, owner, group, size, time and checksum, as tar programs write them."""
_NO_DEVICE = frozenset({bytes(16), b"0000000\0" * 2, b"000000 \0" * 2})


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file of an archive.

    Attributes:
        name: The name as stored, with its folders.
        start: Offset of its first byte in the archive.
        size: Length in bytes.
        header: Offset of its header.
        sparse: The header as tarfile reads it, for a sparse member, whose bytes are in several pieces; else None.
    """

    name: str
    start: int
    size: int
    header: int
    sparse: tarfile.TarInfo | None = None


@dataclass(frozen=True, slots=True)
class Damage:
    """Where and why reading an archive ended early.

    Attributes:
        offset: Byte of the archive where it is damaged.
        reason: What is wrong there, in words.
    """

    offset: int
    reason: str


class TarWalk:
    """Walks an archive once.

    Attributes:
        damage: The damage that ended the walk early, or None.
        end: Offset where the walk ended: of the end mark, of the damage, or of the next header.
        skipped: Number of members so far that are links, devices or pipes.
    """

    def __init__(self, archive: ReadAhead | Unpacked, start: int = 0, stop: int | None = None) -> None:
        self._archive = archive
        self._stop = archive.size if stop is None else stop
        self.end = start
        self.damage: Damage | None = None
        self.skipped = 0
        self._library: tarfile.TarFile | None = None
        self._all_by_library = False
        self._last: Member | None = None
        self._extension_bytes = 0

    def __iter__(self) -> Iterator[Member]:
        """Regular files in order. Ends at the end mark, at `stop` or at damage. Never raises for the content."""
        view = self._archive.view
        while self.end < self._stop:
            at = self.end
            head = view(at, BLOCK)
            if head == _ZEROS:
                return
            if len(head) < BLOCK:
                self._break(min(at, self._archive.size), self._cut_off(len(head)))
                return
            found = None if self._all_by_library else _plain(head)
            try:
                member = self._by_library(at) if found is None else self._take(at, *found)
            except (tarfile.TarError, RecursionError, ValueError, OverflowError, OSError) as error:
                if self._archive.failed is not None:
                    raise self._archive.failed from None
                self._break(at, _words(error))
                return
            if member is None:
                continue
            if member.start + member.size > self._archive.size and member.sparse is None:
                lacking = member.start + member.size - self._archive.size
                self._break(at, _ends_early(lacking, member))
                return
            self._last = member
            yield member

    def content(self, member: Member) -> bytes | None:
        """All bytes of a member; None where it is cut off, or is sparse and too large or damaged.

        Raises:
            OSError: The archive cannot be read.
        """
        if member.sparse is not None:
            return self._unfolded(member, member.sparse)
        content = self._archive.view(member.start, member.size)
        return content if len(content) == member.size else None

    def _unfolded(self, member: Member, sparse: tarfile.TarInfo) -> bytes | None:
        """All bytes of a sparse member, its holes filled with zeros."""
        if member.size > limits.IMAGE_BYTES:
            return None
        content = bytearray(member.size)
        at, end = member.start, 0
        pieces = cast("list[tuple[int, int]]", sparse.sparse)
        for start, length in pieces:
            if not length:
                continue
            if not end <= start < start + length <= member.size:
                return None
            part = self._archive.view(at, length)
            if len(part) < length:
                return None
            end = start + length
            content[start:end] = part
            at += length
        return bytes(content)

    def after_end(self) -> bool:
        """Whether members follow the end mark, which usual readers do not see."""
        at = self.end
        while at < self._archive.size:
            block = self._archive.view(at, 1 << 16)
            if block.strip(b"\0"):
                return True
            if not block or at - self.end > _LONGEST_PADDING:
                return False
            at += len(block)
        return False

    def _take(self, at: int, kind: int, name: str, size: int) -> Member | None:
        start = at + BLOCK
        if kind in _REGULAR:
            self.end = start + -(-size // BLOCK) * BLOCK
            return Member(name, start, size, at)
        self.end = start
        self.skipped += kind != _FOLDER
        return None

    def _cut_off(self, found: int) -> str:
        """Why the header at the end is missing or cut off."""
        if self._archive.problem is not None:
            return self._archive.problem
        last = self._last
        if last is not None and (lacking := last.start + last.size - self._archive.size) > 0:
            return _ends_early(lacking, last)
        return f"{found} bytes where a header of {BLOCK} should be"

    def _break(self, offset: int, reason: str) -> None:
        self.damage = Damage(offset, reason)

    def _by_library(self, at: int) -> Member | None:
        if self._library is None:
            # An empty archive, so that nothing is read yet.
            self._library = tarfile.open(fileobj=io.BytesIO(bytes(2 * BLOCK)), mode="r:")  # noqa: SIM115
        library = self._library
        file = library.fileobj = _BoundedFile(self._archive)  # type: ignore[assignment]
        file.seek(at)
        info = _read_header(library)
        self._extension_bytes += limits.EXTENSION_BYTES - file.left
        if self._extension_bytes > self._archive.extension_limit:
            raise tarfile.ReadError("more bytes of extended headers than any archive needs")
        if library.offset <= at or info.size < 0:
            raise tarfile.ReadError("a member of negative size")
        self.end = library.offset
        self._all_by_library |= bool(set(library.pax_headers) - {"comment"})
        if not info.isreg():
            self.skipped += not info.isdir()
            return None
        return Member(info.name, info.offset_data, info.size, at, info if info.issparse() else None)


_LONGEST_PADDING = 1 << 20


class _BoundedFile:
    """The archive for tarfile while it reads one header: a limit stops headers that claim too many bytes.

    Attributes:
        left: Bytes that may still be read.
    """

    def __init__(self, archive: ReadAhead | Unpacked) -> None:
        self._archive = archive
        self.seek, self.tell = archive.seek, archive.tell
        self.left = limits.EXTENSION_BYTES

    def read(self, length: int) -> bytes:
        if length > self.left:
            raise tarfile.ReadError(f"an extended header of {length:,} bytes")
        self.left -= length
        return self._archive.read(length)


def _read_header(library: tarfile.TarFile) -> tarfile.TarInfo:
    """The next member as tarfile reads it. Raises tarfile.TarError, OSError, ValueError or RecursionError."""
    try:
        return tarfile.TarInfo.fromtarfile(library)
    except (tarfile.TarError, OSError, RecursionError):
        raise
    except Exception as error:  # a made-up header can raise errors that tarfile does not expect
        raise tarfile.ReadError(str(error) or type(error).__name__) from None


def _ends_early(lacking: int, member: Member) -> str:
    return f"the archive ends {lacking:,} bytes before its member {member.name[:200]!r} does"


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "extended headers without end"
    return f"the header cannot be read: {' '.join(str(error).split())[:200] or type(error).__name__}"


def _plain(head: bytes) -> tuple[int, str, int] | None:
    """(type, name, size) of a plain header; None for a header that tarfile must read."""
    kind = head[156]
    numbers = _NUMBERS.match(head, 100)
    if numbers is None or kind not in _PLAIN_KINDS or head[329:345] not in _NO_DEVICE:
        return None
    # Adler-32's low half is the sum of all bytes plus one, modulo 65521: a sum at the speed of C. The checksum
    # itself counts as eight blanks.
    total = (adler32(head) & 0xFFFF) - 1 - sum(head[148:156]) + 8 * ord(" ")
    if total % _ADLER != int(numbers[2], 8):
        return None
    name, prefix = _name(head, 0, 100), _name(head, 345, 500)
    if prefix:
        name = f"{prefix}/{name}"
    if kind == 0 and name.endswith("/"):
        kind = _FOLDER
    return kind, name, int(numbers[1], 8)


def _name(head: bytes, start: int, stop: int) -> str:
    end = head.find(b"\0", start, stop)
    return os.fsdecode(head[start : stop if end < 0 else end])
