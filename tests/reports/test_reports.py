"""Report formats: what they look like (golden files), and that no name in a dataset can break one."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import jsonschema
import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_samples import ROOT, RULES, clean, finding, flawed, report

from sanitizer.findings.finding import COLUMNS, Finding, Severity
from sanitizer.findings.report import Report, Summary
from sanitizer.reports.common import ReportError
from sanitizer.reports.csv_ import text_of
from sanitizer.reports.formats import FORMATS, format_of, render, write
from sanitizer.reports.text.render import Style
from sanitizer.reports.text.render import render as render_text
from sanitizer.util.escape import encodable, inert, legible

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(autouse=True)
def known_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports look rules up; these tests are about formats, so rules and version stand still."""
    monkeypatch.setattr("sanitizer.rules.language.pack.load_rules", lambda packs=(): RULES)
    monkeypatch.setattr("sanitizer.__version__", "1.2.3")
    monkeypatch.setattr("sanitizer.reports.sarif.__version__", "1.2.3")


def check_golden(name: str, text: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / name
    content = text.encode("utf-8")
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    assert content == path.read_bytes(), f"{name} differs; if that is meant: pytest --update-golden"


@pytest.mark.parametrize("format_name", FORMATS)
def test_golden_file_of_every_format(format_name: str, request: pytest.FixtureRequest) -> None:
    check_golden(f"flawed.{format_name}", render(flawed(), format_name), request)


@pytest.mark.parametrize("format_name", FORMATS)
def test_golden_file_of_a_clean_dataset(format_name: str, request: pytest.FixtureRequest) -> None:
    check_golden(f"clean.{format_name}", render(clean(), format_name), request)


def test_golden_file_of_statistics(request: pytest.FixtureRequest) -> None:
    check_golden("flawed.statistics", render_text(flawed(), Style(statistics=True)), request)


# --- text ---------------------------------------------------------------------------------------------------


def test_text_has_one_line_a_finding_with_place_code_and_message() -> None:
    text = render_text(report([finding("C001", "class 7 is out", "labels/a.txt", 3)]), Style(summary=False))
    assert text == "labels/a.txt:3:1: C001 class 7 is out\n"


def test_text_of_a_clean_dataset_is_one_happy_line() -> None:
    expected = "All good: 364 images, 364 labels, 4,888 boxes; training will use every one (0.21 s).\n"
    assert render(clean(), "text") == expected


def test_text_claims_nothing_good_of_a_dataset_that_has_nothing_in_it() -> None:
    text = render(report([], summary=Summary(0, 0, 0, 0, 0, 0, (), 0.01)), "text")
    assert text == "Nothing was checked: no images and no labels in data.yaml (0.01 s).\n"


@pytest.mark.parametrize(
    ("data", "shown"), [(".", "ships"), ("./", "ships"), ("..", "ships"), ("./a.yaml", "./a.yaml")]
)
def test_text_calls_a_folder_by_its_name_where_dots_stand_for_it(data: str, shown: str) -> None:
    assert f"\n{shown}: 364 images" in render(report([row("B001", "a")], data=data), "text")


def test_text_speaks_of_objects_where_rows_are_no_boxes() -> None:
    text = render(report([row("B001", "a")], task="segment"), "text")
    assert "364 labels, 4,888 objects, task segment, 0.21 s\n" in text


def test_text_does_not_call_a_dataset_good_when_the_rules_that_would_speak_are_off() -> None:
    text = render(report([], summary=flawed().summary), "text")
    assert "All good" not in text
    assert "drop 120 of 567 images (21 %): train 100 of 400, val 20 of 167" in text


def test_text_says_what_the_baseline_hides() -> None:
    assert "Nothing new" in render(report([], suppressed=3), "text")
    assert "3 known findings of the baseline left out" in render(report([], suppressed=3), "text")


def test_text_advises_the_rule_that_costs_training_most() -> None:
    assert (
        render(flawed(), "text").splitlines()[-1]
        == "Next: C001 class-out-of-range. `sanitize rules C001` explains."
    )


def test_text_gives_the_advice_of_the_rule_where_that_of_the_findings_differs() -> None:
    alike = [finding("C001", "m", f"labels/{i}.txt", 1, suggestion="use class 0") for i in range(2)]
    different = [finding("C001", "m", f"labels/{i}.txt", 1, suggestion=f"use class {i}") for i in range(2)]
    assert "C001 class-out-of-range. Use class 0. " in render(report(alike), "text")
    assert "C001 class-out-of-range. Look at the class-out-of-range rows. " in render(
        report(different), "text"
    )


def row(code: str, name: str, line: int = 1) -> Finding:
    return finding(code, f"{name} {line}", f"labels/{name}.txt", line, image=f"images/{name}.jpg")


def orphan_row(code: str) -> Finding:
    return finding(code, "m", "labels/orphan.txt", 1)


def with_dropped(findings: list[Finding], *names: str) -> str:
    dropped = frozenset(f"images/{name}.jpg" for name in names)
    return render(report(findings, summary=flawed().summary, dropped=dropped), "text")


def test_reasons_for_dropping_count_the_dropped_images() -> None:
    rows = [row("C001", name) for name in ("a", "b", "c", "kept")]
    rows += [row("C001", "a", 2), orphan_row("C001")]
    assert "val 20 of 167\n      C001 class-out-of-range (3)\n" in with_dropped(rows, "a", "b", "c")


def test_a_row_that_did_not_cost_its_image_is_learnt_and_no_reason_for_dropping_others() -> None:
    rows = [row("C001", "zero-size"), row("B001", "thin"), row("X1", "lost")]
    text = with_dropped(rows, "lost")
    assert "val 20 of 167\n  • read 88 of 567 images" in text
    assert (
        "learn from 2 doubtful rows\n      B001 extreme-aspect-ratio (1), C001 class-out-of-range (1)\n"
        in text
    )


@pytest.mark.parametrize("lost", [row("B001", "lost"), orphan_row("B001")])
def test_rows_of_dropped_images_and_of_labels_without_image_are_not_learnt(lost: Finding) -> None:
    assert "learn from 1 doubtful row\n" in with_dropped([row("B001", "kept"), lost], "lost")


@pytest.mark.parametrize("lost", [row("B007", "lost"), orphan_row("B007")])
def test_rows_that_training_never_reads_are_not_left_out(lost: Finding) -> None:
    assert "leave out label rows\n      B007 duplicate-row (1)\n" in with_dropped(
        [row("B007", "kept"), lost], "lost"
    )
    assert "leave out label rows" not in with_dropped([lost], "lost")


def test_labels_without_any_image_are_judged_as_if_theirs_stood_elsewhere() -> None:
    labels_alone = Summary(0, 3, 9, 0, 0, 0, (), 0.1)
    text = render(report([orphan_row("B001"), orphan_row("C001")], summary=labels_alone), "text")
    assert "learn from 1 doubtful row\n      B001 extreme-aspect-ratio (1)\n" in text


def long_run(n: int) -> Report:
    return report([finding("B001", f"box {i}", f"labels/{i:04}.txt", 1) for i in range(n)])


@pytest.mark.parametrize(("n", "shorten", "shown"), [(200, True, 200), (201, True, 20), (201, False, 201)])
def test_text_shows_the_first_of_very_many_on_a_terminal_only(n: int, shorten: bool, shown: int) -> None:
    lines = render_text(long_run(n), Style(shorten=shorten, summary=False)).splitlines()
    assert sum(line.startswith("labels/") for line in lines) == shown
    assert [line for line in lines if line.startswith("… and 181 more of B001")] == lines[shown:]


def test_text_has_colours_only_where_asked() -> None:
    assert "\x1b[" in render_text(flawed(), Style(colour=True))
    assert "\x1b" not in render_text(flawed())


def test_text_gives_single_files_as_they_lie_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    r = report([finding("C001", "m", "labels/a.txt", 3)], root=str(tmp_path / "sets" / "x"), files_only=True)
    assert render(r, "text").startswith("sets/x/labels/a.txt:3:1: C001 m\n")


# --- json, csv, parquet -------------------------------------------------------------------------------------


def test_json_never_holds_nan_or_infinity() -> None:
    r = report([finding("B001", "m", "a.txt", 1, value=math.inf, threshold=math.nan, width=-math.inf)])
    for text in (render(r, "json"), render(r, "jsonl").splitlines()[1]):
        assert "NaN" not in text and "Infinity" not in text
        content = json.loads(text)
        record = content["findings"][0] if "findings" in content else content
        assert (record["value"], record["threshold"], record["width"]) == (None, None, None)


def test_json_lines_are_the_json_report_in_pieces() -> None:
    whole = json.loads(render(flawed(), "json"))
    head, *findings = (json.loads(line) for line in render(flawed(), "jsonl").splitlines())
    assert head | {"findings": findings} == whole
    assert tuple(findings[0]) == (*COLUMNS, "file", "about", "kind", "n_more")


def read_csv(r: Report) -> list[dict[str, str]]:
    text = render(r, "csv")
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))


