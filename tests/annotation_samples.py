"""Small datasets of every task with names that break what is careless, and a report that flags each image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image
from report_samples import finding

from sanitizer import scan
from sanitizer.findings.finding import fingerprinted

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.report import Report

NAMES = ("<script>alert(1)</script>", 'K&D "Straße"', "$findings")

IMAGES = {"a & <b>.png": (200, 100), "ü'\"%20 #?.png": (64, 128), "zwölf.jpg": (100, 300)}
"""Name to (width, height) as shown; the last is stored lying down, with an EXIF orientation."""

ROWS = {
    "detect": (
        "0 0.5 0.5 0.25 0.5",
        "1 0.95 0.5 0.3 0.2",  # sticks out on the right
        "2 0.25 0.25 0 0",
        "7 0.1 0.1 0.1 0.1",
        "1 0.1 0.1 0.9 0.1 0.5 0.9",  # a polygon among boxes
        "0 0.5 0.5",  # too few columns
        "0 2.5 2.5 0.1 0.1",  # wholly outside
    ),
    "segment": ("0 0.1 0.1 0.9 0.1 0.5 0.9", "1 0.2 0.2 1.01 0.2 0.6 0.6 0.3 0.7"),
    "pose": ("0 0.5 0.5 0.25 0.5 0.4 0.4 2 0.6 0.6 1 0 0 0", "0 0.5 0.5 0.2 0.2 0 0 0 0 0 0 0 0 0"),
    "obb": ("0 0.2 0.2 0.6 0.2 0.6 0.4 0.2 0.4", "1 0.1 0.1 0.5 0.2 0.4 0.6 0.3 0.9"),
}


def rows_of(task: str, width: int, height: int) -> list[str]:
    """The label rows of an image of this size; among oriented boxes one that is turned by 30 degrees."""
    if task != "obb":
        return list(ROWS[task])
    cos, sin = 3**0.5 / 2, 0.5
    sides = ((-30, -9), (30, -9), (30, 9), (-30, 9))
    corners = [(50 + x * cos - y * sin, 50 + x * sin + y * cos) for x, y in sides]
    turned = " ".join(f"{x / width:.9f} {y / height:.9f}" for x, y in corners)
    return [*ROWS[task], f"1 {turned}"]


def make(root: Path, task: str) -> Report:
    """A dataset at `root`, and a report with two findings an image: on its first row, and on the image itself."""
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    shape = "kpt_shape: [3, 3]\n" if task == "pose" else ""
    names = "".join(f"  {i}: {name!r}\n" for i, name in enumerate(NAMES))
    (root / "data.yaml").write_text(
        f"train: images\nval: images\ntask: {task}\n{shape}names:\n{names}", encoding="utf-8"
    )
    findings = []
    for name, (width, height) in IMAGES.items():
        if name.endswith(".jpg"):
            picture = Image.new("RGB", (height, width), "teal")
            exif = picture.getexif()
            exif[0x0112] = 6
            picture.save(root / "images" / name, exif=exif)
        else:
            Image.new("RGB", (width, height), "navy").save(root / "images" / name)
        label = f"labels/{name.rpartition('.')[0]}.txt"
        (root / label).write_text("\n".join(rows_of(task, width, height)) + "\n")
        about = {"image": f"images/{name}", "split": "train"}
        findings.append(finding("B001", "box is <b>thin</b> & long", label, 1, **about))
        findings.append(finding("I006", "training would rewrite this file", label=label, **about))
    report = scan(str(root / "data.yaml"), task=task, images="header", jobs=1, cache=False)  # type: ignore[arg-type]
    return replace(report, findings=fingerprinted(findings))
