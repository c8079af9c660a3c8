"""Slips in the data.yaml that explain class ids which training does not know, and paths that it does not find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.report import Report

SPLITS = "train: images/train\nval: images/val\n"


def report_of(folder: Path, names: str, most_id: int = 2) -> Report:
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for i in range(3):
            size = (64 + i, 48 + len(split))
            Image.new("RGB", size, (i, len(split), 0)).save(folder / "images" / split / f"{i}.png")
            rows = f"0 .3 .3 .2 .2\n{min(i, most_id)} .6 .6 .3 .{i + 1}\n"
            (folder / "labels" / split / f"{i}.txt").write_text(rows)
    (folder / "data.yaml").write_text(SPLITS + names)
    return scan(folder / "data.yaml", cache=False)


def test_names_that_are_not_indented_explain_unknown_ids(tmp_path: Path) -> None:
    report = report_of(tmp_path, "names:\n  0: cat\n1: dog\n2: bird\n")
    (cause,) = report.causes
    assert cause.id == "names-not-indented"
    assert cause.sentence == "2 names stand at the top level of data.yaml, outside of `names:`."
    assert "Rows with the ids of these names (1, 2): 4 of 12." in cause.evidence
    assert cause.way_out == "Indent lines 5 to 6 of data.yaml like the names above."
    explained = {finding.rule for finding in report.findings if finding.cause == cause.id}
    assert {"C001", "D003"} <= explained


@pytest.mark.parametrize(
    "names", ["names:\n  0: cat\n1: dog\n", "names:\n  0: cat\n5: dog\n", "names: [cat]\n"]
)
def test_ids_that_no_such_name_has_are_not_explained_by_it(tmp_path: Path, names: str) -> None:
    assert "names-not-indented" not in {cause.id for cause in report_of(tmp_path, names).causes}


@pytest.mark.parametrize("names", ["[cat; dog; bird]", "[cat dog bird]", "\n- cat\n  - dog\n  - bird"])
def test_one_name_that_was_meant_as_three(tmp_path: Path, names: str) -> None:
    report = report_of(tmp_path, f"names: {names}\n")
    (cause,) = report.causes
    assert cause.id == "names-without-commas"
    assert "seems to be meant as 3." in cause.sentence
    assert cause.way_out.startswith("Write `names: [cat, dog, bird]` on line ")
    assert all(f.suggestion == cause.way_out for f in report.findings if f.rule == "C001")


@pytest.mark.parametrize(
    ("names", "most_id"), [("[cat; dog]", 2), ("[a cat a dog]", 2), ("[traffic light]", 1), ("[cat]", 2)]
)
def test_one_name_that_is_another_number_of_words_stays_one(tmp_path: Path, names: str, most_id: int) -> None:
    report = report_of(tmp_path, f"names: {names}\n", most_id)
    assert "names-without-commas" not in {cause.id for cause in report.causes}


def test_backslashes_in_double_quotes_explain_lost_paths(tmp_path: Path) -> None:
    report_of(tmp_path, "names: [a, b, c]\n")
    (tmp_path / "data.yaml").write_text('train: "images\\train"\nval: "images\\val"\nnames: [a, b, c]\n')
    report = scan(tmp_path / "data.yaml", cache=False)
    (cause,) = report.causes
    assert cause.id == "codes-in-paths"
    assert "YAML reads \\t and \\v in the double quotes of `train:` and `val:`" in cause.sentence
    assert cause.way_out == "Write / for each backslash on lines 1 to 2 of data.yaml."
    assert {f.cause for f in report.findings if f.rule in ("D001", "D002")} == {cause.id}
