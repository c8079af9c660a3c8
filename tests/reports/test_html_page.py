"""The HTML page in a real browser: filters, keyboard, decisions, export, and names that try to break out."""

from __future__ import annotations

import csv
import io
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw
from report_samples import finding
from report_samples import report as report_of

from sanitizer import scan
from sanitizer.fixes.decisions import read_decisions
from sanitizer.reports import csv_
from sanitizer.reports.formats import render
from sanitizer.reports.html.build import write_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from html_pages import Opener
    from playwright.sync_api import Browser, Locator, Page

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE_NAMES = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "=HYPERLINK(1)")
LABELS = {
    # file of each split: rows
    "train/a": ["0 0.5 0.5 0.2 0.2", "0 0.5 0.5 0.2 0.2", "1 0.3 0.3 0.6 0.004"],
    "train/b": ["7 0.5 0.5 0.2 0.2", "boat 0.5 0.5 0.1 0.1"],
    "train/c": ["2 0.9 0.5 0.3 0.2", "0 0.4 0.4 0 0.1"],
    "val/d": ["1 0.5 0.5 0.4 0.4", "1 0.5 0.5 0.401 0.4", "0 0.5 0.5 0.001 0.001"],
}


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A dataset with flaws of many sorts, and class names that are HTML."""
    root = tmp_path_factory.mktemp("page") / "50% <b>#1"
    for name, rows in LABELS.items():
        for kind in ("images", "labels"):
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "labels" / f"{name}.txt").write_text("\n".join(rows) + "\n", "utf-8")
        image = Image.new("RGB", (320, 240), (40, 60, 80))
        ImageDraw.Draw(image).rectangle((100, 80, 220, 160), fill=(200, 180, sum(map(ord, name)) % 256))
        image.save(root / "images" / f"{name}.jpg")
    names = "".join(f"  {i}: {name!r}\n" for i, name in enumerate(HOSTILE_NAMES))
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}", "utf-8")
    return scan(str(root / "data.yaml"), progress=False)


@pytest.fixture(scope="session")
def scanned_page(scanned: Report) -> Path:
    page = Path(scanned.root).parent / "a page & 50% #2.html"
    write_page(scanned, str(page), f"{page}_files")
    return page


def made_by_hand(tmp_path: Path, findings: list[Finding]) -> tuple[Report, Path]:
    """A report of a dataset that is gone, and its page: no crops."""
    report = report_of(findings, root=str(tmp_path / "gone"))
    page = tmp_path / "report.html"
    write_page(report, str(page), str(tmp_path / "report_files"))
    return report, page


def cards(page: Page) -> Locator:
    return page.locator("#gallery .card")


def card_of(page: Page, i: int) -> Locator:
    """The card that holds a finding, by its index."""
    return page.locator(f".card[data-findings~='{i}']")


def card_key(f: Finding) -> object:
    """What findings of one card have in common: their label row, or else their image or label file."""
    return (f.label, f.line) if f.label and f.line else f.image or f.label or f.fingerprint


def n_cards(findings: Iterable[Finding]) -> int:
    return len(set(map(card_key, findings)))


def list_length(page: Page) -> int:
    """Cards in the list, whether or not they are in the document."""
    cards(page).first.wait_for(state="attached")
    return int(cards(page).first.get_attribute("aria-setsize") or 0)


def active(page: Page) -> int:
    """Position of the card that has the focus; -1 where none has."""
    found = page.evaluate("document.activeElement?.closest('.card')?.dataset.position ?? -1")
    return int(found)


def members(card: Locator) -> list[int]:
    """The findings that a card holds, by their index."""
    return [int(i) for i in (card.get_attribute("data-findings") or "").split()]


def decide_apart(page: Page, decided: Mapping[int, str]) -> None:
    """Decide findings of one card, each in its own way, in the large view."""
    card_of(page, next(iter(decided))).locator(".open").click()
    for i, decision in decided.items():
        page.locator(f"#detail .together [data-finding='{i}'] .choice.{decision}").click()
    page.keyboard.press("Escape")


def enter_gallery(page: Page) -> None:
    page.keyboard.press("j")
    assert active(page) >= 0


def facet(page: Page, name: str, value: str) -> Locator:
    return page.locator(f"#facets input[name='{name}'][value='{value}']")


def export(page: Page) -> bytes:
    with page.expect_download() as download:
        page.click("#export")
    return Path(download.value.path()).read_bytes()


def sheet(report: Report, decided: Mapping[int, str], comments: Mapping[int, str]) -> bytes:
    """What the command's CSV is once a person has filled it in; by index of the finding."""
    header, *rows = csv.reader(io.StringIO(render(report, "csv").removeprefix(csv_.BOM), newline=""))
    for i, row in enumerate(rows):
        row[-2:] = decided.get(i, ""), comments.get(i, "")
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([header, *rows])
    return (csv_.BOM + out.getvalue()).encode()


