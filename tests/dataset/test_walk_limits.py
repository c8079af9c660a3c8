"""Lists without end, folders without end, and splits that are the whole disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import MOST_SECONDS, SCAN, run_measured
from strange_files import within
from tiny_sets import tiny_set

from sanitizer import scan
from sanitizer.archives.finding import find_dataset
from sanitizer.cli import main
from sanitizer.dataset.image_lists import MAX_LINE, read_image_list
from sanitizer.dataset.listing import Listing, is_everything
from sanitizer.dataset.model import DatasetError

NAMES = "names: [red, green]\n"


def details(data: Path) -> list[str]:
    return [str(f.values.get("detail")) for f in find_dataset([str(data)]).faults]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """The data.yaml of a small set whose train split is the list train.txt."""
    tiny_set(tmp_path)
    (tmp_path / "data.yaml").write_text(f"train: train.txt\nval: images/val\n{NAMES}")
    return tmp_path / "data.yaml"


@pytest.mark.parametrize("kind", ["pipe", "device", "socket folder"])
def test_a_list_that_is_no_file_is_named_and_not_waited_for(listed: Path, kind: str) -> None:
    path = listed.parent / "train.txt"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/full")
    else:
        path.symlink_to("/proc/self/fd/0")
    with within(MOST_SECONDS):
        assert any("neither a folder nor a text list" in d for d in details(listed))
        assert read_image_list(str(path), []).error is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "words"),
    [(8 << 30, f"has a line of more than {MAX_LINE:,} characters"), (100_000, "names no image")],
)
def test_a_list_that_claims_gigabytes_takes_no_memory(listed: Path, size: int, words: str) -> None:
    (listed.parent / "train.txt").touch()
    os.truncate(listed.parent / "train.txt", size)
    ran = run_measured(SCAN, listed)
    assert words in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


@pytest.mark.slow
def test_a_list_of_many_lines_that_name_nothing_takes_no_memory(listed: Path) -> None:
    (listed.parent / "train.txt").write_bytes(b"a\n" * 4_000_000)
    ran = run_measured(SCAN, listed)
    assert "4,000,000 lines" in ran.stdout or "names no image" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"


def test_the_number_of_lines_has_a_limit_that_can_be_raised(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listed.parent / "train.txt").write_text("./images/train/0.jpg\n" * 200)
    monkeypatch.setenv("SANITIZE_MAX_FILES", "150")
    with pytest.raises(DatasetError, match=r"train\.txt leads to more than 150 files.*SANITIZE_MAX_FILES"):
        find_dataset([str(listed)])
    monkeypatch.setenv("SANITIZE_MAX_FILES", "1000")
    find_dataset([str(listed)])


LINE_ENDS = ["\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028"]


@given(
    st.lists(st.sampled_from(["./a.jpg", " ./b.png ", "", "  ", "\t", "c.txt", *LINE_ENDS]), max_size=40),
    st.sampled_from([1, 2, 3, 7]),
)
def test_a_list_read_in_pieces_has_the_lines_that_training_reads(parts: list[str], piece: int) -> None:
    """Lines and their numbers are those of `text.strip().splitlines()`, wherever a piece ends."""
    import tempfile
    from unittest.mock import patch

    text = "".join(parts)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("sanitizer.dataset.image_lists._PIECE_CHARACTERS", piece),
    ):
        path = os.path.join(folder, "l.txt")
        Path(path).write_bytes(text.encode())
        found = read_image_list(path, [])
    with_newlines = text.replace("\r\n", "\n").replace("\r", "\n")
    expected = [line for line in with_newlines.strip().splitlines() if line.strip()]
    assert found.counts.total() == len(expected)
    images = [line.rpartition("/")[2] for line in expected if line.endswith((".jpg", ".png"))]
    assert sorted(n for names in found.groups.values() for n in names) == sorted(images)


@pytest.mark.parametrize("split", ["/", "/proc", "/sys", "~", "link"])
def test_a_split_that_is_everything_is_named_and_not_walked(
    tmp_path: Path, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "people" / "me"
    data = tiny_set(home / "set")
    monkeypatch.setenv("HOME", str(home))
    if split == "link":
        (home / "set" / "all").symlink_to("/")
        split = "all"
    split = str(home) if split == "~" else split
    data.write_text(f"train: {split}\nval: images/val\n{NAMES}")
    with within(MOST_SECONDS):
        report = scan(data, cache=False, jobs=1)
    (finding,) = [f for f in report.findings if f.rule == "D002"]
    assert (finding.severity.label, finding.line) == ("error", 1)
    assert "it was not read" in finding.message
    assert report.summary.images == 2


@pytest.mark.parametrize("text", ["path: /\ntrain: .\nval: .\n", "path: /\ntrain: ./\nval: proc\n"])
def test_a_path_that_is_the_whole_disk_is_not_walked(tmp_path: Path, text: str) -> None:
    data = tiny_set(tmp_path)
    data.write_text(text + NAMES)
    with within(MOST_SECONDS):
        assert main(["scan", str(data), "--no-cache"]) == 1


def test_a_dataset_below_a_home_folder_is_no_home_folder(tmp_path: Path) -> None:
    assert not is_everything(str(tmp_path))
    assert is_everything("/")
    assert is_everything(os.path.expanduser("~"))


def test_the_number_of_files_has_a_limit_that_can_be_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny_set(tmp_path, train=30)
    monkeypatch.setenv("SANITIZE_MAX_FILES", "40")
    assert main(["scan", str(data), "--no-cache"]) == 2
    error = capsys.readouterr().err
    assert "more than 40 files" in error
    assert "set SANITIZE_MAX_FILES to a larger number" in error
    monkeypatch.setenv("SANITIZE_MAX_FILES", "100")
    assert main(["scan", str(data), "--no-cache"]) == 0


def test_empty_folders_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(60):
        (tmp_path / "images" / f"{i}").mkdir(parents=True)
    monkeypatch.setenv("SANITIZE_MAX_FILES", "50")
    with pytest.raises(DatasetError, match="more than 50 files"):
        find_dataset([str(tmp_path)])


def test_folders_that_the_kernel_makes_up_are_left_out_of_a_walk(tmp_path: Path) -> None:
    tiny_set(tmp_path)
    for name in ("proc", "sys"):
        (tmp_path / "images" / "train" / name).symlink_to(f"/{name}")
    with within(MOST_SECONDS):
        found = [folder.path for folder in Listing().walk(str(tmp_path / "images"))]
    assert not [path for path in found if "/proc" in path or "/sys" in path]


@pytest.mark.slow
def test_links_between_many_folders_take_no_memory(tmp_path: Path) -> None:
    data = tiny_set(tmp_path)
    root = tmp_path / "images" / "train"
    for i in range(60):
        (root / f"d{i}").mkdir()
        for j in range(60):
            (root / f"d{i}" / f"l{j}").symlink_to(f"../d{j}")
    ran = run_measured(SCAN, data)
    assert "links to folders without end" in ran.stdout
    assert ran.within_limits(), f"{ran.seconds:.1f} s, {ran.peak_mb:.0f} MB"
