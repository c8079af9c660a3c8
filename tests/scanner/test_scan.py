"""The whole scan on published datasets: what their flaws are known to be, and nothing else as an error."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sanitizer import Report, scan
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from pathlib import Path


def codes(report: Report) -> Counter[str]:
    return Counter(f.rule for f in report.findings)


def errors(report: Report) -> list[tuple[str, str | None, int | None]]:
    return [(f.rule, f.file, f.line) for f in report.findings if f.severity is Severity.ERROR]


def tree_state(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_ships_dirty(shared_data: Path) -> None:
    report = scan(shared_data / "ships_dirty" / "data.yaml")
    out_of_range = [f for f in report.findings if f.rule == "C001"]
    polygons = [f for f in report.findings if f.rule == "L006"]
    assert len(out_of_range) == 188
    assert len({f.label for f in out_of_range}) == 154
    assert len(polygons) == 112
    assert len({f.label for f in polygons}) == 90
    assert codes(report)["D006"] == 88
    assert codes(report)["D007"] == 34
    assert report.summary.images == 567
    assert report.summary.images_dropped_by_training == 120
    assert report.summary.images_background == 88
    assert len(report.dropped) == 120
    assert report.dropped == {f.image for f in report.findings if f.image and f.rule in {"C001", "B003"}}


def test_bccd(shared_data: Path) -> None:
    report = scan(shared_data / "bccd" / "data.yaml")
    assert codes(report)["B002"] == 2
    assert codes(report)["B008"] == 7
    assert {rule for rule, _, _ in errors(report)} == {"B002"}
    assert report.summary.images_dropped_by_training == 0


def test_git_lfs_pointers(shared_data: Path) -> None:
    folder = shared_data / "lfs_pointers20"
    report = scan(folder / "data.yaml")
    named = {f.file for f in report.findings if f.rule == "L008"}
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix in {".jpg", ".txt"}}
    assert named == files
    assert {rule for rule, _, _ in errors(report)} == {"L008"}


def test_dota8_vertices_outside(shared_data: Path) -> None:
    report = scan(shared_data / "ultralytics_dota8" / "data.yaml")
    assert report.task == "obb"
    outside = [f for f in report.findings if f.rule == "O002"]
    assert outside
    assert max(f.value or 0 for f in outside) == pytest.approx(0.07, abs=0.01)
    assert errors(report) == []


def test_ltvideo12_missing_labels(shared_data: Path) -> None:
    report = scan(shared_data / "ltvideo12_pose" / "data.yaml")
    assert report.task == "pose"
    assert codes(report)["D006"] == 2


@pytest.mark.parametrize(
    "name", ["ultralytics_coco8", "neudet600", "visdrone_val_labels", "crackseg_test_labels"]
)
def test_clean_sets_have_no_error(shared_data: Path, name: str) -> None:
    assert errors(scan(shared_data / name)) == []


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("ultralytics_coco8", "detect"),
        ("ultralytics_coco8-seg", "segment"),
        ("ultralytics_coco8-pose", "pose"),
        ("mcore14_obb", "obb"),
        ("nuinsseg18_seg", "segment"),
        ("dronetraffic", "detect"),
        ("crackseg_test_labels", "segment"),
    ],
)
def test_task_is_found_from_the_labels(shared_data: Path, name: str, task: str) -> None:
    assert scan(shared_data / name, images="none").task == task


def test_a_folder_used_for_train_and_val_is_judged_once(shared_data: Path) -> None:
    report = scan(shared_data / "mcore14_obb" / "data.yaml")
    assert report.summary.images == 14
    assert codes(report)["B007"] == 3


def test_scan_leaves_the_dataset_untouched(shared_data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "ships"
    shutil.copytree(shared_data / "ships_dirty", copy)
    before = tree_state(copy)
    scan(copy / "data.yaml", images="decode")
    assert tree_state(copy) == before


def test_frame_has_a_row_a_finding(shared_data: Path) -> None:
    report = scan(shared_data / "bccd" / "data.yaml")
    frame = report.to_frame()
    assert len(frame) == len(report.findings)
    assert frame["rule"].value_counts().to_dict() == dict(codes(report))
    assert str(frame["line"].dtype) == "Int64"
