"""Rules on polygons; self-crossing equals comparing every edge with every other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from row_findings import codes, findings, tables_of, task_spec

from sanitizer.rules.checks.crossing import first_crossings
from sanitizer.rules.checks.polygons import polygons

SEGMENT = task_spec("segment")
TRIANGLE = "0 0.1 0.1 0.5 0.1 0.5 0.6"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (TRIANGLE, []),
        (f"{TRIANGLE} 0.1 0.1", []),  # closed by its first point
        (f"{TRIANGLE} 0.5 0.6 0.5 0.6", []),  # points written twice
        ("0 0.1 0.1 0.4 0.4 0.1 0.1", ["S001"]),
        ("0 0.1 0.1 0.1 0.1 0.4 0.4 0.4 0.4 0.1 0.1", ["S001"]),
        ("0 0.3 0.3 0.3 0.3 0.3 0.3", ["S001"]),
        ("0 0.1 0.1 0.2 0.2 0.4 0.4", ["S002"]),
        ("0 0.1 0.5 0.5 0.5 0.9 0.500001", ["S002"]),
        ("0 0.1 0.5 0.9 0.5 0.9 0.5005 0.1 0.5005", ["B001", "B005", "S005"]),  # thin, but with an area
        ("0 0.1 0.1 0.5 0.5 0.5 0.1 0.1 0.5", ["S003"]),  # its signed area is zero
        ("0 0.1 0.1 0.3 0.3 0.5 0.1 0.5 0.5 0.3 0.3 0.1 0.5", []),  # touches itself in a vertex
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3 0.1 0.1 0.5", []),  # a vertex on an edge
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3 0.0999 0.1 0.5", ["S003"]),  # and through it
        ("0 0.5 0.1 1.05 0.1 0.9 0.6", ["S004"]),
        ("0 0.5 -0.005 0.9 0.1 0.9 0.6", ["S004"]),
        ("0 0 0 1 0 1.0009 1 -0.0000005 1", []),
        ("0 0.5 0.1 2.6 0.1 0.9 0.6", ["B003"]),
        ("0 100 100 300 100 300 200", ["B011"]),
    ],
)
def test_an_outline_gives_one_finding_for_one_cause(row: str, expected: list[str]) -> None:
    assert codes(f"1 0.7 0.7 0.9 0.7 0.9 0.9\n{row}", SEGMENT) == [f"2 {code}" for code in expected]


def test_findings_point_at_the_vertex() -> None:
    (crossing,) = findings("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3 0.05 0.1 0.5", SEGMENT, select=["S003"])
    assert crossing.column == 3
    assert "edge 1 of 5" in crossing.message
    (outside,) = findings("0 0.4 0.1 0.5 0.1 1.25 0.5 0.5 0.7", SEGMENT, select=["S004"])
    assert outside.column == 19
    assert outside.message == "1 of 4 points lie outside the image, the furthest by 25.0% of its side"


def test_polygons_in_a_detection_set_are_not_judged_as_outlines() -> None:
    assert codes("0 0.1 0.1 0.5 0.5 0.5 0.1 0.1 0.5") == []


def rectangle(w_px: float, h_px: float, side: int = 640) -> str:
    """A polygon in the middle of a square image, where a pixel of the mask begins."""
    x1, x2, y1, y2 = (0.5 + half / side for half in (-w_px / 2, w_px / 2, -h_px / 2, h_px / 2))
    return f"0 {x1:.8f} {y1:.8f} {x2:.8f} {y1:.8f} {x2:.8f} {y2:.8f} {x1:.8f} {y2:.8f}"


@pytest.mark.parametrize(
    ("w_px", "h_px", "expected"),
    [
        (1, 1, ["1 B005", "1 S005"]),
        (0.7, 80, ["1 B005", "1 S005"]),
        (1.5, 1.5, ["1 B005", "1 S005"]),
        (1.9, 80, ["1 B005", "1 S005"]),
        (2.5, 2.5, ["1 S005"]),
        (2.5, 80, []),
        (3, 3, []),
        (0, 80, ["1 S001"]),
    ],
)
def test_a_polygon_under_a_pixel_of_the_mask_is_heavy(w_px: float, h_px: float, expected: list[str]) -> None:
    found = codes(rectangle(w_px, h_px), SEGMENT, size=(640, 640))
    assert [c for c in found if "B001" not in c] == expected


def test_a_polygon_is_heavy_by_its_size_in_the_networks_input() -> None:
    crumb = rectangle(3, 3, side=2560)  # 0.75 px once the image is resized to 640
    (found,) = findings(crumb, SEGMENT, size=(2560, 2560), select=["S005"])
    assert found.value == pytest.approx((4 / 0.75) ** 2, rel=1e-3)
    assert "0.75 × 0.75 px at imgsz 640" in found.message
    assert not findings(crumb, SEGMENT, size=None, select=["S005"])


@pytest.mark.ultralytics
@pytest.mark.parametrize(("w_px", "h_px"), [(1, 1), (0.7, 80), (0.1, 0.4), (0.7, 2.5)])
def test_the_factor_of_a_heavy_mask_is_that_of_the_real_loss(w_px: float, h_px: float) -> None:
    torch = pytest.importorskip("torch")
    loss = pytest.importorskip("ultralytics.utils.loss").v8SegmentationLoss.single_mask_loss
    (found,) = findings(rectangle(w_px, h_px), SEGMENT, size=(640, 640), select=["S005"])

    def of(w: float, h: float) -> float:
        box = torch.tensor([[320 - w / 2, 320 - h / 2, 320 + w / 2, 320 + h / 2]])
        area = torch.tensor([w * h / 640**2])
        return float(
            loss(torch.zeros(1, 160, 160), torch.zeros(1, 32), torch.zeros(32, 160, 160), box / 4, area)
        )

    assert found.value == pytest.approx(of(w_px, h_px) / of(80, 80), rel=1e-3)


def crosses(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Two edges (x1, y1, x2, y2), each with its ends strictly on both sides of the other."""

    def side(line: tuple[float, ...], x: float, y: float) -> float:
        return (line[2] - line[0]) * (y - line[1]) - (line[3] - line[1]) * (x - line[0])

    return (
        side(a, b[0], b[1]) * side(a, b[2], b[3]) < 0 and side(b, a[0], a[1]) * side(b, a[2], a[3]) < 0
    )  # fmt: skip


