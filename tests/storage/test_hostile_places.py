"""Packed files, archives and web servers made by somebody who wants the scan to hang, to end, or to take all memory."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from packed_sets import GOOD, ZERO, picture, write_tar

from sanitizer import scan
from sanitizer.storage.base import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sanitizer.findings.report import Report

pytestmark = pytest.mark.thorough

MIB = 1 << 20
MOST_MIB, MOST_S = 1024, 10
YAML = b"names: [a, b]\ntrain: images/train\nval: images/train\n"
PAIR = {"images/train/good.jpg": picture(), "labels/train/good.txt": ZERO}
RECORDS = b'{"type": "dataset", "task": "detect", "class_names": {"0": "a"}}\n'

_CHILD = """
import json, resource, sys, time
from sanitizer import scan
from sanitizer.storage.base import StorageError
try:
    found = [[f.rule, f.label or f.image, f.message] for f in scan(sys.argv[1], cache=False, jobs=1).findings]
except StorageError as error:
    found = [["stops", None, str(error)]]
peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
if sys.platform == "linux":  # there, ru_maxrss may be that of the process that started this one
    peak_mib = int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) // 1024
print(json.dumps([found, peak_mib, time.process_time()]))
"""


def scanned(path: Path | str) -> list[tuple[str, str | None, str]]:
    """(rule, file, message) of a scan by a process of its own, within `MOST_MIB` and `MOST_S`."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path)],
        capture_output=True,
        text=True,
        timeout=6 * MOST_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found, peak_mib, cpu_s = json.loads(done.stdout)
    assert peak_mib < MOST_MIB
    assert cpu_s < MOST_S
    return [(rule, file, message) for rule, file, message in found]


def within(limit_s: float, path: Path | str, **options: Any) -> Report:
    """The report of a scan that ends in time, however long it would have taken."""
    result: list[Report] = []
    thread = threading.Thread(
        target=lambda: result.append(scan(path, cache=False, jobs=1, **options)), daemon=True
    )
    thread.start()
    thread.join(limit_s)
    assert result, "the scan does not end, or ends with an exception"
    return result[0]


def messages(report: Report, rule: str) -> str:
    return "\n".join(f.message for f in report.findings if f.rule == rule)


