"""Shards and NDJSON elsewhere: the findings of the local files, by few requests; what does not come is named."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import GOOD, ZERO, pack_samples, padded, picture, samples, write_ndjson, write_tar
from remote_fixtures import QuietHandler
from remote_places import BUCKET, Faults, Proxy, comparable, gets, in_memory, zipped

import sanitizer.scanner.pieces
import sanitizer.storage.retries as retries
from sanitizer import scan
from sanitizer.archives import ranges as cut
from sanitizer.archives.finding import find_dataset
from sanitizer.archives.read_ahead import BEHIND_REQUESTS
from sanitizer.cli import main
from sanitizer.storage.retries import RetryPolicy

pytest.importorskip("fsspec", reason="needs the remote extra")
pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.report import Report


def shard_set(folder: Path, n_shards: int = 3, each: int = 8, image_bytes: int = 0) -> Path:
    """Shards with a bad row each, an image without label, a label without image, and copies."""
    for i in range(n_shards):
        members = samples(each, GOOD, each * i)
        members[1] = (members[1][0], ZERO)
        del members[3]
        members += [(f"orphan{i}.txt", GOOD), (f"copy{i}.jpg", picture(0)), (f"copy{i}.txt", ZERO)]
        members = [
            (name, padded(content, image_bytes) if image_bytes and name.endswith("jpg") else content)
            for name, content in members
        ]
        write_tar(folder / f"shards/train-{i:06d}.tar", members)
    write_tar(folder / "shards/val-000000.tar", samples(2, GOOD, 500))
    (folder / "data.yaml").write_text(
        f"train: shards/train-{{000000..{n_shards - 1:06d}}}.tar\nval: shards/val-000000.tar\nnames: [a]\n"
    )
    return folder


def same(local: str, *places: str, **options: Any) -> Report:
    """All places give the report of the local path."""
    here = scan(local, **options)
    for place in places:
        assert comparable(scan(place, cache=False, **options)) == comparable(here), place
    assert here.findings
    return here


ENTRIES = ("/data.yaml", "", "/shards", "/shards/train-{000000..000002}.tar", "/shards/train-000001.tar")


@pytest.mark.parametrize("mode", ["header", "decode", "none"])
def test_shards_in_memory_and_in_archives(tmp_path: Path, mode: Any) -> None:
    folder = shard_set(tmp_path / "set")
    memory = in_memory(folder)
    stored = zipped(folder, tmp_path / "set.zip", zipfile.ZIP_STORED)
    packed = zipped(folder, tmp_path / "packed.zip")
    for entry in ENTRIES:
        zips = [f"zip://{entry[1:]}::{archive}" for archive in (stored, packed)]
        same(f"{folder}{entry}", f"{memory}{entry}", *zips, images=mode, task="detect", jobs=1)


def test_every_kind_of_shard(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folders = {"jpg": "images", "txt": "labels"}
    tree = [
        (f"{folders[n[-3:]]}/{'val' if i % 3 else 'train'}/{n}", c)
        for i, (n, c) in enumerate(samples(6, ZERO))
    ]
    write_tar(folder / "tree/all.tar", tree)
    for ending in (".tar.gz", ".tgz"):
        plain = write_tar(tmp_path / "plain.tar", samples(4, ZERO))
        (folder / "gz").mkdir(parents=True, exist_ok=True)
        (folder / f"gz/train-0{ending}").write_bytes(gzip.compress(plain.read_bytes()))
    content = write_tar(tmp_path / "x.tar", samples(4, ZERO)).read_bytes()
    write_tar(folder / "damaged/0.tar", [])
    (folder / "damaged/0.tar").write_bytes(content[:9000])
    (folder / "damaged/1.tar").write_bytes(content[:2048] + b"\xff" * 700 + content[2748:])
    (folder / "damaged/2.tar").write_bytes(b"")
    (folder / "data.yaml").write_text("names: [a]\n")
    memory = in_memory(folder)
    archive = zipped(folder, tmp_path / "set.zip")
    for entry in ("tree", "gz", "damaged"):
        same(f"{folder}/{entry}", f"{memory}/{entry}", f"zip://{entry}::{archive}", jobs=1)


def test_shards_on_a_web_server(web_server: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    folder = shard_set(tmp_path / "set")
    for entry in ENTRIES[:4]:
        same(f"{folder}{entry}", f"http://{web_server}/set{entry}", images="header")


def test_a_server_that_sends_no_parts_sends_a_shard_once(
    web_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    folder = shard_set(tmp_path / "set", 2, 40, 60_000)
    asked: list[str] = []
    really = QuietHandler.do_GET
    monkeypatch.setattr(QuietHandler, "do_GET", lambda self: (asked.append(self.path), really(self)))
    entry = "/shards/train-000000.tar"
    same(f"{folder}{entry}", f"http://{web_server}/set{entry}", images="header", task="detect")
    # For its size, for its split, to read it, and to compare those that look alike.
    assert asked.count(f"/set{entry}") <= 5


def test_ndjson_elsewhere(tmp_path: Path, shared_data: Path, web_server: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    loose = find_dataset([str(shared_data / "bccd" / "data.yaml")])
    write_ndjson(loose, folder / "set.ndjson", tmp_path / "images")
    with (folder / "set.ndjson").open("a") as file:
        file.write('{"file": 3}\nnonsense\n')
    (folder / "other.ndjson").write_text(json.dumps({"file": "a.jpg", "split": "train"}) + "\n")
    archive = zipped(folder, tmp_path / "set.zip")
    for name in ("set.ndjson", "other.ndjson"):
        places = [
            f"{in_memory(folder)}/{name}",
            f"zip://{name}::{archive}",
            f"http://{web_server}/set/{name}",
        ]
        same(f"{folder}/{name}", *places)


def test_published_set_in_shards(tmp_path: Path, shared_data: Path) -> None:
    data, _ = pack_samples(find_dataset([str(shared_data / "bccd" / "data.yaml")]), tmp_path / "bccd", 50)
    memory = in_memory(tmp_path / "bccd")
    for mode in ("header", "decode"):
        same(str(data), f"{memory}/data.yaml", images=mode)


def test_a_deflated_member_is_read_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sanitizer.storage import zip_ as storage_zip

    folder = shard_set(tmp_path / "set", 1, 30, 50_000)
    archive = zipped(folder, tmp_path / "set.zip")
    monkeypatch.setattr(storage_zip._InflatedFile, "_PART_BYTES", 10_000)
    entry = "shards/train-000000.tar"
    same(f"{folder}/{entry}", f"zip://{entry}::{archive}", images="header")
    whole = archive.read_bytes()
    for at in range(
        5_000, 50_000, 5_000
    ):  # some change the tar's headers, most only a picture: the checksum tells
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        report = scan(f"zip://{entry}::{archive}", images="header")
        (named,) = [f for f in report.findings if f.rule == "D002"]
        assert "damaged" in named.message
        assert report.unread == ("in the archive" in named.message)


# A real S3-compatible server


def test_a_bucket_of_shards_is_read_by_few_requests(s3: tuple[Proxy, Path]) -> None:
    proxy, folder = s3
    shard_set(folder / "set", 3, 60, 30_000)
    here = scan(folder / "set/data.yaml", images="header", task="detect")
    proxy.reset()
    far = scan(f"s3://{BUCKET}/set/data.yaml", images="header", task="detect")
    assert comparable(far) == comparable(here)
    size = (folder / "set/shards/train-000000.tar").stat().st_size
    assert size < 2 * BEHIND_REQUESTS.largest
    # A look at the start; a reading whose blocks double from half a megabyte; and, as these have look-alikes, a walk.
    one_reading = 3 + size // BEHIND_REQUESTS.largest
    for i in range(3):
        assert len(gets(proxy, f"train-{i:06d}.tar")) <= 1 + 3 * one_reading
    assert all(r.startswith("GET ") for r in proxy.requests)
    assert len(proxy.requests) - len(gets(proxy)) <= 4  # listings


def test_large_images_in_shards_are_passed_over(s3: tuple[Proxy, Path]) -> None:
    proxy, folder = s3
    n, each = 24, 3_000_000
    members = [(name, padded(c, each) if name.endswith("jpg") else c) for name, c in samples(n, ZERO)]
    shard = write_tar(folder / "set/train-0.tar", members)
    (folder / "set/data.yaml").write_text("names: [a]\n")
    here = scan(shard, images="header", task="detect", cache=False)
    proxy.reset()
    far = scan(f"s3://{BUCKET}/set/train-0.tar", images="header", task="detect", cache=False)
    assert comparable(far) == comparable(here) and len(here.findings) >= n
    # To look at the start, the first four samples; then one request for each, and two more to find that they are large.
    assert len(gets(proxy)) <= 4 + 2 + n + 2
    asked = [_length(h["range"]) for h in proxy.headers if "range" in h]
    assert sum(asked) <= len(asked) * BEHIND_REQUESTS.smallest + 3 * 2**20 < shard.stat().st_size / 10


def _length(header: str) -> int:
    start, _, stop = header.removeprefix("bytes=").partition("-")
    return int(stop) - int(start) + 1


def test_an_ndjson_in_a_bucket(s3: tuple[Proxy, Path]) -> None:
    proxy, folder = s3
    (folder / "set").mkdir()
    lines = [{"type": "dataset", "class_names": {"0": "a"}}]
    rows = {"boxes": [[0, 0.5, 0.5, 0, 0.2]]}
    lines += [
        {"file": f"{i}.jpg", "split": ("train", "val")[i % 2], "width": 9, "height": 9, "annotations": rows}
        for i in range(300)
    ]
    path = folder / "set/set.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    here = scan(path, cache=False)
    proxy.reset()
    far = scan(f"s3://{BUCKET}/set/set.ndjson", cache=False)
    assert comparable(far) == comparable(here) and len(here.findings) >= 300
    # Its first record, the names of its splits, and once for each split.
    assert len(gets(proxy)) == 4


@pytest.mark.parametrize("seed", range(3))
def test_faults_that_pass_leave_no_trace(s3: tuple[Proxy, Path], seed: int) -> None:
    proxy, folder = s3
    shard_set(folder / "set", 4, 30, 40_000)
    here = scan(folder / "set/data.yaml", images="header", task="detect")
    chances = dict.fromkeys(("internal", "slow_down", "too_many", "reset", "cut"), 0.08)
    proxy.reset(Faults(**chances, stall=0.02, stall_s=3.0, seed=seed))
    far = scan(f"s3://{BUCKET}/set/data.yaml", images="header", task="detect", jobs=1)
    assert comparable(far) == comparable(here)
    assert proxy.failed


def test_a_shard_that_does_not_come_is_named_and_the_rest_goes_on(
    s3: tuple[Proxy, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy, folder = s3
    shard_set(folder / "set", 3, 60, 40_000)
    without = shutil.copytree(folder / "set", folder / "without")
    (without / "shards/train-000001.tar").unlink()
    rest = {f.message for f in scan(without / "shards", images="header", task="detect").findings}
    monkeypatch.setattr(retries, "RETRY_POLICY", RetryPolicy(tries=2, first_wait_s=0.01, timeout_s=1.0))
    url = f"s3://{BUCKET}/set/shards"
    for fault, words in (({"internal": 1.0}, "500 (2 tries)"), ({"reset": 1.0}, "broke off (2 tries)")):
        proxy.reset(Faults(**fault, always="train-000001.tar"))
        report = scan(url, images="header", task="detect")
        (named,) = [f for f in report.findings if "cannot be read" in f.message]
        assert (named.rule, named.file) == ("D002", "train-000001.tar") and words in named.message
        assert report.unread == 1 and rest <= {f.message for f in report.findings}
        assert any("1 file could not be read (D002" in note for note in report.notes)
    proxy.reset(Faults(internal=1.0, always="train-000001.tar"))
    assert main(["scan", url, "--ignore", "L,B,C,D,I", "--images", "header"]) == 1
    assert "1 file could not be read" in capsys.readouterr().err
    # It breaks off in its middle: what came before is judged.
    at = 600_000
    proxy.reset()
    monkeypatch.setattr(Proxy, "_draw", _refusing("train-000001.tar", at))
    report = scan(url, images="header", task="detect")
    (named,) = [f for f in report.findings if "cannot be read" in f.message]
    assert named.rule == "D002" and report.unread == 1
    mine = [f for f in report.findings if "train-000001.tar/" in f"{f.label} {f.image}"]
    assert "B002" in {f.rule for f in mine}
    # That the rest did not come makes no image lack its label, and no label its image.
    assert not {"D006", "D007"} & {f.rule for f in mine}


def _refusing(name: str, at: int) -> Any:
    """A proxy that answers 500 to every range of a file that begins at this byte or later."""

    def draw(self: Proxy, line: str) -> str | None:
        asked = self.headers[-1].get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        return "internal" if name in line and int(asked) >= at else None

    return draw


def test_an_ndjson_that_does_not_come_is_one_sentence(
    s3: tuple[Proxy, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy, folder = s3
    (folder / "set").mkdir()
    (folder / "set/x.ndjson").write_text('{"class_names": {"0": "a"}}\n{"file": "a.jpg", "split": "train"}\n')
    monkeypatch.setattr(retries, "RETRY_POLICY", RetryPolicy(tries=2, first_wait_s=0.01, timeout_s=1.0))
    proxy.reset(Faults(internal=1.0, always="x.ndjson"))
    assert main(["scan", f"s3://{BUCKET}/set/x.ndjson"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "the server answered 500 (2 tries)" in error
    assert main(["scan", f"s3://{BUCKET}/set/train-{{0..3}}.tar"]) == 2
    assert "train-0.tar does not exist (4 of 4 shards)" in capsys.readouterr().err


@pytest.mark.usefixtures("workers_of_users")
def test_large_shards_are_shared_out(s3: tuple[Proxy, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = s3
    shard_set(folder / "set", 1, 80)
    monkeypatch.setattr(cut, "_LOOKED_AT", 5)
    monkeypatch.setitem(sanitizer.scanner.pieces.PAIRS_PER_CHUNK, "header", 1)
    url = f"s3://{BUCKET}/set/shards/train-000000.tar"
    dataset = find_dataset([url])
    assert len(list(sanitizer.scanner.pieces.pieces(dataset, 1))) >= 4
    here = scan(folder / "set/shards/train-000000.tar", images="header", task="detect")
    for jobs in (1, 2):
        far = scan(url, images="header", task="detect", jobs=jobs, cache=False)
        assert comparable(far) == comparable(here)