def test_csv_has_the_columns_of_a_finding_and_room_for_a_decision() -> None:
    rows = read_csv(flawed())
    assert tuple(rows[0]) == (*COLUMNS, "decision", "comment")
    assert {(row["decision"], row["comment"]) for row in rows} == {("", "")}
    assert render(flawed(), "csv").count("\r\n") == len(rows) + 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝", "＋", "－", "＠", "'"])
def test_csv_text_that_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    text = f'{start}HYPERLINK("http://x")'
    row = read_csv(report([finding("B001", text, f"{text}.txt", 1, class_name=text)]))[0]
    shown = inert(text)
    assert (row["message"], row["class_name"], row["label"]) == (f"'{shown}", f"'{shown}", f"'{shown}.txt")


def test_csv_numbers_stay_numbers() -> None:
    row = read_csv(report([finding("B001", "m", "a.txt", 1, x_center=-0.5, class_id=-3, value=1e-9)]))[0]
    assert (float(row["x_center"]), int(row["class_id"]), float(row["value"])) == (-0.5, -3, 1e-9)


def test_parquet_holds_typed_columns_and_the_summary(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "f.parquet"
    write(flawed(), str(path))
    table = pq.read_table(path)
    assert tuple(table.column_names) == COLUMNS
    assert (str(table.schema.field("line").type), str(table.schema.field("value").type)) == (
        "int64",
        "double",
    )
    whole = json.loads(render(flawed(), "json"))["findings"]
    assert table.to_pylist() == [{name: f[name] for name in COLUMNS} for f in whole]
    assert json.loads(table.schema.metadata[b"sanitize"])["summary"]["images"] == 567


def test_a_frame_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'sanitize-yolo\[report\]'"):
        report([]).to_frame()


@pytest.mark.parametrize("class_id", [2**63, -(2**63) - 1, int(1e300)])
def test_a_class_id_that_64_bits_cannot_hold_is_missing_in_typed_tables(
    class_id: int, tmp_path: Path
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    r = report(
        [
            finding("C001", "m", "a.txt", 1, class_id=class_id),
            finding("C001", "m", "a.txt", 2, class_id=2**63 - 1),
            finding("C001", "m", "a.txt", 3),
        ]
    )
    frame = r.to_frame()
    assert str(frame["class_id"].dtype) == str(frame["line"].dtype) == "Int64"
    assert [
        None if missing else int(v)
        for v, missing in zip(frame["class_id"], frame["class_id"].isna(), strict=True)
    ] == [
        None,
        2**63 - 1,
        None,
    ]
    assert list(frame.columns) == list(COLUMNS)
    write(r, str(tmp_path / "f.parquet"))
    assert pq.read_table(tmp_path / "f.parquet")["class_id"].to_pylist() == [None, 2**63 - 1, None]
    assert json.loads(render(r, "json"))["findings"][0]["class_id"] == class_id


def test_a_frame_holds_names_that_are_no_utf8() -> None:
    frame = report([finding("I006", "m", image="images/f\udcff.jpg")]).to_frame()
    assert frame["image"].tolist() == ["images/f\\xff.jpg"]


def test_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ReportError, match=r"pip install 'sanitize-yolo\[parquet\]'"):
        format_of("f.parquet")


# --- code hosts ---------------------------------------------------------------------------------------------

# The parts of SARIF 2.1.0 (OASIS, section 3) that this report uses, strict: no other key may appear.
_TEXT = {"type": "object", "required": ["text"], "additionalProperties": False,
         "properties": {"text": {"type": "string", "minLength": 1}, "markdown": {"type": "string"}}}  # fmt: skip
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_PLACE = {
    "type": "object", "required": ["artifactLocation"], "additionalProperties": False,
    "properties": {
        "artifactLocation": {
            "type": "object", "required": ["uri"], "additionalProperties": False,
            "properties": {
                "uri": {"type": "string", "pattern": r"^[A-Za-z0-9._~%/\-]+$"}, "uriBaseId": {"type": "string"},
            },
        },
        "region": {
            "type": "object", "required": ["startLine"], "additionalProperties": False,
            "properties": {k: {"type": "integer", "minimum": 1} for k in ("startLine", "startColumn")},
        },
    },
}  # fmt: skip
SARIF = {
    "type": "object", "required": ["version", "runs"], "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"}, "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["tool", "results"], "additionalProperties": False,
            "properties": {
                "tool": {"type": "object", "required": ["driver"], "properties": {"driver": {
                    "type": "object", "required": ["name"], "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string"}, "semanticVersion": {"type": "string"},
                        "rules": {"type": "array", "uniqueItems": True, "items": {
                            "type": "object", "required": ["id"], "additionalProperties": False,
                            "properties": {
                                "id": {"type": "string"}, "name": {"type": "string"}, "shortDescription": _TEXT,
                                "fullDescription": _TEXT, "help": _TEXT,
                                "defaultConfiguration": {"properties": {"level": _LEVEL}},
                            },
                        }},
                    },
                }}},
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "originalUriBaseIds": {"additionalProperties": {"properties": {"uri": {"pattern": "^file:///.*/$"}}}},
                "results": {"type": "array", "items": {
                    "type": "object", "required": ["message"], "additionalProperties": False,
                    "properties": {
                        "ruleId": {"type": "string"}, "ruleIndex": {"type": "integer", "minimum": 0},
                        "level": _LEVEL, "message": _TEXT,
                        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                        "locations": {"type": "array", "items": {
                            "type": "object", "additionalProperties": False, "properties": {"physicalLocation": _PLACE},
                        }},
                    },
                }},
            },
        }},
    },
}  # fmt: skip


