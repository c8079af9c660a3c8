"""`sanitize report`: a saved report comes back as it was, and whatever else a file holds gets one sentence."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from annotation_samples import make
from hypothesis import given
from hypothesis import strategies as st
from report_samples import clean, finding, flawed, report

from sanitizer.cli import main
from sanitizer.findings.finding import Finding, Severity
from sanitizer.findings.report import Report, SplitCounts, Summary
from sanitizer.reports.formats import render, write
from sanitizer.reports.saved import SavedReportError, parse_report

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNT = st.integers(0, 2**40)
WHOLE = st.none() | st.integers(-(2**40), 2**40)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)

FINDINGS = st.builds(
    Finding,
    rule=TEXT,
    name=TEXT,
    severity=st.sampled_from(Severity),
    message=TEXT,
    split=st.none() | TEXT,
    image=st.none() | TEXT,
    label=st.none() | TEXT,
    line=WHOLE,
    column=WHOLE,
    class_id=WHOLE,
    class_name=st.none() | TEXT,
    x_center=NUMBER,
    y_center=NUMBER,
    width=NUMBER,
    height=NUMBER,
    value=NUMBER,
    threshold=NUMBER,
    suggestion=st.none() | TEXT,
    fix=st.sampled_from([None, "safe", "unsafe"]),
    file=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    fingerprint=TEXT,
)
REPORTS = st.builds(
    Report,
    data=TEXT,
    root=TEXT,
    task=st.sampled_from(["detect", "segment", "pose", "obb"]),
    summary=st.builds(
        Summary, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT,
        splits=st.lists(st.builds(SplitCounts, TEXT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT), max_size=2).map(tuple),
        elapsed_s=st.floats(0, 1e6),
    ),
    findings=st.lists(FINDINGS, max_size=4),
    suppressed=COUNT,
    notes=st.lists(TEXT, max_size=2).map(tuple),
    class_counts=st.dictionaries(st.integers(-5, 99), COUNT, max_size=3),
    names=st.dictionaries(st.integers(-5, 99), TEXT, max_size=3),
    kpt_shape=st.sampled_from([(0, 0), (17, 3), (4, 2)]),
    files_only=st.booleans(),
    dropped=st.frozensets(TEXT, max_size=3),
    unread=COUNT,
)  # fmt: skip


@given(REPORTS)
def test_a_report_comes_back_as_it_was(original: Report) -> None:
    text = render(original, "json")
    again = parse_report(text)
    assert again == original
    assert render(again, "json") == text


@pytest.mark.parametrize("original", [flawed(), clean()])
def test_a_report_with_names_that_are_no_text_writes_the_same_again(original: Report) -> None:
    text = render(original, "json")
    assert render(parse_report(text.encode()), "json") == text


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)))  # fmt: skip
def test_other_json_is_refused(content: Any) -> None:
    with pytest.raises(SavedReportError):
        parse_report(json.dumps(content))


GOOD: dict[str, Any] = json.loads(render(flawed(), "json"))
PATHS = [
    (key, *rest)
    for key, value in GOOD.items()
    for rest in ([()] if not isinstance(value, dict) else [(), *((inner,) for inner in value)])
] + [("findings", 0, column) for column in GOOD["findings"][0]]


@given(
    st.sampled_from(PATHS),
    st.sampled_from([None, True, -1, 1.5, 10**400, "x", [], {}, [None], {"x": 1}, float("inf")]),
)
def test_any_value_put_anywhere_is_read_or_refused_in_a_sentence(path: tuple[Any, ...], value: Any) -> None:
    content = json.loads(json.dumps(GOOD))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    limit = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)
        text = json.dumps(content).replace("Infinity", "1e400")
    finally:
        sys.set_int_max_str_digits(limit)
    try:
        render(parse_report(text), "json")
    except SavedReportError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 300


@given(st.integers(0, len(render(flawed(), "json")) - 3))
def test_a_report_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(SavedReportError, match="no valid JSON, or it is cut off"):
        parse_report(render(flawed(), "json")[:length])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no valid JSON"),
        (b"\xff\xfe{", "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b'{"schema": 1, "summary": {"images": NaN}, "findings": []}', "NaN is not JSON"),
        (b'{"a": 1}', "no report of sanitize"),
        (b'{"schema": 1, "findings": {}}', "no report of sanitize"),  # a baseline
        (b'{"schema": 2, "summary": {}, "findings": []}', "a report of schema 2, this version reads 1"),
    ],
)
def test_what_is_wrong_with_a_file(
    content: bytes, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(content)
    assert main(["report", str(path), "--csv", str(tmp_path / "f.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sanitize report: {path}: ")
    assert problem in line
    assert not (tmp_path / "f.csv").exists()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A saved report on a small dataset beside it."""
    path = tmp_path / "findings.json"
    path.write_text(render(make(tmp_path / "set", "detect"), "json"), encoding="utf-8")
    return path


