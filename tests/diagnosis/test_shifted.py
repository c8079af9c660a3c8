"""Boxes that all lie to one side of their objects, and boxes that only reach beyond an edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from sanitizer.findings.report import Report

    Change = Callable[[NDArray[np.float64], tuple[int, int]], NDArray[np.float64]]


def report_of(folder: Path, change: Change, cut: bool = True, n: int = 40) -> Report:
    """Boxes anywhere, a part of them at the edges of images of two sizes; `change` gets corners and the image size."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for i in range(n):
        size = ((640, 480), (320, 200))[i % 2]
        Image.new("RGB", size, (i, 2 * i, 3 * i)).save(folder / f"images/train/{i}.png")
        middle, sides = (
            rng.uniform(0.0 if cut else 0.2, 1.0 if cut else 0.8, (3, 2)),
            rng.uniform(0.1, 0.3, (3, 2)),
        )
        corners = np.clip(np.hstack([middle - sides / 2, middle + sides / 2]), 0, 1)
        low, high = np.hsplit(change(corners, size), 2)
        rows = np.hstack([(low + high) / 2, high - low])
        text = "".join(f"0 {x:.5f} {y:.5f} {w:.5f} {h:.5f}\n" for x, y, w, h in rows)
        (folder / f"labels/train/{i}.txt").write_text(text)
    (folder / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [thing]\n")
    return scan(folder / "data.yaml", cache=False)


def ids(report: Report) -> list[str]:
    return [cause.id for cause in report.causes if cause.id != "one-source-in-two-splits"]


def test_boxes_that_were_all_moved_by_a_share(tmp_path: Path) -> None:
    report = report_of(tmp_path, lambda corners, size: corners + np.array([0.05, 0, 0.05, 0]))
    (cause,) = [cause for cause in report.causes if cause.id == "shifted-boxes"]
    assert "120 rows of 40 files" in cause.sentence
    assert "seem to be shifted by 5.0% of the image to the right." in cause.sentence
    assert "and none at the left edge" in cause.evidence[0]
    assert {f.cause for f in report.findings if f.rule == "B004"} == {cause.id}
    assert not [f for f in report.findings if f.rule not in ("B003", "B004") and f.cause == cause.id]
    assert cause.fix is None


def test_boxes_that_were_all_moved_by_pixels_along_both_axes(tmp_path: Path) -> None:
    def moved(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        return corners + np.array([-16, -8, -16, -8]) / [*size, *size]

    (cause,) = [cause for cause in report_of(tmp_path, moved).causes if cause.id == "shifted-boxes"]
    assert "shifted by 16 px to the left and by 8 px to the top" in cause.sentence


def beyond_the_bottom(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Whole objects that the image cuts off, drawn where they would end."""
    cut = corners[:, 3] > 0.97
    corners[cut, 3] += np.linspace(0.02, 0.2, 7)[(corners[cut, 0] * 7).astype(int) % 7]
    return corners


def larger(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    return corners + np.array([-0.03, -0.03, 0.03, 0.03])


def rounded(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    return corners + np.array([1, 1, 1, 1]) / [*size, *size]


@pytest.mark.parametrize("change", [beyond_the_bottom, larger, rounded])
def test_boxes_that_reach_beyond_an_edge_are_not_shifted(tmp_path: Path, change: Change) -> None:
    report = report_of(tmp_path, change)
    assert any(f.rule in ("B003", "B004") for f in report.findings)
    assert "shifted-boxes" not in ids(report)
