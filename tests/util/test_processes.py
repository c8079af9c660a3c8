"""How worker processes start: never forked off a process with threads, and never running what is not ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from example_files import image_bytes

SCRIPT = """
import multiprocessing, os, sys, types
from multiprocessing.process import BaseProcess

with open("runs", "a") as file:
    file.write("x")
forks, started, start = [], [], BaseProcess.start
def hook(event, args):
    if event == "os.fork":
        forks.append(len(os.listdir("/proc/self/task")))
sys.addaudithook(hook)
def noted(self):
    started.append(type(self).__name__)
    start(self)
BaseProcess.start = noted
if "torch" in sys.argv:
    sys.modules["torch"] = types.ModuleType("torch")
if "pictures" in sys.argv:
    from sanitizer.reports.html.pool import share_out
    print(list(share_out(abs, [-1, -2, -3], 2, 1, [1, 1, 1], ("looking", "image"))))
else:
    from sanitizer import scan
    print([f.rule for f in scan("data.yaml", jobs=2, cache=False, progress=True).findings])
print(set(forks), set(started))
"""


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all workers are spawned")
@pytest.mark.parametrize("what", ["scan", "pictures"])
@pytest.mark.parametrize("loaded", ["torch", "nothing"])
def test_a_worker_is_forked_only_off_a_single_thread_without_torch(
    tmp_path: Path, what: str, loaded: str
) -> None:
    """Where it is spawned, it runs neither the script again nor a module of the folder that the user stands in."""
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i in range(6):
        (tmp_path / f"images/{i}.jpg").write_bytes(image_bytes(f"64x48 seed={i}", "a.jpg"))
        (tmp_path / f"labels/{i}.txt").write_text("0 0.5 0.5 0 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    (tmp_path / "here").mkdir()
    for name in ("pickle", "numpy", "multiprocessing", "socket", "tempfile"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n")
    script = tmp_path / "here/script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("SANITIZE_START_METHOD", None)
    run = subprocess.run(
        [sys.executable, script, what, loaded], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    *_, result, processes = run.stdout.splitlines() or [run.stderr, ""]
    assert result == "[1, 2, 3]" if what == "pictures" else "'B002'" in result, run.stderr
    assert processes == ("set() {'SpawnProcess'}" if loaded == "torch" else "{1} {'ForkProcess'}")
    assert (tmp_path / "runs").read_text() == "x"
    assert not (tmp_path / "ran").exists()


UNGUARDED = """
import multiprocessing, sys
from sanitizer import scan
print(len(scan("data.yaml", jobs=2, cache=False).findings), flush=True)
child = multiprocessing.get_context("spawn").Process(target=print, args=("ran",))
child.start()
child.join(60)
print(child.exitcode)
"""
DAEMON = """
import multiprocessing, sys
from sanitizer import scan
from sanitizer.reports.html.pool import share_out
def work(path):
    found = len(scan(path, jobs=2, cache=False).findings)
    return found, list(share_out(abs, [-1, -2], 2, 1, [1, 1], None))
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(work, ["data.yaml"]))
"""
UNABLE = """
import multiprocessing
from sanitizer import scan
if __name__ == "__main__":
    multiprocessing.set_executable("/bin/false")
    report = scan("data.yaml", jobs=2, cache=False)
    print(len(report.findings), report.notes)
"""
THREADED = """
import threading, warnings
warnings.simplefilter("always")
from sanitizer import scan
if __name__ == "__main__":
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    print(len(scan("data.yaml", jobs=2, cache=False).findings))
    ended.set()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="/bin/false")
@pytest.mark.parametrize(
    ("script", "out", "err"),
    [
        pytest.param(UNGUARDED, "2\n1\n", "has begun to run the whole script again", id="imported again"),
        pytest.param(DAEMON, "[(2, [1, 2])]\n", "", id="inside a worker"),
        pytest.param(UNABLE, "2 ['worker processes ended whatever they did", "", id="none comes up"),
        pytest.param(THREADED, "2\n", "", id="beside a thread"),
    ],
)
def test_a_script_gets_its_answer_where_workers_are_spawned(
    tmp_path: Path, script: str, out: str, err: str
) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i in range(2):
        (tmp_path / f"images/{i}.jpg").write_bytes(image_bytes(f"64x48 seed={i}", "a.jpg"))
        (tmp_path / f"labels/{i}.txt").write_text(f"0 0.5 0.5 {i * 0.5} 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    (tmp_path / "script.py").write_text(script)
    run = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parents[2])}
        | ({} if script == THREADED else {"SANITIZE_START_METHOD": "spawn"}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout.startswith(out), run.stderr
    assert err in run.stderr
    assert "multi-threaded" not in run.stderr
    assert run.returncode == 0, run.stderr
