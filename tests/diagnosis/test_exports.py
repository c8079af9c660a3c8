"""Splits from another export, exports without rows, and files without a partner: each told once, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.report import Report

if TYPE_CHECKING:
    Labels = Sequence[Sequence[int] | None]


def report_of(folder: Path, splits: Mapping[str, Labels], nc: int = 3, orphans: int = 0) -> Report:
    rng = np.random.default_rng(0)
    for split, labels in splits.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i, ids in enumerate(labels):
            name = f"{split}{rng.integers(10**9)}"
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"images/{split}/{name}.png")
            if ids is not None:
                rows = (f"{c} {0.3 + 0.1 * k:.3f} {0.3 + 0.01 * i:.3f} 0.3 0.4\n" for k, c in enumerate(ids))
                (folder / f"labels/{split}/{name}.txt").write_text("".join(rows))
        for i in range(orphans if split == "val" else 0):
            (folder / f"labels/{split}/gone{i}.txt").write_text("0 0.5 0.5 0.3 0.3\n")
    paths = "".join(f"{split}: images/{split}\n" for split in splits)
    (folder / "data.yaml").write_text(f"{paths}names: {[f'name{c}' for c in range(nc)]}\n")
    return scan(folder / "data.yaml", cache=False)


def causes_of(report: Report) -> dict[str, Cause]:
    return {cause.id: cause for cause in report.causes}


def test_val_and_test_with_another_class_list_than_train(tmp_path: Path) -> None:
    splits = {
        "train": [[i % 3] for i in range(20)],
        "val": [[i % 9, 8] for i in range(8)],
        "test": [[3, 4 + i % 2] for i in range(6)],
    }
    report = report_of(tmp_path, splits)
    cause = causes_of(report)["other-class-list"]
    assert cause.sentence == (
        "val and test were exported with another class list than train: the labels of val use ids 0 to 8, "
        "the labels of test use ids 3 to 5, those of train ids 0 to 2, and data.yaml names 3 classes, 0 to 2."
    )
    assert cause.evidence == (
        "14 of 14 label files of val and test hold ids that data.yaml does not name.",
        "None of the 20 label files of train do.",
    )
    assert cause.training == (
        "Training leaves out 8 of 8 images of val and 6 of 6 images of test, and validates on the rest."
    )
    assert cause.images == 14
    assert {f.cause for f in report.findings if f.rule == "C001"} == {cause.id}


def test_train_may_be_the_odd_one(tmp_path: Path) -> None:
    report = report_of(
        tmp_path, {"train": [[5 + i % 3] for i in range(9)], "val": [[i % 3] for i in range(9)]}
    )
    assert causes_of(report)["other-class-list"].sentence.startswith(
        "train was exported with another class list than val: the labels of train use ids 5 to 7"
    )


def test_a_few_wrong_ids_are_no_other_list(tmp_path: Path) -> None:
    val = [[i % 3, 1, 0] for i in range(30)]
    val[3], val[9] = [7, 1, 0], [0, 12, 1]
    report = report_of(tmp_path, {"train": [[i % 3] for i in range(60)], "val": val})
    assert not causes_of(report)


def test_labels_with_more_classes_than_data_yaml_names(tmp_path: Path) -> None:
    splits = {split: [[i % 6, (i + 1) % 6] for i in range(n)] for split, n in (("train", 9), ("val", 6))}
    cause = causes_of(report_of(tmp_path, splits, nc=1))["longer-class-list"]
    assert "they use ids 0 to 5, and data.yaml names one class, 0." in cause.sentence
    assert "`single_cls=True`" in cause.way_out
    assert "Name all 6 classes" in cause.way_out


def test_no_label_file_holds_a_row(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train": [[]] * 5, "val": [[]] * 2})
    cause = causes_of(report)["empty-export"]
    assert cause.sentence == "None of the 7 label files holds a row: the export failed."
    assert cause.training == "Training reads every labelled image as background and learns to find nothing."
    assert (cause.explains, cause.images) == (7, 7)


def test_one_split_is_empty_beside_others(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train": [[0], [1], [2], []] * 4, "val": [[]] * 8})
    cause = causes_of(report)["empty-export"]
    assert cause.sentence == "None of the 8 label files of val holds a row: the export failed."
    assert cause.evidence == ("train: 4 of 16 label files are empty.", "val: 8 of 8 label files are empty.")
    assert cause.explains == 8


@pytest.mark.parametrize(
    "val",
    [[[0], [1], [], []] * 2, [[], []]],
    ids=["half of the files", "two files, as many as chance may bring"],
)
def test_the_usual_empty_files_are_no_failed_export(tmp_path: Path, val: list[list[int]]) -> None:
    report = report_of(tmp_path, {"train": [[0], [1], []] * 4, "val": val})
    assert any(f.rule == "L007" for f in report.findings)
    assert not causes_of(report)


def test_one_class_for_every_object(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train": [[1], [1, 1]] * 20, "val": [[1]] * 4}, nc=4)
    (cause,) = report.causes
    assert cause.sentence.startswith(
        "All 64 rows have class 1 (name1), and data.yaml names 4 classes: the export "
    )
    assert {f.cause for f in report.findings if f.rule == "C003"} == {"one-class-only"}


@pytest.mark.parametrize(("labels", "nc"), [([[1]] * 44, 2), ([[1]] * 12, 4), ([[1]] * 44 + [[0]], 4)])
def test_a_rare_class_or_a_few_files_are_no_such_export(tmp_path: Path, labels: Labels, nc: int) -> None:
    assert not causes_of(report_of(tmp_path, {"train": labels, "val": [[1]]}, nc=nc))


def rotated_set(folder: Path, *, stored_frame: bool, upright: int = 12, turned: int = 9) -> Cause:
    """Standing objects on upright images, and images with a tag whose boxes were drawn in one of both frames."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for i in range(upright + turned):
        pixels = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        is_turned = i >= upright
        pixels.save(folder / f"images/train/a{i}b.jpg", **({"exif": exif} if is_turned else {}))
        width, height = (48, 64) if is_turned else (64, 48)
        w_px, h_px = rng.normal(8, 0.5), rng.normal(20, 1)
        x, y, w, h = 0.4, 0.6, w_px / width, h_px / height
        if is_turned and stored_frame:
            x, y, w, h = y, 1 - x, h, w
        (folder / f"labels/train/a{i}b.txt").write_text(f"0 {x} {y} {w:.4f} {h:.4f}\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [person]\n")
    return causes_of(scan(folder / "data.yaml", cache=False))["exif-rotated"]


