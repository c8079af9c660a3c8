"""Every defect that a dataset can have, alone and all together: each is named by file and line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from example_files import build

from sanitizer import scan
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.report import Report

GOOD = "0 0.5 0.5 0.4 0.3"
OTHER_GOOD = "1 0.25 0.25 0.2 0.22"
DATA_YAML = "train: images/train\nval: images/val\nnames: [a, b, c]\n"


@dataclass(frozen=True)
class Flaw:
    """One defect: the files that plant it, and the finding it must give."""

    name: str
    code: str
    file: str
    line: int | None = None
    files: dict[str, Any] = field(default_factory=dict)


def in_label(name: str, code: str, rows: str, line: int | None = None, image: str = "640x480") -> Flaw:
    """A defect of label rows. Unless `line` says otherwise it is in the last one."""
    return label_bytes(name, code, f"{rows}\n".encode(), line or rows.count("\n") + 1, image)


def label_bytes(
    name: str, code: str, content: bytes, line: int | None = None, image: str = "640x480", ending: str = "txt"
) -> Flaw:
    """A defect of a label file's bytes."""
    stem = name.replace(" ", "_")
    label = f"labels/train/{stem}.{ending}"
    files = {f"images/train/{stem}.jpg": {"image": image}, label: {"bytes": content.decode("latin-1")}}
    return Flaw(name, code, label, line, files)


def after_good(name: str, code: str, row: str, image: str = "640x480") -> Flaw:
    """A bad row behind a good one."""
    return in_label(name, code, f"{OTHER_GOOD}\n{row}", image=image)


def in_image(name: str, code: str, content: dict[str, str], ending: str = "jpg") -> Flaw:
    """A defect of an image file; its label is fine."""
    stem = name.replace(" ", "_")
    image = f"images/train/{stem}.{ending}"
    return Flaw(name, code, image, None, {image: content, f"labels/train/{stem}.txt": {"rows": GOOD}})


def copies(
    name: str, code: str, first: tuple[str, str, str], second: tuple[str, str, str], file: str
) -> Flaw:
    """Two images; each is (path without ending, image spec, label rows)."""
    files: dict[str, Any] = {}
    for stem, spec, rows in (first, second):
        files[f"images/{stem}.jpg"] = {"image": spec}
        files[f"labels/{stem}.txt"] = {"rows": rows}
    return Flaw(name, code, file, None, files)


