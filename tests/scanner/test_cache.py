"""The scan cache: quick when nothing changed, and never believed when anything did."""

from __future__ import annotations

import os
import shutil
import time
from hashlib import blake2b
from pathlib import Path
from stat import S_ISREG

import numpy as np
import pytest
from strange_files import STRANGE, put, within

import sanitizer.scanner.chunks
from sanitizer import Report, scan
from sanitizer.config import Config, RuleConfig
from sanitizer.dataset.model import PAIRS_PER_CHUNK, Dataset, Split
from sanitizer.labels import single_file
from sanitizer.scanner import cache as cache_module
from sanitizer.scanner.cache import DIGEST_BYTES, MAGIC, cache_root
from sanitizer.scanner.pieces import FEWEST_PAIRS, mean_length, pieces


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
    real = sanitizer.scanner.chunks.read_labels

    def spy(paths, *how):  # type: ignore[no-untyped-def]
        seen.extend(p for p in paths if p)
        return real(paths, *how)

    monkeypatch.setattr(sanitizer.scanner.chunks, "read_labels", spy)
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


def test_a_first_scan_asks_the_disk_for_no_state_that_reading_tells(
    dataset: Path, read_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (dataset / "labels/train/005.txt").unlink()
    (dataset / "labels/train/005.txt").mkdir()
    (dataset / "labels/train/007.txt").write_text("1 0.5 0.5 0.3 0.2\n" * 9000)
    age(dataset)
    (dataset / "images/train/003.jpg").unlink()
    (dataset / "images/train/003.jpg").symlink_to("nowhere")
    with monkeypatch.context() as first_scan:
        first_scan.setattr(cache_module, "states_on_disk", None)
        first = run(dataset, images="header")
    read_files.clear()
    assert run(dataset, images="header").findings == first.findings
    assert read_files == []


def test_what_changes_while_a_chunk_is_first_read_is_read_again(
    dataset: Path, read_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    label, real = dataset / "labels/train/039.txt", single_file._read_small

    def read_and_change(file: int) -> bytes:
        data = real(file)
        if data.startswith(b"1") and os.path.samestat(os.fstat(file), label.stat()):
            label.write_bytes(data.replace(b"1 0.5", b"7 0.5"))
            os.utime(label, (1, 1))
        return data

    with monkeypatch.context() as first_scan:
        first_scan.setattr(single_file, "_read_small", read_and_change)
        run(dataset)
    assert "C001" in {f.rule for f in run(dataset).findings}


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


def test_a_file_changed_just_now_is_not_stored(
    dataset: Path, read_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dataset / "labels/train/001.txt"
    path.write_text("1 0.5 0.5 0.3 0.2\n")
    assert cache_module.SETTLED_AFTER_S >= 2, "a tick of the clock of FAT"
    # On a busy machine a scan takes longer than 2 s.
    monkeypatch.setattr(cache_module, "SETTLED_AFTER_S", 600.0)
    just_now = time.time() - 300
    os.utime(path, (just_now, just_now))
    run(dataset)
    read_files.clear()
    run(dataset)
    assert str(path) in read_files


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


def test_a_small_set_is_cut_into_enough_chunks_for_many_processes() -> None:
    small, large = (split_of([f"{i:06}.jpg" for i in range(n)]) for n in (20_000, 40_000))
    chunks = list(map(len, chunk_contents(small, mean_length(small, "header"))))
    assert len(chunks) >= 15
    assert max(chunks) < len(small) / 4
    assert mean_length(large, "header") == PAIRS_PER_CHUNK["header"]
    assert mean_length(split_of(["a.jpg"]), "header") == FEWEST_PAIRS
    assert mean_length(small, "decode") == PAIRS_PER_CHUNK["decode"]


def test_a_new_file_changes_only_its_own_chunk() -> None:
    names = [f"{i:05}.jpg" for i in range(2000)]
    before = set(chunk_contents(split_of(names), mean=16))
    after = set(chunk_contents(split_of(sorted([*names, "00700a.jpg"])), mean=16))
    assert len(after - before) <= 2


# --- entries and folders that are not ours ---

WRITTEN_OVER = [kind for kind in STRANGE if kind != "link to a device"]
"""Where a test writes, it must not be able to write into a device, whatever is broken."""


def entries() -> list[Path]:
    return sorted(p for p in Path(cache_root(), "scan").rglob("*") if p.is_file())


def test_a_forged_entry_with_the_right_checksum_is_replaced(dataset: Path, read_files: list[str]) -> None:
    first = run(dataset)
    for entry in entries():
        head = len(MAGIC) + DIGEST_BYTES
        state = entry.read_bytes()[head : head + 16]
        body = state + b"200000\n" + b"[" * 200_000
        entry.write_bytes(MAGIC + blake2b(body, digest_size=DIGEST_BYTES).digest() + body)
    read_files.clear()
    assert run(dataset).findings == first.findings
    assert len(read_files) == 40
    read_files.clear()
    run(dataset)
    assert read_files == []


@pytest.mark.thorough
@pytest.mark.parametrize("kind", WRITTEN_OVER)
def test_what_stands_in_the_place_of_an_entry_neither_hangs_nor_breaks_a_scan(
    dataset: Path,
    kind: str,
) -> None:
    first = run(dataset)
    for entry in entries():
        put(kind, entry)
    with within(10):
        assert run(dataset).findings == first.findings
        assert run(dataset).findings == first.findings


@pytest.mark.thorough
@pytest.mark.parametrize("below", ["", "scan"])
@pytest.mark.parametrize("kind", WRITTEN_OVER)
def test_what_stands_in_the_place_of_the_cache_neither_hangs_nor_breaks_a_scan(
    dataset: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    below: str,
) -> None:
    first = run(dataset, cache=False)
    folder = tmp_path_factory.mktemp("home") / "cache"
    folder.mkdir()
    put(kind, folder / below)
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(folder))
    with within(10):
        assert run(dataset).findings == first.findings


def test_nothing_behind_a_link_in_the_cache_is_thrown_away(dataset: Path, tmp_path: Path) -> None:
    run(dataset)
    folder = entries()[0].parent
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for i in range(60):
        (elsewhere / f"{i}.txt").write_text("mine")
        os.utime(elsewhere / f"{i}.txt", (i, i))
    shutil.rmtree(folder)
    folder.symlink_to(elsewhere)
    for i in range(9):
        (folder.parent / f"{i:024x}").symlink_to(elsewhere)
    run(dataset)
    assert len(list(elsewhere.glob("*.txt"))) == 60


def test_what_is_no_entry_stays_in_the_cache_folder(dataset: Path) -> None:
    run(dataset)
    folder = entries()[0].parent
    for i in range(60):
        (folder / f"note {i}").write_text("mine")
        (folder.parent / f"folder {i}").mkdir()
    run(dataset)
    assert len(list(folder.glob("note *"))) == 60
    assert len(list(folder.parent.glob("folder *"))) == 60


def test_what_a_killed_scan_left_half_written_goes_with_a_later_one(dataset: Path) -> None:
    run(dataset)
    folder = entries()[0].parent
    (folder / ".new-old").write_bytes(b"half")
    (folder / ".new-fresh").write_bytes(b"half")
    os.utime(folder / ".new-old", (1, 1))
    run(dataset)
    assert not (folder / ".new-old").exists()
    assert (folder / ".new-fresh").exists(), "another scan may be writing it"


# --- what findings depend on ---


def test_another_root_gives_other_paths(tmp_path: Path) -> None:
    for folder in ("set/images", "set/labels"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "set/images/a.jpg").write_bytes(b"")
    (tmp_path / "set/labels/a.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    age(tmp_path)
    data_yaml = tmp_path / "data.yaml"

    def images(root: Path) -> set[str | None]:
        inside = os.path.relpath(tmp_path / "set/images", root)
        data_yaml.write_text(f"path: {root}\ntrain: {inside}\nval: {inside}\nnames: [a]\n")
        return {
            f.image for f in scan(data_yaml, jobs=1, images="header").findings if f.rule in ("C001", "I001")
        }

    assert images(tmp_path / "set") == {"images/a.jpg"}
    assert images(tmp_path) == {"set/images/a.jpg"}
    assert images(tmp_path / "set") == {"images/a.jpg"}


def test_other_content_of_the_same_size_and_time_is_read_again(
    dataset: Path,
    read_files: list[str],
) -> None:
    label = dataset / "labels/train/001.txt"
    run(dataset)
    before, read_files[:] = label.stat(), []
    time.sleep(0.02)  # the clock of the file system ticks
    label.write_text(label.read_text().replace("1 0.5", "7 0.5"))
    os.utime(label, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = run(dataset)
    assert str(label) in read_files
    assert "C001" in {f.rule for f in report.findings}


def test_a_file_that_became_something_else_is_looked_at_again(dataset: Path) -> None:
    image = dataset / "images/train/001.jpg"
    run(dataset)
    before = image.stat()
    put("FIFO", image)
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    with within(10):
        messages = [f.message for f in run(dataset).findings if f.image == "images/train/001.jpg"]
    assert any("no regular file" in message for message in messages)


def test_a_broken_link_that_leads_elsewhere_now_is_told_anew(dataset: Path) -> None:
    image = dataset / "images/train/001.jpg"
    image.unlink()
    image.symlink_to("first")
    os.utime(image, (1, 1), follow_symlinks=False)
    run(dataset)
    image.unlink()
    image.symlink_to("other")
    os.utime(image, (1, 1), follow_symlinks=False)
    assert any("a link to other" in f.message for f in run(dataset).findings)


def test_files_whose_names_run_together_the_same_way_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")

    def named(*names: str) -> set[str | None]:
        for path in (tmp_path / "images").iterdir():
            path.unlink()
        for name in names:
            os.link(tmp_path / "one", tmp_path / "images" / name)
        return {f.image for f in run(tmp_path).findings if f.rule == "I001"}

    (tmp_path / "one").write_bytes(b"")
    for names in (("a.jpg", "b.jpgc.jpg"), ("a.jpgb.jpg", "c.jpg")):
        (tmp_path / "one").touch()
        os.utime(tmp_path / "one", (1, 1))
        assert named(*names) == {f"images/{name}" for name in names}


# --- one split of several ---


def two_splits(folder: Path) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i in range(120):
            (folder / f"images/{split}/{i:03}.jpg").write_bytes(b"")
            (folder / f"labels/{split}/{i:03}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    age(folder)
    return folder


def test_a_scan_of_one_split_leaves_the_others_in_the_cache(
    tmp_path: Path,
    read_files: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PAIRS_PER_CHUNK, "header", 2)
    folder = two_splits(tmp_path)
    run(folder, images="header")
    run(folder, images="header", splits=["val"])
    read_files.clear()
    run(folder, images="header")
    assert read_files == []


def test_chunks_that_are_no_more_are_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAIRS_PER_CHUNK, "header", 2)
    folder = two_splits(tmp_path)
    run(folder, images="header")
    before = len(entries())
    for i in range(118):
        (folder / f"images/train/{i:03}.jpg").unlink()
        (folder / f"labels/train/{i:03}.txt").unlink()
    run(folder, images="header")
    assert len(entries()) < 0.8 * before


def test_a_split_that_nobody_asked_for_in_a_month_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAIRS_PER_CHUNK, "header", 2)
    folder = two_splits(tmp_path)
    run(folder, images="header")
    before = set(entries())
    for entry in before:
        os.utime(entry, (1, 1))
    run(folder, images="header", splits=["val"])
    assert 0 < len(entries()) < 0.8 * len(before)


# --- where the cache lies ---


@pytest.mark.parametrize("where", ["cache", ".cache/deep", "images/train/cache", "link"])
def test_a_cache_inside_the_dataset_is_off_and_the_report_says_so(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    inside = dataset / where
    if where == "link":
        inside = tmp_path.parent / f"{tmp_path.name} link"
        inside.symlink_to(dataset)
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(inside))
    before = state_of(dataset)
    report = run(dataset)
    assert state_of(dataset) == before
    (note,) = [note for note in report.notes if "SANITIZE_CACHE_DIR" in note]
    assert "lies inside the dataset" in note
    assert report.findings


def test_a_cache_beside_the_dataset_is_on(
    dataset: Path,
    read_files: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SANITIZE_CACHE_DIR", f"{dataset} cache")
    run(dataset)
    read_files.clear()
    report = run(dataset)
    assert read_files == []
    assert not [note for note in report.notes if "SANITIZE_CACHE_DIR" in note]


def test_a_cache_that_is_asked_not_to_be_is_not_spoken_of(
    dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(dataset / "cache"))
    report = run(dataset, cache=False)
    assert not [note for note in report.notes if "SANITIZE_CACHE_DIR" in note]


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_size if S_ISREG(path.stat().st_mode) else 0, path.stat().st_mtime_ns)
        for path in (folder, *folder.rglob("*"))
    }