@pytest.mark.parametrize("r", [flawed(), clean()], ids=["flawed", "clean"])
def test_sarif_is_valid_and_its_results_point_to_their_rule(r: Report) -> None:
    log = json.loads(render(r, "sarif"))
    jsonschema.validate(log, SARIF)
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [f.rule for f in r.findings]


def test_sarif_keeps_bytes_of_a_name_that_is_no_utf8() -> None:
    log = json.loads(render(report([finding("I006", "m", image="images/f\udcff x.jpg")]), "sarif"))
    uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote_to_bytes(uri) == b"images/f\xff x.jpg"


@pytest.mark.parametrize(
    ("root", "uri"),
    [
        ("/data/ships", "file:///data/ships/"),
        ("/", "file:///"),
        ("/a b/%/ü", "file:///a%20b/%25/%C3%BC/"),
        ("set.zip", "file://{cwd}/set.zip/"),
        ("zip://in ner/ships::set.zip", "file://{cwd}/set.zip/in%20ner/ships/"),
        ("zip://ships::https://example.org:8000/set.zip", "https://example.org:8000/set.zip/ships/"),
        ("s3://bucket/sets/my ships", "s3://bucket/sets/my%20ships/"),
        ("https://example.org:8000/ships", "https://example.org:8000/ships/"),
    ],
)
def test_sarif_names_the_root_by_a_uri_that_leads_there(root: str, uri: str) -> None:
    log = json.loads(render(report([finding("C001", "m", "labels/a.txt", 3)], root=root), "sarif"))
    base = log["runs"][0]["originalUriBaseIds"]["DATASET"]["uri"]
    assert base == uri.format(cwd=quote(os.getcwd()))


