"""The command line as a program of its own: imports, pipes, signals, and scans of real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sanitizer import __version__
from sanitizer.cli import main

pytestmark = pytest.mark.thorough


def program(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    if "stdout" not in options:
        options["capture_output"] = True
    return subprocess.run([sys.executable, "-m", "sanitizer", *argv], text=True, check=False, **options)


def test_the_program_knows_its_version() -> None:
    run = program("--version")
    assert (run.returncode, run.stdout, run.stderr) == (0, f"sanitize {__version__}\n", "")


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["scan", "--help"], ["demo", "--help"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys\nfrom sanitizer.cli import main\n"
        f"main({argv!r})\n"
        "print(*{'numpy', 'yaml', 'pandas', 'PIL', 'tqdm', 'torch'} & set(sys.modules), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == "\n"


@pytest.mark.parametrize(
    ("row", "said", "unneeded"),
    [
        ("0 0.5 0.5 0.4 0.3", "0\n", {"hashlib", "json", "sanitizer.diagnosis.diagnose"}),
        ("0 0.5 0.5 nan 0.3", "1\n", {"sanitizer.rules.checks.copies"}),
    ],
)
def test_a_hook_imports_no_more_than_it_needs(
    tmp_path: Path, row: str, said: str, unneeded: set[str]
) -> None:
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [ship]\n", "utf-8")
    label = tmp_path / "labels" / "train" / "a.txt"
    label.parent.mkdir(parents=True)
    label.write_text(f"{row}\n", "utf-8")
    usual = {"PIL", "sanitizer.dataset.layout", "sanitizer.rules.recipe_facts", "sanitizer.scanner.cache"}
    code = (
        "import sys\nfrom sanitizer.cli import main\n"
        f"status = main(['scan', {str(label)!r}, '--quiet'])\n"
        f"print(status, *{(unneeded | usual)!r} & set(sys.modules), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == said


@pytest.fixture(scope="module")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sanitizer.cli.demo_dataset import make_demo

    return Path(make_demo(str(tmp_path_factory.mktemp("demo") / "set")))


def test_demo_shows_findings_and_exits_with_zero(tmp_path: Path) -> None:
    run = program("demo", "d", cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})
    assert run.returncode == 0, run.stderr
    assert "Training (Ultralytics) would" in run.stdout
    assert "the exit status is 0 here" in run.stderr


def test_demo_scans_what_it_made_before_and_writes_over_nothing(
    demo_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo_data.parent.rglob("*")}
    assert main(["demo", str(demo_data.parent)]) == 0
    assert {path: path.stat().st_mtime_ns for path in demo_data.parent.rglob("*")} == before
    assert "left as it is" in capsys.readouterr().err

    (tmp_path / "data.yaml").write_text("train: three/years\n")
    assert main(["demo", str(tmp_path)]) == 2
    assert main(["demo", str(tmp_path / "data.yaml")]) == 2
    assert os.listdir(tmp_path) == ["data.yaml"]
    first, second = capsys.readouterr().err.splitlines()
    assert "is not empty" in first
    assert str(tmp_path / "data.yaml") in second


def test_a_real_scan_is_the_same_through_a_pipe_and_from_python(demo_data: Path) -> None:
    from sanitizer.scanner.run import scan

    run = program("scan", str(demo_data), "--format", "json", "--no-cache")
    assert run.returncode == 1, run.stderr
    told, made = json.loads(run.stdout), scan(str(demo_data), images="auto", cache=False).to_dict()
    assert told["findings"] == made["findings"]
    assert told["summary"] | {"elapsed_s": 0} == json.loads(json.dumps(made["summary"] | {"elapsed_s": 0}))


def test_a_baseline_of_a_real_scan_silences_it(demo_data: Path, tmp_path: Path) -> None:
    known = str(tmp_path / "known.json")
    assert program("scan", str(demo_data), "--write-baseline", known).returncode == 0
    run = program("scan", str(demo_data), "--baseline", known, "--fail-on", "info")
    assert (run.returncode, run.stdout.splitlines()[0].startswith("Nothing new")) == (0, True), run.stderr


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["no/data.yaml"], "no/data.yaml"),
        (["DEMO", "--select", "B0O1"], "B0O1"),
        (["DEMO", "--set", "B001.max_rato=3"], "max_rato"),
        (["DEMO", "--set", "B01.max_ratio=3"], "B01"),
        (["DEMO", "--baseline", "none.json"], "none.json: cannot read the baseline"),
        (["DEMO", "--split", "trian"], "trian"),
    ],
)
def test_mistakes_that_only_the_scan_can_see_are_sentences_too(
    argv: list[str], sentence: str, demo_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["scan", *(str(demo_data) if a == "DEMO" else a for a in argv)])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert "defect" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("argv", [["rules"], ["scan", "DEMO"], ["scan", "DEMO", "--format", "json"]])
def test_a_full_disk_behind_stdout_is_a_sentence(argv: list[str], demo_data: Path) -> None:
    with open("/dev/full", "w") as full:
        run = program(
            *(str(demo_data) if a == "DEMO" else a for a in argv), stdout=full, stderr=subprocess.PIPE
        )
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].endswith("No space left on device")
    assert "Traceback" not in run.stderr and "Exception ignored" not in run.stderr


@pytest.mark.parametrize(("argv", "status"), [(["rules"], 0), (["scan", "DEMO", "--quiet"], 1)])
def test_a_reader_that_leaves_early_changes_nothing(argv: list[str], status: int, demo_data: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as pipe:
        run = program(
            *(str(demo_data) if a == "DEMO" else a for a in argv), stdout=pipe, stderr=subprocess.PIPE
        )
    assert (run.returncode, run.stderr) == (status, "")


def test_an_interrupt_leaves_with_130_and_no_traceback() -> None:
    # Reading the configuration takes its time here: a place to interrupt for certain.
    program = (
        "import sys, time, sanitizer.config as config\n"
        "config.load_config = lambda *_, **__: (print('reads', flush=True), time.sleep(30))\n"
        "from sanitizer.cli import main\n"
        "sys.exit(main(['scan', 'x', '--config', 'slow.yaml']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reads\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "sanitize scan: interrupted\n")


def test_names_that_are_no_text_are_printed_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "no/b\udcff\x1b.yaml"]) == 2
    err = capsys.readouterr().err
    assert "\\x1b.yaml" in err and "dcff" in err
    assert err.rstrip("\n").isprintable()


@pytest.mark.skipif(os.name != "posix", reason="closes streams as a shell does")
@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("options", ["", "--format json --output out.json"])
def test_closed_streams_leave_the_exit_status_as_it_is(
    demo_data: Path, tmp_path: Path, closing: str, options: str
) -> None:
    program_text = f"{sys.executable} -m sanitizer scan {demo_data} {options} --images none {closing}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        ["sh", "-c", program_text], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 1, run.stderr
    assert "defect" not in run.stderr and "Traceback" not in run.stderr
    if "out.json" in options:
        assert json.loads((tmp_path / "out.json").read_text())["schema"] == 1


def test_a_user_without_a_home_scans_the_current_folder(
    demo_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pwd = pytest.importorskip("pwd")

    def nobody(_: object) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "SANITIZE_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(demo_data.parent)
    before = sorted(os.listdir())
    assert main(["scan", ".", "--images", "none"]) == 1
    out, err = capsys.readouterr()
    assert "28 images" in out
    assert "this user has no home folder" in err
    assert sorted(os.listdir()) == before, "no folder named ~"
