"""Commands that are given a hostile model start no process, reach for no network, and write only where they may."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from hostile_models import save_checkpoint, write_broken_archives, write_checkpoints, write_yamls
from tiny_sets import tiny_set

from sanitizer.train.running import TrainError, resumed_run
from sanitizer.ultra.model_yaml import ModelError

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.probe

WATCHED = """\
import contextlib, io, json, os, sys
import sanitizer.probe.probing, sanitizer.preflight.flight, sanitizer.train.running
from sanitizer.cli import main

events, current = [], ""
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
WRITING = ("os.mkdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.rmdir", "os.truncate", "os.chmod")

def watch(event, args):
    if event.startswith(STARTING) or event.startswith("socket.") and event != "socket.__new__":
        events.append((current, event, ""))
    elif event == "open" and (
        isinstance(args[1], str) and set(args[1]) & set("wax+")
        or args[1] is None and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        events.append((current, event, str(args[0])))
    elif event in WRITING:
        events.append((current, event, str(args[0])))

arguments = json.load(sys.stdin)
for warm in arguments["warm"]:
    main(warm)
sys.addaudithook(watch)
said = []
for call in arguments["calls"]:
    current = " ".join(call)
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        status = main(call)
    said.append((call, status, err.getvalue()))
current = ""
sys.stdout.write("RESULT" + json.dumps({"said": said, "events": events}))
"""


def watched(calls: list[list[str]], folder: Path, data: Path) -> dict[str, Any]:
    """What each call said, and what all of them did outside Python's memory."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "SANITIZE_CACHE_DIR": str(folder / "cache"),
        "YOLO_AUTOINSTALL": "false",
        "OMP_NUM_THREADS": "1",
    }
    warm = [["preflight", str(data), "--model", "yolov8n.yaml", "--no-probe", "--quiet"]]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=json.dumps({"calls": calls, "warm": warm}),
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "RESULT" in done.stdout, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.rpartition("RESULT")[2])
    return result


def test_hostile_models_run_nothing_and_write_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    data = tiny_set(tmp_path / "set")
    before = {p: p.stat().st_mtime_ns for p in data.parent.rglob("*")}
    models = write_checkpoints(folder) | write_broken_archives(folder) | write_yamls(folder)
    commands = (
        ["probe"],
        ["preflight", "--no-probe"],
        ["preflight"],
        ["preflight", "--fix-recipe"],
        ["train"],
    )
    shown = {
        "activation.pt",
        "called-os.pt",
        "called-distillation.pt",
        "old.pt",
        "fifo.pt",
        "activation.yaml",
    }
    calls = [
        [command[0], str(data), "--model", model, *command[1:]]
        for model in models
        for command in (commands if model in shown else commands[1:2])
    ]
    calls += [["train", "--model", model, "resume=True"] for model in sorted(shown) if model.endswith(".pt")]
    result = watched(calls, folder, data)
    for call, status, said in result["said"]:
        assert status == 2, (call, said)
        assert len(said.strip().splitlines()) == 1, (call, said)
        assert "Traceback" not in said
        assert "a defect in sanitize" not in said, (call, said)
    outside = [e for e in result["events"] if e[1] != "open" and e[1] != "os.mkdir"]
    allowed = (str(folder / "cache"), str(data.parent.parent / "set.cache"))
    written = [e for e in result["events"] if e not in outside and not e[2].startswith(allowed)]
    assert outside == []
    assert written == []
    assert not (folder / "HARM").exists()
    assert {p: p.stat().st_mtime_ns for p in data.parent.rglob("*")} == before


def test_weights_beside_the_model_are_judged_too(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    data = tiny_set(tmp_path / "set")
    write_checkpoints(folder)
    base = ["train", str(data), "--model", "yolov8n.yaml", "epochs=1", "imgsz=32", "device=cpu"]
    calls = [[*base, f"{key}=called-os.pt"] for key in ("pretrained", "distill_model")]
    result = watched(calls, folder, data)
    for call, status, said in result["said"]:
        assert status == 2, (call, said)
        assert "called-os.pt: loading it would run code that it carries" in said
    assert not (folder / "HARM").exists()


def test_a_strangers_checkpoint_resumes_nothing_that_downloads_or_runs(tmp_path: Path) -> None:
    weights = tmp_path / "run" / "weights"
    weights.mkdir(parents=True)
    data = tiny_set(tmp_path / "set")
    with_download = tmp_path / "download.yaml"
    with_download.write_text(data.read_text() + "download: http://127.0.0.1:9/x.zip\n")
    os.mkfifo(tmp_path / "run" / "clipping.json")
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "gone": ({"data": "http://127.0.0.1:9/x.yaml"}, "the dataset that it was trained on is not here"),
        "download": ({"data": str(with_download)}, "has a `download:`"),
        "teacher": ({"data": str(data), "distill_model": str(tmp_path / "gone.pt")}, "there is no such file"),
        "augmentations": (
            {"data": str(data), "augmentations": [{"x": 1}]},
            "carries its own `augmentations`",
        ),
    }
    for name, (arguments, said) in cases.items():
        save_checkpoint(weights / f"{name}.pt", arguments)
        with pytest.raises((TrainError, ModelError), match=re.escape(said)):
            resumed_run(str(weights / f"{name}.pt"), {})
    save_checkpoint(weights / "own.pt", {"data": str(data), "save_dir": "/somewhere/else"})
    run = resumed_run(str(weights / "own.pt"), {})
    assert run.arguments["save_dir"] == str(tmp_path / "run"), "it writes into its own folder"