def with_fix(report: Report) -> int:
    return next(i for i, f in enumerate(report.findings) if f.fix and f.line and f.label)


# What is shown


def test_the_page_states_the_findings_and_what_training_would_do(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page)
    assert page.locator("#title").inner_text() == "50% <b>#1/data.yaml"
    assert page.locator("#counts").inner_text() == "4 images, 4 label files, 9 boxes"
    errors = sum(f.severity.label == "error" for f in scanned.findings)
    assert page.locator(".total.error").inner_text().split() == [str(errors), "errors"]
    assert "would drop 1 of 4 images" in page.locator("#sentences").inner_text()
    assert page.locator("#rule-bars button").count() >= 5
    assert page.locator("#plot-row figure").count() == 3


def test_a_card_tells_place_row_and_rule(open_page: Opener, scanned: Report, scanned_page: Path) -> None:
    index, f = next((i, f) for i, f in enumerate(scanned.findings) if f.rule == "L003")
    card = card_of(open_page(scanned_page, "#rule=L003"), index)
    text = card.inner_text()
    assert f.message in text
    assert "L003" in text and f.name in text and f.severity.label in text
    assert card.locator(".place").inner_text().replace("\n", "") == "labels/train/b.txt:2:1"
    assert card.locator(".row-text").inner_text() == "boat 0.5 0.5 0.1 0.1"
    assert card.locator(".row mark").inner_text() == "boat"


def test_the_drawing_is_in_pixels_of_the_crop(open_page: Opener, scanned_page: Path) -> None:
    page = open_page(scanned_page)
    page.evaluate("Promise.all([...document.images].slice(0, 3).map((image) => image.decode()))")
    sizes = page.evaluate(
        """[...document.querySelectorAll('.card .stage')].slice(0, 3).map((stage) => {
            const image = stage.querySelector('img'), box = stage.querySelector('svg').viewBox.baseVal;
            return [image.naturalWidth, image.naturalHeight, box.width, box.height];
        })"""
    )
    assert sizes
    for image_w, image_h, drawing_w, drawing_h in sizes:
        assert (image_w, image_h) == (drawing_w, drawing_h)


def test_a_page_without_its_pictures_says_so(
    open_page: Opener, scanned: Report, tmp_path: Path, browser: Browser
) -> None:
    write_page(scanned, str(tmp_path / "a.html"), str(tmp_path / "a_files"))
    shutil.rmtree(tmp_path / "a_files")
    page = browser.new_page()  # a missing file is an error on the console here
    page.goto((tmp_path / "a.html").as_uri())
    page.get_by_text("Move page and folder together").first.wait_for()
    page.close()


@pytest.mark.parametrize("width", [390, 1280, 1440])
def test_no_line_of_a_card_is_cut_through(
    width: int, open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page, viewport={"width": width, "height": 9000})
    two_of_a_row = next(
        (i, j)
        for i, f in enumerate(scanned.findings)
        for j, g in enumerate(scanned.findings)
        if i < j and f.line and (f.label, f.line) == (g.label, g.line)
    )
    decide_apart(page, dict(zip(two_of_a_row, ("drop", "keep"), strict=True)))
    assert page.locator(".card .conflict:visible").count() == 1
    assert cards(page).count() == n_cards(scanned.findings)
    too_high = "nodes => nodes.filter((n) => n.scrollHeight > n.clientHeight).map((n) => n.innerText)"
    assert page.locator(".card-text").evaluate_all(too_high) == []


def test_an_empty_report_says_that_nothing_needs_a_decision(open_page: Opener, tmp_path: Path) -> None:
    _, path = made_by_hand(tmp_path, [])
    page = open_page(path)
    assert "No findings" in page.locator("#empty").inner_text()


# Filters


