"""What `--plan` forecasts of datasets elsewhere, against the requests that a proxy then counts."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import GOOD, ZERO, padded, picture, samples, write_tar
from remote_places import BUCKET, Proxy, gets, zipped

from sanitizer import scan
from sanitizer.archives.forecast import _MEMBERS_KNOWN
from sanitizer.cli import main
from sanitizer.scanner.plan import plan_scan
from sanitizer.storage.zip_ import ZipStorage

pytest.importorskip("fsspec", reason="needs the remote extra")
pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (1000, 4000, 16_384, 16_385, 40_000, 300_000)
"""Of images, so that each way to read one is taken."""


def loose_set(folder: Path, task: str = "") -> str:
    """No two images alike, an empty label, an image without label and a label without image."""
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for i in range(24):
        content = picture(i, 8)
        image = padded(content, max(SIZES[i % 6], len(content)))
        (folder / f"images/train/{i}.jpg").write_bytes(image)
        (folder / f"labels/train/{i}.txt").write_bytes(b"" if i == 3 else GOOD * (i + 1))
    (folder / "labels/train/5.txt").unlink()
    (folder / "images/train/6.jpg").unlink()
    (folder / "labels/train/7.txt").write_bytes(GOOD * 5000)
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/train\nnames: [a]\n{task}")
    return "data.yaml"


@pytest.mark.parametrize("mode", ["header", "none", "decode"])
@pytest.mark.parametrize("task", ["", "task: detect\n"], ids=["sampled", "declared"])
def test_requests_for_loose_files_are_known_beforehand(
    s3: tuple[Proxy, Path],
    mode: Any,
    task: str,
) -> None:
    proxy, folder = s3
    url = f"s3://{BUCKET}/set/{loose_set(folder / 'set', task)}"
    proxy.reset()
    plan = plan_scan([url], mode, jobs=1)
    assert not gets(proxy, "/images/") and not gets(proxy, "/labels/")
    assert (plan.kind, plan.images, plan.labels, plan.exact) == ("remote loose", 23, 23, True)
    proxy.reset()
    scan(url, images=mode, jobs=1, cache=False)
    files = [*gets(proxy, "/images/"), *gets(proxy, "/labels/")]
    assert plan.requests == len(files)
    assert plan.total_bytes == sum(
        p.stat().st_size for p in (folder / "set").rglob("*.*") if p.suffix != ".yaml"
    )


@pytest.mark.parametrize("mode", ["header", "none", "decode"])
@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"]
)
def test_reads_of_an_archive_are_known_beforehand(
    tmp_path: Path, mode: Any, compression: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose_set(tmp_path / "set", "task: detect\n")
    archive = str(zipped(tmp_path / "set", tmp_path / "set.zip", compression))
    plan = plan_scan([archive], mode, jobs=1)
    reads: list[int] = []
    really = ZipStorage._at

    def counted(self: ZipStorage, start: int, stop: int) -> bytes:
        data = really(self, start, stop)
        reads.append(len(data))
        return data

    monkeypatch.setattr(ZipStorage, "_at", counted)
    scan(archive, images=mode, jobs=1, cache=False)
    of_yaml = 2  # it is looked at, and read
    assert plan.exact
    assert plan.requests == len(reads) - of_yaml
    assert plan.read_bytes == pytest.approx(sum(reads[of_yaml:]), rel=0.02)


def shards(folder: Path, n: int, each: int, image_bytes: int) -> None:
    """Shards of samples that are all as large."""
    for i in range(n):
        members = [
            (name, padded(content, image_bytes) if name.endswith("jpg") else content)
            for name, content in samples(each, ZERO, i * each)
        ]
        write_tar(folder / f"train-{i:03d}.tar", members)
    (folder / "data.yaml").write_text("names: [a]\n")


@pytest.mark.parametrize("mode", ["header", "none", "decode"])
@pytest.mark.parametrize(
    ("n", "each", "image_bytes"),
    [(3, 20, 5000), (2, 300, 40_000), (12, 40, 100_000), (1, 20, 3_000_000)],
    ids=["small", "long", "many", "large images"],
)
def test_requests_for_shards_are_forecast(
    s3: tuple[Proxy, Path],
    n: int,
    each: int,
    image_bytes: int,
    mode: Any,
) -> None:
    proxy, folder = s3
    shards(folder / "set", n, each, image_bytes)
    url = f"s3://{BUCKET}/set"
    proxy.reset()
    plan = plan_scan([url], mode, jobs=1)
    assert len(gets(proxy, ".tar")) <= n + 8 * 8
    assert plan.kind == "remote tar" and plan.packed_files == n
    assert plan.exact == (2 * each < _MEMBERS_KNOWN and image_bytes < 2**20)
    proxy.reset()
    report = scan(url, images=mode, jobs=1, cache=False)
    counted = len(gets(proxy, ".tar"))
    asked = zip(proxy.requests, proxy.headers, strict=True)
    came = sum(_length(headers) for line, headers in asked if ".tar" in line)
    if plan.exact:
        assert (plan.images, plan.requests, plan.read_bytes) == (n * each, counted, came)
    assert plan.images == pytest.approx(report.summary.images, rel=0.05)
    assert plan.requests == pytest.approx(counted, rel=0.1, abs=2)
    assert plan.read_bytes == pytest.approx(came, rel=0.1)


def _length(headers: Any) -> int:
    start, _, stop = headers.get("range", "bytes=0--1").removeprefix("bytes=").partition("-")
    return int(stop) - int(start) + 1


@pytest.mark.parametrize("splits", [("train", "val"), ("train", "val", "test")])
def test_requests_for_ndjson_are_bounded(s3: tuple[Proxy, Path], splits: Any) -> None:
    proxy, folder = s3
    (folder / "set").mkdir()
    record = {
        "type": "image",
        "width": 9,
        "height": 9,
        "annotations": {"boxes": [[0, 0.5, 0.5, 0.1, 0.2]] * 99},
    }
    lines = [{"type": "dataset", "class_names": {"0": "a"}}]
    lines += [{**record, "file": f"{i}.jpg", "split": splits[i % len(splits)]} for i in range(4000)]
    (folder / "set/x.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = plan_scan([f"s3://{BUCKET}/set/x.ndjson"])
    assert plan.labels == pytest.approx(4000, rel=0.01) and plan.kind == "remote ndjson"
    proxy.reset()
    scan(f"s3://{BUCKET}/set/x.ndjson", jobs=1, cache=False, images="none")
    # Where all three names of splits are met early, the rest is not read for them.
    passes = 1 + len(splits)
    assert plan.requests - plan.requests // passes <= len(gets(proxy, ".ndjson")) <= plan.requests


def test_the_command_says_requests(
    s3: tuple[Proxy, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, folder = s3
    loose_set(folder / "set")
    assert main(["scan", f"s3://{BUCKET}/set/data.yaml", "--plan", "--images", "header"]) == 0
    text = capsys.readouterr().out
    assert "requests" in text and "loose files" in text and "an estimate" in text
