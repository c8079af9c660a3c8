"""Rules on pose rows."""

from __future__ import annotations

import pytest
from row_findings import codes, findings, task_spec

from sanitizer.findings.finding import Severity

FLAGGED = task_spec("pose", kpt_shape=(2, 3))
PLAIN = task_spec("pose", kpt_shape=(2, 2))
BOX = "0 0.5 0.5 0.4 0.3"


@pytest.mark.parametrize(
    ("keypoints", "expected"),
    [
        ("0.4 0.4 2 0.5 0.5 1", []),
        ("0.4 0.4 2.0 0 0 0", []),
        ("0.4 0.4 3 0.5 0.5 2", ["K002"]),
        ("0.4 0.4 0.9 0.5 0.5 0.4", ["K002"]),
        ("0.4 0.4 -1 0.5 0.5 2", ["K002"]),
        ("0.4 0.4 2 1.2 0.5 2", ["K003"]),
        ("0.4 0.4 2 1.2 0.5 0", ["K003"]),  # training looks at unlabelled ones too
        ("0.4 0.4 2 -0.0101 0.5 0", ["K003"]),
        ("0.4 0.4 2 -0.0099 0.5 0", []),
        ("0.4 0.4 2 0.5 1.0009 2", ["K004"]),
        ("0.4 0.4 2 0.5 1.002 2", ["K003"]),
        ("0.4 0.4 2 0.9 0.5 2", []),  # half a box to the right
        ("0.4 0.4 2 0.91 0.5 2", ["K004"]),
        ("0.4 0.4 2 0.91 0.5 0", []),
        ("0.4 0.4 2 0.5 0.5", ["K001"]),
    ],
)
def test_a_row_gives_one_finding_for_one_cause(keypoints: str, expected: list[str]) -> None:
    text = f"0 0.2 0.2 0.1 0.1 0.2 0.2 2 0 0 0\n{BOX} {keypoints}"
    assert codes(text, FLAGGED) == [f"2 {code}" for code in expected]


def test_without_visibility_a_negative_coordinate_means_not_labelled() -> None:
    assert codes(f"{BOX} 0.4 0.4 -0.005 0.5", PLAIN) == []
    assert codes(f"{BOX} 0.4 0.4 1.005 0.5", PLAIN) == ["1 K003"]
    assert codes(f"{BOX} 0.4 0.4 -0.5 0.5", PLAIN) == ["1 K003"]


def test_what_drops_the_image_is_an_error_and_the_rest_a_warning() -> None:
    far, near = findings(f"{BOX} 0.4 0.4 2 1.2 0.5 2\n{BOX} 0.4 0.4 2 1.005 0.5 2", FLAGGED, select=["K003"])
    assert (far.severity, near.severity) == (Severity.ERROR, Severity.WARNING)
    assert "drops the whole image" in far.message
    assert "drops" not in near.message


def test_findings_name_the_keypoint_and_its_column() -> None:
    (flag,) = findings(f"{BOX} 0.4 0.4 2 0.5 0.5 7", FLAGGED, select=["K002"])
    assert flag.column == 37
    assert flag.message.startswith("visibility of keypoint 2 is 7")
    (outside,) = findings(f"{BOX} 0.4 0.4 2 1.5 0.5 2", FLAGGED, select=["K003"])
    assert outside.column == 29


def test_pixel_keypoints_with_a_pixel_box_are_one_finding() -> None:
    assert codes("0 320 240 100 100 300 200 2 310 220 2", FLAGGED) == ["1 B011"]


def test_other_tasks_do_not_look_at_keypoints() -> None:
    assert codes(f"{BOX} 1.4 0.4 9 0.5 0.5 2", task_spec("detect", kpt_shape=(2, 3))) == []
