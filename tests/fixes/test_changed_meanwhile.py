"""What happens to a dataset while a fix or an undo is at work: a sentence, and nothing is lost or written elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from journals import FIXED, FLAWED, LABEL, files_of, flawed_dataset, make_odd
from strange_files import within
from viewed import fix_into_view

from sanitizer.cli import main
from sanitizer.fixes import fixing
from sanitizer.fixes.decisions import DecisionsError, read_decisions
from sanitizer.fixes.fixing import fix
from sanitizer.fixes.journal import staging
from sanitizer.fixes.journal.runs import JournalError, locked
from sanitizer.fixes.planning import plan_fix
from sanitizer.fixes.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OTHER = "labels/train/a.txt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two flawed labels, of which a.txt comes first."""
    return flawed_dataset(
        tmp_path / "set",
        {"images/train/a.jpg": {"image": "64x48"}, OTHER: FLAWED, "labels/train.cache": "old"},
    )


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/example.txt").write_text("precious")
    return tmp_path / "outside"


def _remove(path: Path) -> None:
    shutil.rmtree(path)


def _move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


DISTURBANCES: dict[str, Callable[[Path, Path], None]] = {
    "label folder removed": lambda folder, _: _remove(folder / "labels/train"),
    "all labels removed": lambda folder, _: _remove(folder / "labels"),
    "label folder moved": lambda folder, _: _move_away(folder / "labels/train"),
    "label folder becomes a link": lambda folder, outside: make_odd(folder / "labels/train", "link", outside),
    "label folder becomes a file": lambda folder, outside: make_odd(folder / "labels/train", "file", outside),
    "label removed": lambda folder, _: (folder / LABEL).unlink(),
    **{
        f"label becomes a {kind}": lambda folder, outside, kind=kind: make_odd(
            folder / LABEL, kind, outside / "example.txt"
        )
        for kind in ("link", "fifo", "folder")
    },
}

MOMENTS = ["scanned", "planned", "journalled", "staged"]