def first_by_all_pairs(points: list[tuple[int, int]]) -> int:
    edges = [(*p, *q) for p, q in zip(points, points[1:] + points[:1], strict=True)]
    found = [i for (i, a), (_, b) in combinations(enumerate(edges), 2) if crosses(a, b)]
    return min(found, default=-1)


# Whole numbers, so that touching is exact and both sides compute without rounding.
POLYGONS = st.lists(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=3, max_size=14),
    min_size=1,
    max_size=6,
)


@settings(max_examples=examples(300), deadline=None)
@given(outlines=POLYGONS)
def test_self_crossing_equals_comparing_all_edges(outlines: list[list[tuple[int, int]]]) -> None:
    text = "\n".join("0 " + " ".join(f"{x} {y}" for x, y in points) for points in outlines)
    vertices = polygons(tables_of([text], SEGMENT).labels)
    found = first_crossings(vertices, np.zeros(len(outlines)))
    assert found.tolist() == [first_by_all_pairs(points) for points in outlines]


@pytest.mark.parametrize("crossed", [False, True])
def test_outlines_of_thousands_of_vertices(crossed: bool) -> None:
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    radius = 0.3 + 0.05 * np.sin(40 * angle)
    x, y = 0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle)
    if crossed:
        x[[9000, 9002]], y[[9000, 9002]] = x[[9002, 9000]], y[[9002, 9000]]
    text = "0 " + " ".join(f"{a:.9f} {b:.9f}" for a, b in zip(x, y, strict=True))
    vertices = polygons(tables_of([text], SEGMENT).labels)
    found = first_crossings(vertices, np.full(1, 1e-9))
    assert (found >= 0).tolist() == [crossed]
