"""A journal that comes with a dataset: nothing of it is taken back unasked, nothing of it leads out of the labels."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import (
    FIXED,
    FLAWED,
    LABEL,
    RUN,
    SHIPPED,
    entry,
    files_of,
    flawed_dataset,
    make_odd,
    ship_run,
)
from strange_files import within
from viewed import fix_into_view

from sanitizer.cli import main
from sanitizer.fixes.fixing import fix
from sanitizer.fixes.journal.runs import JournalError
from sanitizer.fixes.undo import Restoration, undo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HOOK = ".git/hooks/pre-commit"
PAYLOAD = "#!/bin/sh\ntouch ran\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return flawed_dataset(tmp_path / "set")


@pytest.fixture
def another_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Whoever comes next has another state folder: another user, or the same on another machine."""
    return lambda: monkeypatch.setenv("SANITIZE_STATE_DIR", str(tmp_path / "another user's state"))


# What a stranger's journal may not do


@pytest.mark.parametrize(
    "name", [HOOK, "tool.py", "labels/train/.hidden/a.txt", ".git/config.txt", "data.yaml"]
)
@pytest.mark.parametrize("derived", [False, True])
def test_a_run_that_names_more_than_labels_is_refused_whoever_asks(
    name: str, derived: bool, folder: Path
) -> None:
    (folder / ".git/hooks").mkdir(parents=True)
    ship_run(folder, [entry(name, PAYLOAD, None, mode=0o755, derived=derived)], [PAYLOAD])
    before = files_of(folder)
    attempts = [
        lambda: fix(folder),
        lambda: undo(folder),
        lambda: undo(folder, trust_journal=True),
        lambda: undo(folder, force=True, trust_journal=True),
    ]
    for attempt in attempts:
        with pytest.raises(JournalError, match=r"run\.json.*names .*label"):
            attempt()
    assert files_of(folder) == before


@pytest.mark.parametrize(
    ("name", "derived"),
    [
        *[
            (name, False)
            for name in ("requirements.txt", "CMakeLists.txt", "train.txt", "images/train/notes.txt")
        ],
        *[(name, True) for name in ("tools/x.cache", "images/train.cache")],
    ],
)
def test_a_run_of_somebody_else_names_nothing_but_labels_of_images(
    name: str, derived: bool, folder: Path
) -> None:
    (folder / "tools").mkdir()
    (folder / name).write_text("mine")
    entries = [entry(), entry(name, PAYLOAD, None if derived else "mine", derived=derived)]
    ship_run(folder, entries, [SHIPPED, PAYLOAD], done=True)
    before = files_of(folder)
    with pytest.raises(JournalError, match=f"no labels of this dataset's images: {name}"):
        undo(folder, force=True, trust_journal=True)
    assert files_of(folder) == before


def test_labels_beside_their_images_are_labels(folder: Path) -> None:
    shutil.move(folder / "images/train/example.jpg", folder / "example.jpg")
    (folder / "example.txt").write_text(FLAWED)
    ship_run(folder, [entry("example.txt")], done=True)
    assert undo(folder, trust_journal=True).restored == ["example.txt"]