def test_labels_that_were_drawn_on_the_pixels_as_stored(tmp_path: Path) -> None:
    cause = rotated_set(tmp_path, stored_frame=True)
    assert cause.sentence == (
        "9 of 21 images are stored rotated or mirrored, with an EXIF tag that says so, and their labels seem to be "
        "drawn on the pixels as stored."
    )
    assert cause.evidence[0].startswith("Boxes of 0 of 9 label files are shaped more like")
    assert "exiftool -Orientation=" in cause.way_out
    assert cause.explains == 9


def test_labels_that_were_drawn_upright_as_training_wants_them(tmp_path: Path) -> None:
    cause = rotated_set(tmp_path, stored_frame=False)
    assert "drawn on the upright picture, as training wants it" in cause.sentence


def test_rotated_images_without_others_to_compare_with(tmp_path: Path) -> None:
    cause = rotated_set(tmp_path, stored_frame=True, upright=0)
    assert cause.evidence == ()
    assert cause.way_out.startswith("Look at the boxes of some of them")


def test_many_files_without_a_partner(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train": [[0], [1], None, [2]] * 6, "val": [[0], [1], [2]]}, orphans=7)
    causes = causes_of(report)
    assert causes["images-without-labels"].sentence == "6 of 27 images have no label file, all in train."
    assert causes["images-without-labels"].training.startswith("Training reads them as background")
    assert causes["labels-without-images"].sentence == "7 of 28 label files have no image, all in val."
    assert [causes[c].explains for c in ("images-without-labels", "labels-without-images")] == [6, 7]


def test_a_train_split_without_label_files_stops_training(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train": [None] * 6, "val": [[0], *[None] * 5]})
    assert causes_of(report)["images-without-labels"].training == (
        'Training stops with "No labels found", as no image of train has a label file.'
    )


def test_few_files_without_a_partner_are_told_one_by_one(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train": [[0], [1], None, [2]] * 2, "val": [[0], [1]]}, orphans=2)
    assert not causes_of(report)


def test_a_published_set_from_two_exports(shared_data: Path) -> None:
    causes = causes_of(scan(shared_data / "ships_dirty" / "data.yaml", cache=False))
    assert {name: cause.explains for name, cause in causes.items()} == {
        "other-class-list": 188,
        "polygons-in-detection": 112,
        "augmented-copies": 210,
        "images-without-labels": 88,
        "labels-without-images": 34,
    }


@pytest.mark.parametrize("name", ["bccd", "neudet600", "dronetraffic", "ltvideo12_pose", "ultralytics_dota8"])
def test_a_published_set_of_one_export(shared_data: Path, name: str) -> None:
    report = scan(shared_data / name / "data.yaml", cache=False)
    assert not report.causes
    assert not [f.message for f in report.findings if f.rule in ("D012", "D013")]
