"""What `--plan` forecasts, against what the scan then does."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import GOOD, pack_samples, samples, write_tar
from tiny_sets import tiny_set

from sanitizer.archives import reading
from sanitizer.archives.finding import find_dataset
from sanitizer.archives.read_ahead import open_unbuffered
from sanitizer.cli import main
from sanitizer.scanner import cache, rates
from sanitizer.scanner import plan as planning
from sanitizer.scanner.plan import plan_scan
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from pathlib import Path


class Opened:
    """Files opened below a folder with os.open, and the bytes read from them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        self.bytes_read = 0
        watched: set[int] = set()
        really_open, really_read, really_close = os.open, os.read, os.close

        def open_(path: Any, *args: Any, **kwargs: Any) -> int:
            descriptor = really_open(path, *args, **kwargs)
            if str(path).startswith(str(folder)) and not os.path.isdir(path):
                self.files.append(str(path))
                watched.add(descriptor)
            return descriptor

        def read(descriptor: int, length: int) -> bytes:
            data = really_read(descriptor, length)
            self.bytes_read += len(data) if descriptor in watched else 0
            return data

        def close(descriptor: int) -> None:
            watched.discard(descriptor)
            really_close(descriptor)

        monkeypatch.setattr(os, "open", open_)
        monkeypatch.setattr(os, "read", read)
        monkeypatch.setattr(os, "close", close)


@pytest.mark.parametrize("mode", ["header", "none"])
def test_loose_files_are_opened_and_read_as_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    data = tiny_set(tmp_path / "set", train=7, val=5)
    (tmp_path / "set/labels/train/0.txt").unlink()
    (tmp_path / "set/images/train/1.jpg").unlink()
    plan = plan_scan([str(data)], mode, jobs=1)
    assert (plan.images, plan.labels, plan.exact, plan.kind) == (11, 11, True, "loose")
    opened = Opened(tmp_path / "set", monkeypatch)
    scan(str(data), images=mode, cache=False, jobs=1)
    seen = [path for path in opened.files if not path.endswith(".yaml")]
    assert plan.requests == len(seen)
    assert plan.read_bytes == opened.bytes_read


def test_nothing_is_opened_for_a_plan_of_loose_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_set(tmp_path / "set")
    opened = Opened(tmp_path / "set", monkeypatch)
    plan_scan([str(data)], "header")
    assert [path for path in opened.files if path.endswith((".txt", ".jpg"))] == []


@pytest.mark.parametrize("mode", ["header", "none"])
@pytest.mark.parametrize("padding", [0, 30_000], ids=["small images", "large images"])
def test_shards_are_read_as_forecast(tmp_path: Path, mode: Any, padding: int) -> None:
    members = [(n, c[:-2] + bytes(padding) + c[-2:] if n.endswith("jpg") else c) for n, c in samples(30)]
    shard = write_tar(tmp_path / "train-0.tar", [*members, ("readme.md", b"x" * 700), ("dir/a.txt", GOOD)])
    plan = plan_scan([str(shard)], mode)
    assert (plan.images, plan.labels, plan.exact, plan.kind, plan.packed_files) == (30, 31, True, "tar", 1)
    reads = []

    class Counted:
        def __init__(self, path: str) -> None:
            self.file = open_unbuffered(path)

        def read(self, n: int) -> bytes:
            reads.append(self.file.read(n))
            return reads[-1]

        def __enter__(self) -> Counted:
            self.seek = self.file.seek
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

    dataset = find_dataset([str(shard)])
    part = (0, dataset.packs[0].size_bytes, 1)
    pairs = sum(len(c.pairs) for c in reading.pack_chunks(dataset, 0, part, mode, opener=Counted))  # type: ignore[arg-type]
    assert pairs == 31
    assert plan.requests == len(reads)
    assert plan.read_bytes == sum(map(len, reads))


def test_no_label_and_no_image_is_read_for_a_plan_of_shards(tmp_path: Path) -> None:
    from sanitizer.archives.forecast import forecast

    shard = write_tar(tmp_path / "train-0.tar", samples(5))
    dataset = find_dataset([str(shard)])
    reads = []

    class Counted:
        def __init__(self, path: str) -> None:
            self.file = open_unbuffered(path)
            self.seek = self.file.seek

        def read(self, n: int) -> bytes:
            reads.append(self.file.read(n))
            return reads[-1]

        def __enter__(self) -> Counted:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

    assert forecast(dataset, dataset.packs[0], "header", Counted).images == 5  # type: ignore[arg-type]
    assert all(len(block) == 512 for block in reads)
    assert not any(GOOD in block or b"JFIF" in block for block in reads)


