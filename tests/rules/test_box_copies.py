"""Copies of rows: exact ones as training compares them, near ones exactly as comparing all pairs finds them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from row_findings import codes, findings, tables_of, task_spec

from sanitizer.rules.checks import box_copies, overlap
from sanitizer.rules.checks.box_copies import exact_copies
from sanitizer.rules.checks.overlap import Boxes, Search, earlier_partners, iou

BOX = "0 0.5 0.5 0.4 0.3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{BOX}\n{BOX}\n{BOX}", ["2 B007", "3 B007"]),
        (f"{BOX}\n0 0.50000000001 0.5 0.4 0.3", ["2 B007"]),
        (f"{BOX}\n0 0.50001 0.5 0.4 0.3", ["2 B008"]),
        (f"{BOX}\n1 0.5 0.5 0.4 0.3", ["2 B009"]),
        (f"{BOX}\n1 0.5 0.5 0.4 0.3\n1 0.5 0.5 0.4 0.3", ["2 B009", "3 B007"]),
        (f"{BOX}\n0 0.501 0.5 0.4 0.3\n1 0.501 0.5 0.4 0.3", ["2 B008", "3 B009"]),
        (f"{BOX}\n0 0.5 0.5 0.4 0.286", ["2 B008"]),  # IoU 0.953
        (f"{BOX}\n0 0.5 0.5 0.4 0.284", []),  # IoU 0.947
        (f"{BOX}\n0 0.515 0.5 0.4 0.3", ["2 B008"]),  # IoU 0.928, same size: pasted
        (f"{BOX}\n0 0.515 0.5 0.4 0.302", []),
        (f"{BOX}\n1 0.515 0.5 0.4 0.3", []),
        (f"{BOX}\n0 0.525 0.5 0.4 0.3", []),  # IoU 0.88
        ("0 0.5 0.5 0 0\n0 0.5 0.5 0 0.0001", ["1 B002", "2 B002"]),
        ("0 320 240 50 60\n0 320 240 50 60.5", ["1 B011", "2 B008", "2 B011"]),
    ],
)
def test_each_kind_of_copy_has_its_rule(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_a_copy_names_the_first_of_its_kind() -> None:
    found = findings(f"\n{BOX}\n1 0.2 0.2 0.1 0.1\n0 0.501 0.5 0.4 0.3\n{BOX}\n2 0.5 0.5 0.4 0.3")
    texts = [(f.line, f.message.split(":")[0].split(";")[0]) for f in found]
    assert texts == [
        (4, "almost the same box as line 2"),
        (5, "same row as line 2"),
        (6, "c on the box that line 2 calls a"),
    ]


@pytest.mark.parametrize(
    ("task", "kpt_shape", "text", "copies"),
    [
        ("segment", (0, 0), "0 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.1 0.1 0.5 0.1 0.5 0.5", [1]),
        ("segment", (0, 0), "0 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.5 0.1 0.5 0.5 0.1 0.1", []),  # turned round
        ("segment", (0, 0), "0 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.1", []),
        ("pose", (1, 3), "0 0.5 0.5 0.4 0.3 0.5 0.5 2\n0 0.5 0.5 0.4 0.3 0.5 0.5 1", []),
        ("pose", (1, 3), "0 0.5 0.5 0.4 0.3 0.5 0.5 2\n0 0.5 0.5 0.4 0.3 0.5 0.5 2", [1]),
        (
            "detect",
            (1, 3),
            "0 0.5 0.5 0.4 0.3 0.5 0.5 2\n0 0.5 0.5 0.4 0.3 0.5 0.5 1",
            [1],
        ),  # keypoints cut off
        ("detect", (0, 0), "0 0.0 0.5 0.4 0.3\n-0 -0.0 0.5 0.4 0.3", [1]),
        ("detect", (0, 0), "0 0.5 0.5 0.4\n0 0.5 0.5 0.4", []),  # cannot be read at all
    ],
)
@pytest.mark.parametrize("limit", [1, 6, 100_000])  # rows one at a time and in parts, or all at once
def test_rows_are_equal_as_training_compares_them(
    task: str,
    kpt_shape: tuple[int, int],
    text: str,
    copies: list[int],
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(box_copies, "MAX_COLUMNS", limit)
    monkeypatch.setattr(box_copies, "TOKENS_AT_ONCE", limit)
    spec = task_spec(task, kpt_shape=kpt_shape)  # type: ignore[arg-type]
    assert exact_copies(tables_of([text], spec).labels, task)[0].tolist() == copies


def test_copies_are_looked_for_in_one_file_only() -> None:
    labels = tables_of([BOX, BOX, f"{BOX}\n{BOX}"]).labels
    assert [a.tolist() for a in exact_copies(labels, "detect")] == [[3], [2]]


def test_outlines_in_one_box_must_be_alike() -> None:
    spec = task_spec("segment")
    falling = "0 0.1 0.1 0.12 0.1 0.5 0.48 0.5 0.5 0.48 0.5 0.1 0.12"
    rising = "0 0.1 0.5 0.1 0.48 0.48 0.1 0.5 0.1 0.5 0.12 0.12 0.5"
    again = "0 0.1 0.1001 0.12 0.1 0.5 0.48 0.5 0.5001 0.48 0.5 0.1 0.12"
    assert codes(f"{falling}\n{rising}", spec) == []
    assert codes(f"{falling}\n{again}", spec) == ["2 B008"]


def boxes_of(rows: list[tuple[int, float, float, float, float]]) -> Boxes:
    file, x1, y1, w, h = (np.array(c) for c in zip(*sorted(rows, key=lambda r: r[0]), strict=True))
    return Boxes(np.arange(len(file)), file.astype(np.int32), x1, y1, w, h)


def all_pairs(boxes: Boxes, least_iou: float) -> dict[int, set[int]]:
    """Later box to all its earlier partners, by comparing every two."""
    partners: dict[int, set[int]] = {}
    for a, b in combinations(range(len(boxes)), 2):
        if boxes.file[a] == boxes.file[b] and iou(boxes, np.array([a]), np.array([b]))[0] > least_iou:
            partners.setdefault(b, set()).add(a)
    return partners


CROWDED = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.floats(0, 0.1),
        st.sampled_from([0.1, 0.11, 0.3]) | st.floats(0.1, 0.12),
        st.sampled_from([0.2, 0.21, 0.195]) | st.floats(0.15, 0.25),
        st.floats(0.2, 0.22),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.parametrize("long_window", [64, 0])  # 0: every file may be sorted by top edge
@settings(max_examples=examples(150), deadline=None)
@given(rows=CROWDED, least_iou=st.sampled_from([0.5, 0.9, 0.95]))
def test_the_sweep_finds_what_comparing_all_pairs_finds(
    long_window: int, rows: list[tuple[int, float, float, float, float]], least_iou: float
) -> None:
    boxes = boxes_of(rows)
    expected = all_pairs(boxes, least_iou)
    search = Search(least_iou, least_iou, lambda later, _earlier, _iou: np.ones(len(later), bool))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "LONG_WINDOW", long_window)
        later, earlier, _ = earlier_partners(boxes, search)
    assert later.tolist() == sorted(expected)
    for b, a in zip(later.tolist(), earlier.tolist(), strict=True):
        assert a in expected[b]
        if long_window:
            assert a == min(expected[b])


@pytest.mark.parametrize("long_window", [64, 0])
@pytest.mark.parametrize("within", [True, False])
@settings(max_examples=examples(150), deadline=None)
@given(rows=CROWDED, data=st.data())
def test_the_sweep_keeps_to_one_family_or_to_two(
    long_window: int, within: bool, rows: list[tuple[int, float, float, float, float]], data: st.DataObject
) -> None:
    boxes = boxes_of(rows)
    kin = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))), float)
    every_partner = all_pairs(boxes, 0.9)
    expected = {b: {a for a in every_partner[b] if (kin[a] == kin[b]) == within} for b in every_partner}
    search = Search(0.9, 0.9, lambda later, earlier, _: (kin[later] == kin[earlier]) == within)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "LONG_WINDOW", long_window)
        patch.setattr(overlap, "PAIRS_AT_ONCE", 16)
        patch.setattr(overlap, "PATIENCE", 3)
        later, earlier, _ = earlier_partners(boxes, search)
    assert later.tolist() == sorted(b for b in expected if expected[b])
    assert all(a in expected[b] for b, a in zip(later.tolist(), earlier.tolist(), strict=True))


def test_copies_in_a_stack_of_wide_boxes_are_found_by_their_top_edges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overlap, "MAX_PAIRS", 0)
    n = 500
    y1 = np.concatenate([np.arange(n) / 1000, np.arange(n) / 1000])
    boxes = Boxes(
        np.arange(2 * n), np.zeros(2 * n, np.int32), np.zeros(2 * n), y1, np.ones(2 * n), np.full(2 * n, 5e-4)
    )
    later, earlier, _ = earlier_partners(boxes, Search(0.9, 0.9, lambda later, *_: np.ones(len(later), bool)))
    assert (later.tolist(), earlier.tolist()) == (list(range(n, 2 * n)), list(range(n)))


def test_a_pile_of_boxes_names_every_box_but_the_first() -> None:
    n = 3000
    jitter = np.random.default_rng(1).normal(0, 1e-5, (2, n))
    same = np.full(n, 0.2)
    boxes = Boxes(np.arange(n), np.zeros(n, np.int32), 0.4 + jitter[0], 0.4 + jitter[1], same, same)
    search = Search(0.9, 0.95, lambda later, _earlier, _iou: np.ones(len(later), bool))
    later, earlier, _ = earlier_partners(boxes, search)
    assert later.tolist() == list(range(1, n))
    assert (earlier < later).all()
