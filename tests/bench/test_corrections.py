"""The benchmark on real corrections: what it reads, and what it counts."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))

from corrections.figures import Figures, evaluate, match_places, most_corrected, total_loss
from corrections.tables import dataset_tables
from corrections.truth import Correction, read_corrections
from injection.named import Counted

TRUTH: dict[str, Any] = {
    "moved": {"lines": [2], "added": [[0.4, 0.4, 0.6, 0.6]]},
    "thrown": {"lines": [1, 2], "added": [], "whole": True},
}


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def line_of(image: str, line: int, score: float) -> dict[str, object]:
    return {"image": f"images/train/{image}.jpg", "line": line, "p": 0.5, "score": score}


def finding(
    rule: str, image: str, line: int | None, box: tuple[float, ...] = (0.1,) * 4
) -> dict[str, object]:
    place = dict(zip(("x_center", "y_center", "width", "height"), box, strict=True))
    return {"rule": rule, "image": f"images/train/{image}.jpg", "line": line} | place


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nuclei")
    (folder / "truth.json").write_text(json.dumps(TRUTH))
    return folder


@pytest.fixture(scope="module")
def figures(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """Four images, two of them corrected: the probe puts these first, and the loss puts one of them last."""
    out = tmp_path_factory.mktemp("out")
    losses = {"moved": 1.0, "thrown": 9.0, "clean": 2.0, "other": 3.0}
    write_csv(
        out / "images.csv",
        [
            {
                "image": f"images/train/{name}.jpg", "boxes": 2, "box_loss": loss / 2, "cls_loss": loss / 2,
                "grad_norm": 1.0, "score_probe": score, "score_combined": score,
            }
            for (name, loss), score in zip(losses.items(), (3, 4, 1, 2), strict=True)
        ],
    )  # fmt: skip
    rows = [("moved", 1, 0.1), ("moved", 2, 0.9), ("thrown", 1, 0.2), ("thrown", 2, 0.3), ("clean", 1, 1.0)]
    write_csv(out / "boxes.csv", [line_of(*row) for row in rows])
    findings = [
        finding("G002", "moved", 2),
        finding("G007", "clean", 1),
        finding("G002", "thrown", 1),
        finding("G005", "moved", None, (0.5, 0.5, 0.2, 0.15)),
        finding("G005", "moved", None, (0.8, 0.8, 0.2, 0.2)),
        finding("G006", "other", 1),
    ]
    (out / "report.json").write_text(json.dumps({"findings": findings}))
    return evaluate(str(out), read_corrections(str(dataset)))


def test_corrections_of_a_complete_review_make_all_other_images_clean(dataset: Path) -> None:
    corrections = read_corrections(str(dataset))
    moved = corrections.find("images/train/moved.jpg")
    assert moved is not None and moved.lines == {2}
    assert moved.added == [pytest.approx((0.5, 0.5, 0.2, 0.2))]
    thrown, clean = corrections.find("thrown.png"), corrections.find("clean.png")
    assert thrown is not None and thrown.whole
    assert clean is not None and not clean


def test_images_that_a_second_annotation_did_not_look_at_are_left_out(tmp_path: Path) -> None:
    record = {"lines": {"4": ["removed", 0.0, "RBC", None]}, "added": [["RBC", [0, 0, 0.5, 1]]]}
    (tmp_path / "bccd_reannotated.json").write_text(json.dumps({"a": record}))
    corrections = read_corrections(str(tmp_path / "bccd"))
    assert corrections.find("images/train/a.jpg") == Correction(frozenset({4}), [(0.25, 0.5, 0.5, 1)])
    assert corrections.find("images/train/b.jpg") is None


def test_images_are_ranked_against_those_that_nobody_corrected(figures: Figures) -> None:
    assert figures.images == Counted(4, 2)
    assert figures.image_ap["probe"] == figures.image_ap["scan + probe"] == 1
    assert figures.image_ap["loss"] == pytest.approx((1 + 2 / 4) / 2)
    assert figures.image_ap["grad norm"] == 0.5  # all equal


def test_lines_of_images_thrown_out_are_counted_apart(figures: Figures) -> None:
    assert (figures.rows, figures.rows_with_whole) == (Counted(3, 1), Counted(5, 3))
    assert figures.row_ap == pytest.approx(1 / 2)
    assert figures.row_ap_with_whole == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3)
    assert (figures.lines, figures.lines_of_whole) == (Counted(2, 1), 1)


def test_flags_and_places_are_counted(figures: Figures) -> None:
    assert figures.corrected_flagged == Counted(2, 2)
    assert figures.clean_flagged == Counted(2, 1)  # G006 says nothing of right or wrong
    assert (figures.places, figures.added) == (Counted(2, 1), Counted(1, 1))


def test_a_place_fits_from_an_overlap_of_two_fifths_on() -> None:
    of = {"a.jpg": Correction(frozenset(), [(0.5, 0.5, 0.2, 0.2), (0.1, 0.1, 0.1, 0.1)])}
    right, wrong = (0.5, 0.5, 0.2, 0.081), (0.5, 0.5, 0.2, 0.079)
    assert match_places([("a.jpg", right)], of) == (Counted(1, 1), Counted(2, 1))
    assert match_places([("a.jpg", wrong)], of) == (Counted(1, 0), Counted(2, 0))
    assert match_places([("b.jpg", right)], of) == (Counted(), Counted(2, 0))


def test_where_most_images_were_corrected_the_quarter_with_most_corrections_counts() -> None:
    def images(added: list[int]) -> list[tuple[dict[str, str], Correction]]:
        box = (0.5, 0.5, 0.1, 0.1)
        return [({"boxes": "4"}, Correction(frozenset(), [box] * n)) for n in added]

    assert most_corrected(images([1, 9, 1, 1, 1, 1, 2, 0])) == [n in (1, 6) for n in range(8)]
    assert not any(most_corrected(images([1, 9, 0, 0, 0, 0, 0, 0])))


def test_a_loss_that_is_not_finite_ranks_first() -> None:
    assert total_loss({"box_loss": "1.5", "cls_loss": "2", "grad_norm": "7"}) == 3.5
    assert total_loss({"box_loss": "1.5", "cls_loss": ""}) == float("inf")


def test_the_tables_say_what_was_counted(figures: Figures) -> None:
    text = dataset_tables([figures, figures], [0, 1])
    assert "4 images that somebody looked at, 2 of them corrected; seeds 0, 1" in text
    assert "| corrected images | 0.75 (0.75–0.75) |" in text
    assert "| corrected lines | 1 | 3 | 0.50 (0.50–0.50) |" in text
    assert "| images that nobody corrected: flagged | 1 of 2, 1 of 2 | 0.50 (0.50–0.50) |" in text
    assert "| the quarter with most corrections | 1.00 (1.00–1.00) |" in text
