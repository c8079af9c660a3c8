"""Whole scans of sets without label files: what the report says of them, and what other commands say."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from example_files import build, image_bytes, mask_bytes

from sanitizer.cli import main

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = {
    "task": "classify",
    "files": {
        "train/b/bad.jpg": {"image": "64x48 text"},
        "train/b/again.jpg": {"copy": "train/a/example.jpg"},
        "val/a/leak.jpg": {"copy": "train/a/example.jpg"},
        "val/c/new.jpg": {"image": "64x48"},
    },
}
MASKS = {
    "task": "semantic",
    "files": {
        "images/train/again.jpg": {"copy": "images/train/example.jpg"},
        "masks/train/again.png": {"mask": "64x48 ids=1,0"},
        "images/train/wrong.jpg": {"image": "64x48"},
        "masks/train/wrong.png": {"mask": "64x48 ids=0,7"},
    },
}


def scan(path: Path, out: Path, *options: str) -> tuple[int, dict, list[dict[str, str]]]:
    outputs = [
        o for name in ("r.json", "r.csv", "r.html", "r.sarif", "r.xml") for o in ("--output", str(out / name))
    ]
    status = main(["scan", str(path), "--no-cache", *outputs, *options])
    report = json.loads((out / "r.json").read_text())
    with open(out / "r.csv", encoding="utf-8-sig", newline="") as file:
        return status, report, list(csv.DictReader(file))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_classification_set(tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    root = build(FOLDERS, tmp_path / "set", ("classify",))
    status, report, rows = scan(root, tmp_path, "--jobs", jobs)
    text = capsys.readouterr().out
    assert (status, report["task"]) == (1, "classify")
    assert "train 4 images in 2 classes, val 4 images in 3 classes, task classify" in text
    assert "drop 2 of 8 images (25 %): train 1 of 4, val 1 of 4" in text
    assert not any(word in text for word in ("label file", "background", "boxes"))
    told = {(r["rule"], r["image"]): r for r in rows}
    assert told["I001", "train/b/bad.jpg"]["message"].endswith("training drops it")
    assert told["I001", "train/b/bad.jpg"]["class_name"] == "b"
    assert told["D009", "val/a/leak.jpg"]["message"].startswith("leak between train and val")
    conflict = told["D010", "train/b/again.jpg"]
    assert conflict["class_name"] == "b"
    assert conflict["message"] == "the same picture is in two classes: b here, a as train/a/example.jpg"
    assert ("D010", "val/a/leak.jpg") not in told
    assert told["F003", ""]["class_name"] == "c"
    assert report["class_counts"] == {"0": 3, "1": 4, "2": 1}


def test_a_clean_classification_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["scan", str(build({"task": "classify"}, tmp_path / "set", ("classify",))), "--no-cache"]) == 0
    )
    said = capsys.readouterr()
    assert (
        "All good: train 2 images in 2 classes, val 2 images in 2 classes; training will use every one"
        in said.out
    )
    assert "judged as a classification set (--task detect if not)" in said.err


def test_a_semantic_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report, rows = scan(build(MASKS, tmp_path / "set", ("semantic",)), tmp_path)
    text = capsys.readouterr().out
    assert (status, report["task"], report["summary"]["labels"]) == (1, "semantic", 4)
    assert "4 images, 4 masks, task semantic" in text
    assert "drop 1 of 4 images (25 %): train 1 of 3" in text
    assert "label file" not in text and "background" not in text
    assert {(r["rule"], r["label"]) for r in rows} == {
        ("D009", report["findings"][0]["label"]),
        ("D010", report["findings"][0]["label"]),
        ("M004", "masks/train/wrong.png"),
    }
    assert "left out" not in (tmp_path / "r.html").read_text().split("<script")[0]
    assert main(["report", str(tmp_path / "r.json"), "--label-studio", str(tmp_path / "ls.json")]) == 0
    assert "left out" not in capsys.readouterr().err


def test_a_rescan_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("sanitizer.scanner.cache.SETTLED_AFTER_S", -1)
    from sanitizer import scan as scan_api

    for example, task in ((FOLDERS, "classify"), (MASKS, "semantic")):
        path = build(example, tmp_path / task, (task,))
        first, second = scan_api(path), scan_api(path)
        assert list(first.findings) == list(second.findings)
        assert first.summary.splits == second.summary.splits


@pytest.mark.parametrize("example", [FOLDERS, MASKS], ids=["classify", "semantic"])
@pytest.mark.parametrize(
    "command",
    [
        ["fix"],
        ["fix", "--view", "OUT"],
        ["probe", "--model", "yolov8n.yaml"],
        ["preflight", "--model", "yolov8n.yaml"],
        ["train", "--model", "yolov8n.yaml"],
    ],
    ids=" ".join,
)
@pytest.mark.ultralytics
def test_other_commands_decline_in_one_sentence(
    example: dict, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = build(example, tmp_path / "set", (example["task"],))
    name, *options = [str(tmp_path / "out") if word == "OUT" else word for word in command]
    assert main([name, str(path), *options]) == 2
    said = capsys.readouterr().err.strip()
    assert f"is a set for the task {example['task']}, which only `scan` judges" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", ["fix", "probe", "preflight", "train"])
def test_other_commands_do_not_take_the_task(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = [] if command == "fix" else ["--model", "x.pt"]
    assert main([command, "data.yaml", *model, "--task", "semantic"]) == 2
    assert "only `scan` judges semantic sets: this command works on label files" in capsys.readouterr().err


def test_masks_in_an_archive_are_read(tmp_path: Path) -> None:
    import zipfile

    from sanitizer import scan as scan_api

    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("data.yaml", "train: images\nval: images\nmasks_dir: masks\nnames: [a, b]\n")
        archive.writestr("images/1.jpg", image_bytes("64x48", "1.jpg"))
        archive.writestr("masks/1.png", mask_bytes("64x48 ids=0,9"))
    report = scan_api(tmp_path / "set.zip")
    assert report.task == "semantic"
    assert "M004" in {f.rule for f in report.findings}
