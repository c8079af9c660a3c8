"""What `--plan` says of datasets elsewhere, against the requests that a proxy then counts."""

from __future__ import annotations

import json
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import GOOD, ZERO, padded, picture, samples, write_tar
from remote_places import BUCKET, Proxy, gets, zipped

from sanitizer import scan
from sanitizer.cli import main
from sanitizer.scanner.plan import plan_scan

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
    plan = plan_scan([url], mode)
    assert not gets(proxy, "/images/") and not gets(proxy, "/labels/")
    assert (plan.kind, plan.images, plan.labels, plan.exact) == ("remote loose", 23, 23, True)
    proxy.reset()
    scan(url, images=mode, jobs=1, cache=False)
    files = [*gets(proxy, "/images/"), *gets(proxy, "/labels/")]
    assert plan.requests == len(files)
    assert plan.total_bytes == sum(
        p.stat().st_size for p in (folder / "set").rglob("*.*") if p.suffix != ".yaml"
    )


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"]
)
def test_files_of_an_archive_are_counted(tmp_path: Path, compression: int) -> None:
    loose_set(tmp_path / "set", "task: detect\n")
    files = [p for p in (tmp_path / "set").rglob("*.*") if p.suffix != ".yaml"]
    plan = plan_scan([str(zipped(tmp_path / "set", tmp_path / "set.zip", compression))], "header")
    assert (plan.kind, plan.images, plan.labels, plan.exact) == ("remote loose", 23, 23, True)
    assert plan.total_bytes == sum(p.stat().st_size for p in files)
    assert (plan.requests, plan.read_bytes) == (None, None)


def test_sizes_behind_a_web_server_are_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = loose_set(tmp_path / "set")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/set/{name}"
        plan = plan_scan([url], "header")
        assert main(["scan", url, "--plan", "--images", "header"]) == 0
        server.shutdown()
    assert (plan.kind, plan.images, plan.labels, plan.exact) == ("remote loose", 23, 23, False)
    assert (plan.total_bytes, plan.read_bytes, plan.requests) == (None, None, 2 * 23 + 23)
    assert "to read  unknown bytes in about 69 requests" in capsys.readouterr().out


def shards(folder: Path, n: int, each: int, image_bytes: int) -> None:
    """Shards of samples that are all as large."""
    for i in range(n):
        members = [
            (name, padded(content, image_bytes) if name.endswith("jpg") else content)
            for name, content in samples(each, ZERO, i * each)
        ]
        write_tar(folder / f"train-{i:03d}.tar", members)
    (folder / "data.yaml").write_text("names: [a]\n")


def test_shards_elsewhere_are_counted_and_their_members_unknown(s3: tuple[Proxy, Path]) -> None:
    _, folder = s3
    shards(folder / "set", 3, 20, 5000)
    plan = plan_scan([f"s3://{BUCKET}/set"], "header")
    assert (plan.kind, plan.packed_files) == ("remote tar", 3)
    assert plan.total_bytes == sum(p.stat().st_size for p in (folder / "set").glob("*.tar"))
    assert (plan.images, plan.labels, plan.requests, plan.read_bytes) == (None,) * 4


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
    lines += [{**record, "file": f"{i}.jpg", "split": splits[i % len(splits)]} for i in range(1600)]
    (folder / "set/x.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = plan_scan([f"s3://{BUCKET}/set/x.ndjson"])
    assert plan.labels is None and plan.kind == "remote ndjson"
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
    assert "requests" in text and "loose files" in text
