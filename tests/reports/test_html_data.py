"""The HTML page's data: what it says of a report, and that page and pictures always belong together."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from html_pages import data_of, dataset
from report_samples import flawed

from sanitizer.findings.finding import COLUMNS, Finding, Severity, fingerprinted
from sanitizer.reports.common import ReportError
from sanitizer.reports.html import build, label_file
from sanitizer.reports.html.build import PageNotes, script_safe_json, write_page
from sanitizer.reports.html.cards import OUT_OF_SIGHT
from sanitizer.reports.html.data import title_of
from sanitizer.reports.html.pool import share_out
from sanitizer.reports.text.summary import summary_lines
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.report import Report

THIN = "0 0.5 0.5 0.9 0.004\n"
GOOD = "1 0.3 0.4 0.2 0.3\n"


def made(report: Report, out: Path, **options: Any) -> tuple[dict[str, Any], PageNotes]:
    """The data of the page that is written to a folder of its own, as `sanitize report --html` writes it."""
    out.mkdir(exist_ok=True)
    notes = write_page(report, os.fspath(out / "index.html"), os.fspath(out / "crops"), **options)
    return data_of(out / "index.html"), notes


def card(data: dict[str, Any], rule: str, nth: int = 0) -> dict[str, Any]:
    """What the page has of the n-th finding of a rule."""
    at = [i for i, code in enumerate(data["findings"]["rule"]) if code == rule][nth]
    return {name: column[at] for name, column in data["findings"].items()}


def tree(folder: Path) -> dict[str, bytes]:
    return {os.fspath(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("set")
    report = scan(
        os.fspath(dataset(folder, {"a": GOOD + THIN, "b": GOOD, "c": "0 0.5 0.5 2 x\n"})), cache=False
    )
    out = tmp_path_factory.mktemp("page")
    return report, made(report, out)[0], out


class TestDataObject:
    def test_head(self, page: tuple[Report, dict[str, Any], Path]) -> None:
        report, data, _ = page
        assert data["title"] == f"{os.path.basename(report.root)}/data.yaml"
        assert (data["images"], data["labels"], data["boxes"], data["task"]) == (3, 3, 3, "detect")
        assert data["splits"] == ["train", "val"]
        assert data["dropped"] == report.summary.images_dropped_by_training == 1
        assert sum(data["severities"].values()) == len(report.findings) == len(data["findings"]["rule"])
        assert data["rules"]["B001"] == {
            "name": "extreme-aspect-ratio", "severity": "warning", "count": 1, "fix": "unsafe",
            "why": data["rules"]["B001"]["why"], "training": data["rules"]["B001"]["training"],
        }  # fmt: skip
        assert data["rules"]["B001"]["why"].startswith("A box this thin")
        assert data["rules"]["B001"]["training"].startswith("The row is loaded")
        ships, quays = data["classes"]
        assert (ships["name"], ships["boxes"], quays["name"], quays["boxes"]) == ("ship", 1, "quay", 2)

    def test_findings_are_the_columns_of_the_reports_and_of_the_cards(
        self, page: tuple[Report, dict[str, Any], Path]
    ) -> None:
        report, data, _ = page
        of_cards = {"row", "crop", "crop_w", "crop_h", "shape", "points", "others", "about"}
        assert set(data["findings"]) == {*COLUMNS, *of_cards, "twin"} - {"name"}
        assert {len(column) for column in data["findings"].values()} == {len(report.findings)}
        assert data["findings"]["fingerprint"] == [f.fingerprint for f in report.findings]

    def test_a_box_is_drawn_in_its_crop(self, page: tuple[Report, dict[str, Any], Path]) -> None:
        _, data, out = page
        thin = card(data, "B001")
        assert thin["row"] == THIN.strip()
        assert (thin["crop_w"], thin["crop_h"]) == (200, 100)
        assert thin["shape"] == [[10, 49.8], [190, 49.8], [190, 50.2], [10, 50.2]]
        assert thin["others"] == [[40, 25, 40, 30]]
        assert thin["about"] is None
        assert (out / thin["crop"]).is_file()

    def test_without_a_box_the_whole_image_is_shown(self, page: tuple[Report, dict[str, Any], Path]) -> None:
        _, data, out = page
        faulty = card(data, "L003")
        assert faulty["shape"] is None and faulty["row"] == "0 0.5 0.5 2 x"
        assert (faulty["crop_w"], faulty["crop_h"]) == (200, 100) and (out / faulty["crop"]).is_file()

    def test_plots_count_every_box(self, page: tuple[Report, dict[str, Any], Path]) -> None:
        plots = page[1]["plots"]
        for name in ("aspect", "size"):
            assert {key: sum(counts) for key, counts in plots[name]["classes"].items()} == {"0": 1, "1": 2}
            assert {len(c) for c in plots[name]["classes"].values()} == {len(plots[name]["edges"]) - 1}
            assert sum(plots[name]["rules"]["B001"]) == 1
        assert plots["size"]["unit"] == "px"
        # 180 × 0.4 px is 450:1, and a good box is 40 × 30 px.
        assert plots["aspect"]["edges"][-2] <= 450 <= plots["aspect"]["edges"][-1]
        grid = np.reshape(plots["position"]["classes"]["1"], (24, 24))
        assert grid[int(0.4 * 24), int(0.3 * 24)] == 2 == grid.sum()

    def test_the_summary_is_that_of_the_text_report(self, page: tuple[Report, dict[str, Any], Path]) -> None:
        report, data, _ = page
        text = "\n".join(summary_lines(report, lambda line, sgr: line))
        assert data["sentences"][0].startswith("Training (Ultralytics) would drop 1 of 3 images (33 %)")
        assert data["sentences"][-1] in text


@pytest.mark.parametrize(
    ("yaml", "row", "rule", "shape", "points"),
    [
        pytest.param(
            "task: segment\n", "0 0.2 0.2 0.8 0.8 0.8 0.2 0.2 0.8", "S003",
            [[40, 20], [160, 80], [160, 20], [40, 80]], None, id="polygon",
        ),
        pytest.param(
            "task: obb\n", "0 0.5 0.1 0.9 0.5 0.55 0.9 0.1 0.5", "O001",
            [[100, 10], [180, 50], [110, 90], [20, 50]], None, id="oriented box",
        ),
        pytest.param(
            "kpt_shape: [2, 3]\n", "0 0.5 0.5 0.4 0.4 0.45 0.5 2 1.2 0.9 1", "K003",
            [[60, 30], [140, 30], [140, 70], [60, 70]], [[90, 50, 2], [240, 90, 1]], id="keypoints",
        ),
        pytest.param(
            "kpt_shape: [2, 2]\n", "0 0.5 0.5 0.4 0.4 0.45 0.5 1.2 0.9", "K003",
            [[60, 30], [140, 30], [140, 70], [60, 70]], [[90, 50, 2], [240, 90, 2]], id="keypoints without visibility",
        ),
    ],
)  # fmt: skip
def test_the_row_gives_its_own_shape(
    tmp_path: Path, yaml: str, row: str, rule: str, shape: list[Any], points: list[Any] | None
) -> None:
    path = dataset(
        tmp_path / "set", {"a": f"{row}\n"}, f"train: images/train\nval: images/train\nnames: [x]\n{yaml}"
    )
    report = scan(os.fspath(path), cache=False)
    found = next((f for f in report.findings if f.line == 1 and f.rule == rule), None)
    assert found is not None, [f.rule for f in report.findings]
    drawn = card(made(report, tmp_path / "page")[0], rule)
    assert drawn["shape"] == shape
    assert drawn["points"] == points


def test_a_crop_holds_the_keypoint_that_strayed(tmp_path: Path) -> None:
    yaml = "train: images/train\nval: images/train\nnames: [x]\nkpt_shape: [2, 3]\n"
    rows = "0 0.1 0.1 0.05 0.1 0.1 0.1 2 0.6 0.9 2\n0 0.1 0.1 0.05 0.1 0.1 0.1 2 0.6 0.9 0\n"
    path = dataset(tmp_path / "set", {"a": rows}, yaml, size=(2000, 1000))
    report = scan(os.fspath(path), cache=False)
    at = next(i for i, f in enumerate(report.findings) if f.rule == "K004")
    shown = made(report, tmp_path / "page")[0]["findings"]
    stray = shown["points"][at][1]
    assert report.findings[at].line == 1
    assert 0 < stray[0] < shown["crop_w"][at] and 0 < stray[1] < shown["crop_h"][at]
    assert shown["shape"][at][1][0] - shown["shape"][at][0][0] < 30, "the box itself stays small"


class TestLabelsThatChanged:
    @pytest.mark.parametrize(
        ("now", "row", "about"),
        [
            pytest.param(GOOD + THIN, THIN.strip(), None, id="unchanged"),
            pytest.param(
                GOOD + THIN.replace("0.9", "0.8"), "0 0.5 0.5 0.8 0.004", label_file.CHANGED, id="edited"
            ),
            pytest.param(GOOD + "1" + THIN[1:], "1 0.5 0.5 0.9 0.004", label_file.CHANGED, id="other class"),
            pytest.param(THIN + GOOD, GOOD.strip(), label_file.CHANGED, id="moved"),
            pytest.param(GOOD, None, label_file.CHANGED, id="shorter"),
            pytest.param(None, None, label_file.GONE, id="deleted"),
            pytest.param("\ufeff" + GOOD + THIN, THIN.strip(), None, id="a mark in front"),
            pytest.param(GOOD.strip() + "\r" + THIN, THIN.strip(), None, id="old line ends"),
        ],
    )
    def test_are_told(self, tmp_path: Path, now: str | None, row: str | None, about: str | None) -> None:
        report = scan(os.fspath(dataset(tmp_path / "set", {"a": GOOD + THIN})), cache=False)
        label = tmp_path / "set/labels/train/a.txt"
        label.unlink() if now is None else label.write_bytes(now.encode())
        thin = card(made(report, tmp_path / "page")[0], "B001")
        assert (thin["row"], thin["about"]) == (row, about)
        assert thin["shape"] is not None, "the finding's own numbers are drawn all the same"

    def test_a_fresh_scan_of_a_real_dataset_has_no_doubts(self, shared_data: Path, tmp_path: Path) -> None:
        for name in ("bccd", "ultralytics_dota8", "mcore14_obb", "nuinsseg18_seg"):
            report = scan(os.fspath(shared_data / name / "data.yaml"), cache=False)
            data, notes = made(report, tmp_path / name)
            assert report.findings and notes.notes == ()
            assert set(data["findings"]["about"]) == {None}

    def test_a_mark_in_front_is_no_part_of_the_first_row(self, tmp_path: Path) -> None:
        report = scan(os.fspath(dataset(tmp_path / "set", {"a": "\ufeff" + THIN})), cache=False)
        thin = card(made(report, tmp_path / "page")[0], "B001")
        assert (thin["row"], thin["about"]) == (THIN.strip(), None)

    def test_a_long_row_is_cut_and_made_legible(self, tmp_path: Path) -> None:
        row = "0\t0.5 0.5 0.9 0.004 \x1b[31m" + " 7" * 300 + "\n"
        report = scan(os.fspath(dataset(tmp_path / "set", {"a": row})), cache=False)
        shown = next(r for r in made(report, tmp_path / "page")[0]["findings"]["row"] if r)
        assert shown.startswith("0\t0.5 0.5 0.9 0.004 \\x1b[31m 7 7")
        assert len(shown) == 200 and shown.endswith("…")


def test_a_box_far_outside_is_said_and_drawn_near(tmp_path: Path) -> None:
    report = scan(os.fspath(dataset(tmp_path / "set", {"a": "0 1e30 0.5 0.2 0.2\n"})), cache=False)
    far = next(
        c for c in (card(made(report, tmp_path / "page")[0], r.rule) for r in report.findings) if c["shape"]
    )
    assert OUT_OF_SIGHT in far["about"]
    assert np.abs(far["shape"]).max() < 2000


def test_many_other_boxes_are_the_nearest_thirty(tmp_path: Path) -> None:
    rows = [
        f"1 {x:.4f} {y:.4f} 0.01 0.02" for x in np.linspace(0.1, 0.9, 10) for y in np.linspace(0.1, 0.9, 10)
    ]
    near = "1 0.5001 0.5 0.9 0.006"
    report = scan(os.fspath(dataset(tmp_path / "set", {"a": "\n".join([*rows, near, THIN])})), cache=False)
    last = max(i for i, f in enumerate(report.findings) if f.rule == "B001")
    others = made(report, tmp_path / "page")[0]["findings"]["others"][last]
    assert len(others) == 30
    assert [10, 49.7, 180, 0.6] in others


class TestHostileNames:
    CLASS = "</script><script>alert(1)</script>"

    def test_are_data_and_links_work(self, tmp_path: Path) -> None:
        stems = [
            "a'\"<b>",
            "50% #1?",
            "new\nline",
            "ünïcode",
            os.fsdecode(b"byte\xff"),
            "a&amp;b",
            "/*DATA*/"[1:4],
        ]
        folder = tmp_path / "se't #1%"
        yaml = f"train: images/train\nval: images/train\nnames: [{json.dumps(self.CLASS)}, '/*STYLE*/']\n"
        path = dataset(folder, dict.fromkeys(stems, THIN), yaml)
        report = scan(os.fspath(path), cache=False)
        out = tmp_path / "page ?#%20"
        data, _ = made(report, out)
        page = (out / "index.html").read_text("utf-8")
        assert self.CLASS not in page
        assert page.count("</script") == page.count("<script")
        assert data["classes"][0]["name"] == self.CLASS and data["classes"][1]["name"] == "/*STYLE*/"
        assert set(data["findings"]["class_name"]) == {self.CLASS, None}
        thin = [i for i, rule in enumerate(data["findings"]["rule"]) if rule == "B001"]
        assert len(thin) == len(stems)
        assert all((out / data["findings"]["crop"][i]).is_file() for i in thin)
        assert "images/train/byte\\xff.jpg" in data["findings"]["image"]
        assert "images/train/new\nline.jpg" in data["findings"]["image"]

    def test_of_the_page_itself_are_refused_where_no_link_can_hold_them(self, tmp_path: Path) -> None:
        report = scan(os.fspath(dataset(tmp_path / "set", {"a": THIN})), cache=False)
        name = os.fsdecode(b"x\xff")
        with pytest.raises(ReportError, match="not UTF-8"):
            write_page(report, os.fspath(tmp_path / f"{name}.html"), os.fspath(tmp_path / f"{name}_files"))

    def test_json_cannot_end_its_element(self) -> None:
        value = {"<!--": "</ScRiPt>&\u2028\u2029 ü"}
        text = script_safe_json(value)
        assert not set("<>&\u2028\u2029") & set(text)
        assert json.loads(text) == value


def test_samples_of_every_sort_without_any_dataset(tmp_path: Path) -> None:
    data, notes = made(flawed(), tmp_path / "page")
    assert data["plots"] is None
    assert set(data["findings"]["crop"]) == {None}
    assert len(notes.notes) == 1 and "/data/ships" in notes.notes[0]
    assert data["notes"] == ["only image headers were read", *notes.notes]
    assert data["rules"]["X1"] == {
        "name": "own-rule", "severity": "warning", "count": 1, "why": "", "training": "", "fix": None,
    }  # fmt: skip


def test_rules_of_the_users_own_pack_explain_themselves(tmp_path: Path) -> None:
    path = dataset(tmp_path / "set", {"a": THIN})
    (tmp_path / "set/own.yaml").write_text(
        "- code: X1\n  name: wide\n  scope: row\n  severity: info\n  when: w > 0.5\n  message: wide\n  why: Own why.\n"
    )
    (tmp_path / "set/sanitize.yaml").write_text("packs: [own.yaml]\n")
    report = scan(os.fspath(path), cache=False)
    assert made(report, tmp_path / "page")[0]["rules"]["X1"]["why"] == "Own why."


def test_labels_without_images_have_sizes_as_shares(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(GOOD + THIN)
    report = scan(os.fspath(tmp_path / "labels"), cache=False)
    plots = made(report, tmp_path / "page")[0]["plots"]
    assert plots["size"]["unit"] == "share of the image"
    assert sum(map(sum, plots["size"]["classes"].values())) == 2


def test_single_files_have_cards_but_no_plots(tmp_path: Path) -> None:
    dataset(tmp_path / "set", {"a": THIN})
    report = scan(os.fspath(tmp_path / "set/labels/train/a.txt"), cache=False)
    data, notes = made(report, tmp_path / "page")
    assert data["plots"] is None and "single files" in notes.notes[0]
    assert card(data, "B001")["crop"] is not None


def test_more_findings_than_a_page_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding("B001", "thin", s, f"m{i}", file=f"labels/{i}.txt")
        for i, s in enumerate(
            [Severity.INFO, Severity.ERROR, Severity.WARNING, Severity.INFO, Severity.ERROR]
        )
    ]
    monkeypatch.setattr(build, "MAX_FINDINGS", 3)
    data, notes = made(replace(flawed(), findings=fingerprinted(findings)), tmp_path / "page")
    assert data["findings"]["message"] == ["m1", "m2", "m4"], "the gravest, in the order of the report"
    assert data["rules"]["B001"]["count"] == 5 and data["severities"]["info"] == 2
    assert "3 gravest of 5 findings" in notes.notes[0]


class TestFiles:
    @pytest.fixture
    def report(self, tmp_path: Path) -> Report:
        return scan(os.fspath(dataset(tmp_path / "set", {"a": THIN, "b": THIN})), cache=False)

    def test_a_page_made_again_takes_the_place_of_the_old_one(self, report: Report, tmp_path: Path) -> None:
        out = tmp_path / "page"
        before = set(made(report, out)[0]["findings"]["crop"])
        (out / "crops/mine.txt").write_text("not yours")
        after = set(made(report, out)[0]["findings"]["crop"])
        on_disk = {name for name in tree(out) if name.endswith(".jpg")}
        assert on_disk == after - {None} and not on_disk & before
        assert (out / "crops/mine.txt").exists()

    @pytest.mark.parametrize("failing", ["write_atomically", "page_data", "plots"])
    def test_a_failure_leaves_the_old_page_and_its_crops(
        self, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
    ) -> None:
        made(report, tmp_path / "page")
        before = tree(tmp_path / "page")

        def fail(*arguments: object) -> None:
            raise OSError(28, "No space left on device", "somewhere")

        monkeypatch.setattr(build, failing, fail)
        with pytest.raises(OSError, match="No space left"):
            made(report, tmp_path / "page")
        assert tree(tmp_path / "page") == before

    def test_a_first_page_that_fails_leaves_nothing(
        self, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(build, "page_data", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made(report, tmp_path / "page")
        assert list((tmp_path / "page").iterdir()) == []

    def test_what_a_killed_run_left_goes_with_the_next(self, report: Report, tmp_path: Path) -> None:
        made(report, tmp_path / "page")
        (tmp_path / "page/crops/run-0123456789ab").mkdir()
        (tmp_path / "page/crops/run-0123456789ab/half.jpg").write_bytes(b"half")
        made(report, tmp_path / "page")
        assert not (tmp_path / "page/crops/run-0123456789ab").exists()

    def test_a_dataset_that_moved_is_read_where_it_is_now(self, report: Report, tmp_path: Path) -> None:
        (tmp_path / "set").rename(tmp_path / "moved")
        (tmp_path / "link").symlink_to(tmp_path / "moved")
        data, notes = made(replace(report, root=os.fspath(tmp_path / "link")), tmp_path / "page")
        assert notes.notes == () and data["plots"] is not None
        assert card(data, "B001")["crop"] is not None

    def test_a_folder_that_cannot_be_written_is_an_error(self, report: Report, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            write_page(report, os.fspath(tmp_path / "x.html"), os.fspath(tmp_path / "file/crops"))
        assert not (tmp_path / "x.html").exists()

    @pytest.mark.parametrize(
        ("existing", "words"),
        [
            ("page/index.html", "is no page that sanitize made"),
            ("page/crops", "is a file"),
            ("page/crops/holiday.jpg", "a folder with other files"),
            ("page/index.html/x", "is a folder"),
        ],
    )
    def test_what_is_not_ours_is_not_touched(
        self, report: Report, tmp_path: Path, existing: str, words: str
    ) -> None:
        (tmp_path / existing).parent.mkdir(parents=True)
        (tmp_path / existing).write_text("precious")
        before = tree(tmp_path)
        with pytest.raises(ReportError, match=words):
            made(report, tmp_path / "page")
        assert tree(tmp_path) == before

    def test_nothing_is_written_in_the_dataset(self, report: Report, tmp_path: Path) -> None:
        before = tree(tmp_path / "set")
        made(report, tmp_path / "page")
        assert tree(tmp_path / "set") == before

    def test_workers_make_the_same_page_as_one_process(self, tmp_path: Path) -> None:
        rows = {f"{i:02}": GOOD + THIN.replace("0.5", f"0.5{i:02}", 1) for i in range(30)}
        report = scan(os.fspath(dataset(tmp_path / "set", rows)), cache=False)
        alone, _ = made(report, tmp_path / "one", jobs=1)
        shared, _ = made(report, tmp_path / "two", jobs=2, progress=True)
        for data in (alone, shared):
            data["findings"]["crop"] = [c and os.path.basename(c) for c in data["findings"]["crop"]]
            data.pop("created")
        assert alone == shared


@pytest.mark.parametrize(
    ("data", "root", "files_only", "title"),
    [
        ("data.yaml", "/sets/ships", False, "ships/data.yaml"),
        ("/sets/ships/data.yaml", "/sets/ships", False, "ships/data.yaml"),
        ("../other/x.yaml", "/sets/ships", False, "other/x.yaml"),
        (".", "/sets/ships", False, "ships"),
        ("./ships/", "/sets/ships", False, "ships"),
        ("labels/a.txt labels/b.txt", "/sets/ships", True, "ships"),
        ("x\n.yaml", "/sets/ships", False, "ships/x\\n.yaml"),
        (".", "/", False, "dataset"),
    ],
)
def test_titles(data: str, root: str, files_only: bool, title: str) -> None:
    assert title_of(replace(flawed(), data=data, root=root, files_only=files_only)) == title


def test_the_id_is_that_of_the_findings(tmp_path: Path) -> None:
    path = os.fspath(dataset(tmp_path / "set", {"a": THIN, "b": GOOD}))
    first, again = (made(scan(path, cache=False), tmp_path / name)[0]["id"] for name in ("1", "2"))
    (tmp_path / "set/labels/train/b.txt").write_text(THIN)
    assert first == again != made(scan(path, cache=False), tmp_path / "3")[0]["id"]


MAIN_PROCESS = os.getpid()


def _fragile(number: int) -> int:
    """The number's square; dies in a worker that gets 13, as one does that is out of memory."""
    if number == 13 and os.getpid() != MAIN_PROCESS:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_killed_worker_costs_no_result() -> None:
    numbers = list(range(40))
    assert list(share_out(_fragile, numbers, 2, 3, [1] * 40, None)) == [n * n for n in numbers]