def test_an_unfinished_run_of_somebody_else_stops_a_fix_that_names_both_ways_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ship_run(folder, [entry()])
    before = files_of(folder)
    with pytest.raises(JournalError, match=f"{RUN}.*was interrupted, and it was not made by you"):
        fix(folder)
    with pytest.raises(JournalError, match="--trust-journal"):
        fix_into_view(folder, out=str(tmp_path / "view"))
    assert main(["fix", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "`sanitize undo --trust-journal`" in said and str(run) in said and said.count("\n") == 1
    assert files_of(folder) == before

    shutil.rmtree(run)  # the way on that the sentence names
    assert fix(folder).run is not None
    assert (folder / LABEL).read_text() == FIXED


def test_a_finished_run_of_somebody_else_is_in_nobodys_way(folder: Path) -> None:
    ship_run(folder, [entry()], done=True)
    run = fix(folder).run
    assert run is not None and run.startswith("0002-")
    assert undo(folder).run == run
    assert (folder / LABEL).read_text() == FLAWED


def test_undo_names_a_run_of_somebody_else_and_leaves_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ship_run(folder, [entry()], done=True)
    for more in ([], ["--force"]):
        assert main(["undo", str(folder), *more]) == 2
        said = capsys.readouterr().err
        assert f"run {RUN} was not made by you" in said and "--trust-journal" in said
    assert (folder / LABEL).read_text() == FLAWED


@pytest.mark.parametrize("name", [".gitignore", "lock", "runs"])
@pytest.mark.parametrize("target", ["a file", "nothing"])
def test_nothing_is_written_through_a_link_in_the_journal(
    name: str, target: str, folder: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    if target == "a file":
        victim.write_text("precious")
    (folder / ".sanitize").mkdir()
    (folder / ".sanitize" / name).symlink_to(victim)
    with pytest.raises(JournalError, match=f"{name}: .*is a link|{name} is a link"):
        fix(folder)
    with pytest.raises(JournalError):
        undo(folder)
    assert (victim.read_text() == "precious") if target == "a file" else not victim.exists()
    assert (folder / LABEL).read_text() == FLAWED


PLACES = ["", "lock", ".gitignore", "runs"]
RUN_PLACES = ["", "run.json", "signature", "done", "blobs", "blobs/*"]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "file"])
@pytest.mark.parametrize("place", [*PLACES, *(f"runs/{RUN}/{p}" for p in RUN_PLACES)])
def test_no_link_and_no_special_file_of_a_journal_is_followed_or_waited_for(
    place: str, kind: str, folder: Path, tmp_path: Path
) -> None:
    """Whatever stands wherever: a sentence or the work done, within seconds, and nothing outside is touched."""
    outside = tmp_path / "outside"
    (outside / "runs").mkdir(parents=True)
    (outside / "victim.txt").write_text("precious")
    run = ship_run(folder, [entry()])
    (run / "signature").write_text("0" * 64)
    odd = next(run.glob("blobs/*")) if place.endswith("*") else folder / ".sanitize" / place
    make_odd(odd, kind, outside if place.endswith(("", "runs", "blobs")) else outside / "victim.txt")
    for attempt in (
        lambda: fix(folder),
        lambda: undo(folder),
        lambda: undo(folder, trust_journal=True),
        lambda: undo(folder, force=True, trust_journal=True),
    ):
        with within(10):
            try:
                attempt()
            except JournalError as error:
                assert "\n" not in str(error)
    assert files_of(outside) == {"victim.txt": (b"precious", 0o644)}
    assert sorted(os.listdir(outside)) == ["runs", "victim.txt"] and not os.listdir(outside / "runs")
    assert (folder / LABEL).read_text() in (FLAWED, FIXED, SHIPPED)


def test_a_link_in_place_of_a_label_folder_is_not_written_through(
    folder: Path, tmp_path: Path, another_user: Callable[[], None]
) -> None:
    fix(folder)
    shutil.copytree(folder / "labels/train", tmp_path / "elsewhere")
    shutil.rmtree(folder / "labels/train")
    (folder / "labels/train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="outside the dataset"):
        undo(folder, force=True)
    assert (tmp_path / "elsewhere/example.txt").read_text() == FIXED


# What is checked of a run.json


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in entry().items() if k != key}


ODD_ENTRIES: list[object] = [
    None,
    [],
    "path",
    {},
    without("path"),
    without("before"),
    entry(surprise=1),
    entry(1),
    entry(""),
    entry("/" + LABEL),
    entry("labels/../" + LABEL),
    entry("labels//a.txt"),
    entry("./a.txt"),
    entry("a\0.txt"),
    entry("\ud800.txt"),
    entry("a.cache"),
    entry("a.txt", derived=True),
    entry("a.cache", after=FLAWED, derived=True),
    entry(after=None),
    entry(before="x") | {"before": "../../victim"},
    entry() | {"before": "A" * 64},
    entry() | {"before": None},
    entry() | {"after": 7},
    entry() | {"after": "0" * 63},
    entry(renamed_to="other.txt"),
    entry("a.TXT", renamed_to="labels/a.txt"),
    entry("a.TXT", renamed_to="a.TXT"),
    entry("a.TXT", renamed_to=5),
    entry(mode=0o4755),
    entry(mode=-1),
    entry(mode="0o644"),
    entry(mode=True),
    entry(mtime_ns=10**30),
    entry(atime_ns=1.5),
    entry(atime_ns=float("nan")),
    entry(derived=1),
]


@pytest.mark.parametrize("odd", ODD_ENTRIES, ids=range(len(ODD_ENTRIES)))
def test_an_odd_entry_is_a_sentence_that_names_the_file(odd: object, folder: Path) -> None:
    ship_run(folder, [odd])
    before = files_of(folder)
    for attempt in (lambda: fix(folder), lambda: undo(folder, force=True, trust_journal=True)):
        with pytest.raises(JournalError, match=r"run\.json: ") as caught:
            attempt()
        assert str(caught.value).isprintable() and "remove" in str(caught.value)
    assert files_of(folder) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"schema": 1}',
        b'{"schema": 1, "entries": {}}',
        b'{"schema": 1, "entries": 5}',
        b'{"schema": [1], "entries": []}',
        b'{"schema": "\\u001b[2J", "entries": []}',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"schema": 1, "entries": [' + b"9" * 10_000 + b"]}",
    ],
)
def test_a_run_json_that_is_none_is_a_sentence(content: bytes, folder: Path) -> None:
    (ship_run(folder, []) / "run.json").write_bytes(content)
    with pytest.raises(JournalError, match=r"run\.json: ") as caught:
        undo(folder, trust_journal=True)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["run.json", "blobs/*"])
