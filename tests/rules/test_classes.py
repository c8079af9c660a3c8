"""Rules on class ids, and the two rules on the dataset's statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from row_findings import codes, findings, tables_of, task_spec
from surveys import surveyed

from sanitizer.dataset.model import Dataset
from sanitizer.dataset.tables import TaskSpec
from sanitizer.rules.checks.classes import rare_class
from sanitizer.rules.engine import summarise
from sanitizer.rules.hits import Params

if TYPE_CHECKING:
    from sanitizer.rules.survey import Survey

NO_YAML = task_spec("detect", nc=None)
BOX = "0.5 0.5 0.4 0.3"


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("0", []),
        ("2", []),
        ("1.0", []),
        ("2e0", []),
        ("1.00000001", []),  # 1 in float32, which training reads
        ("3", ["C001"]),
        ("-1", ["C001"]),
        ("1e30", ["C001"]),
        ("1.5", ["C002"]),
        ("7.5", ["C002"]),
        ("-0.5", ["C002"]),
    ],
)
def test_an_id_gives_one_finding_for_one_cause(first: str, expected: list[str]) -> None:
    assert codes(f"{first} {BOX}") == [f"1 {code}" for code in expected]


def test_without_class_count_only_impossible_ids_are_reported() -> None:
    assert codes("99 0.2 0.2 0.1 0.1\n-1 0.5 0.5 0.1 0.1\n1.5 0.7 0.7 0.1 0.1", NO_YAML) == [
        "2 C001",
        "3 C002",
    ]


def test_rows_that_cannot_be_read_are_not_judged_by_class() -> None:
    assert codes("99 0.5 0.5\ndog 0.5 0.5 0.1 0.1\nnan 0.5 0.5 0.1 0.1") == []


@pytest.mark.parametrize(
    ("text", "hinted"),
    [
        (f"3 {BOX}\n1 0.2 0.2 0.1 0.1", True),
        (f"3 {BOX}\n0 0.2 0.2 0.1 0.1", False),  # there is a class 0
        (f"5 {BOX}\n1 0.2 0.2 0.1 0.1", False),  # more than counting from 1 explains
    ],
)
def test_ids_counted_from_one_are_recognised(text: str, hinted: bool) -> None:
    (finding,) = findings(text, select=["C001"])
    assert "data.yaml names 3 classes, 0 to 2" in finding.message
    # What a row is told must not depend on the files that happen to be read with it.
    problems = rare(text, 3)
    assert (
        problems.count("class 0 (n0) has no label row; 1 row has class 3: ids may have been counted from 1")
        == hinted
    )
    assert sum("counted from 1" in p for p in problems) == hinted


def survey_of(text: str, nc: int | None) -> Survey:
    spec = TaskSpec("detect", nc, {i: f"n{i}" for i in range(nc or 0)})
    dataset = Dataset("/d", "data.yaml", "/d/data.yaml", [], None, nc, spec.names)
    return surveyed(dataset, spec, [summarise(tables_of([text], spec), spec)])


def rare(text: str, nc: int | None) -> list[str]:
    return [str(p.values["problem"]) for p in rare_class(survey_of(text, nc), Params({"rare_share": 0.02}))]


def test_classes_without_rows_are_named_one_by_one_while_they_are_few() -> None:
    assert rare(f"0 {BOX}\n2 {BOX}", 4) == ["class 1 (n1) has no label row", "class 3 (n3) has no label row"]


def test_many_unused_classes_are_one_finding() -> None:
    (problem,) = rare(f"0 {BOX}", 80)
    assert problem.startswith("79 of 80 classes have no label row: 1 (n1), 2 (n2)")
    assert problem.endswith("and 74 more")


def test_a_class_far_rarer_than_the_median_is_named() -> None:
    text = "\n".join([f"0 {BOX}"] * 100 + [f"1 {BOX}"] * 101 + [f"2 {BOX}"])
    assert rare(text, 3) == ["class 2 (n2) has 1 label row, the median class 100"]
    assert rare(text + f"\n2 {BOX}", 3) == []


def test_nothing_is_said_without_classes_or_rows() -> None:
    assert rare(f"0 {BOX}", None) == []
    assert rare("", 3) == []
