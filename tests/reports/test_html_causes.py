"""What the page leads with: causes, the verdict of a preflight; and twins side by side."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from html_pages import data_of, dataset
from report_samples import PERCENT, caused, finding
from report_samples import report as report_of

from sanitizer import scan
from sanitizer.findings.cause import recounted
from sanitizer.reports.formats import render
from sanitizer.reports.html.build import write_page
from sanitizer.reports.saved import parse_report

if TYPE_CHECKING:
    from html_pages import Opener

    from sanitizer.findings.report import Report

FLIGHT = {
    "go": False,
    "model": "yolov8n.yaml",
    "arguments": {"lr0": 0.2},
    "areas": {
        "labels": {"mark": "error", "text": "9 boxes in 3 files"},
        "images": {"mark": "ok", "text": "3 images"},
        "gradients": {"mark": "not looked at", "text": "not probed: switched off"},
    },
    "concerns": [
        {"severity": "error", "what": "lr0=0.2 is over 0.02", "settle": "lr0=0.02", "rules": ["T001"]},
        {
            "severity": "error",
            "what": "3 rows are <b>percent</b>",
            "settle": "divide by 100",
            "rules": ["C001"],
        },
    ],
    "run": ["train on 3 images"],
    "corrected": {"lr0": 0.02},
    "command": "sanitize train data.yaml --model yolov8n.yaml lr0=0.02",
}


def page_of(report: Report, folder: Path) -> Path:
    """The page of a report whose dataset is not there."""
    path = folder / "report.html"
    write_page(replace(report, root=str(folder / "gone")), str(path), str(folder / "report_files"))
    return path


class TestData:
    def test_holds_causes_with_the_worst_severity_of_their_findings(self, tmp_path: Path) -> None:
        data = data_of(page_of(caused(), tmp_path))
        percent, leak = data["causes"]
        assert (percent["id"], percent["severity"], leak["severity"]) == (PERCENT.id, "error", "warning")
        assert percent["evidence"] == list(PERCENT.evidence)
        assert data["findings"]["cause"].count(PERCENT.id) == percent["explains"] == 3

    def test_of_single_files_has_no_causes(self, tmp_path: Path) -> None:
        assert data_of(page_of(replace(caused(), files_only=True), tmp_path))["causes"] == []

    def test_holds_the_verdict_of_a_preflight(self, tmp_path: Path) -> None:
        flight = data_of(page_of(replace(caused(), preflight=FLIGHT), tmp_path))["preflight"]
        assert flight["go"] is False
        assert (flight["what"], flight["counts"]) == ("data.yaml with yolov8n.yaml", "3 errors, 3 warnings")
        assert flight["changed"] == [{"key": "lr0", "from": "0.2", "to": "0.02"}]
        assert [c["command"] for c in flight["concerns"]] == ["lr0=0.02", None]

    @pytest.mark.parametrize(
        "record",
        [
            {},
            {"go": "yes", "areas": [1], "concerns": {"a": 1}, "run": 7, "corrected": "x", "command": None},
            {"go": True, "areas": {"a": 1}, "concerns": [1, {"rules": "C001", "severity": 3}], "run": [{}]},
        ],
    )
    def test_takes_any_verdict_of_a_saved_report(self, record: dict[str, Any], tmp_path: Path) -> None:
        saved = parse_report(render(replace(caused(), preflight=record), "json"))
        flight = data_of(page_of(saved, tmp_path))["preflight"]
        assert flight["go"] is (record.get("go") is True)
        assert all(c["severity"] == "warning" for c in flight["concerns"])

    def test_shows_the_twin_of_a_copy_with_its_boxes(self, tmp_path: Path) -> None:
        rows = {"a": "0 0.5 0.5 0.4 0.4\n", "b": "0 0.2 0.2 0.1 0.1\n"}
        path = dataset(tmp_path / "set", rows)
        folder = tmp_path / "set" / "images" / "train"
        (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes())
        report = scan(str(path), cache=False)
        copies = [f for f in report.findings if f.rule in ("D009", "D010") and f.image]
        assert {(f.image, f.twin) for f in copies} == {("images/train/b.jpg", "images/train/a.jpg")}
        page = tmp_path / "page.html"
        notes = write_page(report, str(page), str(tmp_path / "page_files"))
        twin = data_of(page)["twins"]["images/train/a.jpg"]
        assert twin["others"] == [[60, 30, 80, 40]]
        assert (tmp_path / twin["crop"]).is_file()
        assert notes.crops == len(list((tmp_path / "page_files").rglob("*.jpg")))

    def test_keeps_twins_of_a_saved_report(self) -> None:
        read_back = parse_report(render(caused(), "json"))
        assert [f.twin for f in read_back.findings] == [f.twin for f in caused().findings]
        assert read_back.causes == tuple(caused().causes)


def test_causes_count_what_is_left_of_their_findings() -> None:
    left = [f for f in caused().findings if f.cause == PERCENT.id][1:]
    (percent,) = recounted(caused().causes, left)
    assert (percent.id, percent.explains, percent.files) == (PERCENT.id, 2, 2)


# In a browser


@pytest.mark.browser
@pytest.mark.slow
class TestInABrowser:
    def test_a_cause_is_told_filtered_and_decided_as_a_whole(self, open_page: Opener, tmp_path: Path) -> None:
        report = caused()
        for f in report.findings:
            f.fix = "unsafe" if f.cause == PERCENT.id else None
        page = open_page(page_of(report, tmp_path))
        assert page.locator("#causes-title").inner_text() == "2 causes explain 4 of 6 findings"
        percent = page.locator(f".cause[data-cause='{PERCENT.id}']")
        for text in (PERCENT.sentence, PERCENT.training, *PERCENT.evidence, "frees 2 images"):
            assert text in percent.inner_text()
        percent.get_by_role("button", name="Copy the command").click()
        page.get_by_text("Copied sanitize fix --unsafe data.yaml").wait_for()
        percent.get_by_role("button", name="Show its 3 findings").click()
        assert page.url.endswith(f"#cause={PERCENT.id}")
        assert page.locator("#shown").inner_text() == "3 of 6 findings"
        percent.locator(".choice.fix").click()
        assert percent.locator(".decided").inner_text() == "3 of 3 decided"
        with page.expect_download() as download:
            page.click("#export")
        text = Path(download.value.path()).read_text("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [row["decision"] for row in rows] == ["fix" if r["cause"] == PERCENT.id else "" for r in rows]
        page.keyboard.press("Control+z")
        assert page.locator("#progress-text").inner_text().startswith("0 of ")
        leak = page.locator(".cause").nth(1)
        assert leak.locator(".choice.fix").is_disabled(), "what no fix mends as a whole is fixed nowhere"

    def test_findings_of_a_row_share_a_card_and_its_decision(self, open_page: Opener, tmp_path: Path) -> None:
        row = {"image": "images/a.jpg"}
        shared = [finding(code, code, "labels/a.txt", 1, **row) for code in ("B001", "B007", "C001")]
        of_image = [finding("I006", m, image="images/a.jpg") for m in ("one", "two")]
        page = open_page(page_of(report_of([*shared, *of_image]), tmp_path))
        cards = page.locator("#gallery .card")
        assert cards.count() == 2
        card = cards.filter(has_text="C001")
        assert card.locator("h3").inner_text().startswith("C001"), "the gravest leads"
        assert card.locator(".messages li").count() == 3
        card.locator(".choice.drop").click()
        assert page.locator("#progress-text").inner_text() == "3 of 5"
        card.locator(".open").click()
        assert page.locator("#detail .together li").count() == 3
        page.locator("#detail .together .choice.keep").first.click()
        assert "neither will be done" in page.locator("#detail .conflict").inner_text()

    def test_twins_stand_side_by_side(self, open_page: Opener, tmp_path: Path) -> None:
        path = dataset(tmp_path / "set", {"a": "0 0.5 0.5 0.4 0.4\n", "b": "0 0.2 0.2 0.1 0.1\n"})
        folder = tmp_path / "set" / "images" / "train"
        (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes())
        page_path = tmp_path / "page.html"
        write_page(scan(str(path), cache=False), str(page_path), str(tmp_path / "page_files"))
        page = open_page(page_path, "#rule=D010")
        names = page.locator(".card .twin-name").all_inner_texts()
        assert names == ["b.jpg", "a.jpg"]
        left, right = (stage.bounding_box() for stage in page.locator(".card .twin .stage").all())
        assert left and right and left["x"] + left["width"] <= right["x"]
        page.locator(".card .open").click()
        assert page.locator("#detail .twin .stage").count() == 2
        page.keyboard.press("z")
        assert page.locator("#detail .picture.zoomed").count() == 2

    @pytest.mark.parametrize("width", [360, 1280])
    def test_the_verdict_of_a_preflight_leads(self, open_page: Opener, tmp_path: Path, width: int) -> None:
        report = replace(caused(), preflight=FLIGHT)
        page = open_page(page_of(report, tmp_path), viewport={"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        verdict = page.locator("#preflight-title")
        assert verdict.inner_text() == "NO-GO"
        box = verdict.bounding_box()
        assert box and box["y"] < 200
        assert page.title().startswith("NO-GO")
        assert page.locator(".area").count() == 3
        assert "3 rows are <b>percent</b>" in page.locator(".concerns").inner_text()
        page.locator(".concern").nth(1).get_by_role("button", name="Show 3 findings").click()
        assert page.url.endswith("#rule=C001")
        page.locator(".flight-command .copy").click()
        page.get_by_text(f"Copied {FLIGHT['command']}").wait_for()
