"""Reports as files: which endings there are, and that a file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

import pytest
from report_samples import RULES, flawed

from sanitizer.reports.common import ReportError
from sanitizer.reports.formats import ENDINGS, format_of, render, write
from sanitizer.util.atomic import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def known_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports look rules up; these tests are about files."""
    monkeypatch.setattr("sanitizer.rules.language.pack.load_rules", lambda packs=(): RULES)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_writes_its_format(ending: str, tmp_path: Path) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow (the parquet extra)")
    path = tmp_path / f"out{ending.upper()}"
    write(flawed(), str(path))
    if ending == ".html":  # its pictures are beside it
        assert sorted(os.listdir(tmp_path)) == ["out.HTML", "out_files"]
        assert path.read_bytes().startswith(b"<!doctype html>")
        return
    if ending != ".parquet":
        assert path.read_bytes().decode("utf-8") == render(flawed(), ENDINGS[ending])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("path", ["f.htm", "f.txt", "f", ".json/"])
def test_other_endings_are_refused_with_those_there_are(path: str) -> None:
    with pytest.raises(ReportError, match=r"there are \.json, \.jsonl"):
        format_of(path)


def test_a_disk_that_is_full_of_pictures_is_told_by_the_name_of_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sanitizer.reports.html.build._page", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write(flawed(), str(tmp_path / "page.html"))
    assert raised.value.filename == str(tmp_path / "page_files")
    assert os.listdir(tmp_path) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.json"
    path.write_text("old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left on device") as failure:
        write_atomically(str(path), b"new")
    assert failure.value.filename == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.json"]


def test_writing_through_a_link_keeps_the_link_and_honours_the_umask(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    before = os.umask(0o027)
    try:
        write_atomically(str(tmp_path / "link.json"), b"{}")
    finally:
        os.umask(before)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == b"{}"
    assert stat.S_IMODE((tmp_path / "real.json").stat().st_mode) == 0o640


def test_what_a_killed_write_of_the_same_process_number_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a container the program has the same process number each time."""
    (tmp_path / f"f.json.{os.getpid()}.part").write_text("half")
    write_atomically(str(tmp_path / "f.json"), b"new")
    assert (tmp_path / "f.json").read_bytes() == b"new"


def test_parts_of_long_ago_are_removed_and_those_of_today_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of today may be another process's, on this machine or on another."""
    stale = tmp_path / f"f.json.{'a' * 16}.part"
    others = [tmp_path / name for name in ("g.json." + "a" * 16 + ".part", "f.json.part", "f.json.1.part")]
    for path in (stale, *others):
        path.write_text("half")
    write_atomically(str(tmp_path / "f.json"), b"new")
    assert stale.exists()
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() + 2 * 86400)
    write_atomically(str(tmp_path / "f.json"), b"new")
    assert not stale.exists() and all(path.exists() for path in others)
