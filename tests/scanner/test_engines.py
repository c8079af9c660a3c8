"""Engines: the same report whoever does the work, and whatever becomes of the processes that do it."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from example_files import image_bytes
from PIL import Image
from spoilt_readers import DeadlyOnce, NotedDown, Raising, TooMany, deadly, die, replace_reader

import sanitizer.scanner.chunks
from sanitizer import Report, __version__, scan
from sanitizer.archives.finding import find_dataset
from sanitizer.config import Config
from sanitizer.dataset.left_out import ENDS_PROCESS, NOTHING
from sanitizer.dataset.model import PAIRS_PER_CHUNK
from sanitizer.rules.engine import CheckError, RuleSet
from sanitizer.rules.language.pack import load_rules
from sanitizer.scanner.chunks import Job, judge
from sanitizer.scanner.engines.agenda import Agenda
from sanitizer.scanner.engines.culprit import NoProcessLivesError, judge_alone
from sanitizer.scanner.engines.errors import EngineError
from sanitizer.scanner.engines.local import run_locally
from sanitizer.scanner.engines.memory import Memory, Throttle, memory_left
from sanitizer.scanner.engines.pool import PIECES_PER_WORKER
from sanitizer.scanner.engines.ray_ import PieceWithNames, judge_on_node
from sanitizer.scanner.engines.ready import ready_workers
from sanitizer.scanner.engines.worker import Worker
from sanitizer.scanner.pieces import Piece, pieces
from sanitizer.util.processes import START_METHOD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sanitizer.dataset.left_out import LeftOut
    from sanitizer.findings.finding import Finding
    from sanitizer.images.image_files import ImageMode

HERE = os.getpid()
PAIRS = 60
GIB = 1 << 30
PLENTY = Memory(64 * GIB, 64 * GIB)
SHORT = Memory(GIB // 8, 64 * GIB)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
posix = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")
forked = pytest.mark.skipif(
    sys.platform != "linux" or os.environ.get(START_METHOD) == "spawn",
    reason="workers see what a test replaces only where they are forked",
)


@pytest.fixture
def data_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of many small pieces, with something to find in every sixth label."""
    monkeypatch.setitem(PAIRS_PER_CHUNK, "header", 4)
    folder = tmp_path / "set"
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    picture = image_bytes("64x48", "a.jpg")
    for i in range(PAIRS):
        (folder / "images" / "train" / f"{i:02}.jpg").write_bytes(picture + b"\0" * (i % 7 == 0))
        side = 0 if i % 6 == 0 else 0.4
        (folder / "labels" / "train" / f"{i:02}.txt").write_text(f"0 0.5 0.5 {side} 0.3\n")
    path = folder / "data.yaml"
    path.write_text("train: images/train\nval: images/train\nnames: [a]\n")
    return path


def scanned(path: Path, jobs: int, images: ImageMode = "header", **options: bool) -> Report:
    return scan(path, jobs=jobs, images=images, **({"cache": False} | options))  # type: ignore[arg-type]


def of_chunks(report: Report) -> list[Finding]:
    """What single files are said to be, without what the dataset as a whole is said to be."""
    return [f for f in report.findings if not f.rule.startswith("D")]


def job_for(data_yaml: Path) -> Job:
    dataset = find_dataset([str(data_yaml)]).without_repeats()
    return Job(dataset, dataset.task_spec("detect"), RuleSet.build(load_rules(), Config()), "header", False)


# --- the same report ---


def test_worker_processes_give_the_same_report(shared_data: Path) -> None:
    path = shared_data / "ships_dirty" / "data.yaml"
    alone = scan(path, jobs=1, cache=False)
    pooled = scan(path, jobs=2, cache=False)
    assert pooled.findings == alone.findings
    assert pooled.summary.splits == alone.summary.splits
    assert pooled.notes == alone.notes


@pytest.mark.parametrize(
    "jobs", [2, pytest.param(3, marks=pytest.mark.thorough), pytest.param(50, marks=pytest.mark.thorough)]
)
def test_pieces_come_in_order_whatever_the_number_of_workers(data_yaml: Path, jobs: int) -> None:
    job = job_for(data_yaml)
    todo = list(pieces(job.dataset, 4))
    assert len(todo) > 8
    judged = list(run_locally(job, None, iter(todo), jobs, add_note=pytest.fail))
    assert [piece for piece, _ in judged] == todo
    for piece, results in judged:
        (here,) = judge(job, None, piece)
        (there,) = results
        assert there.findings == here.findings
        assert np.array_equal(there.summary.image_digest, here.summary.image_digest)