@pytest.mark.parametrize(
    ("hash_", "passes"),
    [
        ("", lambda f: True),
        ("#rule=C001", lambda f: f.rule == "C001"),
        ("#rule=C001&rule=B002", lambda f: f.rule in ("C001", "B002")),
        ("#severity=error", lambda f: f.severity.label == "error"),
        ("#class=1", lambda f: f.class_id == 1),
        ("#class=", lambda f: f.class_id is None),
        ("#split=val", lambda f: f.split == "val"),
        ("#severity=error&split=train", lambda f: f.severity.label == "error" and f.split == "train"),
        ("#decision=undecided", lambda f: True),
        ("#q=BOAT", lambda f: "boat" in f.message),
        ("#q=" + HOSTILE_NAMES[2], lambda f: f.class_name == HOSTILE_NAMES[2]),
    ],
)
def test_the_address_filters(
    open_page: Opener, scanned: Report, scanned_page: Path, hash_: str, passes: Callable[[Finding], bool]
) -> None:
    wanted = list(filter(passes, scanned.findings))
    assert wanted
    page = open_page(scanned_page, hash_)
    assert list_length(page) == n_cards(wanted)
    total = f"{len(scanned.findings)} findings"
    shown = page.locator("#shown").inner_text()
    assert shown == (f"{len(wanted)} of {total}" if hash_ else total)


def test_ticking_a_filter_updates_list_counts_and_address(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page)
    facet(page, "split", "val").check()
    in_val = [f for f in scanned.findings if f.split == "val"]
    assert list_length(page) == n_cards(in_val)
    assert page.url.endswith("#split=val")
    for code in {f.rule for f in scanned.findings}:
        number = facet(page, "rule", code).locator("xpath=..").locator(".number")
        assert int(number.inner_text()) == sum(f.rule == code for f in in_val)
    page.reload()
    assert list_length(page) == n_cards(in_val)
    page.locator("#chips button").click()
    assert list_length(page) == n_cards(scanned.findings)
    assert "#" not in page.url


def test_a_bar_is_a_filter(open_page: Opener, scanned: Report, scanned_page: Path) -> None:
    page = open_page(scanned_page, reduced_motion="reduce")
    page.locator("#rule-bars button[data-value='B007']").click()
    assert list_length(page) == sum(f.rule == "B007" for f in scanned.findings)
    assert page.locator("#rule-bars button[data-value='B007']").get_attribute("aria-pressed") == "true"


def test_the_search_takes_words_in_any_order(open_page: Opener, scanned: Report, scanned_page: Path) -> None:
    page = open_page(scanned_page)
    page.keyboard.press("/")
    page.keyboard.type("train/a.txt b007", delay=60)
    page.locator("#chips").get_by_text("“train/a.txt b007”").wait_for()
    assert list_length(page) == sum(f.rule == "B007" for f in scanned.findings)
    page.locator("#search").fill("no such thing")
    page.get_by_text("No finding passes these filters.").wait_for()
    assert cards(page).count() == 0


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("severity", lambda f: -f.severity),
        ("image", lambda f: f.image or f.label or ""),
        ("high", lambda f: (f.value is None, -(f.value or 0))),
        ("low", lambda f: (f.value is None, f.value or 0)),
    ],
)
def test_sorting(
    open_page: Opener, scanned: Report, scanned_page: Path, sort: str, key: Callable[[Finding], Any]
) -> None:
    page = open_page(scanned_page, viewport={"width": 1600, "height": 4000})
    page.select_option("#sort", sort)
    findings, expected = scanned.findings, dict[object, list[int]]()
    for i in sorted(range(len(findings)), key=lambda i: key(findings[i])):
        expected.setdefault(card_key(findings[i]), []).append(i)
    assert [members(card) for card in cards(page).all()] == list(expected.values())


# Keyboard and the large view


