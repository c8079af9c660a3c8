"""Text for people: causes that a terminal shows at a glance, and findings with their rows, by file, or a line each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from report_samples import LEAK, PERCENT, caused, finding, report

from sanitizer import scan
from sanitizer.findings.report import Training
from sanitizer.reports.formats import render
from sanitizer.reports.text.render import Layout, Style
from sanitizer.reports.text.render import render as render_text
from sanitizer.reports.text.rows import SHOWN_CHARACTERS, marked

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.report import Report


def lines_of(r: Report, **style: object) -> list[str]:
    return render_text(r, replace(Style(summary=False), **style)).splitlines()  # type: ignore[arg-type]


# --- causes


@pytest.mark.parametrize("width", [60, 80, 120])
def test_causes_fit_the_terminal(width: int) -> None:
    told = lines_of(caused(), width=width)
    told = told[: told.index("images/train/e.jpg: D006 no label file")]
    assert max(map(len, told)) <= width
    assert " ".join(" ".join(told).split()).count("Divided by 100, every box lies inside its image.") == 1


def test_a_cause_takes_six_lines_of_a_common_terminal() -> None:
    told = lines_of(caused(), width=100)
    assert told.index("") == 1
    assert told.index("", 2) - 2 <= 6


def test_a_cause_shows_some_of_its_evidence_and_full_all_of_it() -> None:
    last = PERCENT.evidence[-1]
    assert last not in render(caused(), "text") and "(and 1 more: --format full)" in render(caused(), "text")
    assert last in render(caused(), "full") and "1 more" not in render(caused(), "full")


def test_single_files_are_reported_line_by_line_even_where_a_cause_is_known() -> None:
    files = replace(caused(), files_only=True)
    assert render(files, "text") == render(files, "concise")
    assert "percent-coordinates" not in render(files, "full") + render(files, "grouped")
    assert render(files, "github").count("\n") == len(files.findings)


@pytest.mark.parametrize("format_name", ["text", "github", "gitlab"])
def test_a_finding_of_a_cause_that_the_report_does_not_tell_is_told_by_itself(format_name: str) -> None:
    written = render(replace(caused(), causes=(PERCENT,)), format_name)
    assert "byte for byte the same image" in written
    assert "x is 12, written in percent" not in written


def test_no_colour_is_written_unless_asked_for() -> None:
    layouts: tuple[Layout, ...] = ("text", "full", "grouped", "concise")
    for layout in layouts:
        assert "\x1b" not in render_text(caused(), Style(layout=layout))
        plain = render_text(caused(), Style(layout=layout, colour=True))
        assert "\x1b[" in plain


# --- the next step


def test_the_next_step_is_the_cause_that_frees_most_images() -> None:
    assert render(caused(), "text").splitlines()[-1] == (
        "Next: Coordinates are percent. `sanitize fix --unsafe data.yaml` divides them by 100. "
        "This frees 2 images for training."
    )


def test_a_cause_that_frees_no_image_waits_behind_a_graver_finding_without_cause() -> None:
    copy = finding("I006", "a copy", image="a.jpg", cause=LEAK.id)
    grave = finding("C001", "class 7", "labels/b.txt", 1)
    assert "Next: C001" in render(report([copy, grave], causes=(LEAK,)), "text")
    assert "Next: Copies in two splits" in render(report([copy], causes=(LEAK,)), "text")


def test_the_next_step_is_the_cause_that_keeps_training_from_starting() -> None:
    stops = Training(False, "ValueError: no", "Ultralytics 8.4.190", ("I006",))
    assert "\nNext: Copies in two splits" in render(replace(caused(), training=stops), "text")
    by_no_cause = replace(stops, because=("D006",))
    assert "\nNext: D006" in render(replace(caused(), training=by_no_cause), "text")


def test_the_verdict_comes_first_where_training_would_not_start() -> None:
    stops = Training(False, "ValueError: no", "Ultralytics 8.4.190")
    for layout in ("text", "full", "grouped"):
        lead = "Training would not start (Ultralytics 8.4.190): ValueError: no\n"
        assert render(replace(caused(), training=stops), layout).startswith(lead)
        assert render(replace(caused(), training=stops, causes=()), layout).startswith(lead)
    assert render(replace(caused(), training=stops), "concise").startswith("images/train/e.jpg: D006")


# --- rows with carets


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Rows with a bad class, a word for a number behind a tab, and a row that is wrong as a whole."""
    root = tmp_path_factory.mktemp("rows")
    (root / "labels").mkdir()
    rows = "0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n0\t0.5 boat 0.2 0.2\n0 0.5 0.5 0.9 0.001\n"
    (root / "labels" / "a.txt").write_text(rows, "utf-8")
    (root / "data.yaml").write_text("train: images\nnames: [ship]\n", "utf-8")
    return scan(str(root / "labels" / "a.txt"), cache=False)


def test_full_shows_the_row_with_carets_under_the_bad_token(scanned: Report) -> None:
    told = lines_of(scanned, layout="full")
    at = next(i for i, line in enumerate(told) if ":3:7: L003" in line)
    assert told[at + 1 : at + 3] == ["    3 | 0 0.5 boat 0.2 0.2", "      |       ^^^^"]
    at = next(i for i, line in enumerate(told) if " C001 " in line)
    assert told[at + 1] == "    2 | 7 0.5 0.5 0.2 0.2"
    assert told[at + 3].startswith("      = ")


def test_concise_has_the_same_lines_without_rows(scanned: Report) -> None:
    assert len(lines_of(scanned, layout="concise")) == len(scanned.findings)


def test_grouped_names_a_file_once(scanned: Report) -> None:
    text = "\n".join(lines_of(scanned, layout="grouped"))
    assert text.count("labels/a.txt") == 1
    assert "\n  3:7      L003 " in text


def test_full_leaves_out_rows_of_a_dataset_that_is_elsewhere(tmp_path: Path) -> None:
    r = report([finding("C001", "m", "labels/a.txt", 3)], root=str(tmp_path / "gone"))
    assert lines_of(r, layout="full") == ["labels/a.txt:3:1: C001 m"]


@pytest.mark.parametrize(
    ("row", "column", "carets"),
    [
        (b"7 0.5 0.5", 1, "^"),
        (b"0 0.5 boat", 7, "      ^^^^"),
        (b"0 0.5", None, "^^^^^"),
        ("船 0.5".encode(), 1, "^^"),
        (b"a\x1b[0m 0.5", 1, "^" * len("a\\x1b[0m")),
        (b"0 0.5", 99, "^"),
        (b"", 1, "^"),
    ],
)
def test_carets_stand_under_the_token(row: bytes, column: int | None, carets: str) -> None:
    assert marked(row, column)[1] == carets


@pytest.mark.parametrize("column", [1, 3001, 6001])
def test_a_long_row_is_shown_around_its_token(column: int) -> None:
    row = b"0.25 " * 1200 + b"boat"
    shown, carets = marked(row, column)
    assert len(shown) <= SHOWN_CHARACTERS + 2
    token = "boat" if column == 6001 else "0.25"
    assert shown[carets.index("^") : carets.index("^") + 4] == token