def test_a_run_with_something_missing_says_what(name: str, folder: Path) -> None:
    run = folder / f".sanitize/runs/{fix(folder).run}"
    (missing,) = run.glob(name)
    missing.unlink()
    with pytest.raises(JournalError, match=f"{missing.name} is missing, .*To go on without it"):
        undo(folder)
    assert (folder / LABEL).read_text() == FIXED


def test_two_entries_on_one_file_are_refused(folder: Path) -> None:
    ship_run(folder, [entry(), entry()])
    with pytest.raises(JournalError, match=f"names {re.escape(LABEL)} twice"):
        undo(folder, trust_journal=True)


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["run.json", "blob"])
def test_a_journal_of_terabytes_is_refused_at_once(what: str, folder: Path) -> None:
    run = ship_run(folder, [entry()], done=True)
    path = next(run.glob("blobs/*")) if what == "blob" else run / what
    with path.open("ab") as file:
        file.truncate(1 << 40)
    with within(10), pytest.raises(JournalError, match="larger than the limit"):
        undo(folder, trust_journal=True)
    assert (folder / LABEL).read_text() == FLAWED


@pytest.mark.parametrize("name", [".DS_Store", "x.part", "evil", "1-2-3", "²-20240101-000000"])
@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "file"])
def test_what_is_no_run_among_the_runs_is_in_nobodys_way(
    name: str, kind: str, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim.txt").write_text("precious")
    (folder / ".sanitize/runs").mkdir(parents=True)
    make_odd(folder / ".sanitize/runs" / name, kind, outside)
    with within(10):
        assert fix(folder).run is not None
        undo(folder)
    assert (folder / LABEL).read_text() == FLAWED
    assert files_of(outside) == {"victim.txt": (b"precious", 0o644)}


def test_a_run_of_the_highest_number_leaves_a_sentence(folder: Path) -> None:
    run = ship_run(folder, [entry()], done=True)
    run.rename(run.with_name("9" * 18 + "-20240101-000000"))
    with pytest.raises(JournalError, match="leaves no number"):
        fix(folder)
    assert (folder / LABEL).read_text() == FLAWED


# Whose run it is


def test_a_run_stays_mine_when_the_dataset_moves(folder: Path, tmp_path: Path) -> None:
    fix(folder)
    moved = folder.rename(tmp_path / "moved")
    shutil.copytree(moved, tmp_path / "copied")
    for place in (moved, tmp_path / "copied"):
        undo(place)
        assert (place / LABEL).read_text() == FLAWED


def test_an_interrupted_run_of_another_user_is_taken_back_when_asked(
    folder: Path, another_user: Callable[[], None]
) -> None:
    run = fix(folder).run
    (folder / f".sanitize/runs/{run}/done").unlink()
    another_user()
    with pytest.raises(JournalError, match="not made by you"):
        fix(folder)
    assert undo(folder, trust_journal=True).restored == [LABEL]
    assert (folder / LABEL).read_text() == FLAWED
    assert fix(folder).run is not None


@pytest.mark.parametrize("signature", [None, "", "0" * 64, "f" * 63, "é" * 32])
def test_a_run_without_its_signature_is_somebody_elses(signature: str | None, folder: Path) -> None:
    """Such as one that an earlier version made."""
    run = folder / f".sanitize/runs/{fix(folder).run}"
    (run / "signature").unlink()
    if signature is not None:
        (run / "signature").write_text(signature)
    with pytest.raises(JournalError, match="not made by you"):
        undo(folder)
    undo(folder, trust_journal=True)
    assert (folder / LABEL).read_text() == FLAWED


def test_a_run_under_another_id_or_with_another_entry_is_somebody_elses(folder: Path) -> None:
    run = folder / f".sanitize/runs/{fix(folder).run}"
    renamed = run.rename(run.with_name("0002-20240101-000000"))
    with pytest.raises(JournalError, match="not made by you"):
        undo(folder)
    renamed.rename(run)
    (run / "run.json").write_text((run / "run.json").read_text() + " ")
    with pytest.raises(JournalError, match="not made by you"):
        undo(folder)
    assert (folder / LABEL).read_text() == FIXED


def test_modes_of_somebody_elses_run_run_nothing(folder: Path, another_user: Callable[[], None]) -> None:
    os.chmod(folder / LABEL, 0o755)
    fix(folder)
    another_user()
    undo(folder, trust_journal=True)
    assert stat.S_IMODE((folder / LABEL).stat().st_mode) == 0o644


# What is shown first


def test_what_would_be_written_is_shown_before_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "labels/train/a\x1b[2J.TXT").write_text(FLAWED)
    shutil.move(folder / LABEL, folder / "labels/train/x.txt")
    entries = [
        entry("labels/train/a\x1b[2J.TXT", after=FLAWED, mode=0o777, renamed_to="labels/train/a\x1b[2J.txt"),
        entry("labels/train/x.txt"),
        entry("labels/train.cache", "pickle", None, derived=True),
    ]
    ship_run(folder, entries, [SHIPPED, "pickle"], done=True)
    assert main(["undo", str(folder), "--trust-journal"]) == 0
    said = capsys.readouterr().err
    assert said.splitlines()[:-1] == [
        f"Run {RUN} was not made by you. Taking it back writes 3 files in {folder}:",
        r"  labels/train/a\x1b[2J.TXT  18 bytes, mode 0666, in place of labels/train/a\x1b[2J.txt",
        "  labels/train/x.txt  18 bytes, mode 0644",
        "  labels/train.cache  6 bytes, mode 0644, a label cache: a pickle, which training loads",
    ]
    assert (folder / "labels/train/x.txt").read_text() == SHIPPED


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("YES\n", 0), ("\n", 2), ("n\n", 2), ("", 2)])
def test_a_terminal_is_asked(
    answer: str,
    status: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    ship_run(folder, [entry()], done=True)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["undo", str(folder), "--trust-journal", "--quiet"]) == status
    said = capsys.readouterr().err
    assert "[y/N]" in said and f"{LABEL}  18 bytes" in said
    assert (folder / LABEL).read_text() == (FLAWED if status else SHIPPED)
    if status:
        assert "nothing was changed" in said