def test_keys_move_decide_and_go_on(open_page: Opener, scanned_page: Path) -> None:
    page = open_page(scanned_page)
    enter_gallery(page)
    first = active(page)
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    assert active(page) == first + 2
    page.keyboard.press("k")
    page.keyboard.press("e")
    assert active(page) == first + 2, "a decision goes on to the next finding"
    kept = page.locator(f".card[data-position='{first + 1}'] footer .choice.keep")
    assert kept.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Control+z")
    assert kept.get_attribute("aria-pressed") == "false"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_the_large_view_explains_and_returns_to_its_card(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page, "#rule=B007&rule=C001")
    enter_gallery(page)
    page.keyboard.press("Enter")
    detail = page.locator("#detail")
    f = scanned.findings[active_in_detail(page, scanned)]
    text = detail.inner_text()
    assert f.message in text
    assert "Why it matters" in text and "What training does" in text
    assert "1 of " in text
    page.keyboard.press("j")
    assert "2 of " in detail.inner_text()
    before = detail.locator(".stage").bounding_box()
    page.keyboard.press("z")
    after = detail.locator(".stage").bounding_box()
    assert before and after and after["width"] > 2 * before["width"]
    page.keyboard.press("e")
    page.keyboard.press("Escape")
    assert not detail.is_visible()
    assert active(page) >= 0
    assert page.locator("#progress-text").inner_text().startswith("1 of ")


def active_in_detail(page: Page, report: Report) -> int:
    """The finding that the large view shows, by its fingerprint."""
    fingerprint = page.locator("#detail .facts dd").last.inner_text()
    return next(i for i, f in enumerate(report.findings) if f.fingerprint == fingerprint)


def test_typing_a_comment_is_no_command(open_page: Opener, scanned_page: Path) -> None:
    page = open_page(scanned_page)
    enter_gallery(page)
    page.keyboard.press("c")
    page.keyboard.type("edge of fjord")
    page.keyboard.press("Enter")
    assert active(page) == 0
    assert page.locator("#progress-text").inner_text().startswith("0 of ")
    assert cards(page).first.locator(".comment").input_value() == "edge of fjord"


# Decisions


def test_a_decision_and_a_comment_survive_a_reload(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page)
    enter_gallery(page)
    page.keyboard.press("e")
    cards(page).first.locator(".comment").fill("looked at")
    page.keyboard.press("Tab")
    page.reload()
    n = len(members(cards(page).first))
    assert page.locator("#progress-text").inner_text() == f"{n} of {len(scanned.findings)}"
    assert cards(page).first.locator(".choice.keep").get_attribute("aria-pressed") == "true"
    assert cards(page).first.locator(".comment").input_value() == "looked at"
    facet(page, "decision", "keep").check()
    assert list_length(page) == 1


def test_only_decisions_that_can_be_carried_out_are_offered(open_page: Opener, tmp_path: Path) -> None:
    both = finding("B001", "row with repair", "labels/a.txt", 1, fix="unsafe")
    row = finding("C001", "row without repair", "labels/b.txt", 2)
    whole = finding("D006", "no label file", image="images/c.jpg")
    orphan = finding("D007", "no image", "labels/d.txt")
    report, path = made_by_hand(tmp_path, [both, row, whole, orphan])
    page = open_page(path)
    for f, offered in (
        (both, {"fix", "drop", "keep"}),
        (row, {"drop", "keep"}),
        (whole, {"drop", "keep"}),
        (orphan, {"keep"}),
    ):
        index = list(report.findings).index(f)
        choices = card_of(page, index).locator(".choice:enabled")
        assert set(choices.all_inner_texts()) == offered
    enter_gallery(page)
    page.keyboard.press("Home")
    page.keyboard.press("f")
    assert "Nothing" not in page.locator("#toast").inner_text()
    assert active(page) == 0, "the file without label comes first, and cannot be fixed"
    assert page.locator("#toast").inner_text() == "No automatic repair exists for this finding."
    page.keyboard.press("d")
    export(page)
    assert page.locator("#toast").inner_text().endswith("1 decided. 1 image to leave out: that takes --view.")


def test_a_decision_that_leaves_the_filter_stays_in_sight_until_asked(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page, "#decision=undecided")
    enter_gallery(page)
    n = len(members(cards(page).first))
    page.keyboard.press("e")
    assert list_length(page) == n_cards(scanned.findings)
    page.get_by_role("button", name=f"Take {n} decided since off the list").click()
    assert list_length(page) == n_cards(scanned.findings) - 1


