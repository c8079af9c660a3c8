"""Every reading gives the row that training reads, or none where the row cannot have been written so."""

from __future__ import annotations

import math

import pytest

from sanitizer.dataset.tables import TaskSpec
from sanitizer.labels.readings import READINGS
from sanitizer.labels.readings.other_tools import VISDRONE_NAMES

SIZE = (640, 480)
BOX = "1 0.5 0.25 0.2 0.1"
DETECT = TaskSpec("detect", 3, {0: "car", 1: "ship", 2: "large vehicle"})
SEGMENT = TaskSpec("segment", 3, DETECT.names)
OBB = TaskSpec("obb", 3, DETECT.names)
POSE = TaskSpec("pose", 3, DETECT.names, (2, 3))
VISDRONE = TaskSpec("detect", 10, dict(enumerate(VISDRONE_NAMES)))

RIGHT = [
    ("percent", "1 50 25 20 10", BOX, DETECT),
    ("percent", "1 50 25 50 35 60 30", "1 0.5 0.25 0.5 0.35 0.6 0.3", SEGMENT),
    ("percent", "1 50 25 20 10 50 25 2 0 0 0", f"{BOX} 0.5 0.25 2 0 0 0", POSE),
    ("thousandths", "1 500 250 200 100", BOX, DETECT),
    ("pixels", "1 320 120 128 48", BOX, DETECT),
    ("corners", "1 0.4 0.2 0.6 0.3", BOX, DETECT),
    ("corners-by-axis", "1 0.4 0.6 0.2 0.3", BOX, DETECT),
    ("corners-pixels", "1 256 96 384 144", BOX, DETECT),
    ("corners-percent", "1 40 20 60 30", BOX, DETECT),
    ("top-left", "1 0.4 0.2 0.2 0.1", BOX, DETECT),
    ("top-left-pixels", "1 256 96 128 48", BOX, DETECT),
    ("top-left-percent", "1 40 20 20 10", BOX, DETECT),
    ("swapped", "1 0.25 0.5 0.1 0.2", BOX, DETECT),
    ("swapped-centre", "1 0.25 0.5 0.2 0.1", BOX, DETECT),
    ("swapped-pixels", "1 120 320 48 128", BOX, DETECT),
    ("wrong-side", "1 0.666667 0.1875 0.266667 0.075", BOX, DETECT),
    ("confidence", f"{BOX} 0.31", BOX, DETECT),
    ("track-id", f"{BOX} 12", BOX, DETECT),
    ("confidence-and-track-id", f"{BOX} 0.31 12", BOX, DETECT),
    ("second-confidence", "1 0.31 0.5 0.25 0.2 0.1", BOX, DETECT),
    ("instance-id", "1 1952 0.5 0.25 0.5 0.35 0.6 0.3", "1 0.5 0.25 0.5 0.35 0.6 0.3", SEGMENT),
    ("class-names", "ship 0.5 0.25 0.2 0.1", BOX, DETECT),
    ("class-names", "Large vehicle 0.5 0.25 0.2 0.1", "2 0.5 0.25 0.2 0.1", DETECT),
    ("comma-separated", "1,0.5,0.25,0.2,0.1", BOX, DETECT),
    ("comma-separated", "1, 0.5, 0.25, 0.2, 0.1,", BOX, DETECT),
    ("decimal-commas", "1 0,5 0,25 0,2 0,1", BOX, DETECT),
    ("dota", "imagesource:GoogleEarth", "", OBB),
    ("dota", "64 48 128 48 128 96 64 96 ship 1", "1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", OBB),
    ("visdrone", "256,96,128,48,1,4,0,1", "3 0.5 0.25 0.2 0.1", VISDRONE),
    ("visdrone", "256,96,128,48,0,0,0,0", "", VISDRONE),
    ("kitti", "Car 0.00 0 -1.57 256 96 384 144 1.6 1.7 4.1 1 1.7 13.2 1.6", "0 0.5 0.25 0.2 0.1", DETECT),
    ("kitti", "DontCare -1 -1 -10 256 96 384 144 -1 -1 -1 -1000 -1000 -1000 -10", "", DETECT),
    ("ids-from-one", "2 0.5 0.25 0.2 0.1", BOX, DETECT),
    ("coco-ids", "90 0.5 0.25 0.2 0.1", "79 0.5 0.25 0.2 0.1", DETECT),
    ("coco-ids-from-zero", "89 0.5 0.25 0.2 0.1", "79 0.5 0.25 0.2 0.1", DETECT),
]

