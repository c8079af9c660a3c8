"""`sanitize fix` and `sanitize undo` on disk: what is written, what is kept, and that all of it can be taken back."""

from __future__ import annotations

import csv
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from example_files import build
from flawed_labels import label_texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.cli import main
from sanitizer.config import Config
from sanitizer.fixes import apply as applying
from sanitizer.fixes import fixing
from sanitizer.fixes import undo as undoing
from sanitizer.fixes.apply import apply_changes
from sanitizer.fixes.fixing import fix
from sanitizer.fixes.journal import staging
from sanitizer.fixes.journal.runs import JournalError, read_runs
from sanitizer.fixes.planning import plan_fix
from sanitizer.fixes.undo import undo
from sanitizer.reports.formats import render
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

GOOD = "0 0.5 0.5 0.4 0.3"
FLAWED = f"{GOOD}\n1 0.9 0.5 0.21 0.3\n{GOOD}\n"
FIXED = f"{GOOD}\n1 0.8975 0.5 0.205 0.3\n".encode()
LABEL = "labels/train/example.txt"
KILLS = int(os.environ.get("SANITIZE_TEST_KILLS", "12"))

State = dict[str, tuple[str, object, int, int]]


def state(folder: Path) -> State:
    """Everything of a folder but times of folders: path to kind, content, mode, time of change."""
    found: State = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            found[str(path.relative_to(folder))] = ("link", os.readlink(path), 0, 0)
        elif path.is_file():
            entry = ("file", path.read_bytes(), status.st_mode, status.st_mtime_ns)
            found[str(path.relative_to(folder))] = entry
        else:
            found[str(path.relative_to(folder))] = ("folder", "", status.st_mode, 0)
    return found


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Makes a dataset with the flawed label unless told otherwise; gives its folder."""

    def make(
        rows: str = FLAWED.rstrip("\n"), files: Mapping[str, object] | None = None, **more: object
    ) -> Path:
        folder = tmp_path / "set"
        build({"rows": rows, "files": files or {}, **more}, folder)
        return folder

    return make


def test_fix_then_undo(dataset: Callable[..., Path]) -> None:
    folder = dataset(files={"labels/train.cache": "old", "labels/val.cache": "of other labels"})
    os.chmod(folder / LABEL, 0o640)
    os.utime(folder / LABEL, ns=(10**18, 10**18 + 7))
    before = state(folder)

    result = fix(folder)
    assert (folder / LABEL).read_bytes() == FIXED
    assert (folder / LABEL).stat().st_mode & 0o777 == 0o640
    assert not (folder / "labels/train.cache").exists()
    assert (folder / "labels/val.cache").exists()
    changed = {p for p, s in state(folder).items() if before.get(p) != s and not p.startswith(".sanitize")}
    assert changed == {LABEL}
    assert fix(folder).run is None

    done = undo(folder)
    assert done.run == result.run
    assert state(folder) == before


def test_a_diff_changes_nothing(dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = dataset()
    before = state(folder)
    assert main(["fix", str(folder / "data.yaml"), "--diff", "--quiet"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"--- a/{LABEL}",
        f"+++ b/{LABEL}",
        "@@ -1,3 +1,2 @@",
        f" {GOOD}",
        "-1 0.9 0.5 0.21 0.3",
        f"-{GOOD}",
        "+1 0.8975 0.5 0.205 0.3",
    ]
    assert state(folder) == before


def test_the_command_says_what_it_did(
    dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(dataset() / "data.yaml")
    assert main(["fix", data]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "Changed 1 label file:\n"
        "  B004  1 row clipped to the image (outside by rounding)\n"
        "  B007  1 row removed: exact copy, which training skips anyway\n"
        "No box lost.\n"
        f"`sanitize undo {data}` takes it back (run 0001-"
    )
    assert main(["undo", data]) == 0
    assert ": 1 file is byte for byte as before." in capsys.readouterr().err
    assert main(["undo", data]) == 2
    assert "nothing to undo: no fix is on record in" in capsys.readouterr().err


def test_the_command_says_what_training_loses_gains_and_still_drops(
    dataset: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "9 0.5 0.5 0.4 0.3"
    files = {"images/train/b.jpg": {"image": "64x48"}, "labels/train/b.txt": f"{bad}\n"}
    folder = dataset(f"{GOOD}\n{GOOD}\n{bad}", files).rename(tmp_path / "a set")
    assert main(["fix", str(folder), "--unsafe", "--diff"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert (
        "1 box would be lost: the rows removed above, but for the copies. Training would get 1 image back"
        in said[4]
    )
    assert said[5].startswith(f"Training would still drop 1 image: `sanitize scan '{folder}'` says why;")
    result = fix(folder, unsafe=True)
    assert (result.saved, result.still_dropped) == (1, 1)
    assert scan(folder).summary.images_dropped_by_training == 1
    undo(folder)
    os.link(folder / LABEL, folder / "other name")
    refused = fix(folder, unsafe=True)
    assert (refused.saved, refused.still_dropped) == (0, 2)


def test_unsafe_repairs_need_the_option(dataset: Callable[..., Path]) -> None:
    folder = dataset(f"{GOOD}\n2 0.5 0.5 0 0.3")
    assert fix(folder).run is None
    assert fix(folder, unsafe=True).run is not None
    assert (folder / LABEL).read_text() == f"{GOOD}\n"


def test_select_and_ignore(dataset: Callable[..., Path]) -> None:
    folder = dataset()
    fix(folder, config=Config(select=None, ignore=("B004",)))
    assert (folder / LABEL).read_text() == f"{GOOD}\n1 0.9 0.5 0.21 0.3\n"
    undo(folder)
    fix(folder, config=Config(select=("B004",), ignore=()))
    assert (folder / LABEL).read_text() == f"{GOOD}\n1 0.8975 0.5 0.205 0.3\n{GOOD}\n"


def test_a_label_with_a_wrong_ending_is_renamed_and_repaired(dataset: Callable[..., Path]) -> None:
    folder = dataset(files={"labels/train/example.TXT": FLAWED}, remove=[LABEL])
    before = state(folder)
    fix(folder)
    assert sorted(p.name for p in (folder / "labels/train").iterdir()) == ["example.txt"]
    assert (folder / LABEL).read_bytes() == FIXED
    undo(folder)
    assert state(folder) == before


def test_a_link_stays_and_its_target_is_repaired(dataset: Callable[..., Path]) -> None:
    files = {"store/real.txt": FLAWED, LABEL: {"link": "../../store/real.txt"}}
    folder = dataset(files=files, remove=[LABEL])
    before = state(folder)
    result = fix(folder)
    assert list(result.notes) == [f"{LABEL} is a link: its target store/real.txt is what changes"]
    assert (folder / LABEL).is_symlink()
    assert (folder / "store/real.txt").read_bytes() == FIXED
    undo(folder)
    assert state(folder) == before


def test_a_folder_of_labels_that_is_a_link(dataset: Callable[..., Path], tmp_path: Path) -> None:
    """Below the dataset's folder its files are repaired where they are; elsewhere they may be another dataset's."""
    folder = dataset(
        files={"store/example.txt": FLAWED, "labels/train": {"link": "../store"}}, remove=[LABEL]
    )
    before = state(folder)
    fix(folder)
    assert (folder / "labels/train").is_symlink()
    assert (folder / "store/example.txt").read_bytes() == FIXED
    undo(folder)
    assert state(folder) == before

    shutil.move(folder / "store", tmp_path / "elsewhere")
    (folder / "labels/train").unlink()
    (folder / "labels/train").symlink_to(tmp_path / "elsewhere")
    result = fix(folder)
    assert result.run is None and "lies outside the dataset's folder" in result.refused[0]
    assert (tmp_path / "elsewhere/example.txt").read_text() == FLAWED


def test_a_dataset_folder_that_is_a_link(dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = dataset()
    before = state(folder)
    (tmp_path / "alias").symlink_to(folder)
    fix(tmp_path / "alias/data.yaml")
    assert (folder / LABEL).read_bytes() == FIXED
    undo(tmp_path / "alias")
    assert state(folder) == before


def test_a_label_that_several_links_lead_to_is_repaired_once(dataset: Callable[..., Path]) -> None:
    files = {
        "images/train/b.jpg": {"image": "640x480"},
        "labels/train/b.txt": {"link": "example.txt"},
    }
    folder = dataset(files=files)
    before = state(folder)
    assert len(fix(folder).files) == 1
    assert (folder / LABEL).read_bytes() == (folder / "labels/train/b.txt").read_bytes() == FIXED
    undo(folder)
    assert state(folder) == before


@pytest.mark.parametrize("mode", [0o444, 0o600, 0o664, 0o755])
def test_modes_are_kept_and_times_come_back(mode: int, dataset: Callable[..., Path]) -> None:
    """A file that nobody may write is replaced all the same, as renaming asks the folder: it stays read-only.

    Its time becomes that of the fix, so that training and backups see a change; undo gives the old one back.
    """
    folder = dataset()
    os.chmod(folder / LABEL, mode)
    os.utime(folder / LABEL, ns=(10**18, 10**18))
    os.setxattr(folder / LABEL, "user.reviewed", b"by hand")
    before = state(folder)
    fix(folder)
    assert (folder / LABEL).read_bytes() == FIXED
    assert (folder / LABEL).stat().st_mode & 0o7777 == mode
    assert (folder / LABEL).stat().st_mtime_ns > 10**18
    assert os.getxattr(folder / LABEL, "user.reviewed") == b"by hand"
    undo(folder)
    assert state(folder) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid(), reason="only root may give files away")
def test_the_owner_is_kept(dataset: Callable[..., Path]) -> None:
    folder = dataset()
    os.chown(folder / LABEL, 1234, 4321)
    for repair in (fix, undo):
        repair(folder)
        status = (folder / LABEL).stat()
        assert (status.st_uid, status.st_gid) == (1234, 4321)


def test_pixels_of_a_turned_image_are_left_alone(dataset: Callable[..., Path]) -> None:
    """Nobody knows whether they were counted before or after turning."""
    rows = "0 320 240 256 144"
    assert fix(dataset(rows, image="640x480 exif6"), unsafe=True).run is None


def test_from_python(dataset: Callable[..., Path], tmp_path: Path) -> None:
    """The public names take what `scan` takes: any path, and the same options."""
    import sanitizer
    from sanitizer.findings.baseline import write_baseline

    folder = dataset()
    before = state(folder)
    for path in (folder, str(folder / "data.yaml"), folder / LABEL):
        run = sanitizer.fix(path, task="detect", jobs=1, cache=False, splits=None).run
        assert run is not None and (folder / LABEL).read_bytes() == FIXED
        assert sanitizer.undo(path) == undoing.Undone(run, [LABEL])
        assert state(folder) == before
    assert sanitizer.fix(folder, splits=["val"]).run is None
    write_baseline(sanitizer.scan(folder).findings, str(tmp_path / "known.json"))
    assert sanitizer.fix(folder, baseline=str(tmp_path / "known.json")).run is None
    planned = sanitizer.fix(folder, dry_run=True)
    assert [(f.path, f.plan.after) for f in planned.files] == [(LABEL, FIXED)]
    assert state(folder) == before


def test_a_label_outside_the_dataset_is_not_touched(dataset: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text(FLAWED)
    folder = dataset(files={LABEL: {"link": str(tmp_path / "elsewhere.txt")}}, remove=[LABEL])
    result = fix(folder, unsafe=True)
    assert result.run is None
    assert "lies outside the dataset's folder" in result.refused[0]
    assert (tmp_path / "elsewhere.txt").read_text() == FLAWED


def test_a_hard_link_is_not_touched(dataset: Callable[..., Path], tmp_path: Path) -> None:
    """Renaming would part the two names; writing in place could leave half a file, and change the other."""
    folder = dataset()
    os.link(folder / LABEL, tmp_path / "other.txt")
    result = fix(folder, unsafe=True)
    assert result.run is None
    assert f"{LABEL} has 2 hard links: not changed" in result.refused[0]
    assert (folder / LABEL).read_text() == FLAWED


def test_undo_refuses_what_was_edited_since(
    dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(files={"images/train/b.jpg": {"image": "64x48"}, "labels/train/b.txt": FLAWED})
    before = state(folder)
    fix(folder)
    (folder / LABEL).write_text("edited\n")
    assert main(["undo", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"sanitize undo: {LABEL} changed since the fix: nothing was undone")
    assert (folder / "labels/train/b.txt").read_bytes() == FIXED
    assert main(["undo", str(folder), "--force"]) == 0
    assert state(folder) == before


def test_runs_are_undone_from_the_latest(dataset: Callable[..., Path]) -> None:
    folder = dataset(f"{FLAWED}2 0.5 0.5 0 0.3")
    before = state(folder)
    first = fix(folder).run
    second = fix(folder, unsafe=True).run
    with pytest.raises(JournalError, match=f"undo {second} first"):
        undo(folder, first)
    with pytest.raises(JournalError, match="no run begins with '0009'"):
        undo(folder, "0009")
    assert undo(folder).run == second
    assert undo(folder, "0001").run == first
    assert state(folder) == before


def test_one_fix_at_a_time(dataset: Callable[..., Path]) -> None:
    from sanitizer.fixes.journal.runs import locked

    folder = dataset()
    with locked(str(folder)), pytest.raises(JournalError, match="another fix or undo is at work"):
        fix(folder)


def test_the_journal_is_no_part_of_the_dataset(dataset: Callable[..., Path]) -> None:
    folder = dataset()
    fix(folder)
    assert (folder / ".sanitize/.gitignore").read_text() == "*\n"
    assert not [f for f in scan(folder).findings if ".sanitize" in f"{f.file}{f.label}{f.image}{f.message}"]


@pytest.mark.parametrize("path", ["../victim.txt", "out/victim.txt", "/victim.txt"])
def test_a_journal_from_elsewhere_leads_nowhere_else(
    path: str, dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """A published dataset may hold anything, a journal that was never ours too."""
    folder = dataset(files={"out": {"link": str(tmp_path)}})
    (tmp_path / "victim.txt").write_text("safe")
    fix(folder)
    (journal,) = (folder / ".sanitize/runs").glob("*/run.json")
    journal.write_text(journal.read_text().replace(f'"{LABEL}"', f'"{path}"'))
    (journal.parent / "done").unlink()
    for attempt in (lambda: undo(folder, force=True), lambda: fix(folder)):
        with pytest.raises(JournalError, match="which is outside the dataset"):
            attempt()
    assert (tmp_path / "victim.txt").read_text() == "safe"


def test_a_journal_that_is_a_link_is_refused(dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = dataset(files={".sanitize": {"link": str(tmp_path)}})
    (tmp_path / "runs/mine.part").mkdir(parents=True)
    with pytest.raises(JournalError, match="is a link"):
        fix(folder)
    assert (tmp_path / "runs/mine.part").is_dir()


def test_names_that_are_no_text(dataset: Callable[..., Path]) -> None:
    name = os.fsdecode(b"caf\xe9")
    folder = dataset(
        files={
            f"images/train/{name}.jpg": {"copy": "images/val/clean.jpg"},
            f"labels/train/{name}.txt": FLAWED,
        }
    )
    before = state(folder)
    fix(folder)
    assert (folder / f"labels/train/{name}.txt").read_bytes() == FIXED
    undo(folder)
    assert state(folder) == before


class Disk:
    """Counts what a fix writes, flushes, renames and removes, and refuses the n-th such call, or all from it on."""

    CALLS = ("fsync", "replace", "rename", "unlink", "utime", "makedirs", "chmod", "mkdir", "rmdir", "link")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.refused, self.lasting, self.code = 0, 0, False, errno.ENOSPC
        for name in self.CALLS:
            monkeypatch.setattr(f"os.{name}", self.wrapped(getattr(os, name)))

    def refuse(self, call: int, lasting: bool = False, code: int = errno.ENOSPC) -> None:
        self.calls, self.refused, self.lasting, self.code = 0, call, lasting, code

    def wrapped(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(path: object, *args: object, **options: object) -> object:
            self.calls += 1
            is_removal = function.__name__ in ("unlink", "rmdir")  # a full disk lets go of files
            if self.refused and (
                self.calls == self.refused or (self.lasting and self.calls > self.refused and not is_removal)
            ):
                raise OSError(self.code, os.strerror(self.code), None if isinstance(path, int) else path)
            return function(path, *args, **options)

        return call


@pytest.mark.thorough
@pytest.mark.parametrize(
    "code",
    [errno.ENOSPC, *(pytest.param(code, marks=pytest.mark.slow) for code in (errno.EROFS, errno.EACCES))],
)
@pytest.mark.parametrize("lasting", [False, True])
def test_what_cannot_be_written_leaves_everything_as_it_was(
    lasting: bool,
    code: int,
    dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At whichever call the disk is full or the folder read-only: one sentence, and no file half-written."""
    folder = dataset(
        files={
            "images/train/b.jpg": {"image": "64x48"},
            "labels/train/b.TXT": FLAWED,
            "labels/train.cache": "old",
        }
    )
    before = state(folder)
    fix(folder, cache=False)
    fixed = _contents(state(folder))
    undo(folder)
    disk = Disk(monkeypatch)
    main(["fix", str(folder), "--quiet"])
    n_calls = disk.calls
    undo(folder)
    assert state(folder) == before and n_calls > 10
    capsys.readouterr()
    for call in range(1, n_calls + 1):
        disk.refuse(call, lasting, code)
        status = main(["fix", str(folder), "--quiet"])
        disk.refuse(0)
        said = capsys.readouterr().err
        if (
            status == 0
        ):  # what could not be flushed is a folder's list of names, which not every system can flush
            assert _contents(state(folder)) == fixed
        else:
            assert status == 2 and said.count("\n") == 1 and "defect" not in said, said
            assert os.strerror(code) in said or "run `sanitize undo`" in said
        if "nothing was changed" in said:
            assert state(folder) == before, (call, said)
        else:
            left = _contents(state(folder))
            assert all(content in (_bytes(before, path), fixed.get(path)) for path, content in left.items())
            undo(folder)
            assert _contents(state(folder), all_files=True) == _contents(before, all_files=True), (call, said)
    assert not list(folder.rglob("*.part"))