def test_the_python_api_may_ask_too(folder: Path) -> None:
    ship_run(folder, [entry()], done=True)
    seen: list[Restoration] = []

    def no(run: str, restorations: Sequence[Restoration]) -> bool:
        assert run == RUN
        seen.extend(restorations)
        return False

    with pytest.raises(JournalError, match="nothing was changed"):
        undo(folder, trust_journal=True, confirm=no)
    assert seen == [Restoration(LABEL, len(SHIPPED), 0o644, None, False)]
    assert (folder / LABEL).read_text() == FLAWED
    assert undo(folder, trust_journal=True).restored == [LABEL]


def test_nobody_is_asked_about_his_own_run(folder: Path) -> None:
    fix(folder)

    def never(*_: object) -> bool:
        raise AssertionError("asked")

    undo(folder, trust_journal=True, confirm=never)
    assert (folder / LABEL).read_text() == FLAWED


# The key


def test_the_key_is_for_its_user_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANITIZE_STATE_DIR", str(tmp_path / "state/below"))
    old = os.umask(0)
    try:
        fix(folder)
    finally:
        os.umask(old)
    (key,) = (tmp_path / "state/below").iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert key.stat().st_size == 32


def _no_home(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.delenv("SANITIZE_STATE_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)


def _blocked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "blocker").write_text("")
    monkeypatch.setenv("SANITIZE_STATE_DIR", str(tmp_path / "blocker/below"))


def _relative(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setenv("SANITIZE_STATE_DIR", "state")


def _odd_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/journal.key").write_bytes(b"short")
    monkeypatch.setenv("SANITIZE_STATE_DIR", str(tmp_path / "odd"))


def _linked_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "32").write_bytes(b"k" * 32)
    (tmp_path / "linked/journal.key").symlink_to(tmp_path / "32")
    monkeypatch.setenv("SANITIZE_STATE_DIR", str(tmp_path / "linked"))


@pytest.mark.parametrize("spoil", [_no_home, _blocked, _relative, _odd_key, _linked_key])
def test_without_a_key_a_fix_changes_nothing_and_says_what_to_do(
    spoil: Callable[[pytest.MonkeyPatch, Path], None],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch, tmp_path)
    before = files_of(folder)
    with pytest.raises(JournalError, match="SANITIZE_STATE_DIR") as caught:
        fix(folder)
    assert "nothing was changed" in str(caught.value)
    assert files_of(folder) == before
    assert not (folder / ".sanitize").exists() and not os.path.exists("state")


@pytest.mark.parametrize("spoil", [_no_home, _blocked])
def test_without_a_key_every_run_is_somebody_elses(
    spoil: Callable[[pytest.MonkeyPatch, Path], None],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fix(folder)
    spoil(monkeypatch, tmp_path)
    with pytest.raises(JournalError, match="not made by you"):
        undo(folder)
    assert undo(folder, trust_journal=True).restored == [LABEL]


def test_two_first_fixes_at_once_have_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANITIZE_STATE_DIR", str(tmp_path / "state"))
    folders = [flawed_dataset(tmp_path / f"set{i}") for i in range(4)]
    children = []
    for folder in folders:
        child = os.fork()
        if child == 0:
            try:
                fix(folder)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    for folder in folders:
        undo(folder)
        assert (folder / LABEL).read_text() == FLAWED


# Any journal at all


def _mutated(draw: st.DrawFn, value: Any) -> Any:
    """The same JSON with something in it replaced, added or taken out."""
    odd = draw(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**70), 2**70),
            st.floats(),
            st.text(max_size=8),
            st.sampled_from(
                [HOOK, "../x.txt", "/etc/x.txt", "a/b.txt", "x.TXT", "x.txt", "y.cache", LABEL, [], {}]
            ),
        )
    )
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        action = draw(st.sampled_from(["deeper", "deeper", "deeper", "drop", "add"]))
        if action == "drop":
            return {k: v for k, v in value.items() if k != key}
        if action == "add":
            return {**value, draw(st.text(max_size=5)): odd}
        return {**value, key: _mutated(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _mutated(draw, value[place]), *value[place + draw(st.integers(0, 1)) :]]
    return odd


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    value: Any = {
        "schema": 1,
        "entries": [entry(), entry("x.txt"), entry("y.cache", after=None, derived=True)],
    }
    for _ in range(draw(st.integers(0, 4))):
        value = _mutated(draw, value)
    content = bytearray(json.dumps(value).encode())
    for place in draw(st.lists(st.integers(0, len(content) - 1), max_size=draw(st.sampled_from([0, 0, 3])))):
        content[place] = draw(st.integers(0, 255))
    return bytes(content)


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(manifests(), st.booleans(), st.booleans())
def test_any_run_json_writes_labels_and_caches_alone(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, done: bool, signed: bool
) -> None:
    """Whatever a run.json says, also one that this user signed: within seconds, a JournalError or labels written."""
    from sanitizer.fixes.journal.signing import sign

    above = tmp_path_factory.mktemp("any")
    folder = flawed_dataset(above / "set", {".git/hooks/README": "hooks"})
    run = ship_run(folder, [], done=done)
    (run / "run.json").write_bytes(content)
    if signed:
        (run / "signature").write_text(sign(RUN, content))
    before = files_of(above)
    for attempt in (lambda: fix(folder), lambda: undo(folder, force=True, trust_journal=True)):
        with within(20):
            try:
                attempt()
            except JournalError as error:
                assert str(error).isprintable()
    after = files_of(above)
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    changed = {p for p in changed if not p.startswith("set/.sanitize")}
    assert all(p.startswith("set/") and p.lower().endswith((".txt", ".cache")) for p in changed), changed
    assert not any(part.startswith(".") for p in changed for part in p.split("/")[:-1]), changed
    assert not any(after[p][1] & 0o7111 for p in changed if p in after), changed
    shutil.rmtree(above)
