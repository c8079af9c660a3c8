"""What causes say of training is true: rows in other ways go through the real Ultralytics label check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

DROPPED = [
    ("percent", "0 50 50 20 20", (0, 0)),
    ("pixels", "0 320 240 64 48", (0, 0)),
    ("a confidence", "0 0.5 0.5 0.2 0.2 0.87", (0, 0)),
    ("an id behind the class", "0 1952 0.1 0.1 0.5 0.1 0.5 0.5", (0, 0)),
    ("a name", "ship 0.5 0.5 0.2 0.2", (0, 0)),
    ("DOTA", "64 48 128 48 128 96 64 96 ship 0", (0, 0)),
    ("VisDrone", "256,96,128,48,1,4,0,1", (0, 0)),
    ("seven columns with an id over 1", "0 0.5 0.5 0.2 0.2 0.9 7", (0, 0)),
    ("a missing keypoint as -1 -1", "0 0.5 0.5 0.2 0.2 0.5 0.5 -1 -1", (2, 2)),
    ("three values for two", "0 0.5 0.5 0.2 0.2 0.5 0.5 2 0.5 0.5 2", (2, 2)),
]
LEARNED = [
    ("corners", "0 0.4 0.4 0.6 0.6", (0, 0)),
    ("a top-left corner beyond the border", "0 0.0 0.0 0.6 0.6", (0, 0)),
    ("seven columns as a triangle", "0 0.5 0.5 0.2 0.2 0.9 1", (0, 0)),
]


def checked(folder: Path, row: str, kpt_shape: tuple[int, int]) -> list:  # type: ignore[type-arg]
    """What `verify_image_label` returns for an image with this row."""
    from ultralytics.data.utils import verify_image_label

    image, label = folder / "a.jpg", folder / "a.txt"
    Image.new("RGB", (640, 480)).save(image)
    label.write_text(row + "\n")
    return list(verify_image_label((str(image), str(label), "", bool(kpt_shape[0]), 3, *kpt_shape, False)))


@pytest.mark.ultralytics
@pytest.mark.parametrize(("what", "row", "kpt_shape"), DROPPED)
def test_the_image_is_left_out(tmp_path: Path, what: str, row: str, kpt_shape: tuple[int, int]) -> None:
    assert checked(tmp_path, row, kpt_shape)[1] is None, what


@pytest.mark.ultralytics
@pytest.mark.parametrize(("what", "row", "kpt_shape"), LEARNED)
def test_the_row_is_learned(tmp_path: Path, what: str, row: str, kpt_shape: tuple[int, int]) -> None:
    assert len(checked(tmp_path, row, kpt_shape)[1]) == 1, what


@pytest.mark.ultralytics
def test_a_keypoint_of_two_zeros_counts_as_labelled(tmp_path: Path) -> None:
    keypoints = checked(tmp_path, "0 0.5 0.5 0.2 0.2 0.5 0.5 0 0", (2, 2))[4]
    assert keypoints.tolist() == [[[0.5, 0.5, 1.0], [0.0, 0.0, 1.0]]]
