"""Archives for CVAT: what is in them, that no name leads out of them, and that datumaro reads them back."""

from __future__ import annotations

import json
import os
import subprocess
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
from annotation_samples import IMAGES, NAMES, ROWS, make, rows_of
from PIL import Image
from report_samples import finding

from sanitizer.reports.annotators.cvat import write
from sanitizer.reports.annotators.flagged import ExportError, Flagged

if TYPE_CHECKING:
    from sanitizer.findings.report import Report


def document_of(report: Report, path: Path) -> ElementTree.Element:
    write(Flagged.of(report), str(path))
    if path.suffix == ".xml":
        return ElementTree.parse(path).getroot()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return ElementTree.fromstring(archive.read("annotations.xml"))


def image_of(document: ElementTree.Element, name: str) -> ElementTree.Element:
    return next(i for i in document.iterfind("image") if i.get("name") == name)


def test_the_archive_holds_each_flagged_image_byte_for_byte_under_its_name(tmp_path: Path) -> None:
    report = make(tmp_path / "set", "detect")
    document = document_of(report, tmp_path / "c.zip")
    named = {
        i.get("name") or "": (int(i.get("width") or 0), int(i.get("height") or 0))
        for i in document.iterfind("image")
    }
    assert named == {f"images/{name}": size for name, size in IMAGES.items()}
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert sorted(archive.namelist()) == sorted(
            ["annotations.xml", *(f"images/{name}" for name in named)]
        )
        for name in named:
            assert archive.read(f"images/{name}") == (tmp_path / "set" / str(name)).read_bytes()


def test_boxes_are_pixels_with_their_findings_and_nothing_is_clipped(tmp_path: Path) -> None:
    image = image_of(document_of(make(tmp_path / "set", "detect"), tmp_path / "c.zip"), "images/a & <b>.png")
    boxes = image.findall("box")
    places = [[float(b.get(side) or "nan") for side in ("xtl", "ytl", "xbr", "ybr")] for b in boxes]
    assert places == [
        [75, 25, 125, 75],
        [160, 40, 220, 60],
        [50, 25, 50, 25],
        [10, 5, 30, 15],
        [490, 245, 510, 255],
    ]
    assert [b.findtext("attribute") for b in boxes] == ["B001 box is <b>thin</b> & long", "", "", "", ""]
    assert image.find("polygon") is not None
    tag = image.find("tag")
    assert tag is not None
    assert tag.findtext("attribute") == (
        "I006 training would rewrite this file\nline 1: B001 box is <b>thin</b> & long"
    )


def test_the_labels_beside_it_are_those_of_the_document(tmp_path: Path) -> None:
    report = replace(make(tmp_path / "set", "detect"), names={0: "finding", 1: "b", 2: "b"})
    document = document_of(report, tmp_path / "c.zip")
    names = [label.findtext("name") for label in document.iterfind("meta/task/labels/label")]
    assert names == ["finding", "b", "b (class 2)", "class 7", "finding_"]
    raw = json.loads((tmp_path / "c.labels.json").read_text(encoding="utf-8"))
    assert [label["name"] for label in raw] == names
    assert len({label["color"] for label in raw}) == len(raw)
    used = {e.get("label") for image in document.iterfind("image") for e in image}
    assert used <= set(names)


def test_an_xml_file_holds_the_annotations_alone(tmp_path: Path) -> None:
    report = make(tmp_path / "set", "detect")
    alone, in_zip = document_of(report, tmp_path / "c.xml"), document_of(report, tmp_path / "c.zip")
    assert ElementTree.tostring(alone) == ElementTree.tostring(in_zip)


def test_keypoints_are_points_in_the_group_of_their_box(tmp_path: Path) -> None:
    image = image_of(document_of(make(tmp_path / "set", "pose"), tmp_path / "c.zip"), "images/a & <b>.png")
    (points,) = image.findall("points")
    assert points.get("points") == "80.0000,40.0000;120.0000,60.0000"
    assert [b.get("group_id") for b in image.findall("box")] == ["1", None]
    assert points.get("group_id") == "1"


HOSTILE = ("..\\..\\evil.png", "C:evil.png", "line\nbreak.png", "C_evil.png", "bell\x07.png")


def test_no_name_leads_out_of_the_archive_or_breaks_the_document(tmp_path: Path) -> None:
    report = make(tmp_path / "set", "detect")
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    sources = ["../elsewhere/a.png", *HOSTILE]
    for source in sources:
        Image.new("RGB", (20, 20)).save(os.path.join(report.root, source), "PNG")
    report = replace(report, findings=[finding("I006", "m", image=source) for source in sources])
    document = document_of(report, tmp_path / "c.zip")
    names = [i.get("name") or "" for i in document.iterfind("image")]
    assert len(set(names)) == len(sources)
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert {f"images/{name}" for name in names} | {"annotations.xml"} == set(archive.namelist())
    for name in names:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert not set("\\:\n\x07") & set(name)


def test_an_image_that_vanishes_meanwhile_is_in_neither_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = make(tmp_path / "set", "detect")
    flagged = Flagged.of(report)
    real_read = Flagged._read

    def read_then_lose(self: Flagged) -> Any:
        for image in real_read(self):
            if image.name.endswith("zwölf.jpg"):
                os.unlink(image.path)
            yield image

    monkeypatch.setattr(Flagged, "_read", read_then_lose)
    exported = write(flagged, str(tmp_path / "c.zip"))
    assert exported.images == 2
    assert exported.left_out == ["images/zwölf.jpg: No such file or directory"]
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert len(archive.namelist()) == 3
        assert archive.read("annotations.xml").count(b"<image ") == 2


