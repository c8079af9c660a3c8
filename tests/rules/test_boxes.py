"""Rules on single boxes: where each one begins, and which one speaks when several could."""

from __future__ import annotations

import pytest
from row_findings import codes, findings, task_spec

from sanitizer.config import RuleConfig

POSE = task_spec("pose", kpt_shape=(1, 3))
GOOD = "0 0.5 0.5 0.4 0.3"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (GOOD, []),
        # B001: 640 × 480 px image, so 0.75 of a height is a width in pixels
        ("0 0.5 0.5 0.78125 0.02083334", []),  # 500 × 10 px
        ("0 0.5 0.5 0.7828125 0.02083333", ["B001"]),  # 501 × 10 px
        ("0 0.5 0.5 0.015625 0.95", []),  # 10 × 456 px
        ("0 0.5 0.5 0.0125 0.95", ["B001"]),  # 8 × 456 px
        # B002
        ("0 0.5 0.5 0 0.3", ["B002"]),
        ("0 0.5 0.5 0.4 0", ["B002"]),
        ("0 0.5 0.5 -0.4 0.3", ["B002"]),
        ("0 0.5 0.5 0.4 -0.3", ["B002"]),
        ("0 0.5 0.5 -1e-9 0", ["B002"]),
        # B003, and the 1 % up to there, which is B004's business
        ("0 1.2 0.5 0.1 0.1", ["B003"]),
        ("0 0.5 -0.2 0.1 0.1", ["B003"]),
        ("0 0.5 0.5 1.3 0.4", ["B003"]),
        ("0 1.0101 0.5 0.1 0.1", ["B003"]),
        ("0 1.01 0.5 0.1 0.1", ["B004"]),
        ("0 -0.01 0.5 0.1 0.1", ["B004"]),
        ("0 -0.0101 0.5 0.1 0.1", ["B003"]),
        ("0 1.01000001 0.5 0.1 0.1", ["B004"]),  # 1.01 in float32, in which training compares
        # B004
        ("0 0.9 0.5 0.21 0.3", ["B004"]),
        ("0 0.5 0.1 0.4 0.3", ["B004"]),
        ("0 1.0 0.5 1.0 0.3", ["B004"]),
        ("0 0.9000005 0.5 0.2 0.3", []),
        ("0 0.9 0.5 0.2019 0.3", []),
        ("0 0.9 0.5 0.2021 0.3", ["B004"]),
        # B005
        ("0 0.5 0.5 0.0015625 0.00208333", ["B005"]),  # 1 × 1 px
        ("0 0.5 0.5 0.003125 0.004167", ["B005"]),  # 2 × 2 px, written with six digits
        ("0 0.5 0.5 0.0046875 0.00625", []),  # 3 × 3 px
        # B006
        ("0 0.5 0.5 1 1", ["B006"]),
        ("0 0.5 0.5 0.982 0.982", ["B006"]),
        ("0 0.5 0.5 0.978 0.982", []),
        # B011 stands in for B003, B004 and B005
        ("0 320 240 256 144", ["B011"]),
        ("0 320 240 1 2", ["B011"]),
        ("0 2000 240 256 144", ["B003"]),  # not in this image
        ("0 1.5 1.5 1.5 1.5", ["B003"]),
        ("0 320 0.5 0.4 0.3", ["B003"]),
    ],
)
def test_a_row_gives_one_finding_for_one_cause(row: str, expected: list[str]) -> None:
    assert codes(f"2 0.25 0.75 0.1 0.2\n{row}") == [f"2 {code}" for code in expected]


def test_without_image_size_only_what_needs_no_pixels_is_judged() -> None:
    text = "0 0.5 0.5 0.001 0.001\n0 0.5 0.5 0.9 0.01\n0 320 240 256 144"
    assert codes(text, size=None) == ["2 B001", "3 B011"]


def test_sides_are_measured_after_resizing_too() -> None:
    text = "0 0.5 0.5 0.0026 0.2"  # 5 px in the image, 1.7 px at 640
    (finding,) = findings(text, size=(1920, 1080), select=["B005"])
    assert "resized to 640" in finding.message
    assert finding.value == pytest.approx(1.664)
    assert finding.threshold == 2


def test_thin_objects_get_their_own_limit_by_class() -> None:
    rows = "0 0.5 0.5 0.9 0.015\n1 0.5 0.5 0.9 0.015"  # 80:1
    only_a = findings(rows, select=["B001"], rules={"B001": RuleConfig(per_class={"b": {"max_ratio": 100}})})
    assert [f.line for f in only_a] == [1]
    assert findings(rows, select=["B001"], rules={"B001": RuleConfig(params={"max_ratio": 100})}) == []


def test_the_message_says_what_training_does_with_the_size() -> None:
    negative, zero = findings("0 0.5 0.5 -0.4 0.3\n0 0.5 0.5 0.4 0", select=["B002"])
    assert "width is -0.4" in negative.message
    assert "drops the whole image" in negative.message
    assert "height is 0" in zero.message
    assert "keeps the row" in zero.message


def test_a_pose_set_is_trained_on_boxes_that_are_too_large() -> None:
    large, low = findings("0 1.2 0.5 0.4 0.3 0.5 0.5 2\n0 -0.2 0.5 0.4 0.3 0.5 0.5 2", POSE, select=["B003"])
    assert "drops" not in large.message
    assert "drops the whole image" in low.message


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("0 0.1 0.1 0.9 0.9", [1]),
        ("0 0.55 0.55 0.75 0.85\n1 0.6 0.1 0.9 0.25\n2 0.3 0.5 0.95 0.9", [1, 2, 3]),
        ("0 0.404762 0.4375 0.857143 0.708333", []),  # a published box that leaves its image by 2 %
        ("0 0.4 0.4 0.6 0.6", []),
        ("0 0.4 0.4 0.6 0.6\n0 0.5 0.45 0.7 0.6\n0 0.5 0.5 0.6 0.7\n0 0.45 0.4 0.6 0.6", []),
        ("0 0.4 0.4 0.6 0.6\n0 0.5 0.45 0.7 0.6\n0 0.5 0.5 0.6 0.7\n0 0.45 0.4 0.6 0.6\n1 0.4 0.5 0.5 0.7",
         [1, 2, 3, 4, 5]),
        ("0 0.55 0.55 0.75 0.85\n1 0.6 0.1 0.9 0.25\n2 0.8 0.8 0.1 0.1", [2]),
        ("0 0.5 0.5 0.9 1.5", []),  # no corner of this image
    ],
)  # fmt: skip
def test_corners_need_evidence(text: str, lines: list[int]) -> None:
    assert [f.line for f in findings(text, select=["B010"])] == lines
