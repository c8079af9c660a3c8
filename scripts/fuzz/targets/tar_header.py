"""Tar archives: no header raises, and the members are those that Python's tarfile finds.

The first byte says whether the checksums of all blocks are put right: few inputs would get past them by chance.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from sanitizer.archives.read_ahead import ReadAhead
from sanitizer.archives.tar.walk import BLOCK, TarWalk
from targets.packs import check_pack
from targets.scratch import put

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 16 * BLOCK
AS_IT_IS, PUT_RIGHT = b"\0", b"\1"
LARGE = 1 << 16
"""A member or an extension that claims more than there is: we stop earlier than tarfile, which is as it should be."""
WORDS = (
    *(b"ustar\x0000", b"ustar  \0", b"././@LongLink", b"00000000017\0", b"77777777777\0", b"0000644\0"),
    *(
        b"\x80" + bytes(10) + b"\x40",
        b"\xff" * 12,
        b"11 path=a\n",
        b"13 size=9999\n",
        b"22 GNU.sparse.major=1\n",
    ),
    *(
        b"30 GNU.sparse.realsize=1000000\n",
        b"20 GNU.sparse.map=0\n",
        b"L",
        b"K",
        b"x",
        b"g",
        b"S",
        b"a.jpg",
        b"a.txt",
    ),
)


def seeds() -> Iterator[bytes]:
    """Archives in every format; long names, links, records that hold for all, sparse files, damage."""
    members = [("a.jpg", b"\xff\xd8\xff\xd9"), ("a.txt", b"0 0.5 0.5 0.4 0.3\n")]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        yield PUT_RIGHT + _archive(members, form)
        yield PUT_RIGHT + _archive([("d/" * 60 + "ä" * 30 + ".txt", b"0 1")], form)
    plain = _archive(members, tarfile.USTAR_FORMAT)
    yield AS_IT_IS + plain
    yield PUT_RIGHT + plain[: BLOCK + 100]
    yield PUT_RIGHT + _archive(members, tarfile.PAX_FORMAT, {"path": "all.txt", "comment": "x"})
    yield PUT_RIGHT + _archive([], tarfile.PAX_FORMAT, {}, tarfile.SYMTYPE)
    yield PUT_RIGHT + _archive([("s", b"x" * BLOCK)], tarfile.PAX_FORMAT, {}, tarfile.GNUTYPE_SPARSE)
    cut_off = bytearray(plain[: BLOCK + 100])
    cut_off[156:157], cut_off[386:482], cut_off[482] = tarfile.GNUTYPE_SPARSE, b"0" * 96, 1
    yield PUT_RIGHT + bytes(cut_off)  # sparse, with a map that goes on beyond the archive's end
    base_256 = bytearray(plain)
    base_256[124:136] = b"\x80" + (4).to_bytes(11, "big")
    yield PUT_RIGHT + bytes(base_256)


def _archive(
    members: list[tuple[str, bytes]],
    form: int,
    records: dict[str, str] | None = None,
    kind: bytes = tarfile.REGTYPE,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, pax_headers=records) as archive:
        for name, content in members or [("link", b"")]:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()[: MAX_BYTES - 1]


def check(data: bytes) -> None:
    """See the module."""
    raw = _put_right(data[1:]) if data[:1] == PUT_RIGHT else data[1:]
    walk = TarWalk(ReadAhead(io.BytesIO(raw)))
    found = []
    for member in walk:
        assert member.sparse is not None or member.start + member.size <= len(raw)
        content = walk.content(member)
        assert content is None or member.sparse is not None or len(content) == member.size
        found.append((member.name, member.size))
    known = _by_tarfile(raw)
    if known is not None:
        assert found == known, f"{found} are not the members that tarfile finds: {known}"
    check_pack(put("set.tar", raw))


def _put_right(raw: bytes) -> bytes:
    """The archive with a right checksum in every block that is not all zeros."""
    blocks = bytearray(raw)
    for at in range(0, len(blocks) - BLOCK + 1, BLOCK):
        block = blocks[at : at + BLOCK]
        if any(block):
            total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
            blocks[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(blocks)


def _by_tarfile(raw: bytes) -> list[tuple[str, int]] | None:
    """Name and size of each regular file; None where tarfile stops with an error, or goes where we do not follow."""
    found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            for info in archive:
                if not 0 <= info.size <= LARGE or info.offset_data + info.size > len(raw):
                    return None
                if info.isreg():
                    found.append((info.name, info.size))
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError, IndexError):
        return None
    return found
