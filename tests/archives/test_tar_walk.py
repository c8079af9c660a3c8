"""The walk over tar archives, against the standard library's tarfile on honest and hostile archives."""

from __future__ import annotations

import io
import os
import random
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanitizer.archives.read_ahead import ReadAhead
from sanitizer.archives.tar.walk import BLOCK, TarWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
Found = list[tuple[str, bytes]]


def archive(members: Iterable[tuple[str, bytes]], tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mtime = 1_700_000_000
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def ours(raw: bytes) -> tuple[Found, TarWalk]:
    walk = TarWalk(ReadAhead(io.BytesIO(raw)))
    found: Found = []
    for member in walk:
        content = walk.content(member)
        if content is not None:
            found.append((member.name, content))
    return found, walk


def library(raw: bytes) -> Found:
    """Regular files that tarfile gives before it stops, for whatever reason; one cut off by the end is no file."""
    found: Found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
            while (info := tar.next()) is not None:
                file = tar.extractfile(info) if info.isreg() else None
                content = file.read() if file is not None else b""
                if file is not None and len(content) == info.size:
                    found.append((info.name, content))
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError):
        pass
    return found


SAMPLES = [(f"{i:06d}.{ending}", os.urandom(37 * i % 1500)) for i in range(40) for ending in ("jpg", "txt")]


@pytest.mark.parametrize("tar_format", FORMATS)
def test_plain_archives_in_every_format(tar_format: int) -> None:
    raw = archive(SAMPLES, tar_format)
    found, walk = ours(raw)
    assert found == SAMPLES == library(raw)
    assert walk.damage is None


@pytest.mark.parametrize("tar_format", FORMATS)
def test_long_and_odd_names(tar_format: int) -> None:
    names = ["a/" * 40 + "b.txt", "ä€.jpg", "x y.txt", "../up.txt", "/abs.txt", "./dot.txt"]
    if tar_format != tarfile.USTAR_FORMAT:
        names += ["n" * 300 + ".jpg", "d/" * 200 + "deep.txt", "日本" * 60 + ".txt"]
    members = [(name, name.encode()[:50]) for name in names]
    raw = archive(members, tar_format)
    assert ours(raw)[0] == members == library(raw)


def test_headers_in_the_plain_form_never_ask_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarfile.TarInfo, "fromtarfile", None)
    assert ours(archive(SAMPLES))[0] == SAMPLES


def test_links_devices_and_folders_are_no_files_and_are_counted() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"a{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        last = tarfile.TarInfo("b.txt")
        last.size = 3
        tar.addfile(last, io.BytesIO(b"0 1"))
    found, walk = ours(buffer.getvalue())
    assert found == [("b.txt", b"0 1")]
    assert walk.skipped == 4