FLAWS = [
    after_good("aspect over 50 wide", "B001", "0 0.5 0.5 0.9 0.02"),
    after_good("aspect over 50 tall", "B001", "0 0.5 0.5 0.012 0.95"),
    after_good("zero width", "B002", "0 0.5 0.5 0 0.3"),
    after_good("zero height", "B002", "0 0.5 0.5 0.4 0"),
    after_good("negative width", "B002", "0 0.5 0.5 -0.4 0.3"),
    after_good("negative height", "B002", "0 0.5 0.5 0.4 -0.3"),
    after_good("centre over 1", "B003", "0 1.2 0.5 0.1 0.1"),
    after_good("centre under 0", "B003", "0 0.5 -0.2 0.1 0.1"),
    after_good("width over 1", "B003", "0 0.5 0.5 1.3 0.4"),
    after_good("edge outside by half a percent", "B004", "0 0.9 0.5 0.21 0.3"),
    after_good("edge outside by 5 percent", "B004", "0 0.5 0.1 0.4 0.3"),
    after_good("edge outside by 50 percent", "B004", "0 1.0 0.5 1.0 0.3"),
    after_good("nan", "L004", "0 0.5 nan 0.4 0.3"),
    after_good("inf", "L004", "0 0.5 0.5 inf 0.3"),
    after_good("1e400", "L004", "0 0.5 0.5 0.4 1e400"),
    after_good("class as large as nc", "C001", "3 0.5 0.5 0.4 0.3"),
    after_good("negative class", "C001", "-1 0.5 0.5 0.4 0.3"),
    after_good("fractional class", "C002", "1.5 0.5 0.5 0.4 0.3"),
    after_good("class by name", "L003", "dog 0.5 0.5 0.4 0.3"),
    after_good("4 columns", "L002", "0 0.5 0.5 0.4"),
    after_good("6 columns", "L002", "0 0.5 0.5 0.4 0.3 0.9"),
    after_good("8 columns", "L002", "0 0.5 0.5 0.4 0.3 0.9 0.1 0.2"),
    in_label("box and polygon mixed", "L005", f"{GOOD}\n{OTHER_GOOD}\n0 0.1 0.1 0.6 0.1 0.6 0.7 0.1 0.7"),
    in_label("exact duplicate", "B007", f"{GOOD}\n{OTHER_GOOD}\n{GOOD}"),
    in_label("near duplicate", "B008", f"{GOOD}\n{OTHER_GOOD}\n0 0.502 0.5 0.4 0.302"),
    in_label("two classes on one box", "B009", f"{GOOD}\n{OTHER_GOOD}\n2 0.5 0.5 0.4 0.3"),
    after_good("2 px box", "B005", "0 0.5 0.5 0.0015625 0.0020833", image="1280x960"),
    after_good("1 px box", "B005", "0 0.5 0.5 0.0015625 0.0020833"),
    after_good("full image box", "B006", "0 0.5 0.5 1 1"),
    label_bytes("not UTF-8", "L001", f"{GOOD}\n".encode() + b"0 0.5 0.5 0.4 0.3 \xe9\n"),
    label_bytes("UTF-16", "L001", f"{GOOD}\n".encode("utf-16")),
    label_bytes("NUL bytes", "L001", b"0 0.5 0.5 0.4 0.3\n\x00\x00\x00\x00\n"),
    in_label("comma separators", "L003", f"{GOOD.replace(' ', ',')}\n{OTHER_GOOD}", line=1),
    in_label("decimal commas", "L003", f"{OTHER_GOOD}\n{GOOD.replace('.', ',')}"),
    in_label("pixel coordinates", "B011", "0 320 240 256 144\n1 100 90 60 50", line=1),
    in_label("two corners", "B010", "0 0.55 0.55 0.75 0.85\n1 0.6 0.1 0.9 0.25\n2 0.3 0.5 0.95 0.9", line=1),
    Flaw(
        "missing label", "D006", "images/train/missing_label.jpg", None,
        {"images/train/missing_label.jpg": {"image": "640x480"}},
    ),
    Flaw(
        "orphan label", "D007", "labels/train/orphan_label.txt", None,
        {"labels/train/orphan_label.txt": {"rows": GOOD}},
    ),
    label_bytes("empty label", "L007", b""),
    label_bytes("ending TXT", "L009", f"{GOOD}\n".encode(), ending="TXT"),
    in_image("truncated JPEG", "I002", {"image": "640x480 truncated"}),
    in_image("bytes after the end", "I006", {"image": "640x480 tail"}),
    in_image("wrong extension", "I004", {"image": "640x480 png"}),
    in_image("not an image", "I001", {"image": "640x480 text"}),
    in_image("zero bytes", "I001", {"image": "640x480 empty"}),
    in_image("broken link", "I001", {"link": "nowhere.jpg"}),
    in_image("8 px image", "I003", {"image": "8x8"}, ending="png"),
    in_image("EXIF rotation", "I005", {"image": "640x480 exif6"}),
    in_image("gray", "I007", {"image": "640x480 gray"}),
    in_image("16 bit", "I007", {"image": "640x480 16bit"}, ending="png"),
    Flaw(
        "same stem twice", "D008", "images/train/same_stem.png", None,
        {
            "images/train/same_stem.jpg": {"image": "640x480"},
            "images/train/same_stem.png": {"image": "640x480 seed=7"},
            "labels/train/same_stem.txt": {"rows": GOOD},
        },
    ),
    copies(
        "exact leak", "D009",
        ("train/leak_1", "640x480 seed=901", GOOD),
        ("val/leak_2", "640x480 seed=901", GOOD),
        "images/val/leak_2.jpg",
    ),
    copies(
        "near leak", "D009",
        ("train/near_leak_1", "640x480 seed=902", GOOD),
        ("val/near_leak_2", "320x240 seed=902 quality=70", GOOD),
        "images/val/near_leak_2.jpg",
    ),
    copies(
        "copies that agree", "D009",
        ("train/copy_1", "640x480 seed=903", GOOD),
        ("train/copy_2", "640x480 seed=903", GOOD),
        "images/train/copy_2.jpg",
    ),
    copies(
        "copies that disagree", "D010",
        ("train/conflict_1", "640x480 seed=904", GOOD),
        ("train/conflict_2", "640x480 seed=904", OTHER_GOOD),
        "labels/train/conflict_2.txt",
    ),
]  # fmt: skip

YAML_FLAWS = [
    ("wrong nc", "D003", "train: images/train\nval: images/val\nnc: 5\nnames: [a, b, c]\n", 3),
    ("neither names nor nc", "D003", "train: images/train\nval: images/val\n", None),
    ("gap in names", "D003", "train: images/train\nval: images/val\nnames: {0: a, 1: b, 3: c}\n", 3),
    ("same name twice", "D003", "train: images/train\nval: images/val\nnames: [a, b, a]\n", 3),
    ("escaping path", "D005", f"{DATA_YAML}test: ../elsewhere/images\n", 4),
    ("train is val", "D009", "train: images/train\nval: images/train\nnames: [a, b, c]\n", None),
    ("no val", "D002", "train: images/train\nnames: [a, b, c]\n", None),
    ("missing path", "D002", "train: images/train\nval: images/walls\nnames: [a, b, c]\n", 2),
    ("broken syntax", "D001", "train: [images/train\nval: images/val\nnames: [a, b, c]\n", None),
    ("Python tags", "D001", f"{DATA_YAML}extra: !!python/object/apply:os.system ['true']\n", 4),
    ("download code", "D004", f"{DATA_YAML}download: |\n  import os\n  os.system('true')\n", 4),
]