def test_code_hosts_get_paths_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    r = report([finding("C001", "m", "labels/a.txt", 3)], root=str(tmp_path / "sets" / "x"))
    run = json.loads(render(r, "sarif"))["runs"][0]
    place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "sets/x/labels/a.txt"}
    assert "originalUriBaseIds" not in run
    assert json.loads(render(r, "gitlab"))[0]["location"]["path"] == "sets/x/labels/a.txt"
    assert render(r, "github").startswith("::error file=sets/x/labels/a.txt,line=3,col=1,title=C001")


def test_code_hosts_get_paths_from_the_dataset_root_where_that_is_elsewhere() -> None:
    assert not os.getcwd().startswith(ROOT)
    assert json.loads(render(flawed(), "gitlab"))[0]["location"]["path"] == "data.yaml"


@pytest.mark.parametrize(
    ("fail_on", "failures"),
    [(Severity.ERROR, 1), (Severity.WARNING, 6), (Severity.INFO, 7), (None, 0)],
)
def test_junit_fails_the_files_that_the_exit_status_is_about(fail_on: Severity | None, failures: int) -> None:
    suites = ElementTree.fromstring(render(flawed(), "junit", fail_on))
    assert (suites.get("tests"), suites.get("failures")) == ("7", str(failures))
    assert len(suites.findall(".//failure")) == failures


