"""The scan cache: quick when nothing changed, and never believed when anything did."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import sanitizer.work
from sanitizer import Report, scan
from sanitizer.cache import cache_root
from sanitizer.config import Config, RuleConfig
from sanitizer.dataset.model import Dataset, Split
from sanitizer.work import pieces


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Forty pairs without pixels worth reading, one row in six faulty, an hour old."""
    for folder in ("images/train", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cat, dog]\n")
    for i in range(40):
        (tmp_path / f"images/train/{i:03}.jpg").write_bytes(b"")
        row = "0 0.5 0.5 0 0.2" if i % 6 == 0 else "1 0.5 0.5 0.3 0.2"
        (tmp_path / f"labels/train/{i:03}.txt").write_text(row + "\n")
    age(tmp_path)
    return tmp_path


def age(folder: Path) -> None:
    """Make every file an hour old: the cache does not store what changed just now."""
    hour_ago = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (hour_ago, hour_ago))


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every label path that was really read."""
    seen: list[str] = []
    real = sanitizer.work.read_labels

    def spy(paths, spec):  # type: ignore[no-untyped-def]
        seen.extend(p for p in paths if p)
        return real(paths, spec)

    monkeypatch.setattr(sanitizer.work, "read_labels", spy)
    return seen


def run(dataset: Path, **options: object) -> Report:
    return scan(dataset / "data.yaml", jobs=1, **options)  # type: ignore[arg-type]


def test_a_rescan_reads_nothing_and_says_the_same(dataset: Path, read_files: list[str]) -> None:
    first = run(dataset)
    assert len(read_files) == 40
    read_files.clear()
    second = run(dataset)
    assert read_files == []
    assert second.findings == first.findings
    assert second.summary.splits == first.summary.splits
    assert {f.rule for f in first.findings} >= {"B002", "I001"}


def test_a_changed_label_is_read_again(dataset: Path, read_files: list[str]) -> None:
    run(dataset)
    read_files.clear()
    (dataset / "labels/train/001.txt").write_text("7 0.5 0.5 0.3 0.2\n")
    age_one = time.time() - 1800
    os.utime(dataset / "labels/train/001.txt", (age_one, age_one))
    report = run(dataset)
    assert str(dataset / "labels/train/001.txt") in read_files
    assert [(f.label, f.line) for f in report.findings if f.rule == "C001"] == [("labels/train/001.txt", 1)]


def test_other_rules_do_not_take_the_old_answer(dataset: Path) -> None:
    run(dataset)
    other = run(dataset, config=Config(ignore=("B002",)))
    assert "B002" not in {f.rule for f in other.findings}
    limits = {"B001": RuleConfig(params={"max_ratio": 1.1})}
    assert "B001" in {f.rule for f in run(dataset, config=Config(rules=limits)).findings}


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "garbage"])
def test_a_corrupt_entry_is_rebuilt(dataset: Path, read_files: list[str], damage: str) -> None:
    first = run(dataset)
    read_files.clear()
    entries = [p for p in Path(cache_root()).rglob("*") if p.is_file()]
    assert entries
    for entry in entries:
        content = bytearray(entry.read_bytes())
        if damage == "flip":
            content[len(content) // 2] ^= 1
        entry.write_bytes(
            {"flip": bytes(content), "truncate": bytes(content[:-9]), "empty": b"", "garbage": b"\x80" * 99}[
                damage
            ]
        )
    assert run(dataset).findings == first.findings
    assert len(read_files) == 40
    read_files.clear()
    run(dataset)
    assert read_files == []


def test_a_file_changed_just_now_is_not_stored(dataset: Path, read_files: list[str]) -> None:
    (dataset / "labels/train/001.txt").write_text("1 0.5 0.5 0.3 0.2\n")
    run(dataset)
    read_files.clear()
    run(dataset)
    assert str(dataset / "labels/train/001.txt") in read_files


def test_no_cache_leaves_no_trace(dataset: Path) -> None:
    shutil.rmtree(cache_root(), ignore_errors=True)
    run(dataset, cache=False)
    assert not os.path.exists(cache_root())


def test_a_folder_that_cannot_be_written_is_no_error(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(blocker / "below"))
    assert run(dataset).summary.images == 40


def split_of(names: list[str]) -> Dataset:
    n = len(names)
    yes = np.ones(n, np.bool_)
    split = Split.build("train", ["/d/images"], ["/d/labels"], np.zeros(n, np.int32), names, yes, yes)
    return Dataset("/d", "/d", None, (split,), None, None, {})


def chunk_contents(dataset: Dataset, mean: int) -> list[tuple[str, ...]]:
    split = dataset.splits[0]
    return [tuple(split.file_name(i) for i in range(p.start, p.stop)) for p in pieces(dataset, mean)]


@pytest.mark.parametrize("n", [0, 1, 2, 50, 999])
def test_chunks_hold_every_pair_once(n: int) -> None:
    names = [f"{i:05}.jpg" for i in range(n)]
    chunks = chunk_contents(split_of(names), mean=16)
    assert [name for chunk in chunks for name in chunk] == names
    assert all(1 <= len(chunk) <= 64 for chunk in chunks)


def test_a_new_file_changes_only_its_own_chunk() -> None:
    names = [f"{i:05}.jpg" for i in range(2000)]
    before = set(chunk_contents(split_of(names), mean=16))
    after = set(chunk_contents(split_of(sorted([*names, "00700a.jpg"])), mean=16))
    assert len(after - before) <= 2
