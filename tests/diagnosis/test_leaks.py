"""Images of one source in two splits, and many times in one: one cause for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageEnhance

from sanitizer import scan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sanitizer.findings.report import Report


def picture(seed: int, light: float = 1.0) -> Image.Image:
    """Soft blobs: no two seeds look alike."""
    noise = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)
    return ImageEnhance.Brightness(image).enhance(light)


def report_of(folder: Path, splits: Mapping[str, Mapping[str, Image.Image]]) -> Report:
    for split, pictures in splits.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for stem, image in pictures.items():
            image.save(folder / f"images/{split}/{stem}.jpg", quality=90)
            (folder / f"labels/{split}/{stem}.txt").write_text("0 0.5 0.5 0.3 0.3\n")
    paths = "".join(f"{split}: images/{split}\n" for split in splits)
    (folder / "data.yaml").write_text(f"{paths}names: [thing]\n")
    return scan(folder / "data.yaml", images="decode", cache=False)


def test_copies_and_altered_copies_across_splits_are_one_cause(tmp_path: Path) -> None:
    train = {f"a{i}": picture(i) for i in range(12)}
    val = {f"b{i}": picture(i) for i in range(3)} | {f"a{i}_aug1": picture(i, 1.4) for i in range(4, 9)}
    report = report_of(tmp_path, {"train": train, "val": val})
    (cause,) = report.causes
    assert cause.id == "one-source-in-two-splits"
    assert "3 images of val are copies of images of train" in cause.sentence
    assert "5 of 8 images of val have a neighbour in train" in cause.sentence
    assert "`sanitize fix data.yaml --view FOLDER --regroup` writes such splits" in cause.way_out
    assert {f.rule for f in report.findings if f.cause} == {"D009", "D012"}
    assert all(f.cause for f in report.findings if f.kind == "leak")


def test_an_export_that_wrote_each_picture_three_times(tmp_path: Path) -> None:
    train = {f"boat{i}_png.rf.{k:032x}": picture(i, 1 + k / 500) for i in range(4) for k in range(3)}
    report = report_of(tmp_path, {"train": train, "val": {"sea": picture(90), "port": picture(91)}})
    (cause,) = report.causes
    assert cause.sentence == (
        "8 images of train are altered copies of 4 other images: the export wrote each picture several times."
    )
    assert cause.explains == 8


def test_a_few_plain_duplicates_have_no_cause(tmp_path: Path) -> None:
    train = {f"a{i}": picture(i) for i in range(8)} | {f"b{i}": picture(i) for i in range(6)}
    report = report_of(tmp_path, {"train": train, "val": {"b": picture(90), "c": picture(7)}})
    assert sum(f.rule == "D009" for f in report.findings) == 7
    assert not report.causes
