"""Sets that are written in another way as a whole: the cause names the way, and its reading gives back the truth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from written_sets import (
    NAMES,
    WAYS,
    kitti,
    mot,
    plain,
    texts,
    truth,
    turned,
    visdrone,
    write_set,
)

from sanitizer import scan
from sanitizer.dataset.tables import TaskSpec
from sanitizer.labels.readings import READINGS
from sanitizer.labels.readings.other_tools import VISDRONE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from written_sets import Row, Size, Truth

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.report import Report

DETECT = TaskSpec("detect", len(NAMES), dict(enumerate(NAMES)))
SEED = np.random.SeedSequence(14)


def a_truth(n_files: int = 10, n_rows: int = 6, **more: object) -> Truth:
    return truth(np.random.default_rng(SEED), n_files, n_rows, **more)  # type: ignore[arg-type]


def report_of(folder: Path, real: Truth, way: Callable[[Row, Size], str], **more: object) -> Report:
    return scan(write_set(folder, texts(real.rows, real.sizes, way), real.sizes, **more), cache=False)  # type: ignore[arg-type]


def only_cause(report: Report) -> Cause:
    assert [cause.id for cause in report.causes] == [report.causes[0].id]
    return report.causes[0]


SURE = [name for name in WAYS if name not in ("swapped-centre", "swapped-size", "confidence-and-track-id")]


@pytest.mark.parametrize("name", SURE)
def test_a_set_in_another_way_is_named_and_read(tmp_path: Path, name: str) -> None:
    real = replace(a_truth(20, side=0.3), sizes=[(640, 480)] * 20)
    report = report_of(tmp_path, real, WAYS[name])
    cause = only_cause(report)
    assert cause.reading == name
    assert cause.fix == ("safe" if name in ("comma-separated", "decimal-commas") else "unsafe")
    for rows, size in zip(real.rows, real.sizes, strict=True):
        for row in rows:
            read = READINGS[name].convert(WAYS[name](row, size).split(), size, DETECT)
            assert read is not None
            assert list(map(float, read)) == pytest.approx(
                list(map(float, plain(row, size).split())), abs=1e-5
            )
    assert all(f.cause for f in report.findings if f.rule not in ("B001", "B005", "B008", "B009", "B012"))


@pytest.mark.parametrize(
    ("name", "cause_id"),
    [("percent", "percent-coordinates"), ("corners-pixels", "corners-pixels"), ("confidence", "confidence")],
)
def test_one_split_or_some_files(tmp_path: Path, name: str, cause_id: str) -> None:
    """The rest is right as it is: the cause holds for the files that are not."""
    real = replace(a_truth(24), sizes=[(640, 480)] * 24)
    right, wrong = texts(real.rows, real.sizes, plain), texts(real.rows, real.sizes, WAYS[name])
    splits = ["val" if i % 2 else "train" for i in range(24)]
    for where, is_wrong in {"val": lambda i: i % 2 == 1, "some": lambda i: i % 3 == 0}.items():
        labels = [wrong[i] if is_wrong(i) else right[i] for i in range(24)]
        report = scan(write_set(tmp_path / where, labels, real.sizes, splits), cache=False)
        cause = only_cause(report)
        assert cause.id.startswith(cause_id.partition("-")[0])
        assert cause.files == sum(map(is_wrong, range(24)))
        assert not cause.whole_splits


def test_findings_in_files_that_were_not_looked_at_belong_to_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sanitizer.labels.heads.MOST_FILES", 16)
    report = report_of(tmp_path, a_truth(40, 3, side=0.3), WAYS["corners-pixels"])
    cause = only_cause(report)
    assert (cause.reading, cause.files, cause.images) == ("corners-pixels", 40, 40)
    assert all(f.cause for f in report.findings if f.rule in ("B003", "B011"))
    assert "a sample of the dataset" in cause.sentence


def test_a_silent_way_in_one_split(tmp_path: Path) -> None:
    real = replace(a_truth(30), sizes=[(640, 480)] * 30)
    splits = ["val" if i % 2 else "train" for i in range(30)]
    right, wrong = texts(real.rows, real.sizes, plain), texts(real.rows, real.sizes, WAYS["corners"])
    labels = [wrong[i] if i % 2 else right[i] for i in range(30)]
    cause = only_cause(scan(write_set(tmp_path, labels, real.sizes, splits), cache=False))
    assert (cause.id, cause.reading, cause.whole_splits) == ("corners", "corners", ("val",))
    assert " of val " in cause.sentence


def test_few_rows_are_told_and_left_alone(tmp_path: Path) -> None:
    report = report_of(tmp_path, a_truth(3, 1), WAYS["percent"])
    cause = only_cause(report)
    assert cause.fix is None
    assert cause.reading is None
    assert "probably" in cause.sentence


def test_percent_of_pictures_of_a_hundred_pixels_may_be_pixels(tmp_path: Path) -> None:
    cause = only_cause(report_of(tmp_path, a_truth(12, sizes=((104, 110),)), WAYS["percent"]))
    assert cause.id == "coordinates-not-normalised"
    assert cause.fix is None
    assert "percent" in cause.sentence
    assert "pixels" in cause.sentence


def test_small_boxes_in_the_middle_may_have_centre_or_corner(tmp_path: Path) -> None:
    rows = [[(0, 0.45 + 0.01 * i, 0.5, 0.1, 0.12)] * 1 for i in range(15)]
    real = replace(a_truth(15), rows=rows, sizes=[(640, 480)] * 15)
    cause = only_cause(report_of(tmp_path, real, WAYS["percent"]))
    assert cause.id == "percent-coordinates"
    assert cause.fix is None
    assert any("top-left" in sentence for sentence in cause.evidence)


def test_polygons_in_percent(tmp_path: Path) -> None:
    def polygon(row: Row, size: Size) -> str:
        class_id, x, y, w, h = row
        points = (x - w / 2, y - h / 2, x + w / 2, y, x, y + h / 2)
        return " ".join([str(class_id), *(f"{100 * v:.4f}" for v in points)])

    cause = only_cause(report_of(tmp_path, a_truth(12), polygon))
    assert cause.reading == "percent"


@pytest.mark.parametrize("mistake", ["120 0.5 0.1 0.1", "0.5 0.5 12 0.1"])
def test_a_wild_number_is_no_other_unit(tmp_path: Path, mistake: str) -> None:
    real = a_truth(12, 1)
    labels = texts(real.rows, real.sizes, plain)
    for i in range(3):
        labels[i] = f"0 {mistake}\n"
    assert not scan(write_set(tmp_path, labels, real.sizes), cache=False).causes


def test_boxes_drawn_a_little_beyond_the_border_have_no_cause(tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    real = a_truth(30)
    rows = [
        [(c, x + rng.normal(0, 0.03), y + rng.normal(0, 0.03), w, h) for c, x, y, w, h in f]
        for f in real.rows
    ]
    report = report_of(tmp_path, replace(real, rows=rows), plain)
    assert any(f.rule == "B004" for f in report.findings)
    assert not report.causes


def test_pixels_of_larger_pictures_are_no_unit_of_these(tmp_path: Path) -> None:
    real = a_truth(12, sizes=((1920, 1080),))
    labels = texts(real.rows, real.sizes, WAYS["pixels"])
    cause = only_cause(scan(write_set(tmp_path, labels, [(640, 480)] * 12), cache=False))
    assert (cause.id, cause.fix) == ("coordinates-beyond-images", None)


def test_pixels_divided_by_one_side(tmp_path: Path) -> None:
    def by_640(row: Row, size: Size) -> str:
        class_id, x, y, w, h = row
        along_x, along_y = size[0] / 640, size[1] / 640
        return f"{class_id} {x * along_x:.5f} {y * along_y:.5f} {w * along_x:.5f} {h * along_y:.5f}"

    cause = only_cause(report_of(tmp_path, a_truth(12, sizes=((1000, 750), (900, 1100))), by_640))
    assert (cause.id, cause.fix) == ("divided-by-one-side", None)
    assert "640" in cause.sentence


def test_a_few_files_of_a_hook_are_named_and_left_alone(tmp_path: Path) -> None:
    real = a_truth(12)
    write_set(tmp_path, texts(real.rows, real.sizes, WAYS["percent"]), real.sizes)
    labels = sorted((tmp_path / "labels" / "train").iterdir())
    for cause in scan(*labels, cache=False).causes:
        assert cause.reading is None


# Columns.


def test_a_track_id_of_one_is_no_confidence(tmp_path: Path) -> None:
    real = a_truth(6, 2)
    ids = iter([1, 1, 5, 1, 12, 7, 1, 3, 1, 1, 4, 2])
    cause = only_cause(report_of(tmp_path, real, lambda row, size: f"{plain(row, size)} {next(ids)}"))
    assert cause.reading == "track-id"
    assert "track id" in cause.way_out


def test_tracking_results_are_boxes_and_no_triangles(tmp_path: Path) -> None:
    report = report_of(tmp_path / "a", a_truth(6, 2), WAYS["confidence-and-track-id"])
    assert report.task == "detect"
    assert only_cause(report).reading == "confidence-and-track-id"
    declared = report_of(tmp_path / "b", a_truth(6, 2), WAYS["confidence-and-track-id"], task="segment")
    cause = only_cause(declared)
    assert (cause.id, cause.fix) == ("confidence-and-track-id", None)
    assert "--task detect" in cause.way_out


def test_triangles_stay_polygons(tmp_path: Path) -> None:
    def triangle(row: Row, size: Size) -> str:
        class_id, x, y, w, _ = row
        return f"{class_id} {x:.4f} {y:.4f} {x + w / 2:.4f} {y:.4f} {x:.4f} 1"

    report = report_of(tmp_path, a_truth(6, 2), triangle)
    assert report.task == "segment"
    assert not report.causes


def test_instance_ids_of_polygons(tmp_path: Path) -> None:
    def polygon(row: Row, size: Size) -> str:
        class_id, x, y, w, h = row
        return f"{class_id} {1952 + round(1000 * x)} {x:.4f} {y:.4f} {x + w / 2:.4f} {y:.4f} {x:.4f} {y + h / 2:.4f}"

    cause = only_cause(report_of(tmp_path, a_truth(6, 2), polygon))
    assert cause.reading == "instance-id"
    assert "instance id" in cause.way_out


def test_odd_columns_are_described_and_left_alone(tmp_path: Path) -> None:
    def tracked(row: Row, size: Size) -> str:
        _, x, y, w, h = row
        return f"8 0 {x - w / 2:.4f} {y - h / 2:.4f} {x + w / 2:.4f} {y + h / 2:.4f} {x:.4f} {y:.4f}"

    cause = only_cause(report_of(tmp_path, a_truth(6, 2), tracked))
    assert (cause.id, cause.fix) == ("odd-columns", None)
    assert any("Columns 3 to 6 are two corners" in sentence for sentence in cause.evidence)


def test_names_that_data_yaml_does_not_have(tmp_path: Path) -> None:
    cause = only_cause(
        report_of(tmp_path, a_truth(4, 2), lambda row, size: f"zebra {plain(row, size).partition(' ')[2]}")
    )
    assert (cause.id, cause.fix) == ("unknown-class-names", None)
    assert any("zebra" in sentence for sentence in cause.evidence)


# Oriented boxes.


@pytest.mark.parametrize("in_degrees", [True, False])
def test_centre_size_and_angle_are_no_confidence(tmp_path: Path, in_degrees: bool) -> None:
    turns = np.random.default_rng(SEED).uniform(-math.pi / 2, math.pi / 2, 200).tolist()
    way = iter(turns)
    cause = only_cause(
        report_of(tmp_path, a_truth(10), lambda r, s: turned(r, s, in_degrees, next(way)), task="obb")
    )
    assert (
        cause.id == "centre-size-angle" or cause.reading == f"angle-{'degrees' if in_degrees else 'radians'}"
    )
    assert ("degrees" if in_degrees else "radians") in cause.sentence
    assert "confidence" not in cause.sentence


def test_degrees_and_radians_in_one_set(tmp_path: Path) -> None:
    angles = iter([35.0, 0.61, 90, 0.2, 120.5, 0.9] * 2)
    cause = only_cause(
        report_of(tmp_path, a_truth(6, 2), lambda r, s: f"{plain(r, s)} {next(angles)}", task="obb")
    )
    assert (cause.id, cause.fix) == ("centre-size-angle", None)
    assert any("mixed" in sentence for sentence in cause.evidence)


def test_a_last_column_from_0_to_1_in_an_obb_set_stays(tmp_path: Path) -> None:
    cause = only_cause(report_of(tmp_path, a_truth(10), WAYS["confidence"], task="obb"))
    assert (cause.id, cause.fix) == ("centre-size-angle", None)


# Other tools' text.


def test_dota(tmp_path: Path) -> None:
    def corners(row: Row, size: Size) -> str:
        class_id, x, y, w, h = row
        x1, y1, x2, y2 = (
            (x - w / 2) * size[0],
            (y - h / 2) * size[1],
            (x + w / 2) * size[0],
            (y + h / 2) * size[1],
        )
        return f"{x1:.1f} {y1:.1f} {x2:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {x1:.1f} {y2:.1f} {NAMES[class_id]} 0"

    real = a_truth(6, 2)
    labels = ["imagesource:GoogleEarth\ngsd:0.146\n" + text for text in texts(real.rows, real.sizes, corners)]
    report = scan(write_set(tmp_path / "a", labels, real.sizes, task="obb"), cache=False)
    assert (only_cause(report).reading, only_cause(report).explains) == ("dota", len(report.findings))
    unknown = [text.replace("car", "plane") for text in labels]
    cause = only_cause(scan(write_set(tmp_path / "b", unknown, real.sizes, task="obb"), cache=False))
    assert (cause.id, cause.fix) == ("dota", None)
    assert any("plane" in sentence for sentence in cause.evidence)


def test_visdrone(tmp_path: Path) -> None:
    real = a_truth(6, 4, n_classes=10)
    report = report_of(tmp_path / "a", real, visdrone, names=list(VISDRONE_NAMES))
    assert only_cause(report).reading == "visdrone"
    other = report_of(tmp_path / "b", real, visdrone, names=[str(i) for i in range(10)])
    assert (only_cause(other).id, only_cause(other).fix) == ("visdrone", None)


def test_kitti(tmp_path: Path) -> None:
    names = ["Car", "ship", "large"]
    cause = only_cause(report_of(tmp_path / "a", a_truth(6, 2), kitti, names=names))
    assert cause.reading == "kitti"
    cause = only_cause(report_of(tmp_path / "b", a_truth(6, 2), kitti))
    assert (cause.id, cause.fix) == ("kitti", None)


def test_mot_has_no_reading(tmp_path: Path) -> None:
    cause = only_cause(report_of(tmp_path, a_truth(6, 4), mot))
    assert (cause.id, cause.fix) == ("mot", None)
    assert "label file an image" in cause.way_out


# Keypoints.


def pose(row: Row, marks: str | None, point: str = "") -> str:
    _, x, y, w, h = row
    mark = f" {marks}" if marks else ""
    points = [f"{x:.4f} {y:.4f}{mark}", point or f"{x + w / 4:.4f} {y:.4f}{mark}"]
    return f"0 {x:.4f} {y:.4f} {w:.4f} {h:.4f} {' '.join(points)}"


@pytest.mark.parametrize(("declared", "marks", "right"), [([2, 2], "2", "[2, 3]"), ([2, 3], None, "[2, 2]")])
def test_kpt_shape_of_the_rows(tmp_path: Path, declared: list[int], marks: str | None, right: str) -> None:
    cause = only_cause(report_of(tmp_path, a_truth(6, 2), lambda r, s: pose(r, marks), kpt_shape=declared))
    assert (cause.id, cause.fix) == ("kpt-shape", None)
    assert f"`kpt_shape: {right}`" in cause.way_out


def test_boxes_too_thin_to_learn_are_said_though_no_rule_could_read_them(tmp_path: Path) -> None:
    real = replace(a_truth(6), rows=[[(0, 0.5, 0.5, 2e-5, 0.2)]] * 6)
    report = report_of(tmp_path, real, lambda r, s: f"{plain(r, s)} 0.5 0.4 2 0.5 0.6 2", kpt_shape=[2, 2])
    cause = only_cause(report)
    assert any("less than 1 px" in sentence for sentence in cause.evidence)


def test_another_number_of_keypoints(tmp_path: Path) -> None:
    cause = only_cause(report_of(tmp_path, a_truth(6, 2), lambda r, s: pose(r, "2"), kpt_shape=[5, 3]))
    assert "`kpt_shape: [2, 3]`" in cause.way_out
    assert "flip_idx" in cause.way_out


def test_a_confidence_behind_keypoints_is_no_other_kpt_shape(tmp_path: Path) -> None:
    report = report_of(tmp_path, a_truth(6, 2), lambda r, s: f"{pose(r, '1')} 0.50 0.75", kpt_shape=[2, 3])
    assert "kpt-shape" not in [cause.id for cause in report.causes]
    report = report_of(tmp_path, a_truth(6, 2), lambda r, s: f"{pose(r, '1')} 0.75", kpt_shape=[2, 3])
    assert only_cause(report).reading == "confidence"


def test_a_flag_from_0_to_1_is_no_confidence(tmp_path: Path) -> None:
    cause = only_cause(report_of(tmp_path, a_truth(6, 2), lambda r, s: f"{plain(r, s)} {r[0] % 2}"))
    assert (cause.id, cause.reading) == ("track-id", "track-id")
    assert "a flag" in cause.sentence


def test_boxes_without_keypoints(tmp_path: Path) -> None:
    def way(row: Row, size: Size) -> str:
        return f"{plain((0, *row[1:]), size)}\n1 {row[1]:.4f} {row[2]:.4f} 0.0075 0.0075"

    cause = only_cause(report_of(tmp_path, a_truth(6, 2), way, kpt_shape=[1, 2]))
    assert (cause.id, cause.fix) == ("no-keypoints", None)
    assert any("1 (ship)" in sentence for sentence in cause.evidence)


@pytest.mark.parametrize(("dimensions", "marks"), [(2, None), (3, "0")])
def test_missing_keypoints_as_minus_one(tmp_path: Path, dimensions: int, marks: str | None) -> None:
    missing = "-1 -1" if marks is None else "-1 -1 0"
    cause = only_cause(
        report_of(tmp_path, a_truth(4, 2), lambda r, s: pose(r, marks, missing), kpt_shape=[2, dimensions])
    )
    assert cause.id == "negative-keypoints"
    assert "0 0 0" in cause.way_out
    assert ("[2, 3]" in cause.way_out) == (dimensions == 2)


# Class ids.


def test_ids_from_one_cover_every_row(tmp_path: Path) -> None:
    cause = only_cause(report_of(tmp_path, a_truth(12), WAYS["ids-from-one"]))
    assert cause.whole_splits == ("train", "val")


def test_few_ids_from_one_are_left_alone(tmp_path: Path) -> None:
    real = replace(a_truth(6, 2), rows=[[(i % 3, 0.5, 0.5, 0.2, 0.2)] for i in range(6)])
    cause = only_cause(report_of(tmp_path, real, WAYS["ids-from-one"]))
    assert (cause.id, cause.fix) == ("ids-from-one", None)


def test_a_class_that_data_yaml_lacks_is_no_other_count(tmp_path: Path) -> None:
    rows = [[(c, 0.5, 0.5, 0.2, 0.2) for c in (0, 1, 2, 3)] for _ in range(6)]
    causes = report_of(tmp_path, replace(a_truth(6), rows=rows), plain).causes
    assert [(cause.id, cause.fix) for cause in causes] == [("longer-class-list", None)]


def test_coco_ids(tmp_path: Path) -> None:
    from sanitizer.labels.readings.class_ids import COCO_IDS

    names = {i: f"class {i}" for i in range(80)} | {
        0: "person",
        11: "stop sign",
        29: "frisbee",
        79: "toothbrush",
    }
    real = a_truth(20, 10, n_classes=80, side=0.1)

    def way(row: Row, size: Size) -> str:
        return plain((COCO_IDS[row[0]], *row[1:]), size)

    cause = only_cause(report_of(tmp_path / "a", real, way, names=names))
    assert (cause.id, cause.reading) == ("coco-ids", "coco-ids")
    others = {i: f"class {i}" for i in range(80)}
    causes = report_of(tmp_path / "b", real, way, names=others).causes
    assert [(cause.id, cause.fix) for cause in causes] == [("longer-class-list", None)]


def test_names_that_start_at_one(tmp_path: Path) -> None:
    for shift, end in ((1, "take 1 from every class id"), (0, "the labels are right")):
        real = replace(a_truth(4), rows=[[(i % 2 + shift, 0.5, 0.5, 0.2, 0.2)] for i in range(4)])
        report = report_of(tmp_path / str(shift), real, plain, names={1: "cat", 2: "dog"})
        assert only_cause(report).id == "names-from-one"
        assert only_cause(report).way_out.endswith(f"{end}.")


def test_a_set_without_readable_images_is_not_read_in_pixels(tmp_path: Path) -> None:
    real = a_truth(12)
    path = write_set(tmp_path, texts(real.rows, real.sizes, WAYS["pixels"]), real.sizes)
    cause = only_cause(scan(path, images="none", cache=False))
    assert cause.fix is None
