"""The sketch of sizes and shapes: chunks merge into what one pass makes; and what B012 makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from row_findings import SPEC, tables_of
from surveys import surveyed

from sanitizer.dataset.model import Dataset, Split
from sanitizer.rules.checks.shapes import shape_outliers
from sanitizer.rules.engine import summarise
from sanitizer.rules.hits import Params
from sanitizer.rules.sketch import AREA, KEPT_PER_END, ShapeSketch, collect, merge_sketches

if TYPE_CHECKING:
    from sanitizer.dataset.tables import DatasetFault

ROWS = st.builds(
    lambda c, w, h: f"{c} 0.5 0.5 {w:.6f} {h:.6f}",
    st.integers(0, 2),
    st.sampled_from([0.1, 0.2]) | st.floats(0, 1),
    st.sampled_from([0.1, 0.2]) | st.floats(0, 1),
)
FILES = st.lists(st.lists(ROWS, max_size=30).map("\n".join), min_size=1, max_size=6)


def sketch_of(texts: list[str], task_size: tuple[int, int] | None = (640, 480)) -> ShapeSketch:
    tables = tables_of(texts, sizes=[task_size] * len(texts))
    return collect(tables.labels, tables.images, SPEC)


@settings(max_examples=examples(100), deadline=None)
@given(files=FILES, cut=st.integers(0, 6))
def test_chunks_merge_into_what_one_pass_makes(files: list[str], cut: int) -> None:
    parts = [sketch_of(part) for part in (files[:cut], files[cut:]) if part]
    whole, merged = sketch_of(files), merge_sketches(parts)
    assert merged.n_files == whole.n_files
    for name in ("key", "count", "class_id", "file", "line", "measures"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name), err_msg=name)


def test_only_the_most_extreme_boxes_are_kept() -> None:
    rng = np.random.default_rng(0)
    text = "\n".join(f"0 0.5 0.5 {w:.6f} {h:.6f}" for w, h in rng.uniform(0.05, 0.5, (5000, 2)))
    sketch = sketch_of([text])
    assert len(sketch.line) <= 4 * KEPT_PER_END
    assert sketch.histogram(0, AREA)[1].sum() == 5000


def test_no_sketches_make_an_empty_one() -> None:
    assert merge_sketches([]).classes() == []


@pytest.mark.parametrize(
    "row",
    ["0 0.5 0.5 0 0.1", "0 0.5 0.5 0.002 0.1", "0 320 240 50 60", "1.5 0.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1",
     "0 0.5 0.5 0.1", "0 0.5 nan 0.1 0.1"],
)  # fmt: skip
def test_rows_that_other_rules_report_are_left_out(row: str) -> None:
    assert sketch_of([row]).classes() == []


def outliers(chunks: list[list[str]]) -> list[DatasetFault]:
    """B012 over files in chunks, in a dataset with one split."""
    n = sum(len(c) for c in chunks)
    here = np.ones(n, np.bool_)
    names = [f"{i}.jpg" for i in range(n)]
    split = Split.build("train", ["/d/images"], ["/d/labels"], np.zeros(n, np.int32), names, here, here)
    dataset = Dataset("/d", "data.yaml", "/d/data.yaml", [split], None, 3, SPEC.names)
    survey = surveyed(dataset, SPEC, [summarise(tables_of(c), SPEC) for c in chunks])
    return list(shape_outliers(survey, Params({"max_z": 8, "min_boxes": 50})))


def ordinary(n: int, class_id: int = 0) -> str:
    sides = 0.2 * 2 ** np.random.default_rng(n).normal(0, 0.2, (n, 2))
    return "\n".join(f"{class_id} 0.5 0.5 {w:.6f} {h:.6f}" for w, h in sides)


def test_a_speck_is_named_with_its_file_and_line_across_chunks() -> None:
    (place,) = outliers(
        [[ordinary(40), ordinary(30)], [ordinary(20), "0 0.3 0.3 0.1 0.2\n0 0.5 0.5 0.006 0.006"]]
    )
    assert (place.rule, place.label, place.split, place.line) == ("B012", "/d/labels/3.txt", "train", 2)
    assert "the area of the median a box" in str(place.values["problem"])


def test_a_sliver_is_named_for_its_shape() -> None:
    (place,) = outliers([[ordinary(60), "0 0.5 0.5 0.9 0.04"]])
    assert "30:1 in shape" in str(place.values["problem"])


def test_lying_instead_of_standing_is_no_outlier() -> None:
    tall = "\n".join(f"0 0.5 0.5 {0.05 + i / 10000:.4f} 0.5" for i in range(60))
    assert outliers([[tall, "0 0.5 0.5 0.375 0.0711"]]) == []


def test_small_classes_are_not_judged() -> None:
    assert outliers([[ordinary(40), "0 0.5 0.5 0.006 0.006"]]) == []


def test_equal_boxes_are_allowed_a_little_spread() -> None:
    same = "\n".join(["0 0.5 0.5 0.2 0.2"] * 60)
    assert outliers([[same, "0 0.5 0.5 0.21 0.25"]]) == []
