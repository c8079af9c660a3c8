"""The page of a report with a gradient probe: what it is given, and its section in a real browser."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from html_pages import data_of, dataset
from report_samples import finding

from sanitizer.findings.finding import fingerprinted
from sanitizer.probe.tables import probe_record as probe_record_of
from sanitizer.reports import saved
from sanitizer.reports.html import probe
from sanitizer.reports.html.build import PageNotes, write_page
from sanitizer.reports.html.probe import carrying, spike_limit
from sanitizer.reports.html.probe_record import Line, images_of, steps_of
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from pathlib import Path

    from html_pages import Opener
    from playwright.sync_api import Locator, Page

    from sanitizer.findings.report import Report

HOSTILE = "</script><img src=x onerror=alert(1)>"
STEMS = ["a b", "b", "c", "d", "e", "f", "<b>g", "h"]
ROWS = "0 0.25 0.5 0.2 0.4\n\n1 0.75 0.5 0.1 0.2\n"
SPIKE_STEP = 7


def path_of(stem: str, kind: str = "images", ending: str = "jpg") -> str:
    return f"{kind}/train/{stem}.{ending}"


def image_record(stem: str, score: float, **more: Any) -> dict[str, Any]:
    record = {
        "image": path_of(stem), "label": path_of(stem, "labels", "txt"), "boxes": 2, "box_loss": 1.5, "cls_loss": 2.5,
        "dfl_loss": 1.0, "grad_norm": 100.0 + score, "norm_z": 0.5, "batch": 0, "share": 0.2, "background_share": 0.1,
        "background_x": 0.5, "background_y": 0.75, "score_probe": score, "score_combined": score, "reasons": "",
        "not_finite": "",
        "lines": [
            {"line": 1, "score": 5.0, "share": 0.01, "weight": 2.0},
            {"line": 3, "score": 0.5, "share": 0.09, "weight": 2.0},
        ],
    }  # fmt: skip
    return record | more


def probe_record() -> dict[str, Any]:
    """Eight images, two of them spikes; twelve steps of two images, one a spike and one not finite."""
    images = [image_record(stem, 20.0 - i) for i, stem in enumerate(STEMS)]
    images[0]["reasons"] = "scan: B001, Z9; the model does not stand behind line 1 (5.0 z)"
    images[1] |= {
        "lines": [],
        "boxes": 0,
        "reasons": "objects without label that the model is sure of (4.1 z)",
    }
    images[2] |= {"norm_z": 6.25, "grad_norm": 9000.0, "reasons": f"{HOSTILE} (3.0 z)"}
    images[7] |= {
        "not_finite": "loss",
        "grad_norm": None,
        "norm_z": None,
        "share": None,
        "score_combined": 0.0,
    }
    steps = [
        {
            "step": n, "loss": 3.0, "grad_norm": 20.0 + n % 5, "clip_coefficient": 0.5, "lr": 0.001, "skipped": 0,
            "images": [path_of(STEMS[n % 8]), path_of(STEMS[(n + 3) % 8])],
        }
        for n in range(12)
    ]  # fmt: skip
    steps[SPIKE_STEP] |= {"grad_norm": 900.0, "images": [path_of("c"), path_of("b"), path_of("not measured")]}
    steps[9] |= {"grad_norm": None, "loss": None, "skipped": 1, "clip_coefficient": 0.0}
    return {"imgsz": 320, "steps": steps, "images": images}


def probed(folder: Path) -> Report:
    """A report of a generated dataset: findings as a probe gives them, and its record."""
    path = dataset(folder, {**dict.fromkeys(STEMS, ROWS), "b": "", "not measured": ROWS}, size=(320, 240))
    label = path_of("c", "labels", "txt")
    about = {"image": path_of("c"), "split": "train"}
    row = {"class_id": 0, "x_center": 0.25, "y_center": 0.5, "width": 0.2, "height": 0.4}
    place = {"class_id": 1, "x_center": 0.5, "y_center": 0.25, "width": 0.1, "height": 0.2}
    findings = [
        finding("G001", "gradient norm 9e3", label, None, **about),
        finding("G002", "not a ship", label, 1, **row, **about),
        finding("G005", "a quay, unlabelled", label, None, **place, **about),
        finding("G001", "odd", path_of("a b", "labels", "txt"), None, image=path_of("a b")),
        finding("D003", "names are missing"),
    ]  # fmt: skip
    report = scan(os.fspath(path), cache=False)
    return replace(report, findings=fingerprinted(findings), probe=probe_record())


def made(report: Report, out: Path, **options: Any) -> tuple[dict[str, Any], PageNotes]:
    out.mkdir(exist_ok=True)
    notes = write_page(report, os.fspath(out / "index.html"), os.fspath(out / "crops"), **options)
    return data_of(out / "index.html"), notes


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], PageNotes, Path]:
    out = tmp_path_factory.mktemp("page")
    return *made(probed(tmp_path_factory.mktemp("set")), out), out


class TestData:
    def test_a_report_without_probe_carries_nothing_of_it(self, tmp_path: Path) -> None:
        report = replace(probed(tmp_path / "set"), probe=None)
        data, _ = made(report, tmp_path / "page")
        text = (tmp_path / "page/index.html").read_text("utf-8")
        assert "probe" not in data
        for part in ("pointChart", "function startProbe", ".ranked", "Gradient probe"):
            assert part not in text

    def test_steps_and_spikes(self, page: tuple[dict[str, Any], PageNotes, Path]) -> None:
        shown = page[0]["probe"]
        assert shown["imgsz"] == 320 and shown["z"] == 3.5
        assert [
            s for s, spike in zip(shown["steps"]["step"], shown["steps"]["spike"], strict=True) if spike
        ] == [7, 9]
        assert shown["steps"]["grad_norm"][9] is None and shown["steps"]["skipped"][9] == 1
        in_spike = [shown["names"][i] for i in shown["steps"]["images"][SPIKE_STEP]]
        assert in_spike == [path_of("c"), path_of("b"), path_of("not measured")]

    def test_images_in_the_order_of_their_score(self, page: tuple[dict[str, Any], PageNotes, Path]) -> None:
        shown = page[0]["probe"]
        assert shown["names"] == [path_of(stem) for stem in (*STEMS, "not measured")]
        assert shown["images"]["score"] == [20, 19, 18, 17, 16, 15, 14, 0]
        assert [n for n, spike in enumerate(shown["images"]["spike"]) if spike] == [2, 7]
        assert shown["images"]["line_by_score"][0] == [1, 5.0] and shown["images"]["line_by_share"][0] == [
            3,
            0.09,
        ]
        assert shown["images"]["line_by_score"][1] is None
        assert shown["first"] == [7, 0, 1, 2], "not finite first, then by score, and none without a reason"

    def test_thumbnails_are_whole_images_with_the_lines_that_carry(
        self, page: tuple[dict[str, Any], PageNotes, Path]
    ) -> None:
        data, notes, out = page
        thumbnails = data["probe"]["thumbnails"]
        assert set(map(int, thumbnails)) == set(range(9))
        first = thumbnails["0"]
        assert (first["width"], first["height"]) == (320, 240) and (out / first["crop"]).is_file()
        assert first["shapes"]["1"] == [[48, 72], [112, 72], [112, 168], [48, 168]]
        assert first["shapes"]["3"] == [[224, 96], [256, 96], [256, 144], [224, 144]]
        assert first["others"] == [[48, 72, 64, 96], [224, 96, 32, 48]]
        assert thumbnails["1"]["shapes"] == {} and thumbnails["1"]["others"] == []
        assert thumbnails["8"]["shapes"] == {}, "of an image that was not measured no line is known"
        whole = data["findings"]["crop"][data["findings"]["message"].index("gradient norm 9e3")]
        assert thumbnails["2"]["crop"] == whole, "a finding's picture of the whole image is not made twice"
        assert notes.crops == len(list((out / "crops").rglob("*.jpg")))

    def test_cards_of_its_findings(self, page: tuple[dict[str, Any], PageNotes, Path]) -> None:
        findings = page[0]["findings"]
        image, line, place = (findings["rule"].index(code) for code in ("G001", "G002", "G005"))
        assert (findings["crop_w"][image], findings["crop_h"][image]) == (320, 240)
        assert findings["shape"][image] is None and findings["row"][image] is None
        assert findings["row"][line] == "0 0.25 0.5 0.2 0.4" and findings["about"][line] is None
        left, top, right, bottom = 144, 36, 176, 84  # of the place in the image
        shape = np.array(findings["shape"][place])
        assert np.ptp(shape, axis=0).tolist() == [right - left, bottom - top]
        assert findings["row"][place] is None and findings["about"][place] is None

    def test_a_saved_report_makes_the_same_page(self, tmp_path: Path) -> None:
        report = probed(tmp_path / "set")
        again = saved.parse_report(json.dumps(report.to_dict()))
        pages = [made(r, tmp_path / name)[0]["probe"] for r, name in ((report, "one"), (again, "two"))]
        for shown in pages:
            for thumbnail in shown["thumbnails"].values():
                thumbnail["crop"] = os.path.basename(thumbnail["crop"])
        assert pages[0] == pages[1]

    def test_a_dataset_that_is_gone_leaves_the_numbers(self, tmp_path: Path) -> None:
        report = replace(probed(tmp_path / "set"), root=os.fspath(tmp_path / "gone"))
        shown = made(report, tmp_path / "page")[0]["probe"]
        assert {t["crop"] for t in shown["thumbnails"].values()} == {None}
        assert "cannot be read" in shown["thumbnails"]["0"]["about"]
        assert len(shown["steps"]["step"]) == 12

    def test_workers_make_the_same_thumbnails(self, tmp_path: Path) -> None:
        report = probed(tmp_path / "set")
        alone, shared = (made(report, tmp_path / str(n), jobs=n)[0]["probe"] for n in (1, 2))
        for shown in (alone, shared):
            for thumbnail in shown["thumbnails"].values():
                thumbnail["crop"] = os.path.basename(thumbnail["crop"])
        assert alone == shared


class TestBounds:
    def test_thumbnails_go_to_the_ranked_then_spikes_then_images_of_spiking_steps(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(probe, "MAX_THUMBNAILS", 5)
        monkeypatch.setattr(probe, "MAX_RANKED", 2)
        shown = made(probed(tmp_path / "set"), tmp_path / "page")[0]["probe"]
        assert shown["first"] == [7, 0]
        # c is a spike; b and an image that was not measured were in the spiking step with it.
        assert [shown["names"][int(n)] for n in shown["thumbnails"]] == [
            path_of(stem) for stem in ("h", "a b", "c", "b", "not measured")
        ]

    def test_more_than_a_page_holds_is_thinned_but_for_spikes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(probe, "MAX_STEPS", 5)
        monkeypatch.setattr(probe, "MAX_IMAGES", 3)
        data, notes = made(probed(tmp_path / "set"), tmp_path / "page")
        assert data["probe"]["steps"]["step"] == [0, 4, 7, 9, 11]
        assert data["probe"]["names"][:3] == [path_of("a b"), path_of("c"), path_of("h")]
        assert len(notes.notes) == 2 and set(notes.notes) <= set(data["notes"])


class TestSpikeLimit:
    def test_is_robust(self) -> None:
        norms = [float(n) for n in np.geomspace(10, 20, 50)]
        assert spike_limit([*norms, 1e9, None, 1e12]) == pytest.approx(spike_limit(norms), rel=0.1)

    def test_is_the_median_and_deviations_of_logarithms(self) -> None:
        # log2: 0 1 2 3 4; median 2, median deviation 1.
        assert spike_limit([1, 2, 4, 8, 16]) == pytest.approx(4 * 2 ** (3.5 * 1.4826), rel=1e-4)

    @pytest.mark.parametrize("norms", [[], [5.0], [5.0, 7.0], [3.0, 3.0, 3.0, 9.0], [0.0, None, -1.0, 2.0]])
    def test_is_not_given_where_little_is_known(self, norms: list[float | None]) -> None:
        assert spike_limit(norms) is None


def test_a_steps_images_keep_the_blanks_in_their_names() -> None:
    names = ("images/train/a b.jpg", "images/train/c.jpg")
    step = SimpleNamespace(
        step=0, epoch=0, loss=1.0, loss_items={}, grad_norm=2.0, clip_coefficient=1.0, lr=0.01, amp_scale=None,
        skipped=False, images=names,
    )  # fmt: skip
    dataset = SimpleNamespace(relative=lambda path: path)
    judgement = SimpleNamespace(dataset=dataset, combined_score=lambda: np.zeros(0))
    nothing = np.zeros(0, np.int64)
    evidence = SimpleNamespace(row_image=nothing, row_number=nothing, row_score=lambda: nothing)
    result: Any = SimpleNamespace(
        imgsz=320, steps=[step], judgement=judgement, evidence=evidence, measured=[]
    )
    assert steps_of(probe_record_of(result))[0].images == names


def test_the_line_that_carries_stands_out() -> None:
    lines = [Line(1, 1.9, -0.2), Line(2, 1.0, None), Line(3, None, 0.0)]
    assert carrying(lines, "score") is None and carrying(lines, "share") is None
    assert carrying([Line(5, 1.0, 0.0, 0.4)], "score") is None, "a probability says more than the score"
    assert carrying([Line(5, 1.0, 0.0, 0.6)], "score") == Line(5, 1.0, 0.0, 0.6)
    assert carrying([*lines, Line(4, 2.5, 0.1)], "score") == Line(4, 2.5, 0.1)


@pytest.mark.parametrize(
    "record",
    [
        {}, {"steps": None, "images": 3}, {"steps": [None, 3, {}], "images": [{}, [], {"image": 4}]},
        {"steps": [{"step": True, "grad_norm": "high", "images": {"a": 1}}], "images": [{"image": "x", "lines": 7}]},
        {"images": [{"image": "x", "boxes": 1.5, "grad_norm": 10**400, "background_x": 1e300, "background_y": -3,
                     "reasons": 4, "lines": [{"line": 10**30}, {"line": 0}, None]}] * 2},
        {"steps": [{"step": 10**17, "grad_norm": 2.0}]},
        {"imgsz": "large", "images": [{"image": "\0", "label": "../\0"}]},
    ],
)  # fmt: skip
def test_a_record_from_anywhere_is_read_as_far_as_it_makes_sense(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    report = replace(probed(tmp_path / "set"), probe=record)
    shown = made(report, tmp_path / "page")[0]["probe"]
    assert len(shown["steps"]["step"]) == len(steps_of(record)) <= 1
    assert len(shown["images"]["label"]) == len(images_of(record)) <= 1


# In a browser

CHARTS = ("Warm-up", "Measuring")
browser_test = [pytest.mark.browser, pytest.mark.slow]


def chart(page: Page, name: str) -> Locator:
    return page.locator(f".chart[aria-label^='{name}']")


def position(page: Page, name: str, at: int) -> dict[str, float]:
    """Where a point of a chart stands in it, px."""
    of = {"Warm-up": "stepChart", "Measuring": "imageChart"}[name]
    x, y = page.evaluate(f"[{of}.xs[{at}], {of}.ys[{at}]]")
    return {"x": x, "y": y}


def points(page: Page, name: str, kind: str) -> int:
    """Number of points of a chart that are drawn as that kind."""
    paths = (
        chart(page, name)
        .locator(f"path.{kind}")
        .evaluate_all("nodes => nodes.map((n) => n.getAttribute('d'))")
    )
    return "".join(paths).count("M")


def shown_images(page: Page) -> set[str]:
    """Images of all findings that the gallery lists."""
    return set(page.evaluate("shown.map((i) => F.image[i])"))


def tile_names(page: Page) -> list[str]:
    return page.locator("#probe-picked .tile-name").all_inner_texts()


@pytest.mark.browser
@pytest.mark.slow
class TestPage:
    @pytest.fixture
    def opened(self, open_page: Opener, page: tuple[dict[str, Any], PageNotes, Path]) -> Page:
        return open_page(page[2] / "index.html", reduced_motion="reduce")

    def test_the_section_says_what_was_measured(self, opened: Page) -> None:
        said = opened.locator("#probe").inner_text()
        assert "12 warm-up steps, then 8 images measured one by one at 320 px" in said
        assert "2 steps and 2 images spike" in said
        for name in CHARTS:
            assert points(opened, name, "spikes") == 2

    def test_a_report_without_probe_has_no_section(self, open_page: Opener, tmp_path: Path) -> None:
        made(replace(probed(tmp_path / "set"), probe=None), tmp_path / "page")
        opened = open_page(tmp_path / "page/index.html", "#step=7&image=x")
        assert opened.locator("#probe").count() == 0
        assert opened.locator("#shown").inner_text() == "5 findings"

    def test_a_click_on_a_step_shows_its_images_and_narrows_the_gallery(self, opened: Page) -> None:
        chart(opened, "Warm-up").click(position=position(opened, "Warm-up", SPIKE_STEP))
        assert tile_names(opened) == ["c.jpg", "b.jpg", "not measured.jpg"], "the largest gradient first"
        assert shown_images(opened) == {path_of("c")}
        assert opened.locator("#shown").inner_text() == "3 of 5 findings"
        assert opened.locator("#chips").inner_text() == "images of warm-up step 7"
        assert opened.url.endswith("#step=7")
        assert points(opened, "Measuring", "related") == 2

    def test_the_box_is_that_of_the_line_that_carries_most_and_a_cross_where_none_does(
        self, opened: Page
    ) -> None:
        chart(opened, "Warm-up").click(position=position(opened, "Warm-up", SPIKE_STEP))
        with_line, without = (opened.locator("#probe-picked .tile").nth(n) for n in (0, 1))
        # Line 3 has the largest share of c; line 1 the highest score.
        assert (
            with_line.locator("polygon.offender").get_attribute("points") == "224,96 256,96 256,144 224,144"
        )
        assert with_line.locator(".cross").count() == 0
        assert without.locator("polygon").count() == 0
        assert (
            without.locator("path.cross").get_attribute("d")
            == "M140.8 160.8l38.4 38.4M140.8 199.2l38.4 -38.4"
        )
        with_line.locator("button").focus()
        opened.keyboard.press("Enter")
        assert opened.evaluate("document.activeElement.innerText") == "Clear the selection"
        alone = opened.locator("#probe-picked .picture")
        assert alone.locator("polygon.offender").get_attribute("points") == "48,72 112,72 112,168 48,168"
        assert alone.locator("path.cross").count() == 1
        opened.evaluate(
            "Promise.all([...document.querySelectorAll('#probe-picked img')].map((i) => i.decode()))"
        )

    def test_a_click_on_an_image_says_why_it_stands_out(self, opened: Page) -> None:
        chart(opened, "Measuring").click(position=position(opened, "Measuring", 2))
        said = opened.locator("#probe-picked").inner_text()
        assert path_of("c") in said and "6.25 z" in said and "9000" in said
        assert "its gradient is far larger than is usual for its number of boxes" in said
        assert HOSTILE in said, "what the report holds is shown as text"
        assert shown_images(opened) == {path_of("c")}
        assert points(opened, "Warm-up", "related") == 3

    def test_hovering_shows_the_numbers(self, opened: Page) -> None:
        chart(opened, "Warm-up").hover(position=position(opened, "Warm-up", SPIKE_STEP))
        tip = chart(opened, "Warm-up").locator(".chart-tip")
        assert tip.locator("b").inner_text() == "Step 7: spike"
        assert "gradient norm 900 · loss 3 · clipped to 50 %" in tip.inner_text()
        opened.mouse.move(2, 2)
        assert not tip.is_visible()

    def test_the_keyboard_does_it_all(self, opened: Page) -> None:
        warm_up = chart(opened, "Warm-up")
        warm_up.focus()
        opened.keyboard.press("Home")
        opened.keyboard.press("ArrowRight")
        assert warm_up.get_attribute("aria-valuetext") == (
            "Step 1, gradient norm 21, loss 3, clipped to 50 %, learning rate 0.001, 2 images"
        )
        opened.keyboard.press("PageDown")
        assert "Step 7: spike" in (warm_up.get_attribute("aria-valuetext") or "")
        opened.keyboard.press("Enter")
        assert len(tile_names(opened)) == 3
        opened.keyboard.press("PageDown")
        assert "not finite" in (warm_up.get_attribute("aria-valuetext") or "")
        opened.keyboard.press("Escape")
        assert not opened.locator("#probe-picked").is_visible()
        opened.keyboard.press("Tab")
        assert opened.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Measuring")
        opened.keyboard.press("End")
        opened.keyboard.press("Enter")
        assert "#image=" in opened.url

    @pytest.mark.parametrize("way", ["button", "chip", "again", "all filters"])
    def test_a_selection_can_be_cleared(self, opened: Page, way: str) -> None:
        spike = position(opened, "Warm-up", SPIKE_STEP)
        chart(opened, "Warm-up").click(position=spike)
        if way == "button":
            opened.get_by_role("button", name="Clear the selection").click()
        elif way == "chip":
            opened.locator("#chips button").click()
        elif way == "again":
            chart(opened, "Warm-up").click(position=spike)
        else:
            opened.locator("#clear").click()
        assert not opened.locator("#probe-picked").is_visible()
        assert opened.locator("#shown").inner_text() == "5 findings"
        assert "#" not in opened.url

    def test_a_selection_is_kept_in_the_address_with_the_filters(
        self, open_page: Opener, page: tuple[dict[str, Any], PageNotes, Path]
    ) -> None:
        opened = open_page(page[2] / "index.html", "#rule=G001&image=images/train/a b.jpg")
        assert opened.locator("#probe-picked h3").inner_text() == path_of("a b")
        assert opened.locator("#shown").inner_text() == "1 of 5 findings"
        opened.evaluate("location.hash = 'step=404'")
        opened.locator("#probe-picked").wait_for(state="hidden")
        assert opened.locator("#shown").inner_text() == "5 findings"

    def test_without_findings_on_it_a_selection_says_so(self, opened: Page) -> None:
        opened.evaluate("pickImage(4)")
        assert "No finding is about what is selected." in opened.locator("#empty").inner_text()
        assert (
            "Nothing in what was measured is out of the ordinary."
            in opened.locator("#probe-picked").inner_text()
        )

    def test_the_ranking_gives_reasons_in_words(self, opened: Page) -> None:
        rows = opened.locator(".ranked tbody tr")
        assert rows.count() == 4
        texts = rows.all_inner_texts()
        assert "h.jpg" in texts[0] and "its loss is not finite: a step with it is lost" in texts[0]
        assert "the scan found B001, Z9" in texts[1]
        assert "the model does not stand behind line 1 5.0 z" in texts[1]
        rows.nth(1).locator("button").click()
        assert rows.nth(1).locator("button").get_attribute("aria-pressed") == "true"
        assert shown_images(opened) == {path_of("a b")}

    def test_names_stay_text(self, opened: Page) -> None:
        """`open_page` fails the test where a dialog opens or an error occurs."""
        opened.evaluate(f"pickImage(PROBE.names.indexOf({json.dumps(path_of('<b>g'))}))")
        assert opened.locator("#probe-picked h3").inner_text() == path_of("<b>g")
        assert opened.locator("#probe b").all_inner_texts() == [""] * opened.locator("#probe b").count()

    def test_an_image_without_thumbnail_has_a_findings_picture_or_words(
        self, open_page: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(probe, "MAX_THUMBNAILS", 1)
        made(probed(tmp_path / "set"), tmp_path / "page")
        opened = open_page(tmp_path / "page/index.html", "#step=7")
        tiles = opened.locator("#probe-picked .tile")
        assert tiles.nth(0).locator("img").count() == 1
        assert "Only images that stand out have a thumbnail." in tiles.nth(1).inner_text()

    @pytest.mark.parametrize("record", [{}, {"steps": [{"step": 10**17}] * 2}, {"images": [{"image": "x"}]}])
    def test_a_probe_that_measured_nothing_shows_that(
        self, open_page: Opener, tmp_path: Path, record: dict[str, Any]
    ) -> None:
        made(replace(probed(tmp_path / "set"), probe=record), tmp_path / "page")
        opened = open_page(tmp_path / "page/index.html")
        assert opened.locator("#probe-title").is_visible()
        assert opened.locator("#shown").inner_text() == "5 findings"

    def test_it_fits_a_phone(self, open_page: Opener, page: tuple[dict[str, Any], PageNotes, Path]) -> None:
        opened = open_page(page[2] / "index.html", "#step=7", viewport={"width": 360, "height": 740})
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        assert chart(opened, "Warm-up").bounding_box()["width"] > 280  # type: ignore[index]
