"""`scan --watch`: what a saved file changes in the findings, while somebody is labelling."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from example_files import image_bytes
from packed_sets import write_tar

from sanitizer.cli import main, scan, watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD, OUT, TWICE = "0 0.5 0.5 0.4 0.3\n", "0 0.5 0.5 1.4 0.3\n", "0 0.5 0.5 0.4 0.3\n" * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i, row in enumerate((GOOD, OUT, GOOD)):
        (tmp_path / f"images/{i}.png").write_bytes(image_bytes(f"64x48 seed={i}", "a.png"))
        (tmp_path / f"labels/{i}.txt").write_text(row)
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    return tmp_path


@pytest.fixture
def watched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str], str]]:
    """Watches while edits are made, one between two looks, and interrupts; gives status, lines and stderr."""

    def run(*edits: Callable[[], object], options: tuple[str, ...] = ()) -> tuple[int, list[str], str]:
        left = list(edits)

        def sleep(seconds: float) -> None:
            if seconds < watch.LOOK_EVERY_S:
                return
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(watch.time, "sleep", sleep)
        status = main(["scan", str(folder / "data.yaml"), "--watch", "--select", "B,C,L,D002,D006", *options])
        said = capsys.readouterr()
        return status, re.sub(r"\d\d:\d\d:\d\d", "CLOCK", said.out).splitlines(), said.err

    return run


def test_new_findings_and_those_gone_are_printed_and_the_last_state_is_the_exit_status(
    folder: Path, watched: Callable[..., tuple[int, list[str], str]]
) -> None:
    labels = folder / "labels"
    status, lines, err = watched(
        lambda: None,
        lambda: (labels / "1.txt").write_text(GOOD),
        lambda: (labels / "2.txt").write_text(TWICE),
        lambda: (labels / "0.txt").unlink(),
    )
    at = next(i for i, line in enumerate(lines) if line.startswith("CLOCK"))
    assert "labels/1.txt:1:1: B003" in "\n".join(lines[:at]), "the whole report comes first"
    assert lines[at:] == [
        "CLOCK  0 new findings, 1 gone: now nothing",
        "- labels/1.txt:1:1: B003 width is 1.4, outside 0 to 1 by more than 1 %; training drops the whole image",
        "CLOCK  1 new finding, 0 gone: now 1 warning",
        "+ labels/2.txt:2:1: B007 same row as line 1; training drops this copy",
        "CLOCK  1 new finding, 0 gone: now 2 warnings",
        "+ images/0.png: D006 no label file of this name in labels: training reads the image as background",
    ]
    assert "note: watching" in err
    assert err.endswith("note: stopped watching: exit status 0\n")
    assert status == 0
    status, lines, _ = watched(lambda: (labels / "1.txt").write_text(OUT), options=("--quiet",))
    assert status == 1
    assert lines[-1].startswith("+ labels/1.txt:1:1: B003")


def test_a_file_that_comes_just_after_its_folder_was_listed_is_not_missed(
    folder: Path, watched: Callable[..., tuple[int, list[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    find, calls = scan._find, []

    def find_then_save(*args: Any) -> Any:
        found = find(*args)
        calls.append(args)
        if len(calls) == 2:
            (folder / "images/3.png").write_bytes(image_bytes("64x48 seed=3", "a.png"))
            (folder / "labels/3.txt").write_text(TWICE)
        return found

    monkeypatch.setattr(scan, "_find", find_then_save)
    _, lines, _ = watched(lambda: (folder / "labels/1.txt").write_text(GOOD), lambda: None)
    assert "CLOCK  1 new finding, 0 gone: now 1 warning" in lines


def test_a_yaml_that_cannot_be_read_for_a_while_is_waited_for(
    folder: Path, watched: Callable[..., tuple[int, list[str], str]]
) -> None:
    data = folder / "data.yaml"
    good = data.read_text()
    config = folder / "sanitize.yaml"
    status, lines, _ = watched(
        lambda: config.write_text("ignroe: [B003]\n"),
        lambda: config.write_text("ignore: [B003]\n"),
        lambda: data.write_text(good.replace("val: images", "val: nowhere")),
        lambda: data.write_text(good),
        options=("--format", "concise"),
    )
    told = [line for line in lines if line.startswith(("CLOCK", "Training would"))]
    assert told[0].endswith("; waiting until this is changed") and "ignroe" in told[0]
    assert told[1].startswith("CLOCK  read again: now ")
    assert told[2].startswith("Training would not start")
    assert told[-2:] == ["Training would start now", "CLOCK  0 new findings, 1 gone: now 1 error"]
    assert status in (0, 1)
    config.unlink()
    assert watched(lambda: config.write_text("no: [\n"))[0] == 2


def test_where_there_are_very_many_findings_only_their_number_is_said(
    folder: Path, watched: Callable[..., tuple[int, list[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks() -> None:
        (folder / "labels/0.txt").write_text("".join(f"0 0.5 0.5 1.{i} 0.3\n" for i in range(10, 70)))

    _, lines, _ = watched(breaks)
    assert lines[-1] == "+ … and 79 more"
    (folder / "labels/0.txt").write_text(GOOD)
    monkeypatch.setattr(watch, "MOST_COMPARED", 20)
    _, lines, _ = watched(breaks)
    assert lines[-1] == "CLOCK  read again: now 61 errors, 59 warnings"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--format", "json"), "--watch prints lines for people as files change: leave out --format json"),
        (
            ("--output", "a.csv"),
            "--watch prints what changes in the findings, and nothing else: leave out --output",
        ),
        (("--plan",), "and nothing else: leave out --plan"),
        (("--engine", "ray"), "--watch reads files of this disk by itself: leave out --engine ray"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    folder: Path, options: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", str(folder / "data.yaml"), "--watch", *options]) == 2
    assert sentence in capsys.readouterr().err


def test_packed_files_are_not_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tar(tmp_path / "a.tar", [("0.png", image_bytes("64x48", "a.png")), ("0.txt", GOOD.encode())])
    assert main(["scan", str(tmp_path / "a.tar"), "--watch"]) == 2
    assert "this dataset is in packed files: scan it without --watch" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts by a signal")
def test_ctrl_c_ends_a_real_watch(folder: Path) -> None:
    process = subprocess.Popen(
        (sys.executable, "-m", "sanitizer", "scan", "data.yaml", "--watch", "--select", "B"),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        assert "watching data.yaml" in process.stderr.readline()
        (folder / "labels/1.txt").write_text(TWICE)
        lines = iter(process.stdout.readline, "")
        assert next(line for line in lines if line.startswith("+ ")).startswith("+ labels/1.txt:2:1: B007")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "note: stopped watching: exit status 0\n")
    finally:
        process.kill()
        process.communicate()