def test_global_pax_records_hold_for_later_members() -> None:
    buffer = io.BytesIO()
    pax = {"path": "all.txt"}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=pax) as tar:
        for name in ("a.txt", "b.txt"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    raw = buffer.getvalue()
    assert ours(raw)[0] == library(raw) == [("all.txt", b"x"), ("all.txt", b"x")]


def test_sizes_in_base_256() -> None:
    raw = bytearray(archive([("a.txt", b"x" * 700), ("b.txt", b"y")]))
    raw[124:136] = b"\x80" + (700).to_bytes(11, "big")
    fix_checksum(raw, 0)
    assert ours(bytes(raw))[0] == [("a.txt", b"x" * 700), ("b.txt", b"y")]


def fix_checksum(raw: bytearray, at: int) -> None:
    raw[at + 148 : at + 156] = b" " * 8
    raw[at + 148 : at + 156] = b"%06o\0 " % sum(raw[at : at + BLOCK])


@pytest.mark.parametrize(
    ("damage", "offset", "words"),
    [
        (lambda raw: raw[: 5 * BLOCK + 100], 5 * BLOCK, "100 bytes where a header"),
        (lambda raw: raw[:BLOCK] + raw[BLOCK : BLOCK + 30], 0, "ends 570 bytes before"),
        (lambda raw: raw[: 3 * BLOCK] + b"?" + raw[3 * BLOCK + 1 :], 3 * BLOCK, "bad checksum"),
        (lambda raw: raw[: 3 * BLOCK] + b"\xff" * BLOCK + raw[4 * BLOCK :], 3 * BLOCK, "cannot be read"),
    ],
    ids=["cut in a header", "cut in a file", "checksum", "noise"],
)
def test_damage_is_named_with_its_offset(damage: Callable[[bytes], bytes], offset: int, words: str) -> None:
    raw = damage(archive([("a.txt", b"x" * 600), ("b.txt", b"y"), ("c.txt", b"z")]))
    found, walk = ours(raw)
    assert found == library(raw)
    assert walk.damage is not None
    assert walk.damage.offset == offset
    assert words in walk.damage.reason


def test_a_header_that_claims_more_than_there_is() -> None:
    raw = bytearray(archive([("a.txt", b"x"), ("b.txt", b"y")]))
    raw[2 * BLOCK + 124 : 2 * BLOCK + 136] = b"77777777777\0"
    fix_checksum(raw, 2 * BLOCK)
    found, walk = ours(bytes(raw))
    assert found == [("a.txt", b"x")]
    assert walk.damage is not None
    assert walk.damage.offset == 2 * BLOCK


@pytest.mark.parametrize("kind", [b"L", b"x", b"g"])
def test_an_extended_header_may_not_claim_gigabytes(kind: bytes) -> None:
    raw = bytearray(archive([("a.txt", b"x")]))
    raw[156:157], raw[124:136] = kind, b"77777777777\0"
    fix_checksum(raw, 0)
    found, walk = ours(bytes(raw))
    assert found == []
    assert walk.damage is not None
    assert "extended header" in walk.damage.reason


def test_extended_headers_without_end() -> None:
    one = bytearray(archive([("a.txt", b"")], tarfile.GNU_FORMAT)[:BLOCK])
    one[156:157], one[124:136] = b"L", b"00000000001\0"
    fix_checksum(one, 0)
    _, walk = ours((bytes(one) + b"x" * BLOCK) * 3000)
    assert walk.damage is not None
    assert walk.damage.reason == "extended headers without end"


def test_what_follows_the_end_mark_is_seen_but_not_read() -> None:
    first, second = archive([("a.txt", b"x")]), archive([("b.txt", b"y")])
    found, walk = ours(first + second)
    assert found == [("a.txt", b"x")] == library(first + second)
    assert walk.after_end()
    assert not ours(first)[1].after_end()


def test_sparse_members_are_unpacked() -> None:
    # A GNU sparse member: 3 bytes of data at offset 1000 of a file of 1003 bytes.
    header = bytearray(archive([("s.txt", b"abc")], tarfile.GNU_FORMAT)[:BLOCK])
    header[156:157] = b"S"
    header[386:410] = b"%011o\0%011o\0" % (1000, 3)
    header[483:495] = b"%011o\0" % 1003
    fix_checksum(header, 0)
    raw = bytes(header) + b"abc".ljust(BLOCK, b"\0") + archive([("t.txt", b"t")])
    assert ours(raw)[0] == [("s.txt", bytes(1000) + b"abc"), ("t.txt", b"t")] == library(raw)


def test_a_sparse_member_whose_map_is_cut_off_is_damage() -> None:
    """Python's tarfile lets an IndexError out."""
    header = bytearray(archive([("s.txt", b"abc")], tarfile.GNU_FORMAT)[:BLOCK])
    header[156:157] = b"S"
    for at in range(386, 482, 24):
        header[at : at + 24] = b"%011o\0%011o\0" % (at, 3)
    header[482] = 1  # the map goes on in the next block
    fix_checksum(header, 0)
    found, walk = ours(bytes(header) + b"0" * 175)
    assert found == []
    assert walk.damage is not None


def test_an_image_body_is_passed_over() -> None:
    members = [(f"{i}.{e}", b"\1" * n) for i in range(20) for e, n in (("jpg", 100_000), ("txt", 200))]
    raw = archive(members)
    reader = ReadAhead(io.BytesIO(raw))
    names = [member.name for member in TarWalk(reader)]
    assert names == [name for name, _ in members]
    assert reader.bytes_read < len(raw) / 10


@given(
    seed=st.integers(0, 1 << 32),
    tar_format=st.sampled_from(FORMATS),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["byte", "block", "zeros", "cut"])), max_size=3
    ),
)
def test_damaged_archives_give_what_the_library_gives(
    seed: int, tar_format: int, changes: list[tuple[float, str]]
) -> None:
    rng = random.Random(seed)
    name_lengths = (1, 20, 99, 100, 150)
    members = [
        (f"{i}" + "n" * rng.choice(name_lengths) + ".txt", rng.randbytes(rng.choice((0, 5, 511, 512, 700))))
        for i in range(rng.randrange(6))
    ]
    if tar_format == tarfile.USTAR_FORMAT:
        members = [(name[-90:], content) for name, content in members]
    raw = bytearray(archive(members, tar_format))
    for where, kind in changes:
        at = int(where * (len(raw) - 1)) if raw else 0
        start = at // BLOCK * BLOCK
        if kind == "byte" and raw:
            raw[at] = rng.randrange(256)
        elif kind == "block":
            raw[start : start + BLOCK] = rng.randbytes(BLOCK)
        elif kind == "zeros":
            raw[start : start + BLOCK] = bytes(BLOCK)
        else:
            del raw[at:]
    assert ours(bytes(raw))[0] == library(bytes(raw))