def zip_of(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("data.yaml", YAML)
        for name, content in {**PAIR, **members}.items():
            archive.writestr(name, content)
    return path


def members_of_many(archive: zipfile.ZipFile, name: str, n_mib: int, start: bytes = b"") -> None:
    with archive.open(name, "w", force_zip64=True) as member:
        member.write(start)
        for _ in range(n_mib):
            member.write(b"0" * MIB)


# Zip archives


@pytest.mark.slow
def test_a_label_of_gigabytes_in_a_small_zip_is_named_and_the_rest_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(
        zip_of(path, {"images/train/big.jpg": picture(1)}), "a", zipfile.ZIP_DEFLATED
    ) as archive:
        members_of_many(archive, "labels/train/big.txt", 2500)
    found = scanned(path)
    assert any(file == "labels/train/big.txt" and "larger than the limit" in text for _, file, text in found)
    assert [rule for rule, file, _ in found if file == "labels/train/good.txt"] == ["B002"]
    assert "D006" not in [rule for rule, *_ in found]


def test_a_label_over_the_limit_in_a_zip_is_never_background(tmp_path: Path) -> None:
    members = {
        "images/train/big.jpg": picture(1),
        "labels/train/big.txt": b"0 0.5 0.5 0.1 0.1\n" * (MIB // 2),
    }
    report = within(MOST_S, zip_of(tmp_path / "set.zip", members))
    assert "larger than the limit" in "".join(
        f.message for f in report.findings if f.label == "labels/train/big.txt"
    )
    assert not messages(report, "D006")


def test_names_of_thousands_of_folders_in_a_zip(tmp_path: Path) -> None:
    deep = "a/" * 30_000
    found = scanned(zip_of(tmp_path / "set.zip", {f"{deep}{i}.jpg": b"" for i in range(10)}))
    assert sum(rule == "D002" and "was not read" in text for rule, _, text in found) == 10
    assert any(rule == "B002" for rule, *_ in found)


@pytest.mark.parametrize("name", ["../out.jpg", "/etc/passwd.jpg", "images/../../x.jpg"])
def test_a_member_that_leads_outside_is_named(name: str, tmp_path: Path) -> None:
    report = within(MOST_S, zip_of(tmp_path / "set.zip", {name: picture(2)}))
    assert "leads out of the folder" in messages(report, "D005")
    assert report.summary.images == 1


@pytest.mark.parametrize("name", ["images/train/\0x.jpg", "images//x.jpg", "images/./x.jpg"])
def test_a_member_with_a_name_of_no_file_is_named(name: str, tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {name.replace("\0", "@"): picture(2)})
    path.write_bytes(path.read_bytes().replace(b"train/@x", b"train/\0x"))
    assert "no file can have" in messages(within(MOST_S, path), "D002")


@pytest.mark.parametrize("byte", [b"\x1b", b"\n", b"\xff"])
def test_odd_bytes_in_names_are_scanned_and_shown_escaped(byte: bytes, tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"images/train/b@d.jpg": picture(1), "labels/train/b@d.txt": ZERO})
    raw = path.read_bytes().replace(b"b@d", b"b" + byte + b"d")
    path.write_bytes(
        raw.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\0\x08")
    )  # all names are UTF-8
    report = within(MOST_S, path)
    assert sum(f.rule == "B002" for f in report.findings) == 2
    done = subprocess.run(
        [sys.executable, "-m", "sanitizer", "scan", str(path), "--no-cache", "--format", "json"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["summary"]["images"] == 2


def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("labels/train/good.txt", GOOD)
    report = within(MOST_S, path)
    assert "there twice" in messages(report, "D008")
    assert not messages(report, "B002")


def spoilt(path: Path, member: bytes, change: Callable[[bytearray, int], None]) -> Path:
    """The archive with the bytes of one member changed."""
    raw = bytearray(path.read_bytes())
    change(raw, raw.find(member) + len(member))
    path.write_bytes(raw)
    return path


def with_noise(raw: bytearray, at: int) -> None:
    raw[at + 10 : at + 30] = b"\xff" * 20


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_its_own_finding(compression: int, tmp_path: Path) -> None:
    members = {"images/train/bad.jpg": picture(1), "labels/train/bad.txt": GOOD * 200}
    path = spoilt(zip_of(tmp_path / "set.zip", members, compression), b"labels/train/bad.txt", with_noise)
    report = within(MOST_S, path)
    assert "damaged in the archive" in "".join(
        f.message for f in report.findings if f.label == "labels/train/bad.txt"
    )
    assert messages(report, "B002")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (8, b"\1\0", "encrypted"),
        (10, b"\x62\0", "unknown way"),
        (10, b"\x0e\0", "damaged"),
        (20, b"\xff\xff\xff\x7f", "shares its bytes"),
        (24, b"\xff\xff\xff\x7f", "damaged"),
        (42, b"\xff\xff\xff\x7f", "shares its bytes"),
        (42, b"good", "shares its bytes"),
    ],
    ids=["encrypted", "unknown method", "no LZMA", "packed bytes", "size", "far offset", "overlap"],
)
def test_a_directory_entry_that_lies(field: int, value: bytes, words: str, tmp_path: Path) -> None:
    path = zip_of(
        tmp_path / "set.zip", {"images/train/bad.jpg": picture(1), "labels/train/bad.txt": GOOD * 9}
    )
    raw = bytearray(path.read_bytes())
    at = raw.rfind(b"labels/train/bad.txt") - 46
    if value == b"good":
        value = struct.pack("<L", raw.find(b"labels/train/good.txt") - 30)
    raw[at + field : at + field + len(value)] = value
    path.write_bytes(raw)
    report = within(MOST_S, path, images="none")
    found = "".join(f.message for f in report.findings if f.label == "labels/train/bad.txt")
    assert words in found or "larger than the limit" in found
    assert not messages(report, "D006")


def test_a_zip_that_unpacks_to_far_more_than_itself_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            members_of_many(archive, f"images/train/{i}.png", 100)
    ((rule, _, text),) = scanned(path)
    assert rule == "stops"
    assert "unpacks to 300" in text and "unpack it, and scan the folder" in text


@pytest.mark.parametrize("count", [0, 0xFFFF])
def test_a_directory_with_a_false_count_is_read_by_its_entries(count: int, tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {})
    raw = bytearray(path.read_bytes())
    raw[-14:-10] = struct.pack("<HH", count, count)
    path.write_bytes(raw)
    assert messages(within(MOST_S, path), "B002")


@pytest.mark.parametrize("field", [(-10, b"\xff\xff\xff\x7f"), (-6, b"\xff\xff\xff\x7f"), (-10, b"\1\0\0\0")])
def test_a_directory_in_a_false_place_is_one_sentence(field: tuple[int, bytes], tmp_path: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {})
    raw = bytearray(path.read_bytes())
    raw[field[0] : field[0] + 4 or None] = field[1]
    path.write_bytes(raw)
    with pytest.raises(StorageError, match=r"set\.zip is no zip archive"):
        scan(path, cache=False)


# Tar shards


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def one_pair(label: bytes = ZERO) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in (("good.jpg", picture()), ("good.txt", label)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        length = tar.offset
    return buffer.getvalue()[:length]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_member_that_claims_petabytes(ending: str, tmp_path: Path) -> None:
    raw = one_pair() + header("far.bin", 10**15)
    path = tmp_path / f"train-0{ending}"
    path.write_bytes(gzip.compress(raw) if ending == ".tar.gz" else raw)
    report = within(MOST_S, path)
    assert "1,000,000,000,000,000 bytes before its member 'far.bin' does" in messages(report, "D002")
    assert messages(report, "B002")


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
@pytest.mark.slow
def test_a_compressed_shard_that_unpacks_without_end(kind: str, tmp_path: Path) -> None:
    pack: Callable[[bytes], bytes] = {
        "gz": gzip.compress, "bz2": bz2.compress, "xz": lambda raw: lzma.compress(raw, preset=1)
    }[kind]  # fmt: skip
    path = tmp_path / f"train-0.tar.{kind}"
    path.write_bytes(pack(one_pair() + header("x.jpg", 1 << 40)) + pack(bytes(64 * MIB)) * 64)
    found = scanned(path)
    assert any(rule == "D002" and "it unpacks to more than" in text for rule, _, text in found)
    assert any(rule == "B002" for rule, *_ in found)


def test_streams_that_follow_each_other_are_one_archive(tmp_path: Path) -> None:
    raw = one_pair()
    (tmp_path / "train-0.tar.gz").write_bytes(
        gzip.compress(raw[:700]) + gzip.compress(raw[700:]) + b"\0" * 40
    )
    report = within(MOST_S, tmp_path / "train-0.tar.gz")
    assert messages(report, "B002")
    assert report.summary.images == 1


def test_a_compressed_stream_that_asks_for_gigabytes_of_dictionary(tmp_path: Path) -> None:
    alone = lzma.compress(one_pair(), format=lzma.FORMAT_ALONE)
    path = tmp_path / "train-0.tar.xz"
    path.write_bytes(b"\x5d" + struct.pack("<L", 1 << 31) + alone[5:])
    assert "memory to unpack" in messages(within(MOST_S, path), "D002")


def test_a_label_over_the_limit_in_a_shard_is_never_background(tmp_path: Path) -> None:
    for name in ("train-0.tar", "train-1.tar.gz"):
        members = [("big.jpg", picture()), ("big.txt", b"0 0.5 0.5 0.1 0.1\n" * (MIB // 2))]
        plain = write_tar(
            tmp_path / "x.tar", [*members, ("good.jpg", picture(1)), ("good.txt", ZERO)]
        ).read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(plain) if name.endswith("gz") else plain)
        report = within(MOST_S, tmp_path / name)
        assert "larger than the limit" in messages(report, "L001") + messages(report, "L010")
        assert not messages(report, "D006")
        assert messages(report, "B002")


def sparse(name: str, size: int, pieces: list[tuple[int, int]]) -> bytes:
    """A member whose pax header maps these pieces of one block of data."""
    listed = ",".join(f"{at},{length}" for at, length in pieces)
    info = tarfile.TarInfo(name)
    info.size = 512
    info.pax_headers = {
        "GNU.sparse.map": listed,
        "GNU.sparse.size": str(size),
        "GNU.sparse.numblocks": str(len(pieces)),
    }
    return info.tobuf(tarfile.PAX_FORMAT) + bytes(512)


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (200 * MIB, [(2 * i, 1) for i in range(500)]),
        (10, [(1 << 60, 1)]),
        (10, [(-5, 3)]),
        (10, [(5, 1 << 40)]),
        (1 << 50, [(0, 1)]),
        (-1, [(0, 1)]),
    ],
)
def test_sparse_members_of_any_size_and_map(size: int, pieces: list[tuple[int, int]], tmp_path: Path) -> None:
    for name in ("train-0.tar", "train-1.tar.gz"):
        raw = sparse("s.txt", size, pieces) + sparse("s.jpg", size, pieces) + one_pair() + bytes(1024)
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
        report = within(MOST_S, tmp_path / name)
        said = messages(report, "L001") + messages(report, "L010") + messages(report, "D002")
        assert "larger than the limit" in said or "holes" in said or "negative" in said
        assert not messages(report, "D006")


@pytest.mark.slow
def test_many_small_pieces_of_a_sparse_member(tmp_path: Path) -> None:
    pieces = [(2000 * i, 1) for i in range(50_000)]
    info = tarfile.TarInfo("s.jpg")
    info.size = 50_176
    info.pax_headers = {
        "GNU.sparse.map": ",".join(f"{a},{n}" for a, n in pieces),
        "GNU.sparse.size": str(100_000_000),
        "GNU.sparse.numblocks": "50000",
    }
    (tmp_path / "train-0.tar").write_bytes(
        info.tobuf(tarfile.PAX_FORMAT) + bytes(50_176) + one_pair() + bytes(1024)
    )
    assert any(rule == "B002" for rule, *_ in scanned(tmp_path / "train-0.tar"))


@pytest.mark.slow
def test_extended_headers_that_fill_a_compressed_shard(tmp_path: Path) -> None:
    records = b"6 a=b\n" * 170_000
    one = (
        header("x", len(records), b"x")
        + records.ljust(-(-len(records) // 512) * 512, b"\0")
        + header("a.bin", 0)
    )
    (tmp_path / "train-0.tar.gz").write_bytes(gzip.compress(one_pair() + one * 100, 1))
    found = scanned(tmp_path / "train-0.tar.gz")
    assert any("extended headers" in text for _, _, text in found)


def test_a_member_with_a_name_of_megabytes(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "train-0.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a" * 500_000 + ".jpg", "b/" * 2000 + "x.jpg", "good.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(picture())
            tar.addfile(info, io.BytesIO(picture()))
    report = within(MOST_S, tmp_path / "train-0.tar")
    assert "a name of 500,004 bytes" in messages(report, "D002")
    assert "2,000 folders deep" in messages(report, "D002")
    assert max(len(f.message) for f in report.findings) < 1000
    assert report.summary.images == 1


def test_what_a_cut_off_shard_no_longer_holds_is_no_background(tmp_path: Path) -> None:
    raw = one_pair()
    (tmp_path / "train-0.tar").write_bytes(raw[: raw.find(b"good.txt") + 520])
    report = within(MOST_S, tmp_path / "train-0.tar")
    assert messages(report, "D002")
    assert not messages(report, "D006")


def test_a_shard_that_became_shorter_since_it_was_found(tmp_path: Path) -> None:
    from sanitizer.archives.finding import find_dataset
    from sanitizer.archives.reading import pack_chunks

    path = write_tar(tmp_path / "train-0.tar", [("a.jpg", picture()), ("a.txt", ZERO)])
    dataset = find_dataset([str(path)])
    end = path.read_bytes().find(b"a.txt")
    os.truncate(path, end)
    faults = [
        f for c in pack_chunks(dataset, 0, (0, dataset.packs[0].size_bytes, 1), "header") for f in c.faults
    ]
    assert any(f.rule == "D002" and "became shorter" in str(f.values["detail"]) for f in faults)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["train-0.tar", "train-0.tar.gz", "set.ndjson", "set.zip"])
def test_a_pipe_in_place_of_a_packed_file(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "sanitizer", "scan", str(tmp_path / name), "--no-cache"],
        capture_output=True, text=True, timeout=MOST_S, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert "no regular file" in done.stdout + done.stderr or "neither" in done.stderr
    assert "Traceback" not in done.stderr


# NDJSON


def record(**changes: Any) -> bytes:
    value = {
        "type": "image", "file": "a.jpg", "url": "http://x/a.jpg", "width": 64, "height": 64, "split": "train",
        "annotations": {"boxes": [[0, 0.5, 0.5, 0, 0.1]]},
    }  # fmt: skip
    return json.dumps({**value, **changes}).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (record(file="\ud800.jpg"), "half a surrogate pair in its file name"),
        (record(annotations={"boxes": [[0, "\udfff"]]}), "half a surrogate pair"),
        (record(file="a\0.jpg"), "a NUL in its file name"),
        (record(file="x" * 10_000), "a file name of 10,000 bytes"),
        (record(file="a/" * 1000 + "x.jpg"), "1,000 folders deep"),
        (record(split="\ud800" * 100_000), "none of train, val and test"),
        (record(split={"a": [None] * 100_000}), "none of train, val and test"),
        (b"[" * 1_000_000 + b"\n", "nests values without end"),
        (
            b'{"split": "train", "file": "a.jpg", "annotations": ' + b"[" * 900 + b"]" * 900 + b"}\n",
            "is a list",
        ),
        (record(annotations={"boxes": [[10**400, 1]]}).replace(b"1" + b"0" * 400, b"9" * 9000), "is no JSON"),
        (record(annotations={"boxes": [[float("nan"), 1]]}), "no lists of numbers"),
        (record(annotations={"boxes": [[float("inf"), 1]]}), "no lists of numbers"),
        (record(annotations={"boxes": 7}), "no lists of numbers"),
        (record(annotations=None), "is a NoneType"),
        (record(file=[]), "has no file name"),
        (b"\xff\xfe\n", "no UTF-8"),
        (b"\0\n", "is no JSON"),
    ],
)
def test_a_hostile_line_is_named_and_the_rest_is_judged(line: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "set.ndjson"
    path.write_bytes(RECORDS + record() + line + record(split="val"))
    report = within(MOST_S, path)
    said = messages(report, "D001") + messages(report, "D002")
    assert words in said
    assert "line 3 of" in said
    assert max(len(f.message) for f in report.findings) < 1000
    assert len([f for f in report.findings if f.rule == "B002"]) == 2
    json.dumps(report.to_dict(), ensure_ascii=False).encode()


def test_a_record_whose_file_leads_outside(tmp_path: Path) -> None:
    (tmp_path / "set.ndjson").write_bytes(RECORDS + record(file="../../etc/x.jpg") + record(split="val"))
    assert "leads out of the folder" in messages(within(MOST_S, tmp_path / "set.ndjson"), "D005")


@pytest.mark.parametrize("header_line", [
    b'{"task": [[1]], "class_names": {"0": "\\ud800"}}\n',
    b'{"task": "pose", "class_names": {"0": "a"}, "kpt_shape": [1000000000, 3]}\n',
    b'{"task": "pose", "class_names": {"0": "a"}, "kpt_shape": [true, NaN]}\n',
    b'{"class_names": {"99999999": "a"}}\n',
    b'{"class_names": [' + b"[" * 900 + b"]" * 900 + b"]}\n",
    b'{"class_names": {"1e400": NaN}}\n',
    b"null\n",
])  # fmt: skip
def test_a_hostile_dataset_record(header_line: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.ndjson").write_bytes(header_line + record() + record(split="val"))
    report = within(MOST_S, tmp_path / "set.ndjson")
    assert messages(report, "D001") + messages(report, "D003") or report.summary.images == 2
    json.dumps(report.to_dict(), ensure_ascii=False).encode()


@pytest.mark.slow
def test_a_line_of_hundreds_of_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "set.ndjson"
    with path.open("wb") as file:
        file.write(RECORDS + record() + b'{"split": "train", "file": "x.jpg", "annotations": {"boxes": [')
        for _ in range(200):
            file.write(b"{},{}," * (MIB // 6))
        file.write(b"]}}\n" + record(split="val"))
    found = scanned(path)
    assert any("longer than" in text for _, _, text in found)
    assert sum(rule == "B002" for rule, *_ in found) == 2


def test_millions_of_lines_that_are_no_records(tmp_path: Path) -> None:
    (tmp_path / "set.ndjson").write_bytes(RECORDS + record() + b"x\n" * (4 * MIB))
    found = scanned(tmp_path / "set.ndjson")
    assert any("what follows was not read" in text for _, _, text in found)


def test_an_ndjson_that_became_shorter_since_it_was_found(tmp_path: Path) -> None:
    from sanitizer.archives.finding import find_dataset
    from sanitizer.archives.reading import pack_chunks

    path = tmp_path / "set.ndjson"
    path.write_bytes(RECORDS + record() * 20 + record(split="val"))
    dataset = find_dataset([str(path)])
    size = dataset.packs[0].size_bytes
    os.truncate(path, len(RECORDS + record() * 3))
    chunks = list(pack_chunks(dataset, 0, (0, size, 1), "header"))
    assert any("became shorter" in str(f.values["detail"]) for c in chunks for f in c.faults)
    assert sum(c.unread for c in chunks) == 1


# Web servers

aiohttp = pytest.importorskip("aiohttp", reason="needs aiohttp")


class _Answers(BaseHTTPRequestHandler):
    """Answers as the test says: `pages` maps a path to a body, or to a function that answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # each answer would wait 40 ms
    pages: ClassVar[dict[str, Any]] = {}

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client left in the middle
            super().handle()

    def do_GET(self) -> None:
        page = self.pages.get(self.path, self.pages.get("*"))
        try:
            if callable(page):
                page(self)
            elif page is None:
                self.whole(b"", 404)
            else:
                self.whole(page)
        except OSError:
            self.close_connection = True

    def whole(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def endless(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b"a" * MIB)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, Any]]]:
    """(address, what is answered to which path)."""
    pages: dict[str, Any] = {}
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("_Given", (_Answers,), {"pages": pages}))
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", pages
    httpd.shutdown()
    httpd.server_close()


def page_of(*names: str) -> bytes:
    return "".join(f'<a href="{name}">x</a>\n' for name in names).encode()


def honest(pages: dict[str, Any]) -> None:
    """A small set."""
    pages |= {
        "/set/": page_of("data.yaml", "images/", "labels/"),
        "/set/data.yaml": YAML,
        "/set/images/": page_of("train/"),
        "/set/labels/": page_of("train/"),
        "/set/images/train/": page_of("good.jpg"),
        "/set/labels/train/": page_of("good.txt"),
        "/set/images/train/good.jpg": picture(),
        "/set/labels/train/good.txt": ZERO,
    }


def test_a_data_yaml_without_end(server: tuple[str, dict[str, Any]]) -> None:
    address, pages = server
    honest(pages)
    pages["/set/data.yaml"] = _Answers.endless
    found = scanned(f"{address}/set/data.yaml")
    assert any(rule == "D001" and "far more than any data.yaml needs" in text for rule, _, text in found)


def test_a_label_and_an_image_without_end(server: tuple[str, dict[str, Any]]) -> None:
    address, pages = server
    honest(pages)
    pages["/set/labels/train/"] = page_of("good.txt", "bad.txt")
    pages["/set/images/train/"] = page_of("good.jpg", "bad.jpg")
    pages["/set/labels/train/bad.txt"] = pages["/set/images/train/bad.jpg"] = _Answers.endless
    found = scanned(f"{address}/set/data.yaml")
    assert any(file == "labels/train/bad.txt" and "larger than the limit" in text for _, file, text in found)
    assert any(rule == "I001" for rule, *_ in found)
    assert any(rule == "B002" for rule, *_ in found)


@pytest.mark.parametrize("piece", [b"<a <a ", b"<a href ", b'<a href="', b"<a x='", b"<a\t\t\t\t\t\t"])
def test_a_page_that_makes_patterns_slow(piece: bytes, server: tuple[str, dict[str, Any]]) -> None:
    address, pages = server
    honest(pages)
    pages["/set/images/train/"] = page_of("good.jpg") + piece * (3 * MIB // len(piece))
    started = time.monotonic()
    scan(f"{address}/set/data.yaml", cache=False, jobs=1)
    assert time.monotonic() - started < MOST_S


@pytest.mark.parametrize("names", [("x/",), ("x/", "y/")])
def test_folders_in_folders_without_end(names: tuple[str, ...], server: tuple[str, dict[str, Any]]) -> None:
    address, pages = server
    honest(pages)
    pages["*"] = page_of(*names)
    pages["/set/images/train/"] = page_of("good.jpg", *names)
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"more than 40 deep: name the dataset's own folder"):
        scan(f"{address}/set/data.yaml", cache=False, jobs=1)
    assert time.monotonic() - started < MOST_S


def test_a_compressed_answer_is_unpacked_within_the_limit(server: tuple[str, dict[str, Any]]) -> None:
    address, pages = server
    honest(pages)
    pages["/set/data.yaml"] = lambda h: h.whole(gzip.compress(YAML), Content_Encoding="gzip")
    assert messages(within(MOST_S, f"{address}/set/data.yaml"), "B002")
    bomb = zlib.compressobj(wbits=31)
    body = b"".join(bomb.compress(bytes(MIB)) for _ in range(100)) + bomb.flush()
    pages["/set/"] = page_of("other.yaml")
    pages["/set/other.yaml"] = lambda h: h.whole(body, Content_Encoding="gzip")
    ((rule, _, text),) = scanned(f"{address}/set/other.yaml")
    assert rule == "D001" and "far more than any data.yaml needs" in text


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "not of the web"),
        ("ftp://example.org/x", "not of the web"),
        ("/set/data.yaml", "redirects more than 5 times"),
    ],
)
def test_redirects_lead_to_the_web_and_end(
    location: str, words: str, server: tuple[str, dict[str, Any]]
) -> None:
    address, pages = server
    honest(pages)
    pages["/set/data.yaml"] = lambda h: h.whole(b"", 302, Location=location)
    with pytest.raises(StorageError, match=words):
        scan(f"{address}/set/data.yaml", cache=False, jobs=1)


def test_a_redirect_within_a_private_network_is_followed(server: tuple[str, dict[str, Any]]) -> None:
    address, pages = server
    honest(pages)
    pages["/moved.yaml"] = YAML
    pages["/set/data.yaml"] = lambda h: h.whole(
        b"", 302, Location=f"{address.replace('127.0.0.1', 'localhost')}/moved.yaml"
    )
    assert messages(within(MOST_S, f"{address}/set/data.yaml"), "B002")


@pytest.mark.parametrize(
    ("address", "location", "allowed"),
    [
        ("https://8.8.8.8/a/b", "https://9.9.9.9/c", "https://9.9.9.9/c"),
        ("https://8.8.8.8/a/b", "c", "https://8.8.8.8/a/c"),
        ("http://8.8.8.8/a", "https://9.9.9.9/c", "https://9.9.9.9/c"),
        ("http://8.8.8.8/a", "http://169.254.169.254/latest", None),
        ("http://8.8.8.8/a", "http://127.0.0.1/", None),
        ("http://8.8.8.8/a", "http://[::1]/", None),
        ("http://8.8.8.8/a", "http://10.0.0.1/", None),
        ("https://8.8.8.8/a", "http://8.8.8.8/a", None),
        ("https://8.8.8.8/a", "data:text/plain,x", None),
    ],
)
def test_a_public_server_has_no_say_in_what_is_read_of_this_network(
    address: str, location: str, allowed: str | None
) -> None:
    import asyncio

    from sanitizer.storage.http_answers import allowed_target
    from sanitizer.storage.retries import RefusedAnswerError

    if allowed is not None:
        assert asyncio.run(allowed_target(address, location)) == allowed
    else:
        with pytest.raises(RefusedAnswerError):
            asyncio.run(allowed_target(address, location))


def test_parts_that_are_longer_than_asked_and_sizes_that_are_no_sizes(
    server: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sanitizer.storage import retries

    monkeypatch.setattr(retries, "RETRY_POLICY", retries.RetryPolicy(tries=2, first_wait_s=0.01))
    address, pages = server
    honest(pages)
    for size in ("9" * 5000, "-5", "99999999999999999", "x"):
        pages["/set/images/train/good.jpg"] = lambda h, size=size: h.whole(
            picture() * 100, 206, Content_Range=f"bytes 0-5/{size}"
        )
        report = within(MOST_S, f"{address}/set/data.yaml", images="header")
        assert messages(report, "I001")
        assert messages(report, "B002")


def test_a_consumer_that_leaves_does_not_wait_for_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    from sanitizer.storage import retries
    from sanitizer.storage.concurrent import concurrently

    monkeypatch.setattr(
        retries, "RETRY_POLICY", retries.RetryPolicy(in_flight=2, tries=5, first_wait_s=30, longest_wait_s=30)
    )
    ended = threading.Event()

    def fails(_: int) -> None:
        try:
            retries.with_retries(lambda: (_ for _ in ()).throw(ConnectionResetError()))
        finally:
            ended.set()

    def read(item: int) -> int:
        if item:
            fails(item)
        return item

    reading = concurrently(read, range(4), lambda _: 1)
    assert next(reading) == 0
    time.sleep(0.1)
    reading.close()  # as it is where the consumer is interrupted
    assert ended.wait(2)
