"""What a finding is about, of which kind it is and how many rows it counts: said by fields, not by words or codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from example_files import build

from sanitizer.config import Config
from sanitizer.findings.finding import MAX_PER_FILE
from sanitizer.reports.formats import render
from sanitizer.reports.saved import parse_report
from sanitizer.rules.language.pack import load_rules
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

LABEL, IMAGE = "labels/train/example.txt", "images/train/example.jpg"
PACK = """\
- {code: IMG1, name: a, scope: row, severity: warning, when: w > 0, message: "m"}
- {code: I1, name: b, scope: file, severity: warning, when: n_rows > 0, message: "m"}
- {code: X1, name: c, scope: file, about: image, severity: warning, when: n_rows > 0, message: "m"}
"""


def scanned(folder: Path, pack: str = PACK, rows: str = "0 0.5 0.5 0.4 0.3", **more: object) -> Report:
    build({"rows": rows, **more}, folder / "set")
    (folder / "own.yaml").write_text(pack)
    return scan(str(folder / "set"), config=Config(packs=(str(folder / "own.yaml"),)), cache=False)


def of_rule(report: Report, code: str) -> list[Finding]:
    return [f for f in report.findings if f.rule == code and f.split == "train"]


@pytest.mark.parametrize(
    ("code", "about", "opened"), [("IMG1", "row", LABEL), ("I1", "file", LABEL), ("X1", "image", IMAGE)]
)
def test_what_a_rule_is_about_says_which_file_to_open(
    tmp_path: Path, code: str, about: str, opened: str
) -> None:
    (found,) = of_rule(scanned(tmp_path), code)
    assert (found.about, found.file) == (about, opened)


def test_the_last_finding_of_a_file_says_how_many_rows_it_counts(tmp_path: Path) -> None:
    found = of_rule(scanned(tmp_path, rows="\n".join(["0 0.5 0.5 0.4 0.3"] * (MAX_PER_FILE + 7))), "IMG1")
    assert [f.n_more for f in found] == [*[None] * MAX_PER_FILE, 7]


def test_faulty_rows_that_are_only_counted_are_counted_in_a_field(tmp_path: Path) -> None:
    found = of_rule(scanned(tmp_path, rows="\n".join(["0 0.5 0.5"] * (MAX_PER_FILE + 2))), "L002")
    assert [f.n_more for f in found] == [*[None] * MAX_PER_FILE, 2]


def test_the_fields_are_in_the_json_report_and_survive_being_saved(tmp_path: Path) -> None:
    report = scanned(tmp_path, rows="\n".join(["0 0.5 0.5 0.4 0.3"] * (MAX_PER_FILE + 1)), label=None)
    text = render(report, "json")
    records = json.loads(text)["findings"]
    assert {(r["rule"], r["about"]) for r in records} >= {("IMG1", "row"), ("X1", "image")}
    read_back = parse_report(text)
    fields = [(f.fingerprint, f.about, f.kind, f.n_more) for f in report.findings]
    assert [(f.fingerprint, f.about, f.kind, f.n_more) for f in read_back.findings] == fields


def test_a_report_saved_without_the_fields_gets_them_from_the_rules(tmp_path: Path) -> None:
    build({"bytes": ""}, tmp_path / "set")
    content = json.loads(render(scan(str(tmp_path / "set"), cache=False), "json"))
    for record in content["findings"]:
        for name in ("about", "kind", "n_more"):
            del record[name]
    (empty,) = of_rule(parse_report(json.dumps(content)), "L007")
    assert (empty.about, empty.kind, empty.n_more) == ("file", "background", None)


@pytest.mark.parametrize(("split", "kind"), [("val", "leak"), ("train", None)])
def test_copies_in_two_splits_are_a_leak(tmp_path: Path, split: str, kind: str | None) -> None:
    files = {f"images/{split}/again.jpg": {"copy": IMAGE}, f"labels/{split}/again.txt": "0 0.5 0.5 0.4 0.3\n"}
    found = [f for f in scanned(tmp_path, files=files).findings if f.rule == "D009"]
    assert [f.kind for f in found] == [kind]


def test_a_pointer_in_place_of_an_image_is_about_the_image(tmp_path: Path) -> None:
    (found,) = of_rule(scanned(tmp_path, image="640x480 lfs"), "L008")
    assert (found.about, found.file) == ("image", IMAGE)


def test_built_in_rules_are_about_what_their_letter_stands_for() -> None:
    areas = {"I": {"image"}, "D": {"dataset"}, "T": {"recipe"}, "G": {"gradient"}}
    areas |= {"F": {"dataset"}, "M": {"dataset", "file"}}
    for code, rule in load_rules().items():
        assert rule.about in areas.get(code[0], {"row", "file"}), code