def _bytes(found: State, path: str) -> object:
    return found[path][1] if path in found else None


@pytest.mark.thorough
@pytest.mark.parametrize("lasting", [False, True])
def test_an_undo_that_cannot_write_can_be_run_again(
    lasting: bool,
    dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = dataset(files={"images/train/b.jpg": {"image": "64x48"}, "labels/train/b.txt": FLAWED})
    before = state(folder)
    disk = Disk(monkeypatch)
    for call in range(1, 30):
        disk.refuse(0)
        fix(folder)
        disk.refuse(call, lasting)
        status = main(["undo", str(folder), "--quiet"])
        disk.refuse(0)
        said = capsys.readouterr().err
        assert (status, said.count("\n")) in ((0, 0), (2, 1)) and "defect" not in said, said
        if status:
            undo(folder)
        assert _contents(state(folder), all_files=True) == _contents(before, all_files=True), (call, said)


@pytest.mark.thorough
def test_a_full_disk_for_real(dataset: Callable[..., Path]) -> None:
    """No file may grow beyond some bytes: the label, too long for that, cannot be journalled."""
    folder = dataset(FLAWED + f"{GOOD} \n" * 3000)
    before = state(folder)
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from sanitizer.cli import main; sys.exit(main(['fix', sys.argv[1], '--quiet']))"
    )
    run = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True)
    assert run.returncode == 2
    assert "File too large" in run.stderr and run.stderr.count("\n") == 1
    assert state(folder) == before


