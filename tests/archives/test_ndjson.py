"""Ultralytics' NDJSON, judged as the dataset that Ultralytics' own converter makes of it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import write_ndjson

from sanitizer.archives import ndjson, ndjson_dataset
from sanitizer.archives.finding import find_dataset
from sanitizer.findings.finding import Severity
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

DATASET = {"type": "dataset", "task": "detect", "class_names": {"0": "cat", "1": "dog"}}
ROWS = [[0, 0.5, 0.5, 0.2, 0.2], [1, 0.3, 0.3, 0.1, 0.1]]


def image(file: str = "a.jpg", split: str = "train", rows: Any = ROWS, **more: Any) -> dict[str, Any]:
    return {
        "type": "image", "file": file, "split": split, "width": 640, "height": 480,
        "url": f"https://example.org/{file}", "annotations": {"boxes": rows},
    } | more  # fmt: skip


def write(folder: Path, *lines: Any) -> str:
    path = folder / "set.ndjson"
    path.write_bytes(
        b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    )
    return str(path)


def report_of(path: str, **options: Any) -> Report:
    return scan(path, cache=False, jobs=1, **options)


def only(report: Report, rule: str) -> Finding:
    (finding,) = [f for f in report.findings if f.rule == rule]
    return finding


def test_rows_are_judged_with_the_sizes_of_the_records(tmp_path: Path) -> None:
    thin = [[0, 0.5, 0.5, 0.9, 0.001], [0, 0.5, 0.5, 0.0, 0.2]]
    report = report_of(write(tmp_path, DATASET, image(rows=thin), image("b.jpg", "val")))
    zero = only(report, "B002")
    assert zero.line == 2
    assert (zero.image, zero.label) == ("set.ndjson/images/train/a.jpg", "set.ndjson/labels/train/a.txt")
    assert zero.split == "train"
    aspect = only(report, "B001")
    assert aspect.value == pytest.approx(0.9 * 640 / (0.001 * 480))
    assert report.summary.images == report.summary.labels == 2
    assert [(s.split, s.images, s.boxes) for s in report.summary.splits] == [("train", 1, 2), ("val", 1, 2)]
    assert any("not fetched" in note for note in report.notes)


@pytest.mark.parametrize(
    ("line", "rule", "words"),
    [
        (b"{not json}\n", "D001", "is no JSON"),
        (b'"text"\n', "D001", "holds a str"),
        (b"\xff\xfe\n", "D001", "is no UTF-8"),
        (b"[" * 100_000 + b"\n", "D001", "without end"),
        (image(split="dev"), "D002", "'dev'"),
        (image(split=None), "D002", "None"),
        (image(file=""), "D001", "no file name"),
        (image(file=7), "D001", "no file name"),
        (image(annotations=None), "D001", "NoneType"),
        (image(annotations=[1]), "D001", "list"),
        (image(rows=[1, 2]), "D001", "no lists of numbers"),
        (image(rows=[["cat", 0.5, 0.5, 0.1, 0.1]]), "D001", "no lists of numbers"),
        (image(rows=7), "D001", "no lists of numbers"),
        (image(rows=[{"class": 1}]), "D001", "no lists of numbers"),
    ],
)
def test_a_line_that_stops_the_converter_is_named_and_the_rest_is_judged(
    tmp_path: Path, line: Any, rule: str, words: str
) -> None:
    report = report_of(write(tmp_path, DATASET, image(), line, image("b.jpg", "val", [[0, 0.5, 0.5, 0, 1]])))
    fault = only(report, rule)
    assert (fault.file, fault.line) == ("set.ndjson", 3)
    assert words in fault.message
    assert "converter stops" in fault.message
    assert only(report, "B002").label == "set.ndjson/labels/val/b.txt"
    assert report.summary.images == 2


def test_a_missing_dataset_record(tmp_path: Path) -> None:
    report = report_of(write(tmp_path, image(), image("b.jpg"), image("c.jpg", "val")))
    assert "dataset's own is missing" in only(report, "D001").message
    assert report.summary.images == 2, "the converter loses the first image, and so do we"


def test_blank_lines_count_as_lines_but_not_as_records(tmp_path: Path) -> None:
    report = report_of(write(tmp_path, b"\n \n", DATASET, b"\r\n", image(), b"oops\n", image("b.jpg", "val")))
    assert only(report, "D001").line == 6
    assert report.summary.images == 2


def test_what_the_converter_makes_of_missing_splits(tmp_path: Path) -> None:
    no_val = report_of(write(tmp_path, DATASET, image()))
    assert "at random" in only(no_val, "D002").message
    no_train = report_of(write(tmp_path, DATASET, image(split="val")))
    assert "converter stops" in only(no_train, "D002").message


def test_class_ids_without_name_get_one_from_the_converter(tmp_path: Path) -> None:
    report = report_of(write(tmp_path, DATASET, image(rows=[[7, 0.5, 0.5, 0.1, 0.1]]), image("b.jpg", "val")))
    assert "C001" not in {f.rule for f in report.findings}
    assert only(report, "D003").line == 2
    assert "(7)" in only(report, "D003").message


def test_several_kinds_of_annotations(tmp_path: Path) -> None:
    two = image(annotations={"boxes": ROWS, "segments": [[0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.1]]})
    report = report_of(write(tmp_path, DATASET, two, image("b.jpg", "val")))
    assert "segments are ignored" in only(report, "D001").message
    assert report.summary.boxes == 4


def test_a_record_without_annotations_is_an_empty_label(tmp_path: Path) -> None:
    bare = {"type": "image", "file": "a.jpg", "split": "train"}
    report = report_of(write(tmp_path, DATASET, bare, image("b", "val")))
    assert only(report, "L007").image == "set.ndjson/images/train/a.jpg"
    assert report.summary.images_background == 1


def test_ranges_give_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [image(f"{i}.jpg", ("train", "val")[i % 5 == 0], [[i % 3, 0.5, 0.5, 0, 0.1]]) for i in range(300)]
    path = write(tmp_path, DATASET, *lines[:150], b"bad\n", *lines[150:])
    whole = report_of(path)
    monkeypatch.setattr(ndjson_dataset, "RANGE_BYTES", 2000)
    monkeypatch.setattr(ndjson_dataset, "_BLOCK", 512)
    parts = report_of(path)
    expected = [f for f in whole.findings if f.rule != "D003"]
    assert [f for f in parts.findings if f.rule != "D003"] == expected
    assert only(parts, "D001").line == 152
    assert parts.summary.splits == whole.summary.splits


def test_an_overlong_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "MAX_LINE_BYTES", 500)
    long = image("long.jpg", rows=[[0, 0.5, 0.5, 0.1, 0.1]] * 100)
    report = report_of(write(tmp_path, DATASET, image(), long, image("b.jpg", "val")))
    assert "longer than" in only(report, "D001").message
    assert report.summary.images == 2


class _Session:
    def __init__(self, **_: Any) -> None: ...

    async def __aenter__(self) -> _Session:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def convert(path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ultralytics' converter on a file whose images lie beside it: its HTTP client is never asked."""
    converter = pytest.importorskip("ultralytics.data.converter", reason="needs the probe extra")
    if not hasattr(converter, "convert_ndjson_to_yolo"):
        pytest.skip("this Ultralytics has no NDJSON converter")
    client = types.ModuleType("aiohttp")
    client.ClientSession = _Session  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "aiohttp", client)
    monkeypatch.setattr(converter, "check_requirements", lambda *_: True)
    # Browser tests leave an event loop running in this thread.
    with ThreadPoolExecutor(1) as pool:
        return str(pool.submit(asyncio.run, converter.convert_ndjson_to_yolo(path, out)).result())


