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

from injection.box_errors import FLIP, SHIFT, SPAWN, RowTruth, inject_rows, read_row_truth, shift
from injection.metrics import max_f1, recall_at
from injection.named import Counted
from injection.rows import InjectionError, iou
from probe_boxes import ALL, METHODS, dataset_tables, evaluate

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


def test_every_column_is_judged_by_kind(tmp_path: Path) -> None:
    image = "images/train/1.png"
    base = {"image": image, "share": 0.1, "weight": 1.0, "own_probability": 0.9, "best_iou": 0.9}
    rows = [
        base | {"line": line, "p": p, "score": p, "support": support}
        for line, p, support in ((1, 0.9, 0.9), (2, 0.8, 0.1), (3, 0.1, 0.8), (4, 0.0, 0.7))
    ]
    with open(tmp_path / "boxes.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    place = {"rule": "G005", "image": image, "line": None, "x_center": 0.5, "y_center": 0.5}
    findings = [
        {"rule": "G002", "image": image, "line": 1},
        {"rule": "G008", "image": image, "line": 3},
        place | {"width": 0.2, "height": 0.2},
        place | {"width": 0.9, "height": 0.9},
    ]
    (tmp_path / "report.json").write_text(json.dumps({"findings": findings}))
    truth = {image: RowTruth({1: FLIP, 2: SHIFT}, [(0.5, 0.5, 0.2, 0.2), (0.1, 0.1, 0.1, 0.1)])}
    figures = evaluate(str(tmp_path), truth)
    assert set(figures.auroc) == {FLIP, SHIFT, ALL}
    assert figures.auroc[FLIP]["probe"] == figures.auroc[ALL]["probe"] == 1
    assert figures.auroc[FLIP]["1 − support"] == 0
    assert figures.auroc[SHIFT]["1 − support"] == 1
    assert figures.auroc[ALL]["share of gradient"] == 0.5
    assert figures.max_f1[ALL]["probe"] == figures.recall[ALL]["probe"] == 1
    assert (figures.lines, figures.places, figures.dropped) == (Counted(2, 1), Counted(2, 1), Counted(2, 1))
    text = dataset_tables([figures], [0])
    assert f"| {ALL} |" in text and "| dropped boxes: have a place that fits | 1 of 2 | 0.50 |" in text
    assert text.count(" | ".join(METHODS)) == 3
