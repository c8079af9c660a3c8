"""Sets of class folders and of masks, made at random: training drops exactly the images that the report says."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from example_files import image_bytes, mask_bytes
from test_training_claims import load_folders_for_training, load_masks_for_training

from sanitizer import scan

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.ultralytics

IMAGES = (
    "64x48",
    "64x48",
    "64x48",
    "64x48 png",
    "64x48 text",
    "64x48 truncated",
    "64x9",
    "64x48 empty",
    "64x48 gif",
)
MASKS = (
    "64x48 ids=0,1", "64x48 ids=0,2,255", "64x48 ids=0,3", "64x48 ids=255", "48x64 ids=0,1", "64x48 ids=0,1 rgb",
    "64x48 ids=0,200 red", "64x48 ids=0,1 1bit", "64x48 ids=0,1 palette", "64x48 ids=0,300 16bit",
    "64x48 ids=1,2 16bit", "64x48 ids=0,40 jpeg", "64x48 ids=7,3", "64x48 ids=0,254",
)  # fmt: skip


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader would look for a font on the net."""
    monkeypatch.setattr("ultralytics.data.utils.check_font", lambda *_: None)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(8))
def test_class_folders(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = ["cat", "dog", "Cat", "n01440764", ".hidden", "a b"]
    for split in ("train", chance.choice(["val", "valid", "test"])):
        for name in chance.sample(names, 3):
            for n in range(3):
                place = chance.choice([name, f"{name}/inner"])
                write(
                    tmp_path / split / place / f"{n}.jpg",
                    image_bytes(chance.choice(IMAGES), f"{seed}{n}.jpg"),
                )
    report = scan(tmp_path, task="classify", jobs=1, cache=False)
    outcome = load_folders_for_training(tmp_path)
    stops = any(f.rule == "F001" for f in report.findings)
    all_dropped = any(s.images == s.dropped for s in report.summary.splits)
    assert bool(outcome.crash) == (stops or all_dropped), outcome
    if not outcome.crash:
        assert {os.path.relpath(p, tmp_path) for p in outcome.dropped} == set(report.dropped)


@pytest.mark.parametrize("mapping", ["", "label_mapping: {7: 1, 3: ignore_label, 0: 0}\n"])
def test_masks(tmp_path: Path, mapping: str) -> None:
    for i, spec in enumerate(MASKS):
        for split in ("train", "val"):
            write(tmp_path / f"images/{split}/{i}.jpg", image_bytes("64x48", f"{i}{split}.jpg"))
            write(tmp_path / f"masks/{split}/{i}.{'jpg' if 'jpeg' in spec else 'png'}", mask_bytes(spec))
    write(tmp_path / "images/train/none.jpg", image_bytes("64x48", "none.jpg"))
    write(tmp_path / "images/train/bad.jpg", image_bytes("64x48", "bad.jpg"))
    write(tmp_path / "masks/train/bad.png", mask_bytes("64x48 ids=0,1")[:60])
    yaml = tmp_path / "data.yaml"
    yaml.write_text(f"train: images/train\nval: images/val\nmasks_dir: masks\nnames: [a, b, c]\n{mapping}")
    report = scan(yaml, jobs=1, cache=False)
    outcome = load_masks_for_training(yaml)
    assert not outcome.crash
    assert {os.path.relpath(p, tmp_path) for p in outcome.dropped} == set(report.dropped)
    assert {f.image for f in report.findings if f.severity == 2 and f.image} == set(report.dropped)