def test_staged_bytes_are_flushed_before_any_file_changes(
    dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dataset(files={"images/train/b.jpg": {"image": "64x48"}, "labels/train/b.txt": FLAWED})
    seen = []
    real = staging.write_beside

    def watch(*given: Any) -> None:
        runs = read_runs(str(folder))
        seen.append((len(runs), (folder / LABEL).read_text()))
        real(*given)

    monkeypatch.setattr("sanitizer.fixes.apply.write_beside", watch)
    fix(folder)
    assert seen == [(1, FLAWED), (1, FLAWED)]


def test_a_file_changed_while_the_fix_is_at_work(
    dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dataset(files={"images/train/b.jpg": {"image": "64x48"}, "labels/train/b.txt": FLAWED})
    real = staging.write_beside

    def edit_other(*given: Any) -> None:
        (folder / LABEL).write_text("edited\n")
        real(*given)

    monkeypatch.setattr("sanitizer.fixes.apply.write_beside", edit_other)
    with pytest.raises(JournalError):
        fix(folder)
    assert (folder / LABEL).read_text() == "edited\n"
    assert (folder / "labels/train/b.txt").read_text() == FLAWED


@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(label_texts(), min_size=1, max_size=3), st.booleans())
def test_undo_of_any_fix_gives_every_byte_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], unsafe: bool
) -> None:
    folder = tmp_path_factory.mktemp("any") / "set"
    rows: dict[str, object] = {f"labels/train/{i}.txt": {"bytes": ""} for i in range(len(texts))}
    build({"files": rows | {f"images/train/{i}.png": {"image": "64x48"} for i in range(len(texts))}}, folder)
    for i, text in enumerate(texts):
        (folder / f"labels/train/{i}.txt").write_bytes(text.encode())
    before = state(folder)
    run = fix(folder, unsafe=unsafe).run
    fixed = state(folder)
    assert fix(folder, unsafe=unsafe).run is None
    assert state(folder) == fixed
    if run:
        undo(folder)
    assert state(folder) == before
    shutil.rmtree(folder)


