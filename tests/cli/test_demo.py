"""The demo dataset tells a story: what a scan finds in it, file by file."""

from __future__ import annotations

import filecmp
from typing import TYPE_CHECKING

import pytest

from sanitizer import scan
from sanitizer.cli.demo_dataset import make_demo

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = {
    ("B001", "labels/train/harbour_02.txt"),
    ("B002", "labels/train/harbour_03.txt"),
    ("B004", "labels/train/harbour_04.txt"),
    ("C001", "labels/train/harbour_05.txt"),
    ("L003", "labels/train/harbour_06.txt"),
    ("B007", "labels/train/harbour_07.txt"),
    ("B008", "labels/train/harbour_08.txt"),
    ("B009", "labels/train/harbour_09.txt"),
    ("B011", "labels/train/harbour_10.txt"),
    ("D006", "images/train/harbour_11.jpg"),
    ("L007", "labels/train/harbour_12.txt"),
    ("L003", "labels/train/harbour_13.txt"),
    ("L004", "labels/train/harbour_14.txt"),
    ("L005", "labels/train/harbour_15.txt"),
    ("I002", "images/train/harbour_16.jpg"),
    ("I006", "images/train/harbour_17.jpg"),
    ("I004", "images/train/harbour_18.jpg"),
    ("B006", "labels/train/harbour_19.txt"),
    ("B005", "labels/val/harbour_21.txt"),
    ("D009", "images/val/harbour_22.jpg"),
    ("I005", "images/val/harbour_23.jpg"),
    ("B010", "labels/val/harbour_24.txt"),
    ("B003", "labels/val/harbour_25.txt"),
    ("B002", "labels/val/harbour_26.txt"),
    ("L002", "labels/val/harbour_27.txt"),
    ("D007", "labels/train/harbour_29.txt"),
}


def test_scan_finds_every_planted_flaw_and_no_other(tmp_path: Path) -> None:
    report = scan(make_demo(str(tmp_path / "harbour")), images="decode")
    found = {(f.rule, f.file or "") for f in report.findings}
    assert sorted(found - EXPECTED) == []
    assert sorted(EXPECTED - found) == []
    assert report.summary.images == 28
    # class out of range, name as id, pixels, commas, NaN, mixed rows, cut-off JPEG, centre outside, negative
    # width, four columns
    assert report.summary.images_dropped_by_training == 10
    assert report.summary.images_background == 2
    assert report.summary.images_rewritten == 1


@pytest.mark.thorough
def test_two_calls_make_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_demo(str(tmp_path / name))
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    same, different, missing = filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", files, shallow=False)
    assert len(same) == len(files) == 28 + 28 + 1  # images, labels (one missing, one orphan), data.yaml
    assert (different, missing) == ([], [])


def test_a_folder_with_files_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        make_demo(str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.ultralytics
def test_training_does_with_the_demo_what_the_scan_says(tmp_path: Path) -> None:
    from ultralytics.data.utils import img2label_paths, verify_image_label

    folder = tmp_path / "harbour"
    report = scan(make_demo(str(folder)), images="header")
    images = sorted(str(p) for p in folder.rglob("*.jpg"))
    kept = [
        verify_image_label((image, label, "", False, 3, 0, 0, False))[0]
        for image, label in zip(images, img2label_paths(images), strict=True)
    ]
    assert report.summary.images_dropped_by_training == kept.count(None)