def test_large_datasets_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(10):
        write_tar(tmp_path / f"train-{i}.tar", samples(4, GOOD, 4 * i))
    exact = plan_scan([str(tmp_path)], "header")
    monkeypatch.setattr(planning, "MAX_WALKED_BYTES", exact.total_bytes // 4)
    sampled = plan_scan([str(tmp_path)], "header")
    assert (exact.exact, sampled.exact) == (True, False)
    assert sampled.images == pytest.approx(exact.images, rel=0.1)
    assert sampled.read_bytes == pytest.approx(exact.read_bytes, rel=0.1)
    data = tiny_set(tmp_path / "set", train=20, val=10)
    whole = plan_scan([str(data)], "header")
    monkeypatch.setattr(planning, "MAX_STATS", 10)
    part = plan_scan([str(data)], "header")
    assert (part.images, part.labels, part.exact) == (30, 30, False)
    assert part.read_bytes == pytest.approx(whole.read_bytes, rel=0.1)


def test_lines_of_ndjson_are_counted(tmp_path: Path) -> None:
    lines = [{"type": "dataset", "class_names": {"0": "a"}}]
    lines += [{"file": f"{i}.jpg", "split": "train", "annotations": {}} for i in range(9)]
    path = tmp_path / "set.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = plan_scan([str(path)])
    assert (plan.labels, plan.kind, plan.exact) == (9, "ndjson", False)


def test_rates_of_earlier_scans_are_used_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = str(tiny_set(tmp_path / "set", train=20, val=10))
    assert plan_scan([data], "header").rate_scans == 0
    monkeypatch.setattr("sanitizer.scanner.run.LEAST_PAIRS", {"header": 10, "none": 10, "decode": 10})
    scan(data, images="header", cache=False, jobs=1)
    assert plan_scan([data], "header").rate_scans == 0, "nothing is to be kept"
    monkeypatch.setattr(cache.ChunkCache, "load", lambda self, key: None)
    slowest = max(scan(data, images="header", jobs=1).summary.elapsed_s for _ in range(7))
    plan = plan_scan([data], "header")
    assert plan.rate_scans == rates.KEPT
    assert "last 5 such scans" in plan.rate_source
    assert plan.pairs_per_s >= 0.99 * 30 / slowest
    assert plan_scan([data], "none").rate_scans == 0


def test_a_rescan_from_the_cache_says_nothing_of_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(tiny_set(tmp_path / "set"))
    monkeypatch.setattr("sanitizer.scanner.run.LEAST_PAIRS", {"header": 1})
    monkeypatch.setattr(cache, "SETTLED_AFTER_S", -1)
    for _ in range(3):
        scan(data, images="header", jobs=1)
    assert plan_scan([data], "header").rate_scans == 1


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"[]", b'{"loose/header": [{"pairs": 0}]}', b'{"loose/header": 7}']
)
def test_odd_files_of_rates_are_ignored(content: bytes) -> None:
    path = os.path.join(cache.cache_root(), "rates.json")
    with open(path, "wb") as file:
        file.write(content)
    assert rates.rate_of("loose", "header").scans == 0
    rates.remember("loose", "header", rates.Timing(100, 2.0 + rates.START_S, 1))
    assert rates.rate_of("loose", "header").pairs_per_s == pytest.approx(50)


def test_the_command_prints_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tiny_set(tmp_path / "set"))
    assert main(["scan", data, "--plan"]) == 0
    text = capsys.readouterr().out
    assert "images   6" in text
    assert "reference measured elsewhere" in text
    assert main(["scan", data, "--plan", "--format", "json", "--images", "header"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["images"], plan["labels"], plan["mode"]) == (6, 6, "header")
    assert plan["seconds"] > 0
    for wrong in (["--format", "sarif"], ["--output", str(tmp_path / "x.json")]):
        assert main(["scan", data, "--plan", *wrong]) == 2
        assert "--plan" in capsys.readouterr().err


def test_packed_real_set(shared_data: Path, tmp_path: Path) -> None:
    loose = find_dataset([str(shared_data / "bccd" / "data.yaml")])
    data, _ = pack_samples(loose, tmp_path, 100)
    plan = plan_scan([str(data)], "header")
    report = scan(str(data), images="header", cache=False)
    assert (plan.images, plan.labels) == (report.summary.images, report.summary.labels)
