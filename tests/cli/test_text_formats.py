"""`--format text`, `full`, `grouped` and `concise` on a dataset whose flaws have one cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from html_pages import dataset

from sanitizer.cli import main

if TYPE_CHECKING:
    from pathlib import Path

ROWS = "0 50 40 20 10\n1 30 60 18 44\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight files of two rows each that are not normalised."""
    folder = tmp_path_factory.mktemp("set")
    yaml = "train: images/train\nval: images/train\nnames: [ship, quay]\n"
    return dataset(folder, {f"i{n}": ROWS.replace("5", str(n + 1)) for n in range(8)}, yaml)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    main(["scan", *arguments, "--no-cache", "--no-progress", "--select", "B011"])
    return capsys.readouterr().out.splitlines()


def test_text_tells_the_cause_in_place_of_its_findings(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, str(data))
    assert "1 cause explains 16 of 16 findings" in told
    assert not any(line.startswith("labels/") for line in told)
    assert any(line.endswith("for training [coordinates-not-normalised]") for line in told)


@pytest.mark.parametrize("layout", ["full", "grouped", "concise"])
def test_each_other_layout_has_every_finding(
    layout: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, str(data), "--format", layout)
    assert sum("B011 " in line and line.endswith("]") for line in told) == (0 if layout == "concise" else 16)
    assert sum(":1: B011 " in line for line in told) == (0 if layout == "grouped" else 16)
    assert sum(line.startswith("      | ^") for line in told) == (16 if layout == "full" else 0)
    assert ("1 cause explains 16 of 16 findings" in told) is (layout != "concise")


def test_quiet_leaves_the_summary_out_and_statistics_the_causes(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not any("Next:" in line for line in said(capsys, str(data), "--quiet"))
    assert not any("cause" in line for line in said(capsys, str(data), "--statistics", "--quiet"))


def test_single_files_are_reported_as_ever(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = str(data.parent / "labels" / "train" / "i3.txt")
    told = said(capsys, label)
    assert sum(":1: B011 " in line for line in told) == 2 and not any("cause" in line for line in told)


def test_findings_put_off_into_a_baseline_leave_no_cause(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = str(tmp_path / "known.json")
    assert not any("cause" in line for line in said(capsys, str(data), "--write-baseline", known))
    assert not any("cause" in line for line in said(capsys, str(data), "--baseline", known))
