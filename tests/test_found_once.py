"""A command lists every folder of its dataset once, and reads no label more often than is written here.

Counted are `os.listdir` and `os.scandir` of folders below images/ and labels/, and the files below labels/ that are
opened. Not counted is a look at the first name in a folder, which tells whether it holds shards, and a folder that is
opened as a descriptor: `fix` looks that way, right before it changes labels, for caches beside them. What Ultralytics
does in the view's own folder is elsewhere.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tiny_sets import tiny_set

from sanitizer.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "yolov8n.yaml"
NEEDS_TORCH = [
    pytest.mark.probe,
    pytest.mark.ultralytics,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("torch", "ultralytics"))), reason="needs torch and ultralytics"
    ),
]
LOOKS_AT_FIRST_NAME = "sanitizer/archives/entry.py"
ONE_CHANGED = "labels/train/2.txt"


class Watch:
    """Counts what this process, and those that it forks, do below a folder. An audit hook can only be switched off."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.is_on = False
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.is_on or not args or not isinstance(args[0], str):
            return
        inside = args[0].removeprefix(f"{self.folder}/")
        if inside == args[0]:
            return
        if event in ("os.listdir", "os.scandir") and inside.startswith(("images/", "labels/")):
            if not sys._getframe(1).f_code.co_filename.endswith(LOOKS_AT_FIRST_NAME):
                os.write(self._log, f"list {inside}\n".encode())
        elif event == "open" and inside.startswith("labels/"):
            os.write(self._log, f"open {inside}\n".encode())

    def stop(self) -> None:
        """Count no more, and sum up."""
        self.is_on = False
        noted = [line.partition(" ") for line in self.log.read_text().splitlines()]
        self.listed = Counter(path for what, _, path in noted if what == "list")
        self.opened = Counter(path for what, _, path in noted if what == "open")

    def reads_of(self, split: str) -> set[int]:
        """How often labels of a split were opened, but for the one that `fix` changes."""
        names = {f"labels/{split}/{i}.txt" for i in range({"train": 6, "val": 2}[split])}
        return {self.opened[name] for name in names - {ONE_CHANGED}}


@pytest.fixture(params=["the data.yaml says the task", "labels say the task"])
def is_declared(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "the data.yaml says the task")


@pytest.fixture
def watch(tmp_path: Path, is_declared: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """A set in which one row stands twice, which is safe to repair."""
    data = tiny_set(tmp_path / "set", train=6)
    if is_declared:
        data.write_text(data.read_text() + "task: detect\n")
    twice = data.parent / ONE_CHANGED
    twice.write_text(twice.read_text() * 2)
    monkeypatch.chdir(tmp_path)
    watch = Watch(data.parent, tmp_path / "log.txt")
    yield watch
    watch.is_on = False


class NoTraining:
    """In place of `YOLO`: the run ends where training would begin."""

    def __init__(self, model: str) -> None:
        self.model = model

    def train(self, **arguments: Any) -> None:
        assert "trainer" in arguments


CASES = [
    # command line, reads of a training label, reads of a validation label
    pytest.param("scan {data}", 1, 1, id="scan"),
    # Plots show all boxes, of which a scan keeps no positions.
    pytest.param("scan {data} --output page.html", 2, 2, id="scan to a page"),
    pytest.param("scan {data} --split val --output page.html", 0, 2, id="scan of one split to a page"),
    pytest.param("fix {data} --diff", 1, 1, id="fix --diff"),
    pytest.param("fix {data}", 1, 1, id="fix"),
    # A view holds a copy of every label.
    pytest.param("fix {data} --view clean", 2, 2, id="fix --view"),
    # Recipe, rehearsal and probe share one read of the training split: a scan keeps no rows.
    pytest.param(
        f"preflight {{data}} --model {MODEL} --no-probe imgsz=64",
        2,
        1,
        id="preflight --no-probe",
        marks=NEEDS_TORCH,
    ),
    pytest.param(
        f"preflight {{data}} --model {MODEL} --budget 1 imgsz=64 device=cpu lr0=0.5 optimizer=SGD warmup_epochs=0",
        2,
        1,
        id="preflight",
        marks=NEEDS_TORCH,
    ),
    pytest.param(
        f"preflight {{data}} --model {MODEL} --no-probe --output page.html imgsz=64",
        3,
        2,
        id="preflight to a page",
        marks=NEEDS_TORCH,
    ),
    pytest.param(
        f"probe {{data}} --model {MODEL} --budget 1 --device cpu imgsz=64",
        2,
        1,
        id="probe",
        marks=NEEDS_TORCH,
    ),
    # Recipe, scan, and the copies in the view.
    pytest.param(
        f"train {{data}} --model {MODEL} epochs=1 device=cpu imgsz=64", 3, 2, id="train", marks=NEEDS_TORCH
    ),
]


@pytest.mark.parametrize(("command", "train_reads", "val_reads"), CASES)
def test_a_dataset_is_found_once(
    command: str,
    train_reads: int,
    val_reads: int,
    watch: Watch,
    is_declared: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if command.startswith("train"):
        monkeypatch.setattr("sanitizer.ultra.library.YOLO", NoTraining)
    line = command.format(data=watch.folder / "data.yaml").split()
    watch.is_on = True
    status = main(line)
    watch.stop()
    assert status in (0, 1)
    assert set(watch.listed.values()) == {1}, watch.listed
    # The beginnings of up to 200 labels tell the task where the data.yaml does not, once a command.
    heads = 0 if is_declared else 1
    assert watch.reads_of("val") == {val_reads + heads}, watch.opened
    assert watch.reads_of("train") == {train_reads + heads if train_reads else 0}, watch.opened
