"""The benchmark on single rows: what is done to them, and what is counted."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))

from boxes.clusters import clusters_of, linked, question
from boxes.field import loss, ultralytics
from boxes.figures import ALL_ROWS, evaluate, kinds_of
from boxes.probed import read_said
from boxes.said import Said
from boxes.tables import Run, dataset_tables
from injection.box_errors import DROP, FLIP, SHIFT, SPAWN, RowTruth, inject_rows, read_row_truth, shift
from injection.metrics import max_f1, precision_at, recall_at
from injection.model_scores import ModelView
from injection.named import Counted
from injection.rows import InjectionError, Row, iou
from probe_boxes import counted

IMAGES, ROWS = 10, 8


def write_set(folder: Path, names: str) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
    for n in range(IMAGES):
        Image.new("RGB", (64, 48), (n, n, n)).save(folder / f"images/train/{n}.png")
        rows = [f"0 {0.1 + 0.1 * k:.2f} {0.3 + 0.04 * n:.2f} 0.08 0.1" for k in range(ROWS)]
        (folder / f"labels/train/{n}.txt").write_text("\n".join(rows) + "\n")
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    return folder


def boxes(path: Path) -> list[tuple[float, ...]]:
    return [tuple(map(float, row.split())) for row in path.read_text().splitlines()]


def test_one_row_in_five_has_an_error_of_the_kind_that_the_truth_names(tmp_path: Path) -> None:
    source, copy = write_set(tmp_path / "source", "[a, b, c]"), tmp_path / "copy"
    truth = inject_rows(str(source), str(copy), seed=1)
    assert read_row_truth(str(copy)) == truth
    kinds = [kind for t in truth.values() for kind in t.lines.values()]
    assert sorted(kinds) == sorted([FLIP, SHIFT, SPAWN] * 4)
    assert sum(len(t.dropped) for t in truth.values()) == 4
    for n in range(IMAGES):
        before, after = (boxes(folder / f"labels/train/{n}.txt") for folder in (source, copy))
        t = truth.get(f"images/train/{n}.png", RowTruth({}, []))
        untouched = [row for line, row in enumerate(after, 1) if line not in t.lines]
        assert set(untouched) <= set(before)
        assert all((0, *box) in before and (0, *box) not in after for box in t.dropped)
        for line, kind in t.lines.items():
            class_id, *box = after[line - 1]
            overlap = iou([tuple(box)], [row[1:] for row in before]).max()  # type: ignore[list-item, misc]
            if kind == FLIP:
                assert class_id in (1, 2) and overlap == pytest.approx(1)
            elif kind == SHIFT:
                assert class_id == 0 and 0.39 < overlap < 0.71
            else:
                assert overlap < 0.31


def test_a_set_with_one_class_gets_no_flips_and_a_set_without_rows_is_refused(tmp_path: Path) -> None:
    source = write_set(tmp_path / "source", "[a]")
    truth = inject_rows(str(source), str(tmp_path / "copy"), seed=1)
    assert {kind for t in truth.values() for kind in t.lines.values()} == {SHIFT, SPAWN}
    with pytest.raises(InjectionError, match=r"80 rows: a share of 0\.01 gives none for each of 3 kinds"):
        inject_rows(str(source), str(tmp_path / "few"), seed=1, share=0.01)


def test_a_shifted_box_stays_in_the_image_and_near_what_it_was() -> None:
    random = np.random.default_rng(0)
    for box in [(0.5, 0.5, 0.2, 0.1), (0.05, 0.95, 0.1, 0.1), (0.5, 0.5, 1.0, 1.0)]:
        for _ in range(20):
            x, y, w, h = shift(box, random)
            assert min(x - w / 2, y - h / 2, 1 - x - w / 2, 1 - y - h / 2) >= -1e-9
            assert 0.39 <= iou([box], [(x, y, w, h)])[0, 0] <= 0.71


def test_the_largest_f1_is_over_all_thresholds() -> None:
    scores, positive = np.array([3.0, 2, 1]), np.array([True, False, True])
    assert max_f1(scores, positive) == pytest.approx(4 / 5)
    assert max_f1(np.ones(3), positive) == pytest.approx(4 / 5)


def test_recall_is_read_off_where_few_negatives_are_found() -> None:
    scores, positive = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    assert recall_at(scores, positive, 0.4) == 0.5
    assert recall_at(scores, positive, 0.5) == 1
    assert recall_at(np.ones(4), positive, 0.5) == 0


IMAGE, OTHER = "images/train/1.png", "images/train/2.png"


def test_the_best_images_hold_a_share_of_positives() -> None:
    scores, positive = np.array([3.0, 2, 2, 1]), np.array([True, True, False, False])
    assert precision_at(scores, positive, 1) == 1
    assert precision_at(scores, positive, 2) == pytest.approx(0.75)  # the second is one of two alike
    assert precision_at(scores, positive, 100) == 0.5


def test_rows_places_and_images_are_judged_by_kind() -> None:
    truth = {IMAGE: RowTruth({1: FLIP, 2: SHIFT}, [(0.5, 0.5, 0.2, 0.2)])}
    kinds = kinds_of({IMAGE: [1, 2, 3], OTHER: [1]}, truth)
    assert kinds == {(IMAGE, 1): FLIP, (IMAGE, 2): SHIFT, (IMAGE, 3): None, (OTHER, 1): None}
    fits, elsewhere = (0.51, 0.5, 0.2, 0.2), (0.2, 0.2, 0.1, 0.1)
    said = {
        "good": Said(
            {IMAGE: {1: 0.9, 2: 0.8, 3: 0.1}, OTHER: {1: 0.0}},
            {IMAGE: [(fits, 0.9), (elsewhere, 0.1)]},
            {IMAGE: 1.0, OTHER: 0.0},
        ),
        "blind to flips": Said({IMAGE: {1: 0.0, 2: 0.8, 3: 0.1}, OTHER: {1: 0.1}}),
        "no place": Said(places={OTHER: [(elsewhere, 0.5)]}),
    }
    figures = evaluate(said, truth, kinds)
    good = figures["good"]
    assert good.auroc == {FLIP: 1, SHIFT: 1, ALL_ROWS: 1, DROP: 1}
    assert good.max_f1 == good.recall == dict.fromkeys(good.auroc, 1)
    assert good.images == {"AUROC": 1, "AP": 1, "P@100": 0.5}
    assert figures["blind to flips"].auroc == {FLIP: 0, SHIFT: 1, ALL_ROWS: 0.5}
    assert figures["no place"].auroc == {
        DROP: 0.25
    }  # of two places elsewhere it says one, and ranks it first
    run = Run(figures, {name: Counted(2, 1) for name in ("lines", "places", "dropped")}, 2, 1)
    text = dataset_tables([run], [0])
    assert "| good | 1.00 | 1.00 | – | 1.00 | 1.00 |" in text
    assert "| dropped boxes: have a place that fits | 1 of 2 | 0.50 |" in text


def view(labels: list[list[float]], classes: list[int], predictions: list[list[float]]) -> ModelView:
    rows = [Row(n, c, (0.0, 0.0, 0.0, 0.0)) for n, c in enumerate(classes, 1)]
    found = np.array(predictions, np.float64).reshape(-1, 6)
    boxes = np.array(labels, np.float64).reshape(-1, 4)
    return ModelView(IMAGE, 1.0, 2.0, rows, np.arange(len(rows)) + 1.0, boxes, found, found, 100, 100)


SEEN = view(
    [[0, 0, 10, 10], [50, 50, 60, 60]],
    [0, 1],
    [[0, 0, 10, 10, 0.9, 1], [1, 0, 10, 10, 0.2, 0], [80, 80, 90, 90, 0.6, 0]],
)


def test_boxes_that_overlap_are_one_cluster_of_classes() -> None:
    together, alone, missing = clusters_of([SEEN], 2)
    assert (together.rows, together.predictions) == ([0], [0, 1])
    assert (together.labels, together.probabilities) == ([0], [0.2, 0.9, 0])
    assert (alone.labels, alone.probabilities) == ([1], [0, 0, 1])
    assert (missing.rows, missing.labels, missing.probabilities) == ([], [2], [0.6, 0, 0])
    assert question([together, missing]) == {
        "labels": [[0], [1]],
        "probabilities": [[0.2, 0], [0.6, 0]],
    }
    chain = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    assert linked(chain).tolist() == [0, 0, 0, 3]
    assert clusters_of([view([], [], [])], 2) == []


def test_loss_and_the_scores_of_validation_by_hand() -> None:
    said = loss([SEEN])
    assert said.rows == {IMAGE: {1: 1.0, 2: 2.0}} and said.images == {IMAGE: 1.0}
    assert said.places is not None
    assert [round(score, 3) for _, score in said.places[IMAGE]] == [0, 0, 0.916]
    assert said.places[IMAGE][2][0] == pytest.approx((0.85, 0.85, 0.1, 0.1))
    found = ultralytics([SEEN])
    assert found["Ultralytics: possible FN"].rows == {IMAGE: {1: pytest.approx(1 - 0.2 * 0.9), 2: 1.0}}
    assert found["Ultralytics: confusion"].rows == {IMAGE: {1: pytest.approx(0.9), 2: 0.0}}
    assert found["Ultralytics"].images == {IMAGE: pytest.approx((0.82 + 1) / 2)}
    assert found["Ultralytics: possible FP"].images == {IMAGE: pytest.approx(0.6)}


def test_the_probe_is_read_from_its_tables(tmp_path: Path) -> None:
    columns = {
        "share": 0.1,
        "weight": 1.0,
        "own_probability": 0.9,
        "best_iou": 0.9,
        "support": 0.2,
        "score": 3.0,
    }
    for name, row in (
        ("boxes.csv", {"image": IMAGE, "line": 4, **columns}),
        ("images.csv", {"image": IMAGE, "score_probe": 1.5, "score_combined": 2.5}),
    ):
        with open(tmp_path / name, "w", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerow(row)
    (tmp_path / "places.json").write_text(json.dumps({IMAGE: [[[0.5, 0.5, 0.1, 0.1], 0.7, 0.25]]}))
    said = read_said(str(tmp_path))
    assert said["probe"] == Said({IMAGE: {4: 3.0}}, {IMAGE: [((0.5, 0.5, 0.1, 0.1), 0.7)]}, {IMAGE: 1.5})
    assert said["scan + probe"].images == {IMAGE: 2.5}
    assert said["probe's 1 − support"].rows == {IMAGE: {4: -0.2}}
    assert said["probe's share of predictions on a label"].places == {IMAGE: [((0.5, 0.5, 0.1, 0.1), 0.75)]}


def test_what_the_probe_names_is_counted(tmp_path: Path) -> None:
    place = {"rule": "G005", "image": IMAGE, "line": None, "x_center": 0.5, "y_center": 0.5}
    findings = [
        {"rule": "G002", "image": IMAGE, "line": 1},
        {"rule": "G008", "image": IMAGE, "line": 3},
        place | {"width": 0.2, "height": 0.2},
        place | {"width": 0.9, "height": 0.9},
    ]
    (tmp_path / "report.json").write_text(json.dumps({"findings": findings}))
    truth = {IMAGE: RowTruth({1: FLIP}, [(0.5, 0.5, 0.2, 0.2), (0.1, 0.1, 0.1, 0.1)])}
    found = counted(str(tmp_path), truth, kinds_of({IMAGE: [1, 3]}, truth))
    assert set(found.values()) == {Counted(2, 1)} and len(found) == 3