# --- any text -----------------------------------------------------------------------------------------------

# What a file system, a label file or a data.yaml may hold: any character, lone surrogates included.
any_text = st.text(st.characters(exclude_characters="\x00"), min_size=1, max_size=12) | st.sampled_from(
    [
        "\udcff",
        "\ud800",
        "\r\n::error::x",
        "%0A",
        "]]>",
        "</failure>",
        "\x1b[31m",
        "\u2028",
        "\x85",
        '"',
        "a:b,c",
        "-->",
    ]
)


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=any_text, message=any_text, path=any_text)
def test_no_text_breaks_a_format(name: str, message: str, path: str) -> None:
    r = report(
        [finding("B001", message, path, 1, class_name=name), finding("C001", message, path, 2)], data=path
    )
    rendered = {f: render(r, f).encode("utf-8").decode("utf-8") for f in FORMATS}

    records = json.loads(rendered["json"])["findings"]
    assert [record["message"] for record in records] == [encodable(message)] * 2
    assert {record["class_name"] for record in records} == {encodable(name), None}
    assert [json.loads(line) for line in rendered["jsonl"].splitlines()][1:] == records

    rows = list(csv.DictReader(io.StringIO(rendered["csv"].removeprefix("\ufeff"), newline=""), strict=True))
    assert len(rows) == len(records)
    for row in rows:
        assert row["message"] in (inert(message), f"'{inert(message)}")
        assert not row["message"].lstrip(" ").startswith(tuple("=+-@\t\r\n＝＋－＠"))
        assert row["decision"] == row["comment"] == ""

    log = json.loads(rendered["sarif"])
    jsonschema.validate(log, SARIF)
    assert len(log["runs"][0]["results"]) == len(json.loads(rendered["gitlab"])) == 2

    cases = ElementTree.fromstring(rendered["junit"]).findall(".//testcase")
    assert [case.get("name") for case in cases] == [legible(path)]

    commands = rendered["github"].splitlines()
    assert len(commands) == 2
    for command in commands:
        head, properties, data = command.split("::", 2)[0], *command.split("::", 2)[1:]
        assert head == ""
        assert properties.startswith(("warning file=", "error file="))
        assert [p.partition("=")[0].split()[-1] for p in properties.split(",")] == [
            "file",
            "line",
            "col",
            "title",
        ]
        assert data == legible(message).replace("%", "%25")

    lines = rendered["text"].splitlines()
    assert all(line.isprintable() for line in lines)
    assert len([line for line in lines if f": {legible(message)}" in line or legible(message) in line]) >= 2


