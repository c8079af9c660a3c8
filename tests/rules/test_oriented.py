"""Rules on oriented boxes."""

from __future__ import annotations

import math

import pytest
from row_findings import codes, findings, task_spec

OBB = task_spec("obb")


def turned(degrees: float, size: tuple[int, int] = (640, 480), w: float = 200, h: float = 60) -> str:
    """A row whose corners are a rectangle of w × h px in the middle of the image."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)]
    points = [(0.5 + (x * c - y * s) / size[0], 0.5 + (x * s + y * c) / size[1]) for x, y in corners]
    return "0 " + " ".join(f"{x:.6f} {y:.6f}" for x, y in points)


@pytest.mark.parametrize("degrees", [0, 1, 30, 45, 90, 137, 200])
def test_a_rectangle_in_pixels_is_fine_at_any_angle(degrees: float) -> None:
    assert codes(turned(degrees), OBB) == []


def test_a_rectangle_in_shares_of_the_image_is_none_in_pixels() -> None:
    assert codes(turned(30, size=(480, 480)), OBB, size=(480, 480)) == []
    assert codes(turned(30, size=(480, 480)), OBB, size=(640, 480)) == ["1 O001"]
    assert codes(turned(30, size=(480, 480)), OBB, size=None) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4", []),
        ("0 0.1 0.1 0.5 0.1 0.5 0.407 0.1 0.4", []),  # 3 px, under a tenth of the side
        ("0 0.1 0.1 0.6 0.1 0.5 0.4 0.2 0.4", ["O001"]),
        ("0 0.1 0.1 0.5 0.4 0.5 0.1 0.1 0.4", ["O001"]),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4 0.4", ["O001"]),
        ("0 0.1 0.1 0.1 0.1 0.5 0.4 0.1 0.4", ["O001"]),
        ("0 0.3 0.3 0.3 0.3 0.3 0.3 0.3 0.3", ["O001"]),
        ("0 0.5 -0.005 0.8 -0.005 0.8 0.2 0.5 0.2", ["O002"]),
        ("0 0 -0.0009 1 0 1 1 0 1", []),
        ("0 100 100 300 100 300 200 100 200", ["B011"]),
    ],
)
def test_four_corners_give_one_finding_for_one_cause(row: str, expected: list[str]) -> None:
    assert codes(row, OBB) == [f"1 {code}" for code in expected]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0 0.1 0.1 0.5 0.4 0.5 0.1 0.1 0.4", "crossing order"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4 0.4", "no area"),
        ("0 0.1 0.1 0.6 0.1 0.5 0.4 0.2 0.4", "off by 64.0 px"),
    ],
)
def test_the_message_says_what_is_wrong_with_the_corners(row: str, words: str) -> None:
    (finding,) = findings(row, OBB, select=["O001"])
    assert words in finding.message
