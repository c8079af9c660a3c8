"""What each version of Ultralytics does with labels: the table, what a scan makes of it, and the real versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from task_specs import images_not_read
from tiny_sets import tiny_set

from sanitizer import scan
from sanitizer.cli import main
from sanitizer.dataset.tables import TaskSpec
from sanitizer.dataset.tasks.behaviour import NEWEST
from sanitizer.labels.label_files import parse_labels
from sanitizer.ultra import versions
from sanitizer.ultra.label_check import verdicts
from sanitizer.ultra.versions import VersionError, behaviour_of, behaviour_to_judge_by, note_on

ROW = b"0 0.5 0.5 0.2 0.2\n"
TRIANGLE = b"0 0.1 0.1 0.5 0.1 0.3 0.6\n"
CHANGES = {
    "class == nc": (b"3 0.5 0.5 0.2 0.2\n", "8.3.65", "8.3.66", (False, True)),
    "half a percent over": (b"0 1.005 0.5 0.2 0.2\n", "8.3.162", "8.3.163", (True, False)),
    "half a percent under": (b"0 -0.005 0.5 0.2 0.2\n", "8.3.162", "8.3.163", (True, False)),
    "boxes and polygons": (ROW + TRIANGLE, "8.4.116", "8.4.117", (False, True)),
    "fractional class": (b"0.5 0.5 0.5 0.2 0.2\n", "8.4.163", "8.4.164", (False, True)),
    "blank line": (ROW + b" \t\n" + ROW, "8.4.164", "8.4.165", (True, False)),
    "blank line under Windows": (ROW + b" \r\n" + ROW, "8.4.164", "8.4.165", (True, False)),
    "empty line": (ROW + b"\r\n\n" + ROW, "8.0.239", "8.4.190", (False, False)),
    "blank lines at the ends": (b" \n" + ROW + b" \n", "8.0.239", "8.4.190", (False, False)),
    "size a little under 0": (b"0 0.5 0.5 -0.005 0.2\n", "8.4.181", "8.4.182", (False, True)),
    "byte-order mark": (b"\xef\xbb\xbf" + ROW, "8.4.182", "8.4.183", (True, False)),
    "byte-order mark alone": (b"\xef\xbb\xbf", "8.4.182", "8.4.183", (True, False)),
}


def dropped(content: bytes, version: str) -> bool:
    spec = TaskSpec("detect", 3, behaviour=behaviour_of(version))
    return bool(verdicts(parse_labels([content], spec), images_not_read(1), spec).dropped[0])


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_has_its_version(name: str) -> None:
    content, before, since, expected = CHANGES[name]
    assert (dropped(content, before), dropped(content, since)) == expected


def test_blank_lines_are_found_in_labels_that_are_large_or_no_plain_text() -> None:
    assert dropped(ROW * 20_000 + b"  \n" + ROW, "8.3.0") and not dropped(ROW * 20_000, "8.3.0")
    no_blank = "\u00a0".encode()
    assert dropped(ROW + no_blank + b"\n" + ROW, "8.3.0")
    assert not dropped(ROW.replace(b" ", no_blank) * 2, "8.3.0")


def test_the_newest_version_and_later_ones_are_judged_alike() -> None:
    assert behaviour_of(NEWEST.version) == NEWEST
    assert behaviour_of("9.1.2").skips_mark and note_on(NEWEST) is None
    assert "newer than" in (note_on(behaviour_of("9.1.2")) or "")


@pytest.mark.parametrize("version", ["", "8", "8.3", "newest", "7.9.9", "0.0.1"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(VersionError):
        behaviour_of(version)


def test_the_installed_version_counts_and_then_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "installed_version", lambda: "8.3.200")
    assert behaviour_to_judge_by().version == "8.3.200"
    assert behaviour_to_judge_by("8.1.0").version == "8.1.0"
    monkeypatch.setattr(versions, "installed_version", lambda: None)
    assert behaviour_to_judge_by() == NEWEST


def test_a_scan_says_which_version_and_remembers_each_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(tmp_path / "cache"))
    data = tiny_set(tmp_path / "set", train=3)
    label = tmp_path / "set/labels/train/0.txt"
    label.write_bytes(b"\xef\xbb\xbf" + label.read_bytes())
    for file in (tmp_path / "set").rglob("*"):
        os.utime(file, (1e9, 1e9))
    for _ in range(2):
        assert scan(data, ultralytics="8.4.182").summary.images_dropped_by_training == 1
        report = scan(data, ultralytics="8.4.183")
        assert report.summary.images_dropped_by_training == 0
    assert report.training is not None and report.training.as_ == "Ultralytics 8.4.183"
    assert main(["scan", str(data), "--ultralytics", "8.3.40"]) == 1
    out = capsys.readouterr().out
    assert "as Ultralytics 8.3.40 reads it" in out and "so training drops the image" in out
    assert main(["scan", str(data), "--ultralytics", "eight"]) == 2
    assert "is no version of Ultralytics" in capsys.readouterr().err


def test_findings_name_what_an_old_version_drops_and_what_it_keeps(tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "set", train=5)
    labels = tmp_path / "set/labels/train"
    texts = [
        "0 1.005 0.5 0.2 0.2\n",
        "2 0.5 0.5 0.2 0.2\n",
        "0.5 0.5 0.5 0.2 0.2\n",
        (ROW + TRIANGLE).decode(),
    ]
    for number, text in enumerate(texts):
        (labels / f"{number}.txt").write_text(text)
    report = scan(data, ultralytics="8.3.40", cache=False)
    said = {f.label: f.message for f in report.findings if f.rule in ("B003", "C001", "C002", "L005")}
    assert report.summary.images_dropped_by_training == 1
    assert said == {
        "labels/train/0.txt": "x centre is 1.005, outside 0 to 1; training drops the whole image",
        "labels/train/1.txt": "class 2 does not exist: data.yaml names 2 classes, 0 to 1; "
        "training keeps the row, and may stop at it",
        "labels/train/2.txt": "class 0.5 is no whole number; training cuts it to a whole number",
        "labels/train/3.txt": "box rows (1) and polygon rows (1) in one file; "
        "training reads each box as a polygon of two points",
    }


@pytest.mark.ultralytics
@pytest.mark.slow
def test_what_we_say_of_label_files_is_what_three_versions_do() -> None:
    folders = [Path(f) for f in os.environ.get("SANITIZE_ULTRALYTICS_DIRS", "").split(os.pathsep) if f]
    there = [f for f in folders if (f / "ultralytics" / "__init__.py").is_file()][:3]
    if not there:
        pytest.skip("SANITIZE_ULTRALYTICS_DIRS names no folder of a version of Ultralytics")
    program = Path(__file__).parents[2] / "scripts" / "bench" / "versions.py"
    environment = os.environ | {"PYTHONPATH": str(program.parents[2])}
    for folder in there:
        command = [sys.executable, str(program), str(folder.parent), folder.name, "--files", "400"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ": 0 differences in" in done.stdout