@forked
def test_workers_that_were_forked_before_pytorch_are_used_and_then_gone(
    data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    before = set(multiprocessing.active_children())
    with ready_workers():
        pids = {worker._process.pid for worker in Worker.ready}
        monkeypatch.setitem(sys.modules, "torch", multiprocessing)
        with_forked = scanned(data_yaml, 2)
        assert len(Worker.ready) == max(0, len(pids) - 2)
        assert pids
    assert set(multiprocessing.active_children()) <= before
    assert with_forked.findings == scanned(data_yaml, 1).findings


@forked
def test_where_no_process_can_be_forked_ahead_none_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    started, make = [], Worker.__init__

    def one_alone(worker: Worker) -> None:
        if started:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        make(worker)
        started.append(worker)

    monkeypatch.setattr(Worker, "__init__", one_alone)
    with ready_workers():
        assert Worker.ready == started
    assert not Worker.ready
    assert started[0]._process not in multiprocessing.active_children()


def test_pieces_are_asked_for_as_they_are_needed(data_yaml: Path) -> None:
    job = job_for(data_yaml)
    taken = 0

    def counted() -> Iterator[Piece]:
        nonlocal taken
        for piece in pieces(job.dataset, 1):
            taken += 1
            yield piece

    most_ahead = 0
    for handed_over, _ in enumerate(run_locally(job, None, counted(), 2, add_note=pytest.fail)):
        most_ahead = max(most_ahead, taken - handed_over)
    assert taken > 30
    assert 2 <= most_ahead <= 2 * PIECES_PER_WORKER


def test_workers_are_gone_when_nobody_asks_any_more(data_yaml: Path) -> None:
    job = job_for(data_yaml)
    results = run_locally(job, None, pieces(job.dataset, 4), 2, add_note=pytest.fail)
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


@posix
def test_what_a_rule_raises_in_a_worker_is_raised_here(
    data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = CheckError("B002", "ValueError: no", "labels/train/00.txt")
    replace_reader(monkeypatch, "run_chunk", Raising(error))
    with pytest.raises(CheckError, match=r"rule B002 failed .* labels/train/00.txt") as caught:
        scanned(data_yaml, jobs=2)
    if sys.version_info >= (3, 11):  # older exceptions take no notes
        assert "in run_chunk" in caught.value.__notes__[0] or "in judge_tables" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


@pytest.fixture
def long_scan(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A scan with three workers that have work for a while."""
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    picture = tmp_path / "picture.jpg"
    Image.new("RGB", (3000, 2000)).save(picture)
    for i in range(1500):
        os.link(picture, tmp_path / "images" / f"{i}.jpg")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    command = (sys.executable, "-m", "sanitizer", "scan", str(tmp_path / "data.yaml"))
    process = subprocess.Popen(
        (*command, "--images", "decode", "--jobs", "3", "--no-cache"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    yield process
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.communicate()


def workers_of(process: subprocess.Popen[bytes], number: int) -> list[str]:
    """Process ids of its children, once there are so many."""
    until = time.monotonic() + 30
    children: list[str] = []
    while len(children) < number and time.monotonic() < until:
        time.sleep(0.05)
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            children = [child for child in file.read().split() if not looks_after_resources(child)]
    assert len(children) == number
    return children


def looks_after_resources(process_id: str) -> bool:
    """Whether it is the process that Python starts beside the first one that it spawns."""
    with contextlib.suppress(OSError), open(f"/proc/{process_id}/cmdline", "rb") as file:
        return b"resource_tracker" in file.read()
    return False


def are_gone(process_ids: Sequence[str]) -> bool:
    until = time.monotonic() + 30  # one that was just spawned looks for its parent once it is up
    while time.monotonic() < until:
        if all(map(has_ended, process_ids)):
            return True
        time.sleep(0.05)
    return False


def has_ended(process_id: str) -> bool:
    """Also where the system has not asked yet how it ended: that takes it seconds."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.thorough
@on_linux
@pytest.mark.parametrize("to_all", [True, False], ids=["by the terminal", "alone"])
def test_an_interrupted_scan_leaves_one_sentence_and_no_process(
    long_scan: subprocess.Popen[bytes], to_all: bool
) -> None:
    workers = workers_of(long_scan, 3)
    if to_all:
        os.killpg(long_scan.pid, signal.SIGINT)
    else:
        os.kill(long_scan.pid, signal.SIGINT)
    out, err = long_scan.communicate(timeout=20)
    assert long_scan.returncode == 130
    assert (out, err) == (b"", b"sanitize scan: interrupted\n")
    assert are_gone(workers)


@pytest.mark.slow
@on_linux
def test_workers_do_not_outlive_a_scan_that_was_killed(long_scan: subprocess.Popen[bytes]) -> None:
    workers = workers_of(long_scan, 3)
    long_scan.kill()
    assert are_gone(workers)


BUSY = {
    "waits": "def busy(*_): os.read(os.pipe()[0], 1)",
    "waits for a FIFO": "def busy(*_): open(FIFO)",
    "computes": "def busy(*_):\n    while True: pass",
    "computes and lets nobody else in": "def busy(*_): sum(range(10**12))",
    "heeds no signal": "def busy(*_):\n    signal.signal(15, signal.SIG_IGN)\n    os.read(os.pipe()[0], 1)",
}
_SCAN = """
import os, signal, sys
import sanitizer.scanner.chunks
from sanitizer import scan
from sanitizer.dataset.model import PAIRS_PER_CHUNK
PAIRS_PER_CHUNK["header"] = 4  # both have work
FIFO = sys.argv[2]
{busy}
sanitizer.scanner.chunks.read_images = busy
scan(sys.argv[1], jobs=2, images="header", cache=False)
"""


@pytest.mark.thorough
@forked
@pytest.mark.parametrize("how", BUSY)
def test_no_worker_outlives_a_killed_scan_whatever_it_is_at(
    data_yaml: Path, tmp_path: Path, how: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    script = _SCAN.format(busy=BUSY[how])
    process = subprocess.Popen((sys.executable, "-c", script, str(data_yaml), str(tmp_path / "fifo")))
    try:
        workers = workers_of(process, 2)
        time.sleep(0.3)  # they are at it
        process.kill()
        process.wait()
        assert are_gone(workers)
    finally:
        process.kill()
        process.wait()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@on_linux
def test_no_worker_outlives_a_killed_process_that_makes_pictures() -> None:
    script = """
import time
from sanitizer.reports.html.pool import share_out
list(share_out(time.sleep, [60] * 4, 2, 1, [1] * 4, None))
"""
    process = subprocess.Popen((sys.executable, "-c", script))
    try:
        workers = workers_of(process, 2)
        process.kill()
        process.wait()
        assert are_gone(workers)
    finally:
        process.kill()
        process.wait()


@pytest.mark.thorough
@on_linux
def test_a_worker_notices_by_itself_that_who_started_it_is_gone() -> None:
    script = """
import os, sys, time
from sanitizer.scanner.engines.parent import watch_parent
parent = os.getpid()
child = os.fork()
if child:
    print(child, flush=True)
    time.sleep(60)
watch_parent(parent)
time.sleep(60)
"""
    process = subprocess.Popen((sys.executable, "-c", script), stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = process.stdout.readline().decode().strip()
    try:
        time.sleep(0.3)
        process.kill()
        process.communicate()
        assert are_gone([child])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


# --- processes that end ---


@pytest.mark.thorough
@posix
def test_a_worker_killed_by_bad_luck_costs_nothing_but_time(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = scanned(data_yaml, jobs=1)

    replace_reader(monkeypatch, "read_images", DeadlyOnce("30.jpg", tmp_path / "died"))
    pooled = scanned(data_yaml, jobs=2)
    assert (tmp_path / "died").exists()
    assert pooled.findings == alone.findings
    assert pooled.notes == alone.notes


@pytest.mark.thorough
@posix
def test_where_every_worker_is_killed_this_process_does_the_work(
    data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = scanned(data_yaml, jobs=1)
    replace_reader(monkeypatch, "read_labels", die)
    pooled = scanned(data_yaml, jobs=2)
    assert pooled.findings == alone.findings
    assert "worker processes ended whatever they did: files were read by a single process" in pooled.notes


@pytest.mark.thorough
@posix
@pytest.mark.parametrize("names", [("07.jpg",), ("00.jpg", "01.jpg"), ("10.jpg", "33.jpg", "59.jpg")])
def test_an_image_that_ends_its_reader_is_named_and_the_rest_is_judged(
    data_yaml: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    healthy = scanned(data_yaml, jobs=1)
    replace_reader(monkeypatch, "read_images", deadly(*names))
    report = scanned(data_yaml, jobs=2)
    images = [f"images/train/{name}" for name in names]
    unusable = [f for f in report.findings if f.rule == "I001"]
    assert [f.image for f in unusable] == images
    assert {f.message for f in unusable} == {
        "image cannot be used, reading it ends the process: training may end the same way"
    }
    assert set(images) <= report.dropped
    others = [f for f in of_chunks(report) if f.image not in images]
    assert others == [f for f in of_chunks(healthy) if f.image not in images]
    assert report.summary.boxes == healthy.summary.boxes  # their labels were read
    assert report.summary.images == healthy.summary.images


@pytest.mark.thorough
@posix
def test_a_label_that_ends_its_reader_is_named_and_its_image_is_judged(
    data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = scanned(data_yaml, jobs=1)
    replace_reader(monkeypatch, "read_labels", deadly("14.txt"))
    report = scanned(data_yaml, jobs=2)
    (named,) = [f for f in report.findings if f.rule == "L001"]
    assert (named.label, named.line) == ("labels/train/14.txt", None)
    assert ENDS_PROCESS in named.message
    assert "images/train/14.jpg" in report.dropped
    assert [f for f in of_chunks(report) if f is not named] == of_chunks(healthy)
    assert report.summary.boxes == healthy.summary.boxes - 1


@pytest.mark.thorough
@posix
def test_a_reader_that_runs_out_of_memory_counts_as_one_that_ends(
    data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_reader(monkeypatch, "read_labels", Raising(MemoryError(), "20.txt"))
    named = [f.label for f in scanned(data_yaml, jobs=2).findings if f.rule == "L001"]
    assert named == ["labels/train/20.txt"]


@pytest.mark.slow
@posix
def test_files_that_only_together_are_too_much_are_all_judged(
    data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = scanned(data_yaml, jobs=1)

    replace_reader(monkeypatch, "read_images", TooMany(2))
    assert scanned(data_yaml, jobs=2).findings == alone.findings


@pytest.mark.slow
@posix
def test_the_cache_does_not_learn_what_was_left_out(data_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in data_yaml.parent.rglob("*.*"):
        os.utime(path, (1, 1))
    with monkeypatch.context() as patch:
        replace_reader(patch, "read_images", deadly("07.jpg"))
        assert "I001" in {f.rule for f in scanned(data_yaml, jobs=2, cache=True).findings}
    assert "I001" not in {f.rule for f in scanned(data_yaml, jobs=2, cache=True).findings}


@pytest.mark.thorough
@posix
def test_the_page_of_a_report_does_not_open_what_ended_a_reader(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sanitizer.reports.formats import write
    from sanitizer.reports.html import cards

    replace_reader(monkeypatch, "read_images", deadly("07.jpg"))
    report = scanned(data_yaml, jobs=2)
    opened: list[str] = []
    real = cards.cut_out
    monkeypatch.setattr(cards, "cut_out", lambda path, *rest: (opened.append(path), real(path, *rest))[1])
    write(report, str(tmp_path / "page.html"), None, progress=False)
    assert opened
    assert not any(path.endswith("07.jpg") for path in opened)
    assert "reading it ends the process" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_no_more_processes_are_spent_on_a_culprit_than_halving_takes() -> None:
    piece, deaths, attempts = Piece(0, 0, 2048), 0, 0

    def attempt(piece: Piece, left_out: LeftOut) -> list[sanitizer.scanner.chunks.ChunkResult] | None:
        nonlocal deaths, attempts
        attempts += 1
        dies = 1234 not in left_out.images
        deaths += dies
        return None if dies else []

    assert judge_alone(piece, attempt) == []
    assert deaths <= 1 + 11 + 1
    assert attempts <= 2 + 2 * 11 + 3


def test_files_are_not_blamed_where_no_process_lives() -> None:
    with pytest.raises(NoProcessLivesError):
        judge_alone(Piece(0, 0, 8), lambda piece, left_out: None)


def test_a_task_is_a_suspect_once_two_processes_ended_over_it() -> None:
    agenda = Agenda([Piece(0, 0, 1), Piece(0, 1, 2)])
    first = agenda.take(9)
    assert first is not None
    agenda.blame(first)
    assert agenda.take(9) is first
    agenda.blame(first)
    assert list(agenda.suspects) == [first]
    second = agenda.take(9)
    assert second is not None
    agenda.finish(second, [])
    assert list(agenda.ready()) == []
    agenda.finish(first, [])
    assert [piece for piece, _ in agenda.ready()] == [first.piece, second.piece]


# --- memory ---


def test_memory_is_what_the_system_says() -> None:
    left = memory_left()
    if not os.path.exists("/proc/meminfo"):
        assert left is None
        return
    assert left is not None
    assert 0 < left.available <= left.total


def test_fewer_pieces_at_once_while_memory_is_short_and_more_when_it_is_not() -> None:
    said: list[str] = []
    answers = [PLENTY, SHORT, SHORT, SHORT, SHORT, Memory(3 * GIB // 4, 64 * GIB), PLENTY, PLENTY, None]
    throttle = Throttle(8, lambda: answers.pop(0), said.append, look_every_s=0)
    assert [throttle.allowed() for _ in range(9)] == [8, 4, 2, 1, 1, 1, 2, 3, 3]
    assert said == ["memory ran short (0.1 GB left): fewer files were read at a time, at a lower priority"]


def test_a_small_machine_is_not_short_of_memory_by_being_small() -> None:
    throttle = Throttle(4, lambda: Memory(GIB // 4, GIB), pytest.fail, look_every_s=0)
    assert throttle.allowed() == 4


@posix
def test_under_memory_pressure_one_worker_of_low_priority_gives_the_same_report(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, said = job_for(data_yaml), list[str]()
    at_work = tmp_path / "at_work"
    at_work.mkdir()

    replace_reader(monkeypatch, "read_images", NotedDown(at_work))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    judged = list(run_locally(job, None, pieces(job.dataset, 4), 2, said.append, memory=lambda: SHORT))
    seen = {tuple(map(int, entry.name.split())) for entry in at_work.iterdir()}
    assert len({pid for pid, _ in seen}) == 1
    assert max(nice for _, nice in seen) == max(before, 10)
    assert len(said) == 1
    monkeypatch.undo()
    expected = [judge(job, None, piece)[0].findings for piece in pieces(job.dataset, 4)]
    assert [results[0].findings for _, results in judged] == expected


def test_nothing_left_out_is_false() -> None:
    assert not NOTHING


# --- Ray, as far as it goes without Ray (test_ray.py has the rest) ---


def test_ray_that_is_not_installed_is_said_to_be(data_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"not installed here: pip install 'sanitize-yolo\[ray\]'"):
        scan(data_yaml, engine="ray")


def test_a_node_of_another_version_or_without_the_files_says_so(data_yaml: Path, tmp_path: Path) -> None:
    job = job_for(data_yaml)
    piece_with_names = PieceWithNames.of(job.dataset, Piece(0, 0, 4))
    with pytest.raises(EngineError, match=r"has sanitize .* where 0\.0\.0 asks: install the same"):
        judge_on_node(job, "0.0.0", str(tmp_path), piece_with_names, NOTHING)
    with pytest.raises(EngineError, match="does not see /nowhere: all nodes need the dataset"):
        judge_on_node(job, __version__, "/nowhere", piece_with_names, NOTHING)


def test_a_piece_judged_on_its_own_is_the_piece_judged_in_its_split(data_yaml: Path, tmp_path: Path) -> None:
    job = job_for(data_yaml)
    bare = replace(job, dataset=replace(job.dataset, splits=()))
    for piece in pieces(job.dataset, 4):
        piece_with_names = PieceWithNames.of(job.dataset, piece)
        assert [len(split) for split in piece_with_names.splits] == [len(piece)]
        (there,) = judge_on_node(bare, __version__, str(tmp_path), piece_with_names, NOTHING)
        (here,) = judge(job, None, piece)
        assert there.findings == here.findings
        assert np.array_equal(there.summary.label_digest, here.summary.label_digest)


@pytest.mark.thorough
@pytest.mark.parametrize("module", ["pickle", "socket", "multiprocessing"])
def test_a_spawned_worker_imports_nothing_from_the_current_folder(
    data_yaml: Path, tmp_path: Path, module: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / f"here/{module}.py").write_text("raise SystemExit('imported from the current folder')\n")
    script = tmp_path / "scan.py"
    script.write_text(
        "import sys\n"
        "from sanitizer.util import processes\n"
        "from sanitizer import scan\n"
        "if __name__ == '__main__':\n"
        "    processes.start_method = lambda: 'spawn'\n"
        "    print(scan(sys.argv[1], jobs=2, images='header', cache=False).notes)\n"
    )
    done = subprocess.run(
        (sys.executable, str(script), str(data_yaml)),
        cwd=tmp_path / "here",
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(sanitizer.__file__))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "current folder" not in done.stderr
    assert "ended whatever they did" not in done.stdout