@pytest.mark.ultralytics
@pytest.mark.parametrize(
    "name",
    ["bccd", "ultralytics_coco8", "ultralytics_coco8-seg", "ultralytics_coco8-pose", "ultralytics_dota8"],
)
def test_same_findings_as_on_what_the_real_converter_writes(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    loose = find_dataset([str(shared_data / name / "data.yaml")]).without_repeats()
    files = write_ndjson(loose, tmp_path / "set.ndjson", tmp_path / "src" / "images")
    if not any(s.name == "val" for s in loose.splits):
        pytest.skip("the converter would move images at random")
    converted = scan(
        convert(tmp_path / "set.ndjson", tmp_path / "out", monkeypatch), images="header", cache=False
    )
    packed = scan(str(tmp_path / "set.ndjson"), task=converted.task, cache=False)  # type: ignore[arg-type]

    def known(report: Report, as_written: bool) -> list[tuple[object, ...]]:
        rows = []
        for f in report.findings:
            if f.rule[0] == "I" or f.rule in ("D001", "D009", "D010", "D011"):
                continue  # these need the images
            label = re.sub(r"^set\.ndjson/", "", f.label or "")
            if as_written and (number := re.search(r"/(\d+)\.txt$", label)):
                label = label[: number.start()] + "/" + re.sub(r"\.\w+$", ".txt", files[number[1]])
            rows.append(
                (f.rule, f.severity, f.split, label, f.line, f.column, f.class_id, f.value, f.message)
            )
        return sorted(rows, key=repr)

    assert known(packed, False) == known(converted, True)
    assert packed.summary.boxes == converted.summary.boxes
    assert packed.summary.images == converted.summary.images


def test_records_without_a_url_stop_the_converter_but_where_images_lie_beside(tmp_path: Path) -> None:
    records = [image(url=None), image("b.jpg", url=""), image("c.jpg", "val")]
    report = report_of(write(tmp_path, DATASET, *records))
    finding = only(report, "D001")
    assert (finding.line, finding.severity) == (2, Severity.ERROR)
    assert "names no url" in finding.message and "first of 2 records" in finding.message
    assert report.training is not None and report.training.starts is False
    beside = report_of(write(tmp_path, DATASET | {"path": "pictures"}, *records))
    assert not [f for f in beside.findings if f.rule == "D001"]