def test_all_shown_are_decided_after_a_confirmation(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    wanted = [f for f in scanned.findings if f.split == "train"]
    fixable = [f for f in wanted if f.fix]
    assert 0 < len(fixable) < len(wanted)
    page = open_page(scanned_page, "#split=train")
    page.click("#bulk")
    page.locator("#bulk-choices input[value='fix']").check()
    said = page.locator("#bulk-consequence").inner_text()
    assert f"{len(wanted) - len(fixable)} stay" in said
    page.keyboard.press("Escape")
    assert page.locator("#progress-text").inner_text().startswith("0 of ")
    page.click("#bulk")
    page.locator("#bulk-choices input[value='fix']").check()
    page.click("#bulk-apply")
    assert page.locator("#progress-text").inner_text().startswith(f"{len(fixable)} of ")
    page.keyboard.press("Control+z")
    assert page.locator("#progress-text").inner_text().startswith("0 of ")


@pytest.mark.parametrize("leave", [lambda page: page.keyboard.press("Escape"),
                                   lambda page: page.get_by_role("button", name="Cancel").click()])  # fmt: skip
def test_leaving_the_confirmation_decides_nothing_after_an_earlier_yes(
    leave: Callable[[Page], None], open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page)
    page.click("#bulk")
    page.locator("#bulk-choices input[value='keep']").check()
    page.click("#bulk-apply")
    decided = page.locator("#progress-text").inner_text()
    assert decided.startswith(f"{len(scanned.findings)} of ")
    page.click("#bulk")
    page.locator("#bulk-choices input[value='undecided']").check()
    leave(page)
    page.wait_for_timeout(200)
    assert page.locator("#progress-text").inner_text() == decided


def test_drop_and_keep_of_one_row_are_called_a_contradiction(open_page: Opener, tmp_path: Path) -> None:
    pair = [finding("B001", "thin", "labels/a.txt", 1), finding("C001", "class 9", "labels/a.txt", 1)]
    _, path = made_by_hand(tmp_path, pair)
    page = open_page(path)
    cards(page).nth(0).locator(".choice.drop").click()
    assert not cards(page).nth(0).locator(".conflict").is_visible()
    decide_apart(page, {1: "keep"})
    assert "neither will be done" in cards(page).nth(0).locator(".conflict").inner_text()
    export(page)
    assert "1 row is both dropped and kept" in page.locator("#toast").inner_text()


def test_a_browser_that_keeps_nothing_is_told_of(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no'); } })"
    page = open_page(scanned_page, script=refuse)
    assert "does not keep data" in page.locator("#storage-note").inner_text()
    enter_gallery(page)
    page.keyboard.press("e")
    assert export(page) == sheet(scanned, dict.fromkeys(members(cards(page).first), "keep"), {})


# The decisions sheet


def test_the_export_is_the_commands_sheet_with_decisions(
    open_page: Opener, scanned: Report, scanned_page: Path, tmp_path: Path
) -> None:
    fixed = with_fix(scanned)
    dropped = next(i for i, f in enumerate(scanned.findings) if f.rule == "L003")
    decided, comments = {fixed: "fix", dropped: "drop"}, {dropped: 'not a "boat",\nbut =SUM(1)'}
    page = open_page(scanned_page, viewport={"width": 1600, "height": 4000})
    for i, decision in decided.items():
        if len(members(card_of(page, i))) > 1:
            decide_apart(page, {i: decision})
        else:
            card_of(page, i).locator(f".choice.{decision}").click()
    assert members(card_of(page, dropped)) == [dropped]
    card_of(page, dropped).locator(".open").click()
    page.locator("#detail .comment").fill(comments[dropped])
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    written = export(page)
    assert written == sheet(scanned, decided, comments)
    path = tmp_path / "reviewed.csv"
    path.write_bytes(written)
    expected = [(scanned.findings[i].fingerprint, decided[i]) for i in sorted(decided)]
    assert [(row.fingerprint, row.decision) for row in read_decisions(str(path))] == expected


def test_the_export_keeps_awkward_text_and_numbers_apart(open_page: Opener, tmp_path: Path) -> None:
    texts = [
        "=1+1",
        "'quoted",
        "  -2",
        "a,b",
        'say "no"',
        "line\nbreak",
        "＠wide",
        "+\t",
        "-",
        "x\ry",
        "ünï – 中",
    ]
    findings = [finding("C001", text, "labels/a.txt", i + 1) for i, text in enumerate(texts)]
    numbers = [0.1, 1.0, -0.0, 1e-5, 1.25e-7, 0.0001, 1e15, 1e16, 1.5e22, 1 / 3, 5e-324, -123456.789]
    findings += [
        finding("B001", "m", "labels/b.txt", i + 1, value=v, threshold=-v, x_center=v, class_id=10**i)
        for i, v in enumerate(numbers)
    ]
    report, path = made_by_hand(tmp_path, findings)
    report.findings[3].fingerprint = "01234567890123456789"
    report.findings[4].fingerprint = "012345e7890123456789"
    report.findings[5].fingerprint = "0ab345e7890123456789"
    write_page(report, str(path), str(tmp_path / "report_files"))
    assert export(open_page(path)) == sheet(report, {}, {})


def test_floats_are_written_as_python_writes_them(open_page: Opener, scanned_page: Path) -> None:
    chance = random.Random(7)
    values = [chance.uniform(-1, 1) * 10.0 ** chance.randint(-20, 25) for _ in range(3000)]
    values += [chance.random() for _ in range(1000)] + [
        float(chance.randint(-(10**9), 10**9)) for _ in range(500)
    ]
    written = open_page(scanned_page).evaluate("(values) => values.map(pythonFloat)", values)
    assert written == [repr(v) for v in values]


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-16"), (";", "utf-16-be")]
)
def test_a_sheet_is_imported_as_spreadsheets_save_it(
    open_page: Opener, scanned: Report, scanned_page: Path, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    decided, comments = {0: "keep", with_fix(scanned): "fix"}, {0: '\'+1, said\nthe "boss"; twice'}
    rows = list(csv.reader(io.StringIO(sheet(scanned, decided, comments).decode("utf-8-sig"), newline="")))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    path = tmp_path / "reviewed.csv"
    path.write_bytes((b"\xfe\xff" if encoding == "utf-16-be" else b"") + out.getvalue().encode(encoding))
    page = open_page(scanned_page)
    page.set_input_files("#import-file", path)
    page.get_by_text(f"Imported {len(decided)} decisions and 1 comment.").wait_for()
    assert export(page) == sheet(scanned, decided, comments)


def test_comments_that_differ_are_edited_one_by_one(
    open_page: Opener, scanned: Report, scanned_page: Path, tmp_path: Path
) -> None:
    """A card has one comment for its findings only where they agree, so that no imported one is overwritten."""
    a, b = next(
        (i, j)
        for i, f in enumerate(scanned.findings)
        for j, g in enumerate(scanned.findings)
        if i < j and f.line and (f.label, f.line) == (g.label, g.line)
    )
    sent = tmp_path / "mine.csv"
    sent.write_bytes(sheet(scanned, {}, {a: "too flat", b: "a copy"}))
    page = open_page(scanned_page, viewport={"width": 1600, "height": 4000})
    page.set_input_files("#import-file", sent)
    page.get_by_text("Imported 0 decisions and 2 comments.").wait_for()
    of_card = card_of(page, a).locator(".comment")
    assert not of_card.is_editable()
    assert all(text in of_card.input_value() for text in ("too flat", "a copy"))
    card_of(page, a).locator(".open").click()
    assert not page.locator("#detail footer .comment").is_editable()
    of_a, of_b = (page.locator(f"#detail .together [data-finding='{i}'] .comment") for i in (a, b))
    assert (of_a.input_value(), of_b.input_value()) == ("too flat", "a copy")
    of_b.fill("same as line 1")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert export(page) == sheet(scanned, {}, {a: "too flat", b: "same as line 1"})


def test_a_comment_that_findings_of_a_card_share_is_edited_once(
    open_page: Opener, scanned: Report, scanned_page: Path
) -> None:
    page = open_page(scanned_page, viewport={"width": 1600, "height": 4000})
    several = next(card for card in cards(page).all() if len(members(card)) > 1)
    comment = several.locator(".comment")
    for text in ("edge of fjord", "edge of the fjord"):
        comment.fill(text)
        comment.press("Enter")
        assert export(page) == sheet(scanned, {}, dict.fromkeys(members(several), text))
    several.locator(".open").click()
    page.keyboard.press("c")
    assert page.evaluate("document.activeElement.matches('#detail footer .comment')")


def test_an_import_says_what_it_left_out(open_page: Opener, tmp_path: Path) -> None:
    report, path = made_by_hand(
        tmp_path, [finding("D007", "no image", "labels/a.txt"), finding("B001", "b", "labels/a.txt", 1)]
    )
    ids = [f.fingerprint for f in report.findings]
    reviewed = tmp_path / "reviewed.csv"
    lines = ["rule,fingerprint,decision", f"D007,{ids[0]},drop", f"B001,{ids[1]},mend", "B001,abc,keep"]
    reviewed.write_text("\n".join(lines), "utf-8")
    page = open_page(path)
    page.set_input_files("#import-file", reviewed)
    said = page.locator("#toast")
    said.get_by_text("Imported 0 decisions").wait_for()
    for part in ("1 row not of this report", "1 row with a word other", "1 decision that cannot"):
        assert part in said.inner_text()
    reviewed.write_bytes(b"\xffnot text")
    page.set_input_files("#import-file", reviewed)
    said.get_by_text("Not imported: the file is not UTF-8").wait_for()


# Safety and size


def test_names_stay_text(open_page: Opener, scanned: Report, scanned_page: Path) -> None:
    """`open_page` fails the test where a dialog opens, an error occurs or an address is fetched."""
    page = open_page(scanned_page, "#class=0&class=1", viewport={"width": 1600, "height": 4000})
    shown = page.locator(".card .hint .tag").all_inner_texts()
    assert set(shown) == {HOSTILE_NAMES[0], HOSTILE_NAMES[1]}
    assert page.locator("#class-bars").inner_text().count("<script>") == 1
    options = page.locator("#plot-class option").all_inner_texts()
    assert f"1 {HOSTILE_NAMES[1]}" in options
    page.locator(".card .open").first.click()
    assert page.locator("#detail").is_visible()
    assert (
        page.evaluate("document.querySelectorAll('main script, main img[onerror], dialog script').length")
        == 0
    )


def test_the_page_may_fetch_nothing(browser: Browser, scanned_page: Path) -> None:
    page = browser.new_page()
    page.goto(scanned_page.as_uri())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "example" in request.url else None)
    violated = page.evaluate(
        """() => new Promise((done) => {
            addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
            fetch('https://example.org/').then(() => done('fetched'), () => {});
        })"""
    )
    page.close()
    assert violated == "connect-src"
    assert asked == []


def test_of_ten_thousand_findings_few_cards_are_in_the_document(open_page: Opener, tmp_path: Path) -> None:
    findings = [
        finding("B001", f"box {i} is thin", f"labels/{i // 8:05}.txt", i % 8 + 1) for i in range(10_000)
    ]
    _, path = made_by_hand(tmp_path, findings)
    page = open_page(path)
    ready_ms = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    print(f"10,000 findings: document ready with its first cards after {ready_ms:.0f} ms")
    assert ready_ms < 2_000
    assert list_length(page) == 10_000
    assert cards(page).count() < 60
    enter_gallery(page)
    page.keyboard.press("End")
    assert active(page) == 9_999
    assert cards(page).count() < 60
    last = cards(page).last.bounding_box()
    assert last and 0 < last["y"] < 900


def test_a_list_taller_than_any_element_may_be_still_reaches_its_end(
    open_page: Opener, tmp_path: Path
) -> None:
    findings = [
        finding("B001", f"box {i} is thin", f"labels/{i // 8:05}.txt", i % 8 + 1) for i in range(33_000)
    ]
    _, path = made_by_hand(tmp_path, findings)
    page = open_page(path, viewport={"width": 360, "height": 740})
    covering = """() => [...document.querySelectorAll('.card')]
        .filter((card) => card.getBoundingClientRect().bottom > 0 && card.getBoundingClientRect().top < innerHeight)
        .map((card) => Number(card.dataset.position))"""
    for share, least, most in ((0.5, 15_000, 18_000), (1, 32_998, 32_999)):
        page.evaluate("(share) => scrollTo(0, share * document.documentElement.scrollHeight)", share)
        page.wait_for_timeout(300)
        seen = page.evaluate(covering)
        assert seen
        assert all(least <= position <= most for position in seen)
    page.evaluate("activate(20_000)")
    assert active(page) == 20_000
    assert 20_000 in page.evaluate(covering)


def test_the_page_fits_a_phone(open_page: Opener, scanned_page: Path) -> None:
    page = open_page(scanned_page, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    enter_gallery(page)
    box = cards(page).first.bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_the_theme_can_be_switched_and_is_kept(open_page: Opener, scanned_page: Path) -> None:
    page = open_page(scanned_page, color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.click("#theme")
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    assert page.evaluate(colour) == dark