FLAWED_YAML_OF_ALL = (
    "train: images/train\nval: images/val\ntest: ../elsewhere/images\nnc: 2\nnames: [a, b, c]\n"
    "download: |\n  import os\n"
)

HARMLESS = {
    "BOM": b"\xef\xbb\xbf0 0.5 0.5 0.4 0.3\n",
    "CRLF": b"0 0.5 0.5 0.4 0.3\r\n1 0.25 0.25 0.2 0.22\r\n",
    "tabs": b"0\t0.5\t0.5\t0.4\t0.3\n",
    "blank lines": b"\n0 0.5 0.5 0.4 0.3\n\n \n1 0.25 0.25 0.2 0.22\n\n",
    "class 1.0": b"1.0 0.5 0.5 0.4 0.3\n",
    "scientific notation": b"0 5e-1 5.0E-01 4e-1 .3e0\n",
    "no line end": b"0 0.5 0.5 0.4 0.3",
    "ending JPG": b"0 0.5 0.5 0.4 0.3\n",
}


def dataset(folder: Path, files: dict[str, Any], data_yaml: str = DATA_YAML) -> Path:
    """A good pair in train and in val, and the given files. Another dataset lies beside it."""
    build({"files": {}}, folder / "elsewhere")
    return build({"yaml": data_yaml, "files": files}, folder / "set")


def found(report: Report) -> set[tuple[str, str | None, int | None]]:
    return {(f.rule, f.file, f.line) for f in report.findings}


def worse_than_info(report: Report) -> list[tuple[str, str | None, int | None, str]]:
    return [(f.rule, f.file, f.line, f.message) for f in report.findings if f.severity > Severity.INFO]


def is_named(flaw: Flaw, report: Report) -> bool:
    """The finding is there, at its line if it has one."""
    return any(
        (code, file) == (flaw.code, flaw.file) and flaw.line in (None, line)
        for code, file, line in found(report)
    )


def test_the_good_pairs_have_no_finding(tmp_path: Path) -> None:
    assert worse_than_info(scan(dataset(tmp_path, {}), images="decode")) == []


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_each_flaw_alone_is_named_and_nothing_else(flaw: Flaw, tmp_path: Path) -> None:
    report = scan(dataset(tmp_path, flaw.files), images="decode")
    assert is_named(flaw, report), found(report)
    elsewhere = [f for f in worse_than_info(report) if f[1] not in {*flaw.files, flaw.file}]
    assert elsewhere == []


@pytest.mark.parametrize(
    ("code", "content", "line"), [row[1:] for row in YAML_FLAWS], ids=[row[0] for row in YAML_FLAWS]
)
def test_each_flaw_of_the_data_yaml_is_named(
    code: str, content: str, line: int | None, tmp_path: Path
) -> None:
    report = scan(dataset(tmp_path, {}, content), images="decode")
    named = [(c, at) for c, file, at in found(report) if c == code and file == "data.yaml"]
    assert named, found(report)
    assert line is None or (code, line) in named


def test_all_flaws_together_are_all_named(tmp_path: Path) -> None:
    files = {path: content for flaw in FLAWS for path, content in flaw.files.items()}
    report = scan(dataset(tmp_path, files, FLAWED_YAML_OF_ALL), images="decode")
    assert [flaw.name for flaw in FLAWS if not is_named(flaw, report)] == []
    assert {("D003", "data.yaml"), ("D004", "data.yaml"), ("D005", "data.yaml")} <= {
        (code, file) for code, file, _ in found(report)
    }


def harmless_files(names: list[str]) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for name in names:
        stem = name.replace(" ", "_")
        files[f"images/train/{stem}.{'JPG' if name == 'ending JPG' else 'jpg'}"] = {"image": "640x480"}
        files[f"labels/train/{stem}.txt"] = {"bytes": HARMLESS[name].decode("latin-1")}
    return files


@pytest.mark.parametrize("names", [*([name] for name in HARMLESS), list(HARMLESS)], ids=" and ".join)
def test_harmless_variants_give_no_warning(names: list[str], tmp_path: Path) -> None:
    report = scan(dataset(tmp_path, harmless_files(names)), images="decode")
    assert worse_than_info(report) == []
    assert report.summary.images_dropped_by_training == 0
    if "BOM" in names:
        assert ("L009", "labels/train/BOM.txt", 1) in found(report) or (
            ("L009", "labels/train/BOM.txt", None) in found(report)
        )


def test_scanning_all_flaws_runs_no_code_and_writes_nothing(tmp_path: Path) -> None:
    files = {path: content for flaw in FLAWS for path, content in flaw.files.items()}
    witness = tmp_path / "witness"
    code = f"open({str(witness)!r}, 'w').close()"
    path = dataset(tmp_path, files, f"{DATA_YAML}test: images/nowhere\ndownload: {code!r}\n")
    before = {p: os.lstat(p).st_mtime_ns for p in sorted(tmp_path.rglob("*"))}
    scan(path, images="decode")
    assert {p: os.lstat(p).st_mtime_ns for p in sorted(tmp_path.rglob("*"))} == before
    assert not witness.exists()