WRONG = [
    ("percent", "1 120 25 20 10", DETECT),
    ("percent", "1 50 25 20 nan", DETECT),
    ("pixels", "1 320 600 128 48", DETECT),
    ("corners", "1 0.6 0.3 0.4 0.2", DETECT),
    ("confidence", f"{BOX} 5", DETECT),
    ("confidence", f"{BOX} 0.3", OBB),
    ("track-id", f"{BOX} 0.5", DETECT),
    ("track-id", "0.7 0.5 0.25 0.2 0.1 5", DETECT),
    ("instance-id", "1 0.4 0.5 0.25 0.5 0.35 0.6 0.3", SEGMENT),
    ("class-names", "zebra 0.5 0.25 0.2 0.1", DETECT),
    ("comma-separated", BOX, DETECT),
    ("decimal-commas", "1 0,5 0.25 zebra 0,1", DETECT),
    ("angle-radians", f"{BOX} 35", OBB),
    ("angle-degrees", f"{BOX} 35", DETECT),
    ("dota", "64 48 128 48 128 96 64 96 zebra 1", OBB),
    ("visdrone", "256,96,128,48,1,4,0,1", DETECT),
    ("kitti", "Tram 0.00 0 -1.57 256 96 384 144 1.6 1.7 4.1 1 1.7 13.2 1.6", DETECT),
    ("coco-ids", "12 0.5 0.25 0.2 0.1", DETECT),
    ("ids-from-one", "0 0.5 0.25 0.2 0.1", DETECT),
]


@pytest.mark.parametrize(("name", "written", "right", "spec"), RIGHT)
def test_a_row_as_training_reads_it(name: str, written: str, right: str, spec: TaskSpec) -> None:
    converted = READINGS[name].convert(written.split(), SIZE, spec)
    assert converted is not None
    assert [float(v) for v in converted] == pytest.approx([float(v) for v in right.split()], abs=2e-6)


@pytest.mark.parametrize(("name", "written", "spec"), WRONG)
def test_a_row_that_is_not_written_so(name: str, written: str, spec: TaskSpec) -> None:
    assert READINGS[name].convert(written.split(), SIZE, spec) is None


@pytest.mark.parametrize("name", [n for n in READINGS if "pixels" in n or n in ("dota", "kitti", "visdrone")])
def test_pixels_are_not_read_without_the_size_of_the_image(name: str) -> None:
    for row in ("1 320 120 128 48", "64 48 128 48 128 96 64 96 ship 1", "256,96,128,48,1,4,0,1"):
        assert READINGS[name].convert(row.split(), None, OBB) is None


@pytest.mark.parametrize("unit", ["degrees", "radians"])
@pytest.mark.parametrize("in_pixels", [False, True])
def test_a_turned_box_is_one_in_the_pixels_of_the_image(unit: str, in_pixels: bool) -> None:
    turn = 90 if unit == "degrees" else math.pi / 2
    row = "0 320 240 128 48" if in_pixels else "0 0.5 0.5 0.2 0.1"
    name = f"angle-{unit}{'-pixels' if in_pixels else ''}"
    corners = READINGS[name].convert([*row.split(), repr(turn)], SIZE, OBB)
    assert corners is not None
    xs = [float(v) * SIZE[0] for v in corners[1::2]]
    ys = [float(v) * SIZE[1] for v in corners[2::2]]
    assert max(xs) - min(xs) == pytest.approx(48, abs=0.01)
    assert max(ys) - min(ys) == pytest.approx(128, abs=0.01)


def test_every_reading_says_what_it_is() -> None:
    for name, reading in READINGS.items():
        assert reading.name == name
        assert reading.says
        assert reading.done
