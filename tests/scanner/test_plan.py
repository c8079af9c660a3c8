"""What `--plan` counts, against what the scan then does."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import GOOD, pack_samples, samples, write_tar
from tiny_sets import tiny_set

from sanitizer.archives.finding import find_dataset
from sanitizer.archives.read_ahead import open_unbuffered
from sanitizer.cli import main
from sanitizer.scanner.plan import count_members, plan_scan
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
def test_loose_files_are_opened_and_read_as_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    data = tiny_set(tmp_path / "set", train=7, val=5)
    (tmp_path / "set/labels/train/0.txt").unlink()
    (tmp_path / "set/images/train/1.jpg").unlink()
    plan = plan_scan([str(data)], mode)
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


@pytest.mark.parametrize("padding", [0, 30_000], ids=["small images", "large images"])
def test_members_of_shards_are_counted(tmp_path: Path, padding: int) -> None:
    members = [(n, c[:-2] + bytes(padding) + c[-2:] if n.endswith("jpg") else c) for n, c in samples(30)]
    shard = write_tar(tmp_path / "train-0.tar", [*members, ("readme.md", b"x" * 700), ("dir/a.txt", GOOD)])
    plan = plan_scan([str(shard)], "header")
    assert (plan.images, plan.labels, plan.exact, plan.kind, plan.packed_files) == (30, 31, True, "tar", 1)
    assert plan.total_bytes == shard.stat().st_size
    assert (plan.requests, plan.read_bytes) == (None, None)


def test_members_of_a_compressed_shard_are_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = write_tar(tmp_path / "train-0.tar", samples(3))
    packed = tmp_path / "train-0.tar.gz"
    packed.write_bytes(gzip.compress(shard.read_bytes()))
    plan = plan_scan([str(packed)], "header")
    assert (plan.images, plan.labels, plan.total_bytes) == (None, None, packed.stat().st_size)
    assert main(["scan", str(packed), "--plan", "--images", "header"]) == 0
    assert "images   unknown" in capsys.readouterr().out


def test_no_label_and_no_image_is_read_for_a_plan_of_shards(tmp_path: Path) -> None:
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

    assert count_members(dataset, dataset.packs[0], Counted) == (5, 5)  # type: ignore[arg-type]
    assert all(len(block) == 512 for block in reads)
    assert not any(GOOD in block or b"JFIF" in block for block in reads)


def test_lines_of_ndjson_are_counted(tmp_path: Path) -> None:
    lines = [{"type": "dataset", "class_names": {"0": "a"}}]
    lines += [{"file": f"{i}.jpg", "split": "train", "annotations": {}} for i in range(9)]
    path = tmp_path / "set.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = plan_scan([str(path)])
    assert (plan.labels, plan.kind, plan.exact) == (9, "ndjson", False)


def test_the_command_prints_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tiny_set(tmp_path / "set"))
    assert main(["scan", data, "--plan"]) == 0
    text = capsys.readouterr().out
    assert "images   6" in text
    assert main(["scan", data, "--plan", "--format", "json", "--images", "header"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["images"], plan["labels"], plan["mode"]) == (6, 6, "header")
    assert not {"seconds", "memory_mib", "pairs_per_s"} & plan.keys()
    for wrong in (["--format", "sarif"], ["--output", str(tmp_path / "x.json")]):
        assert main(["scan", data, "--plan", *wrong]) == 2
        assert "--plan" in capsys.readouterr().err


def test_packed_real_set(shared_data: Path, tmp_path: Path) -> None:
    loose = find_dataset([str(shared_data / "bccd" / "data.yaml")])
    data, _ = pack_samples(loose, tmp_path, 100)
    plan = plan_scan([str(data)], "header")
    report = scan(str(data), images="header", cache=False)
    assert (plan.images, plan.labels) == (report.summary.images, report.summary.labels)
