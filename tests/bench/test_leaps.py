"""The search for rows that make the loss leap, on what is known: which rows reach the loss, and what they do there."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ultralytics")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))

from leap_rows import MEDIAN, Row, paint
from leaps import Bench, factors, network_of

from sanitizer.ultra.silence import silent_ultralytics

pytestmark = pytest.mark.probe
CRUMB = replace(MEDIAN, x=136, y=136, w=0.1, h=0.1)


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bench]:
    pictures = paint(tmp_path_factory.mktemp("pictures"))
    with silent_ultralytics():
        network = network_of("yolov8n-seg.yaml", "segment")
        return {path: Bench(network, pictures, "segment", path, "float32", 0) for path in ("closed", "val")}


def seg_factor(bench: Bench, row: Row) -> float:
    got = bench.outcome(row)
    assert got is not None
    return got.items["seg_loss"] / bench.median.items["seg_loss"]


def test_augmentation_removes_sides_of_two_pixels_and_validation_keeps_them(
    benches: dict[str, Bench],
) -> None:
    assert benches["closed"].outcome(CRUMB) is None
    assert benches["val"].outcome(CRUMB) is not None


def test_a_crumb_makes_the_mask_loss_of_validation_leap(benches: dict[str, Bench]) -> None:
    assert seg_factor(benches["val"], CRUMB) > 10
    assert seg_factor(benches["val"], replace(MEDIAN, x=80, w=150, h=3)) < 1.5  # 50:1 does not


def test_a_polygon_without_width_makes_the_mask_loss_of_validation_nan(benches: dict[str, Bench]) -> None:
    assert math.isnan(seg_factor(benches["val"], replace(MEDIAN, x=46, y=136, w=0)))


def test_factors_compare_with_the_median_row(benches: dict[str, Bench]) -> None:
    bench = benches["closed"]
    same = factors(bench.median, bench.median)
    assert same["loss"] == same["norm"] == same["part_factor"] == 1