def at(moment: str, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this done once, just after the fix has come to that moment."""
    module, name = {
        "scanned": ("sanitizer.fixes.planning", "find_targets"),
        "planned": ("sanitizer.fixes.fixing", "label_caches"),
        "journalled": ("sanitizer.fixes.apply", "_stage"),
        "staged": ("sanitizer.fixes.apply", "_commit"),
    }[moment]
    real = getattr(sys.modules[module], name)

    def disturbed(*given: Any) -> Any:
        monkeypatch.setattr(f"{module}.{name}", real)
        act()
        return real(*given)

    monkeypatch.setattr(f"{module}.{name}", disturbed)


@pytest.mark.thorough
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_a_label_or_its_folder_that_goes_during_a_fix(
    moment: str,
    disturbance: str,
    folder: Path,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at(moment, lambda: DISTURBANCES[disturbance](folder, outside), monkeypatch)
    with within(30):
        status = main(["fix", str(folder), "--quiet"])
    said = capsys.readouterr().err
    assert "defect" not in said and "Errno" not in said, said
    assert said.count("\n") == {0: 0, 1: said.count(": not changed"), 2: 1}[status], said
    assert files_of(outside) == {"example.txt": (b"precious", 0o644)}
    for path in folder.rglob("*.txt"):
        if path.is_file() and not path.is_symlink() and path.parent.name != "val":
            assert path.read_text() in (FLAWED, FIXED)
    if " removed" not in disturbance:
        (other,) = folder.rglob("a.txt")
        assert status != 2 or other.read_text() == FLAWED


def test_a_folder_that_becomes_a_link_between_two_files_leads_no_bytes_away(
    folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = staging.write_beside

    def swap(*given: Any) -> None:
        make_odd(folder / "labels/train", "link", outside)
        real(*given)

    monkeypatch.setattr("sanitizer.fixes.apply.write_beside", swap)
    with pytest.raises(JournalError):
        fix(folder)
    assert files_of(outside) == {"example.txt": (b"precious", 0o644)}


def test_a_link_planted_where_new_bytes_wait_is_not_written_through(
    folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plant() -> None:
        (run,) = (folder / ".sanitize/runs").iterdir()
        for number in range(2):
            (folder / f"labels/train/.sanitize-{run.name}-{number}.part").symlink_to(outside / "example.txt")

    at("journalled", plant, monkeypatch)
    assert fix(folder).run is not None
    assert files_of(outside) == {"example.txt": (b"precious", 0o644)}
    assert (folder / LABEL).read_text() == FIXED and not (folder / LABEL).is_symlink()
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_undo_names_a_label_that_is_none_any_more(kind: str, folder: Path, outside: Path) -> None:
    fix(folder)
    make_odd(folder / LABEL, kind, outside / "example.txt")
    with within(10), pytest.raises(JournalError, match=f"{LABEL} changed since the fix"):
        undo(folder)
    with within(10):
        if kind == "folder":
            with pytest.raises(JournalError, match="the originals are safe in the journal"):
                undo(folder, force=True)
            (folder / LABEL).rmdir()
        undo(folder, force=True)
    assert (folder / LABEL).read_text() == FLAWED and not (folder / LABEL).is_symlink()
    assert (folder / OTHER).read_text() == FLAWED
    assert files_of(outside) == {"example.txt": (b"precious", 0o644)}


def test_undo_makes_a_label_folder_again_that_is_gone(folder: Path) -> None:
    before = files_of(folder)
    fix(folder)
    shutil.rmtree(folder / "labels/train")
    undo(folder, force=True)
    assert files_of(folder) == before


# Links that lead to what no fix may change


@pytest.mark.parametrize("target", [".dvc/cache/ab.txt", "store/ab.dat", ".git/annex/ab"])
def test_a_link_to_what_is_no_label_is_named_and_left(target: str, tmp_path: Path) -> None:
    """A store of another tool names its files by their content: changed there, they would be damaged."""
    folder = flawed_dataset(tmp_path / "set")
    (folder / target).parent.mkdir(parents=True)
    (folder / LABEL).rename(folder / target)
    (folder / LABEL).symlink_to(folder / target)
    result = fix(folder)
    assert result.run is None
    assert result.refused[0].startswith(f"{LABEL} is a link to {target}, which is ")
    assert (folder / target).read_text() == FLAWED
    assert fix_into_view(folder, out=str(tmp_path / "view")).changed


# Caches


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_cache_that_is_no_file_is_left(
    kind: str, folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = folder / "labels/train.cache"
    at("planned", lambda: make_odd(cache, kind, outside / "example.txt"), monkeypatch)
    with within(10):
        assert list(fix(folder).caches) == []
    assert (folder / LABEL).read_text() == FIXED


@pytest.mark.thorough
def test_a_cache_of_terabytes_stays_and_is_named(folder: Path) -> None:
    os.truncate(folder / "labels/train.cache", 1 << 40)
    with within(30):
        result = fix(folder)
    assert list(result.caches) == [] and (folder / LABEL).read_text() == FIXED
    assert "labels/train.cache is stale now and stays" in result.notes[-1]


def test_a_cache_that_cannot_be_read_stays_and_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def forbidden(path: Any, *args: Any, **options: Any) -> int:
        if str(path).endswith("train.cache"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **options)

    monkeypatch.setattr("os.open", forbidden)
    result = fix(folder)
    assert (folder / LABEL).read_text() == FIXED
    assert (
        "labels/train.cache is stale now and stays, as it cannot be set aside (Permission denied)"
        in (result.notes[-1])
    )


# Two at once


def test_a_fix_that_is_refused_leaves_the_others_lock(folder: Path) -> None:
    with locked(str(folder)):
        for _ in range(2):
            with pytest.raises(JournalError, match="another fix or undo is at work"):
                fix(folder)
    assert not (folder / ".sanitize").exists()


def test_a_fix_that_takes_an_interrupted_one_back_keeps_its_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fix(folder).run
    (folder / f".sanitize/runs/{run}/done").unlink()
    seen = []

    def another(*given: Any, **options: Any) -> Any:
        with pytest.raises(JournalError, match="another fix or undo is at work"), locked(str(folder)):
            pass
        seen.append(True)
        return plan_fix(*given, **options)

    monkeypatch.setattr(fixing, "plan_fix", another)
    assert fix(folder).run is not None
    assert seen == [True]


@pytest.mark.thorough
def test_whoever_waited_for_a_journal_that_is_gone_locks_the_new_one(folder: Path) -> None:
    """Many processes take the lock of an empty journal, which each removes at its end: never two at once."""
    script = (
        "import os, sys, time\n"
        "from sanitizer.fixes.journal.runs import JournalError, locked\n"
        "root, held = sys.argv[1:]\n"
        "end = time.monotonic() + 1\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        with locked(root):\n"
        "            os.close(os.open(held, os.O_CREAT | os.O_EXCL))\n"
        "            os.unlink(held)\n"
        "    except JournalError as error:\n"
        "        assert 'at work' in str(error), error\n"
    )
    held = str(folder.parent / "held")
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(folder), held], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for child in children:
        said = child.communicate()[1]
        assert child.returncode == 0, said
    with locked(str(folder)):  # who came too late may have left an empty folder, which the next one clears
        pass
    assert not (folder / ".sanitize").exists()


def test_what_is_not_the_journals_stays_in_its_folder(folder: Path) -> None:
    (folder / ".sanitize").mkdir()
    (folder / ".sanitize/notes.md").write_text("mine")
    fix(folder)
    undo(folder)
    assert os.listdir(folder / ".sanitize") == ["notes.md"]


# Sheets


def test_a_sheet_that_is_a_fifo_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sheet.csv")
    with within(30):
        assert main(["fix", str(folder), "--decisions", str(tmp_path / "sheet.csv"), "--quiet"]) == 2


def test_a_sheet_of_terabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("")
    os.truncate(tmp_path / "sheet.csv", 1 << 40)
    with within(10), pytest.raises(DecisionsError, match="larger than the limit of 64 MB: keep only"):
        read_decisions(str(tmp_path / "sheet.csv"))


# Views


@pytest.mark.parametrize("ending", ["part", "old"])
def test_what_a_killed_view_left_is_in_nobodys_way(ending: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "view"
    for name in (f".view.{os.getpid()}.{ending}", f".view.{'0' * 16}.{ending}"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "left").write_text("")
    fix_into_view(folder, out=str(out))
    fix_into_view(folder, out=str(out))
    assert (out / "data.yaml").is_file()


def test_a_mark_of_a_view_that_is_a_fifo_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "view").mkdir()
    os.mkfifo(tmp_path / "view/view.json")
    with within(30):
        assert main(["fix", str(folder), "--view", str(tmp_path / "view"), "--quiet"]) == 2


def test_remains_of_long_ago_are_removed_and_those_of_today_are_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of today may be another process's, on this machine or on another."""
    left = [f".view.{'a' * 16}.part", f".view.{'b' * 16}.part"]
    for name in left:
        (tmp_path / name).mkdir()
    (tmp_path / f".view.{'c' * 16}.part").symlink_to(folder)
    fix_into_view(folder, out=str(tmp_path / "view"))
    assert all((tmp_path / name).is_dir() for name in left)
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() + 2 * 86400)
    fix_into_view(folder, out=str(tmp_path / "view"))
    assert not any((tmp_path / name).exists() for name in left)
    assert (folder / LABEL).is_file()