HOSTILE = {
    "escape": "\x1b]0;owned\x07\x1b[2J",
    "right-to-left override": "a\u202egpj.exe",
    "isolate": "a\u2066b\u2069",
    "C1": "a\x9b31mb\x85",
    "line breaks": "a\r\nb\rc\nd\u2028e\u2029",
    "NUL": "a\x00b",
    "DEL": "a\x7fb",
    "surrogates": "a\ud800b\udcff",
}
_ACTED_UPON = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("format_name", FORMATS)
def test_no_format_shows_a_terminal_anything_that_it_acts_upon(format_name: str, text: str) -> None:
    hostile = finding(
        "X1",
        text,
        f"labels/{text}.txt",
        1,
        image=f"images/{text}.jpg",
        class_name=text,
        name=text,
        suggestion=text,
        split=text,
        rule=text,
    )
    r = report([hostile], data=text, names={0: text}, notes=(text,), dropped=frozenset({text}))
    r.findings[0].fingerprint = text
    written = render(r, format_name)
    if format_name == "csv":  # RFC 4180 ends its lines so
        assert written.count("\r\n") == 2
        written = written.replace("\r\n", "\n")
    assert _ACTED_UPON.findall(written) == []
    written.encode("utf-8")
    lines = {"csv": 2, "jsonl": 2, "github": 1}
    assert len(written.split("\n")) - 1 == lines.get(format_name, len(written.split("\n")) - 1)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_means_the_same_whatever_is_escaped(text: str) -> None:
    r = report([finding("C001", text, "labels/a.txt", 1)])
    for record in (
        json.loads(render(r, "json"))["findings"][0],
        json.loads(render(r, "jsonl").splitlines()[1]),
    ):
        assert record["message"] == encodable(text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_table_of_statistics_holds_nothing_that_a_terminal_acts_upon(text: str) -> None:
    r = report([finding("X1", text, text, 1, name=text, rule=text)], names={0: text})
    written = render_text(r, Style(statistics=True))
    assert _ACTED_UPON.findall(written) == []


@pytest.mark.parametrize(
    "fingerprint", ["=1+1", "@x", "-2", "+3", "\t=1", "'x", "12e34", "00012", "plain", "=a\x1b"]
)
def test_a_fingerprint_is_guarded_as_every_other_cell_and_comes_back(fingerprint: str) -> None:
    r = report([finding("C001", "m", "a.txt", 1)])
    r.findings[0].fingerprint = fingerprint
    cell = read_csv(r)[0]["fingerprint"]
    assert not cell.lstrip(" ").startswith(tuple("=+-@\t\r\n"))
    assert text_of(cell) == inert(fingerprint)


@given(any_text)
def test_legible_text_is_one_printable_line_and_leaves_plain_text_alone(text: str) -> None:
    assert legible(text).isprintable()
    assert legible(text) == text or not text.isprintable()
    encodable(text).encode("utf-8")
