"""The benchmark's figures: what they count, ties included, and what is read from the probe's files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))

from injection.baselines import scan_scores
from injection.cleanlab_child import label_of, most_overlooked, predictions_of
from injection.errors import NAMES, UNSEEN_KINDS
from injection.evaluation import ALL, UNSEEN, evaluate
from injection.inject import Truth
from injection.metrics import altered_first, auroc, average_precision, inside_any, top_images
from injection.model_scores import Frame, trained_model, view_images
from injection.named import Counted, count_named
from injection.probe_adapter import read_probe
from injection.rows import training_rows
from injection.scores import CLEANLAB_PARTS, METHODS, Scores, load_scores, save_scores
from injection.tables import NOT_RUN, cell, dataset_tables
from injection.training import train

some_scores = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30).filter(
    lambda pairs: 0 < sum(p for _, p in pairs) < len(pairs)
)


@given(some_scores)
def test_auroc_is_the_share_of_pairs_in_right_order(pairs: list[tuple[int, bool]]) -> None:
    positive = [s for s, p in pairs if p]
    negative = [s for s, p in pairs if not p]
    wins = [(a > b) + 0.5 * (a == b) for a in positive for b in negative]
    scores, truth = (np.array(column) for column in zip(*pairs, strict=True))
    assert auroc(scores.astype(float), truth) == pytest.approx(np.mean(wins))


@given(some_scores)
def test_average_precision_steps_through_the_thresholds(pairs: list[tuple[int, bool]]) -> None:
    total, expected, before = sum(p for _, p in pairs), 0.0, 0.0
    for limit in sorted({s for s, _ in pairs}, reverse=True):
        taken = [p for s, p in pairs if s >= limit]
        recall = sum(taken) / total
        expected += (recall - before) * sum(taken) / len(taken)
        before = recall
    scores, truth = (np.array(column) for column in zip(*pairs, strict=True))
    assert average_precision(scores.astype(float), truth) == pytest.approx(expected)


def test_a_tie_of_everything_is_chance() -> None:
    positive = np.array([True, False, False, False])
    assert auroc(np.ones(4), positive) == 0.5
    assert average_precision(np.ones(4), positive) == 0.25


def test_lines_with_equal_scores_are_taken_in_random_order() -> None:
    assert altered_first({1: 0.2, 2: 0.9}, [2]) == 1
    assert altered_first({1: 0.9, 2: 0.9, 3: 0.9}, [2, 3]) == pytest.approx(2 / 3)
    assert altered_first({}, [1]) == 0


def test_a_place_counts_inside_a_box_alone() -> None:
    box = (0.5, 0.5, 0.2, 0.4)
    assert inside_any([(0.9, 0.9), (0.41, 0.69)], [box])
    assert not inside_any([(0.39, 0.5)], [box])


def test_images_tied_at_the_limit_are_not_on_top() -> None:
    assert top_images({"a": 3, "b": 2, "c": 2, "d": 1}, 1) == {"a"}
    assert top_images({"a": 3, "b": 2, "c": 2, "d": 1}, 2) == {"a"}
    assert top_images({"a": 3, "b": 2, "c": 2, "d": 1}, 3) == {"a", "b", "c"}


IMAGES = [f"images/train/{n}.png" for n in range(20)]
TRUTH = {
    **{IMAGES[i]: Truth(kind, [2], []) for i, kind in enumerate(NAMES)},
    IMAGES[NAMES.index("missing box")]: Truth("missing box", [], [(0.5, 0.5, 0.2, 0.2)]),
}


def test_a_perfect_method_reaches_everything() -> None:
    perfect = Scores(
        dict.fromkeys(TRUTH, 1.0),
        {image: {1: 0.0, 2: 1.0} for image in TRUTH},
        {IMAGES[NAMES.index("missing box")]: [(0.5, 0.5)]},
        list(TRUTH),
    )
    figures = evaluate(perfect, TRUTH, IMAGES)
    assert set(figures.auroc.values()) == set(figures.ap.values()) == {1.0}
    assert set(figures.auroc) == {*NAMES, UNSEEN, ALL}
    assert figures.line_of_all == figures.line_of_flagged == {"wrong class": 1.0, "shifted box": 1.0}
    assert (figures.flagged[ALL], figures.clean_flagged, figures.place, figures.clean_place) == (1, 0, 1, 0)


def test_kinds_that_no_scan_sees_are_taken_together() -> None:
    unseen = {image for image, t in TRUTH.items() if t.kind in UNSEEN_KINDS}
    figures = evaluate(Scores(dict.fromkeys(unseen, 1.0), flagged=sorted(unseen)), TRUTH, IMAGES)
    assert len(unseen) == 4
    assert (figures.ap[UNSEEN], figures.flagged[UNSEEN]) == (1, 1)
    assert figures.ap[ALL] < 1 and figures.flagged[ALL] == 0.5


@pytest.mark.probe
def test_named_lines_and_places_are_counted_against_what_was_altered() -> None:
    pytest.importorskip("ultralytics")
    wrong, clean = IMAGES[NAMES.index("wrong class")], IMAGES[-1]
    missing, swapped = (IMAGES[NAMES.index(kind)] for kind in ("missing box", "labels of another image"))
    truth = TRUTH | {
        missing: Truth("missing box", [], [(0.5, 0.5, 0.2, 0.2)], [(0.5, 0.5, 0.2, 0.2)]),
        swapped: Truth("labels of another image", [1], [], [(0.2, 0.2, 0.1, 0.1)]),
    }
    scores = Scores(
        dict.fromkeys(IMAGES, 0.0),
        places={missing: [(0.5, 0.5), (0.9, 0.9)], swapped: [(0.2, 0.2)], clean: [(0.5, 0.5)]},
        p={wrong: {1: 0.15, 2: 0.97}, clean: {1: 0.7}},
        named={wrong: {2: "G002"}, clean: {1: "G008"}},
    )
    figures = count_named(scores, truth)
    assert figures is not None
    assert figures.lines == Counted(2, 1)
    assert figures.by_rule == {"G002": Counted(1, 1), "G008": Counted(1, 0)}
    assert figures.places == Counted(4, 2)
    assert figures.at_fdr[0.05] == Counted(1, 1)
    # The mean of 0.03 and 0.3 is at most 0.2; with 0.85 it is at most 0.5.
    assert figures.at_fdr[0.2] == Counted(2, 1)
    assert figures.at_fdr[0.5] == Counted(3, 1)
    assert figures.lines.share == 0.5
    assert np.isnan(Counted().share)
    assert count_named(Scores({}), truth) is None
    text = dataset_tables({"probe": [evaluate(scores, truth, IMAGES)]}, "20 images.")
    assert "| lines, all rules | 2 | 1 | 0.50 |" in text
    assert "| places, G005 | 4 | 2 | 0.50 |" in text
    assert "| 0.05 | 0.95 | 1 | 1 | 1.00 |" in text


def test_lines_of_flagged_images_are_counted_apart() -> None:
    wrong = IMAGES[NAMES.index("wrong class")]
    unsure = Scores(dict.fromkeys(IMAGES, 0.0), {wrong: {1: 1.0, 2: 0.0}}, None, [IMAGES[-1]])
    figures = evaluate(unsure, TRUTH, IMAGES)
    assert figures.line_of_all["wrong class"] == 0
    assert np.isnan(figures.line_of_flagged["wrong class"])
    assert figures.auroc[ALL] == 0.5
    assert figures.clean_flagged == pytest.approx(1 / 12)


def test_a_method_that_found_no_place_missed_them_and_one_without_places_is_not_counted() -> None:
    scores = dict.fromkeys(IMAGES, 0.0)
    assert evaluate(Scores(scores, places={}), TRUTH, IMAGES).place == 0
    assert np.isnan(evaluate(Scores(scores), TRUTH, IMAGES).place)
    assert np.isnan(evaluate(Scores(scores), TRUTH, IMAGES).line_of_all["wrong class"])


def test_images_without_score_rank_last() -> None:
    figures = evaluate(Scores(dict.fromkeys(TRUTH, -1.0)), TRUTH, IMAGES)
    assert figures.auroc[ALL] == 1.0


def test_a_method_without_threshold_flags_as_many_as_were_altered() -> None:
    figures = evaluate(Scores({image: -n for n, image in enumerate(IMAGES)}), TRUTH, IMAGES)
    assert (figures.flagged[ALL], figures.clean_flagged) == (1, 0)


def test_scores_come_back_as_they_were_saved(tmp_path: Path) -> None:
    scores = {
        "x": Scores({"a": 1.5}, {"a": {3: 0.5}}, {"a": [[0.1, 0.2]]}, ["a"], None, {"a": {3: 0.9}}, {"a": {3: "G002"}}),  # type: ignore[list-item]
        "y": Scores({"a": 1.0}),
    }  # fmt: skip
    save_scores(scores, str(tmp_path / "scores.json"))
    assert load_scores(str(tmp_path / "scores.json")) == scores


def test_cells_show_the_spread_over_seeds() -> None:
    assert cell([0.5, 0.9, 0.7]) == "0.70 (0.50–0.90)"
    assert cell([0.5]) == "0.50"
    assert cell([float("nan")]) == "–"


def test_a_method_that_was_not_run_says_so() -> None:
    figures = evaluate(Scores(dict.fromkeys(IMAGES, 0.0)), TRUTH, IMAGES)
    text = dataset_tables({"loss": [figures]}, "20 images.")
    rows = [line for line in text.splitlines() if line.startswith("| all ")]
    others = len(METHODS) - 1
    assert [row.count(NOT_RUN) for row in rows] == [others, others, len(CLEANLAB_PARTS), others]


def test_the_probe_is_read_from_its_files(tmp_path: Path) -> None:
    image = "images/train/1.png"
    (tmp_path / "images.csv").write_text(
        f"\ufeffimage,score_probe,score_combined,unlabelled_x,unlabelled_y\n{image},0.5,2.5,0.4,0.6\n",
        encoding="utf-8",
    )
    (tmp_path / "boxes.csv").write_text(
        f"image,label,line,p,score\n{image},labels/train/1.txt,1,0.2,0.1\n{image},labels/train/1.txt,3,0.8,0.9\n"
    )
    place = {"line": None, "x_center": 0.25, "y_center": 0.75}
    findings = [
        {"rule": "G005", "image": image} | place,
        *(
            {"rule": rule, "image": f"images/train/{rule}.png", "line": 4}
            for rule in ("G002", "G007", "G008")
        ),
        *(
            {"rule": rule, "image": f"images/train/{rule}.png", "line": 4}
            for rule in ("G003", "G006", "B004")
        ),
        {"rule": "G001", "image": "images/train/G001.png", "line": None},
    ]
    (tmp_path / "report.json").write_text(json.dumps({"findings": findings}))
    scores = read_probe(str(tmp_path))
    probe, combined = scores["probe"], scores["scan + probe"]
    assert (probe.images, combined.images) == ({image: 0.5}, {image: 2.5})
    assert probe.lines == combined.lines == {image: {1: 0.1, 3: 0.9}}
    assert probe.places == {image: [(0.25, 0.75)]}
    assert probe.p == {image: {1: 0.2, 3: 0.8}}
    rules = ("G002", "G007", "G008")
    assert probe.named == {f"images/train/{rule}.png": {4: rule} for rule in rules}
    assert probe.flagged == [image, *(f"images/train/{rule}.png" for rule in ("G001", *rules))]
    assert probe.best_places == {image: (0.4, 0.6)}


def test_training_has_a_repeated_row_once(tmp_path: Path) -> None:
    label = tmp_path / "a.txt"
    label.write_text("0 .5 .5 .1 .1\n1 .5 .5 .1 .1\n\n0 .50 .5 .1 .1\n")
    assert [row.line for row in training_rows(str(label))] == [1, 2]
    assert training_rows(str(tmp_path / "none.txt")) == []


def small_set(folder: Path, side: int, count: int) -> Path:
    """Images with a bright box each, and a label that says so."""
    random = np.random.default_rng(5)
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for n in range(count):
            pixels = random.integers(0, 100, (side, side, 3), np.uint8)
            pixels[side // 4 : side // 2, side // 4 : side // 2] = 250
            Image.fromarray(pixels).save(folder / f"images/{split}/{n}.png")
            (folder / f"labels/{split}/{n}.txt").write_text("0 0.375 0.375 0.25 0.25\n")
    (folder / "data.yaml").write_text(
        f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [a, b]\n"
    )
    return folder


def test_the_scan_scores_lines_and_images_by_their_severest_finding(tmp_path: Path) -> None:
    folder = small_set(tmp_path, 100, 3)
    with open(folder / "labels/train/1.txt", "a") as label:
        label.write("1 0.5 0.5 0.9 0.012\n")
    with open(folder / "labels/train/2.txt", "a") as label:
        label.write("7 0.5 0.5 0.1 0.1\n")
    scores = scan_scores(str(folder / "data.yaml"), 320)
    assert scores.images["images/train/1.png"] == 2
    assert scores.images["images/train/2.png"] == 3
    assert scores.lines is not None
    assert scores.lines["images/train/1.png"][2] == 2
    assert scores.lines["images/train/2.png"][2] == 3
    assert scores.flagged is not None
    assert {"images/train/1.png", "images/train/2.png"} <= set(scores.flagged)
    assert not any("val" in image for image in scores.images)


def test_labels_and_predictions_in_the_form_of_cleanlab() -> None:
    view = {"labels": [[0, 0, 4, 4, 1]], "predictions": [[0, 0, 4, 4, 0.9, 1], [5, 5, 9, 9, 0.8, 0]]}
    label, predictions = label_of(view), predictions_of(view, 3)
    assert label["bboxes"].tolist() == [[0, 0, 4, 4]] and label["labels"].tolist() == [1]
    assert [p.tolist() for p in predictions] == [[[5, 5, 9, 9, 0.8]], [[0, 0, 4, 4, 0.9]], []]
    assert predictions[2].shape == (0, 5)
    assert most_overlooked(np.array([np.nan, 0.3]), predictions) == [0, 0, 4, 4]
    assert most_overlooked(np.array([np.nan, np.nan]), predictions) is None
    assert label_of({"labels": []})["bboxes"].shape == (0, 4)


@pytest.mark.slow
@pytest.mark.ultralytics
def test_a_trained_model_scores_every_image(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    folder = small_set(tmp_path / "set", 64, 8)
    (folder / "labels/train/3.txt").write_text("")
    last = train(str(folder), "yolov8n.yaml", seed=0, epochs=1, imgsz=64, batch=4)
    written = Path(last).stat().st_mtime_ns
    assert train(str(folder), "yolov8n.yaml", seed=0) == last
    assert Path(last).stat().st_mtime_ns == written
    assert {p.name for p in folder.iterdir()} == {
        "data.yaml",
        "images",
        "labels",
        "last.pt",
        "train_args.yaml",
    }
    assert not list(folder.rglob("*.cache"))
    views = list(view_images(str(folder), trained_model(last), 64))
    assert [v.image for v in views] == [f"images/train/{n}.png" for n in range(8)]
    assert all(np.isfinite([v.loss, v.grad_norm]).all() and v.grad_norm > 0 for v in views)
    assert [len(v.rows) for v in views] == [1, 1, 1, 0, 1, 1, 1, 1]
    assert views[0].labels.tolist() == [[16, 16, 32, 32]]


@pytest.mark.ultralytics
@pytest.mark.parametrize(("width", "height"), [(640, 480), (33, 57), (200, 200), (101, 320)])
def test_boxes_lie_in_the_letterbox_where_ultralytics_puts_them(width: int, height: int) -> None:
    augment = pytest.importorskip("ultralytics.data.augment")
    instance = pytest.importorskip("ultralytics.utils.instance")
    boxes = np.array([[0.5, 0.5, 0.2, 0.4], [0.1, 0.8, 0.05, 0.1]])
    instances = instance.Instances(
        boxes.copy().astype(np.float32), segments=None, bbox_format="xywh", normalized=True
    )
    item = {
        "img": np.zeros((height, width, 3), np.uint8),
        "instances": instances,
        "cls": np.zeros((2, 1)),
    }
    done = augment.LetterBox((320, 320))(item)
    done["instances"].convert_bbox("xywh")
    done["instances"].normalize(320, 320)
    frame = Frame.of(width, height, 320)
    assert frame.to_letterbox(boxes) == pytest.approx(done["instances"].bboxes, abs=2e-3)
    there = frame.to_letterbox(boxes) * 320
    corners = np.concatenate([there[:, :2] - there[:, 2:] / 2, there[:, :2] + there[:, 2:] / 2], 1)
    back = frame.to_image(corners)
    assert (back[:, 2:] - back[:, :2]) / [width, height] == pytest.approx(boxes[:, 2:])