def test_nothing_is_left_behind_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = make(tmp_path / "set", "detect")
    out = tmp_path / "out"
    out.mkdir()
    (out / "c.zip").write_bytes(b"old")
    with pytest.raises(ExportError):
        write(Flagged.of(replace(report, root=str(tmp_path))), str(out / "c.zip"))

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left") as failure:
        write(Flagged.of(report), str(out / "c.zip"))
    assert failure.value.filename in (str(out / "c.zip"), str(out / "c.labels.json"))
    assert os.listdir(out) == ["c.zip"]
    assert (out / "c.zip").read_bytes() == b"old"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    report = make(tmp_path / "set", "detect")
    picture = tmp_path / "set/images/zwölf.jpg"
    peaks = []
    for n in (500, 2000):
        for i in range(n):
            copy = tmp_path / f"set/images/{i}.jpg"
            if not copy.exists():
                os.link(picture, copy)
                os.link(tmp_path / "set/labels/zwölf.txt", tmp_path / f"set/labels/{i}.txt")
        many = replace(report, findings=[finding("I006", "m", image=f"images/{i}.jpg") for i in range(n)])
        tracemalloc.start()
        write(Flagged.of(many), str(tmp_path / "c.xml"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Sixteen MB of annotations may wait in memory; beyond that an image costs its entry in two lists.
    assert peaks[1] - peaks[0] < 1500 * 8_000


# --- the real datumaro --------------------------------------------------------------------------------------

READ_BACK = """
import json, sys
from datumaro.components.dataset import Dataset
dataset = Dataset.import_from(sys.argv[1], "cvat")
labels = [label.name for label in dataset.categories()[list(dataset.categories())[0]].items]
print(json.dumps({"labels": labels, "items": [
    {
        "id": item.id, "size": list(item.media.size), "bytes": len(item.media.data.tobytes()),
        "annotations": [
            {"type": a.type.name, "label": labels[a.label], "attributes": a.attributes, "group": a.group,
             "points": list(getattr(a, "points", []))}
            for a in item.annotations
        ],
    } for item in dataset]}))
"""


def datumaro_python() -> str:
    own = Path(__file__).parents[2] / ".venv-datumaro" / "bin" / "python"
    found = os.environ.get("SANITIZE_DATUMARO_PYTHON") or (str(own) if own.exists() else None)
    if not found:
        pytest.skip("no Python with datumaro found (set SANITIZE_DATUMARO_PYTHON, or run scripts/exports)")
    return found


@pytest.mark.slow
@pytest.mark.datumaro
@pytest.mark.parametrize("task", ROWS)
def test_datumaro_reads_the_archive_back(tmp_path: Path, task: str) -> None:
    python = datumaro_python()
    report = make(tmp_path / "set", task)
    document = document_of(report, tmp_path / "c.zip")
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    run = subprocess.run(
        [python, "-c", READ_BACK, str(tmp_path / "unpacked")],
        capture_output=True, check=False, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr.decode(errors="replace")[-2000:]
    read = json.loads(run.stdout.decode().splitlines()[-1])

    assert read["labels"] == [e.findtext("name") for e in document.iterfind("meta/task/labels/label")]
    assert read["labels"][:3] == list(NAMES)
    items = {item["id"]: item for item in read["items"]}
    assert items.keys() == {f"images/{name.rpartition('.')[0]}" for name in IMAGES}
    for shown in Flagged.of(report):
        item = items[shown.name.rpartition(".")[0]]
        assert item["size"] == [shown.height, shown.width]
        tags = [a for a in item["annotations"] if a["type"] == "label"]
        assert [t["attributes"]["finding"] for t in tags] == [shown.note]
        drawn = [a for a in item["annotations"] if a["type"] in ("bbox", "rotated_bbox", "polygon")]
        assert [a["label"] for a in drawn] == [s.label for s in shown.shapes]
        assert [a["attributes"]["finding"] for a in drawn] == [s.note for s in shown.shapes]
        for annotation, row in zip(drawn, pixel_rows(task, shown.width, shown.height), strict=True):
            read_px = corners_read(annotation)
            row_px = np.array([row.min(axis=0), row.max(axis=0)]) if len(read_px) == 2 else row
            assert np.abs(read_px - row_px).max() < 0.01
        if task == "obb":
            assert [a["type"] for a in drawn] == ["bbox", "polygon", "rotated_bbox"]
        points = [a["points"] for a in item["annotations"] if a["type"] == "points"]
        expected = [[c for k in s.keypoints for c in (k.x, k.y)] for s in shown.shapes if s.keypoints]
        assert len(points) == len(expected)
        assert all(np.abs(np.subtract(p, e)).max() < 0.01 for p, e in zip(points, expected, strict=True))


def pixel_rows(task: str, width: int, height: int) -> list[np.ndarray]:
    """What each readable row says, worked out anew: corners or vertices, float64 (P, 2), pixels."""
    found = []
    for row in rows_of(task, width, height):
        numbers = np.array(row.split()[1:], float)
        if len(numbers) < 4:
            continue
        if len(numbers) == 4 or task == "pose":
            center, half = numbers[:2], numbers[2:4] / 2
            points = np.array([center - half, center + half])
        else:
            points = numbers.reshape(-1, 2)
        found.append(points * [width, height])
    return found


def corners_read(annotation: dict[str, Any]) -> np.ndarray:
    """Corners or vertices of what datumaro read; a rotated box is centre, size and degrees clockwise there."""
    if annotation["type"] != "rotated_bbox":
        points = np.array(annotation["points"]).reshape(-1, 2)
        return (
            points if annotation["type"] == "polygon" else np.array([points.min(axis=0), points.max(axis=0)])
        )
    x, y, w, h, angle_deg = annotation["points"]
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    return corners @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