def test_the_sheet_is_the_one_that_a_scan_writes(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(saved), "--csv", str(tmp_path / "f.csv")]) == 0
    assert (tmp_path / "f.csv").read_bytes() == render(parse_report(saved.read_bytes()), "csv").encode()
    assert capsys.readouterr() == ("", f"{tmp_path / 'f.csv'}: 6 findings\n")


def test_files_for_annotation_tools_are_written_and_said(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set/images/a & <b>.png").write_bytes(b"no picture")
    tasks, archive = str(tmp_path / "t.json"), str(tmp_path / "c.zip")
    assert main(["report", str(saved), "--label-studio", tasks, "--cvat", archive]) == 0
    said = capsys.readouterr().err
    assert said.count("left out: images/a & <b>.png: ") == 2
    assert f"{tasks}: 2 images (and {tmp_path / 't.xml'})\n" in said
    assert f"{archive}: 2 images (and {tmp_path / 'c.labels.json'})\n" in said
    assert f"LOCAL_FILES_DOCUMENT_ROOT={tmp_path}" in said
    assert main(["report", str(saved), "--label-studio", tasks, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_dataset_that_was_moved_is_named(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").rename(tmp_path / "moved")
    archive = str(tmp_path / "c.zip")
    assert main(["report", str(saved), "--cvat", archive]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == f"sanitize report: the dataset's folder {tmp_path / 'set'} is not there: name it with --root\n"
    )
    assert main(["report", str(saved), "--cvat", archive, "--root", str(tmp_path)]) == 2
    assert "none of the 3 images with findings can be read below" in capsys.readouterr().err
    assert main(["report", str(saved), "--cvat", archive, "--root", str(tmp_path / "moved")]) == 0


def test_findings_about_no_image_are_counted(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = parse_report(saved.read_bytes())
    both = replace(original, findings=[*original.findings, finding("C003", "class 2 is never used")])
    saved.write_text(render(both, "json"), encoding="utf-8")
    assert main(["report", str(saved), "--cvat", str(tmp_path / "c.xml")]) == 0
    assert "1 finding about no image: in the other reports alone" in capsys.readouterr().err
    alone = report([finding("C003", "class 2 is never used")], root=str(tmp_path))
    saved.write_text(render(alone, "json"), encoding="utf-8")
    assert main(["report", str(saved), "--cvat", str(tmp_path / "d.xml")]) == 2
    assert "no finding is about an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "nothing to write: give at least one of --html, --csv, --label-studio, --cvat"),
        (["--csv", "f.txt"], "the file is to end in .csv"),
        (["--cvat", "f.rar"], "the file is to end in .zip or .xml"),
        (["--label-studio", "nowhere/t.json"], "there is no folder nowhere"),
        (["--csv", "f.csv", "--images-url", "https://x/"], "--images-url is for --label-studio"),
    ],
)
def test_wrong_usage_is_refused_first(
    options: list[str], sentence: str, saved: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(saved.parent)
    before = sorted(os.listdir())
    assert main(["report", str(saved), *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_the_page_is_the_one_that_a_scan_writes(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(saved), "--html", str(tmp_path / "page")]) == 0
    assert f"{tmp_path / 'page' / 'index.html'}: 6 findings with " in capsys.readouterr().err
    write(parse_report(saved.read_bytes()), str(tmp_path / "x.html"))
    pages = [(tmp_path / name).read_text(encoding="utf-8") for name in ("page/index.html", "x.html")]
    without_runs = [re.sub(r"(crops|x_files)/run-[0-9a-f]+/", "", page) for page in pages]
    assert without_runs[0] == without_runs[1]
    assert os.path.isdir(tmp_path / "x_files")


def test_a_page_needs_no_dataset(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").rename(tmp_path / "moved")
    assert main(["report", str(saved), "--html", str(tmp_path / "page")]) == 0
    assert "the page has no pictures" in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "no.json"
    assert main(["report", str(path), "--csv", str(tmp_path / "f.csv")]) == 2
    assert capsys.readouterr().err == f"sanitize report: {path}: No such file or directory\n"