def test_an_interrupted_fix_is_taken_back_by_the_next(dataset: Callable[..., Path]) -> None:
    folder = dataset()
    before = state(folder)
    first = fix(folder).run
    (folder / f".sanitize/runs/{first}/done").unlink()
    result = fix(folder)
    assert list(result.notes) == [
        f"an earlier fix (run {first}) had been interrupted and was taken back first"
    ]
    undo(folder)
    assert state(folder) == before


def test_an_interrupted_fix_whose_files_were_edited_stops_the_next(dataset: Callable[..., Path]) -> None:
    folder = dataset()
    first = fix(folder).run
    (folder / f".sanitize/runs/{first}/done").unlink()
    (folder / LABEL).write_text("edited\n")
    with pytest.raises(JournalError, match="was interrupted: settle that with `sanitize undo` first"):
        fix(folder)
    assert (folder / LABEL).read_text() == "edited\n"


# The annotator's sheet.


def sheet(folder: Path, decide: Callable[[dict[str, str]], str], delimiter: str = ",") -> str:
    """A findings CSV of the dataset with decisions filled in, as a spreadsheet saves it."""
    text = render(scan(folder), "csv")
    rows = list(csv.DictReader(text.removeprefix("\ufeff").splitlines()))
    path = folder.parent / "reviewed.csv"
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows([row | {"decision": decide(row)} for row in rows])
    return str(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_decisions_of_a_sheet(delimiter: str, dataset: Callable[..., Path]) -> None:
    folder = dataset(f"{FLAWED}2 0.2 0.2 0.001 0.2")
    before = state(folder)
    decisions = {"B007": "Keep", "B004": "fix", "B005": " drop "}
    result = fix(folder, decisions=sheet(folder, lambda row: decisions.get(row["rule"], ""), delimiter))
    assert list(result.refused) == []
    assert (folder / LABEL).read_text() == f"{GOOD}\n1 0.8975 0.5 0.205 0.3\n{GOOD}\n"
    undo(folder)
    assert state(folder) == before


def test_decisions_that_no_longer_fit_are_reported(
    dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(f"{FLAWED}2 0.2 0.2 0.001 0.2")
    path = sheet(folder, lambda row: "drop" if row["rule"] in ("B004", "B005") else "")
    (folder / LABEL).write_text(f"{GOOD}\n2 0.2 0.2 0.001 0.2\n1 0.9 0.5 0.22 0.3\n")
    assert main(["fix", str(folder), "--decisions", path]) == 1
    said = capsys.readouterr().err
    assert (
        f"drop B004 at {LABEL}:2: no finding of the dataset as it is now matches this row; not applied"
        in said
    )
    assert (folder / LABEL).read_text() == f"{GOOD}\n1 0.9 0.5 0.22 0.3\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("rule,decision\nB001,drop\n", "no column 'fingerprint' in its first line"),
        ("rule,fingerprint,decision\nB001,abc,dorp\n", ":2: 'dorp' is no decision (did you mean 'drop'?)"),
        (
            "rule,fingerprint,decision\nB001,abc,drop\nB001,abc,keep\n",
            ":3: decides 'keep', but line 2 says 'drop'",
        ),
        (
            "rule,fingerprint,decision,decision\nB001,abc,drop,\n",
            "has 2 columns 'decision': keep one of them",
        ),
        ("PK\x03\x04", "is a spreadsheet document: save it as CSV"),
        ("r\0u\0l\0e\0", "is no text: save the sheet as 'CSV UTF-8'"),
        ("\n;;\n", "is empty"),
        ("", "is empty"),
    ],
)
def test_a_sheet_that_cannot_be_used(
    content: str, sentence: str, dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset()
    before = state(folder)
    path = folder.parent / "bad.csv"
    path.write_bytes(content.encode("latin-1"))
    assert main(["fix", str(folder), "--decisions", str(path)]) == 2
    assert sentence in capsys.readouterr().err
    assert state(folder) == before


def test_names_that_a_spreadsheet_would_run_come_back(dataset: Callable[..., Path]) -> None:
    folder = dataset(
        files={"images/train/=1+1.jpg": {"image": "64x48"}, "labels/train/=1+1.txt": f"{FLAWED}"}
    )
    fix(folder, decisions=sheet(folder, lambda row: "fix" if "=1+1" in row["image"] else ""))
    assert (folder / "labels/train/=1+1.txt").read_bytes() == FIXED
    assert (folder / LABEL).read_text() == FLAWED


# Killed in the middle.


@pytest.fixture(scope="module")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "set"
    build({"rows": FLAWED.rstrip("\n"), "files": {"labels/train.cache": "old"}}, folder)
    image = (folder / "images/val/clean.jpg").read_bytes()
    for i in range(200):
        (folder / f"images/train/{i}.jpg").write_bytes(image)
        ending = "TXT" if i % 20 == 7 else "txt"
        (folder / f"labels/train/{i}.{ending}").write_text(f"{i % 3} 0.{i + 100} 0.5 0.1 0.1\n{FLAWED}")
    return folder


@pytest.mark.slow
def test_killed_at_any_moment(many_files: Path, tmp_path: Path) -> None:
    """Whatever a kill leaves, undo gives all originals back, and another fix does the whole work."""
    originals = state(many_files)
    before = _contents(originals)
    whole = tmp_path / "whole"
    shutil.copytree(many_files, whole)
    fix(whole)
    fixed = _contents(state(whole))
    undo(whole)
    planned = plan_fix(find_loose_dataset([str(whole)]))
    writing_s = _time_of(lambda: apply_changes(str(whole), planned.changes))
    undoing_s = _time_of(lambda: undo(whole))
    chance = random.Random(7)
    outcomes: Counter[str] = Counter()
    for number in range(KILLS):
        folder = tmp_path / f"{number}"
        shutil.copytree(many_files, folder)
        # From the journal on, or, mostly, from the new bytes on.
        entry, share = ("apply_changes", 1.0) if number % 4 == 0 else ("_stage", 0.4)
        _kill_during(partial(fix, folder), entry, chance.uniform(0, share) * writing_s)
        left = _contents(state(folder))
        for path, content in left.items():
            assert content in (before.get(path), fixed.get(path)), path
        runs = read_runs(str(folder)) if (folder / ".sanitize/runs").is_dir() else []
        outcomes["done" if runs and runs[0].is_done else "amid" if runs else "before the journal"] += 1
        if number % 2:
            fix(folder)
            assert _contents(state(folder)) == fixed
            if number % 4 == 1:  # undo is killed, too, and begun again
                _kill_during(partial(undo, folder), "restore", chance.uniform(0, 1) * undoing_s)
                for path, content in _contents(state(folder)).items():
                    assert content in (before.get(path), fixed.get(path)), path
        if (folder / ".sanitize").is_dir() and read_runs(str(folder)):
            undo(folder)
        assert _contents(state(folder), all_files=True) == _contents(originals, all_files=True)
        shutil.rmtree(folder)
    print(outcomes)  # shown with -s
    assert outcomes["amid"] > 0, outcomes


def _time_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _kill_during(work: Callable[[], object], entry: str, delay_s: float) -> None:
    """Run in a child, which is killed that long after it has come to the function `entry`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for module in (fixing, applying, undoing):
                if hasattr(module, entry):
                    setattr(module, entry, _announced(getattr(module, entry), writing))
            work()
        finally:
            os._exit(0)
    os.close(writing)
    os.read(reading, 1)  # comes back, empty, where the child ends before
    os.close(reading)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _announced(function: Callable[..., object], descriptor: int) -> Callable[..., object]:
    def call(*args: object, **options: object) -> object:
        os.write(descriptor, b".")
        return function(*args, **options)

    return call


def _contents(found: State, all_files: bool = False) -> dict[str, object]:
    """Path to content, of labels alone or of everything but the journal's empty remains."""
    return {
        path: content
        for path, (kind, content, _, _) in found.items()
        if kind != "folder"
        and not path.startswith(".sanitize/")
        and (all_files or path.lower().endswith(".txt"))
    }
