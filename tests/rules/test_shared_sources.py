"""D012: altered copies of one picture, and frames of one video, on both sides of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from sanitizer import scan
from sanitizer.rules.checks.sources.names import Mark, copy_name, frame_name, says_video

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sanitizer.findings.report import Report

Picture = Image.Image


def picture(seed: int, width: int = 96) -> Picture:
    """Soft blobs: no two seeds look alike."""
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 255, (9, width // 8, 3), dtype=np.uint8))
    return noise.resize((width, 72), Image.Resampling.BICUBIC)


def video(seed: int, n: int, step: int = 2) -> list[Picture]:
    """A camera that pans over a landscape."""
    wide = picture(seed, 96 + step * n + 8)
    return [wide.crop((step * i, 0, step * i + 96, 72)) for i in range(n)]


def report_of(folder: Path, splits: Mapping[str, Mapping[str, Picture]], images: str = "decode") -> Report:
    for split, pictures in splits.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i, (stem, image) in enumerate(pictures.items()):
            image.save(folder / f"images/{split}/{stem}.jpg", quality=85)
            row = f"0 {0.4 + 0.001 * i:.3f} 0.5 0.3 0.3\n"
            (folder / f"labels/{split}/{stem}.txt").write_text(row)
    paths = "".join(f"{split}: images/{split}\n" for split in splits)
    (folder / "data.yaml").write_text(f"{paths}names: [thing]\n")
    return scan(folder / "data.yaml", images=images, cache=False)  # type: ignore[arg-type]


def leaks(report: Report) -> list[str]:
    return [f.message for f in report.findings if f.rule == "D012"]


def halves(frames: Mapping[str, Picture], every: int = 4) -> dict[str, dict[str, Picture]]:
    """Every nth image in val."""
    val = {stem: image for i, (stem, image) in enumerate(frames.items()) if i % every == every - 1}
    return {"train": {s: p for s, p in frames.items() if s not in val}, "val": val}


def test_roboflow_copies_of_one_picture_in_both_splits(tmp_path: Path) -> None:
    train: dict[str, Picture] = {}
    val: dict[str, Picture] = {}
    for i in range(12):
        base = picture(i)
        copies = [base, ImageOps.mirror(base), ImageEnhance.Brightness(base).enhance(1.3)]
        for k, copy in enumerate(copies):
            stem = f"boat{i}_png.rf.{k:016x}{i:016x}"
            (val if k == 1 and i < 5 else train)[stem] = copy
    val["alone_jpg.rf.0123456789abcdef"] = picture(99)
    (message,) = leaks(report_of(tmp_path, {"train": train, "val": val}))
    assert message.startswith(
        "leak between train and val: 5 of 6 images of val have a neighbour in train: "
        "5 altered copies of one picture by their names, 5 of which look alike; such as images/val/boat0_png.rf."
    )


def test_pictures_that_share_a_name_only_are_no_copies(tmp_path: Path) -> None:
    stems = [f"{name}_jpg.rf.{i:032x}" for i, name in enumerate(["shore", "port"] * 8)]
    frames = {stem: picture(i) for i, stem in enumerate(stems)}
    assert not leaks(report_of(tmp_path, halves(frames)))


def test_copies_that_were_turned_a_little(tmp_path: Path) -> None:
    train = {f"boat{i}_png.rf.{i:032x}": picture(i) for i in range(30)}
    val = {
        f"boat{i}_png.rf.f{i:031x}": picture(i).rotate(8, Image.Resampling.BICUBIC).crop((6, 6, 90, 66))
        for i in range(20)
    }
    (message,) = leaks(report_of(tmp_path, {"train": train, "val": val}))
    assert "20 altered copies of one picture by their names" in message


def test_names_alone_tell_where_pixels_are_not_read(tmp_path: Path) -> None:
    train = {f"tree{i}": picture(i) for i in range(6)}
    val = {
        "tree1-flipped": picture(30),
        "tree2_aug1": picture(31),
        "tree3 (1)": picture(32),
        "bush": picture(33),
    }
    (message,) = leaks(report_of(tmp_path, {"train": train, "val": val}, images="header"))
    assert (
        "3 of 4 images of val have a neighbour in train: 3 altered copies of one picture by their names"
        in message
    )


def test_frames_of_one_video_in_both_splits(tmp_path: Path) -> None:
    frames = {f"clip{c}_{i:06d}": image for c in (1, 2) for i, image in enumerate(video(c, 40), 100)}
    report = report_of(tmp_path, halves(frames))
    (message,) = leaks(report)
    assert "20 images of val have a neighbour in train" in message
    (leak,) = [f for f in report.findings if f.rule == "D012"]
    assert leak.image and leak.twin and message.endswith(f"such as {leak.image} and {leak.twin}")
    assert "frames that look alike and follow one another by their numbers" in message


def renamed(frames: Mapping[str, Picture]) -> dict[str, Picture]:
    """Under names that tell nothing of their order."""
    return {f"{hash((1, i)) % 10**9:x}q": image for i, image in enumerate(frames.values())}


def test_frames_whose_names_tell_nothing_look_alike(tmp_path: Path) -> None:
    frames = {f"{c}_{i}": image for c in range(8) for i, image in enumerate(video(c, 12, 1))}
    (message,) = leaks(report_of(tmp_path, halves(renamed(frames))))
    assert "24 images that look alike, as frames of one video do; such as" in message


def test_images_of_one_still_camera_all_look_alike(tmp_path: Path) -> None:
    scene = picture(1)
    frames = {}
    for i in range(60):
        image = scene.copy()
        image.paste(picture(100 + i).resize((40, 40)), (i % 50, i % 30))
        frames[f"{i}"] = image
    assert not leaks(report_of(tmp_path, halves(renamed(frames))))


def test_a_video_that_is_split_by_clip_is_right(tmp_path: Path) -> None:
    clips = {
        split: {f"video{c}_{i:04d}": image for c in seeds for i, image in enumerate(video(c, 20))}
        for split, seeds in (("train", (1, 2)), ("val", (3,)))
    }
    assert not leaks(report_of(tmp_path, clips))


@pytest.mark.parametrize("images", ["header", "decode"])
@pytest.mark.parametrize(
    "stems",
    [
        [f"{i * 977:012d}" for i in range(60)],
        [f"IMG_{i:04d}" for i in range(60)],
        [f"{'cat' if i % 2 else 'dog'}_{i}" for i in range(60)],
        [f"image ({i})" for i in range(1, 61)],
        [f"maxresdefault_jpg.rf.{i:032x}" for i in range(60)],
        [f"{i * 7919 % 997:x}q" for i in range(60)],
    ],
    ids=[
        "ids",
        "camera numbers",
        "class and number",
        "renamed at once",
        "a name that sites give",
        "no order",
    ],
)
def test_still_photographs_are_no_neighbours(tmp_path: Path, stems: list[str], images: str) -> None:
    assert not leaks(report_of(tmp_path, halves({s: picture(i) for i, s in enumerate(stems)}), images))


def test_frames_by_name_where_pixels_are_not_read(tmp_path: Path) -> None:
    frames = {f"frame_{i:05d}": picture(i) for i in range(0, 200, 5)}
    (message,) = leaks(report_of(tmp_path / "mixed", halves(frames), images="header"))
    assert "10 frames of one video by their names" in message
    stems = list(frames)
    cut = {"train": {s: frames[s] for s in stems[:30]}, "val": {s: frames[s] for s in stems[30:]}}
    assert not leaks(report_of(tmp_path / "cut", cut, images="header"))


def test_one_folder_as_train_and_val_is_no_leak_of_copies(tmp_path: Path) -> None:
    frames = {f"video_{i:03d}": image for i, image in enumerate(video(1, 12))}
    assert not leaks(report_of(tmp_path, {"train": frames, "val": frames}))


@pytest.mark.parametrize(
    ("stem", "source", "mark"),
    [
        ("boat7_png.rf.4dedb2f355ee4025c4f81c43c717fb9a", "boat7", Mark.COPY),
        ("street_aug_12", "street", Mark.COPY),
        ("street-hflip", "street", Mark.COPY),
        ("street_rotated_90", "street", Mark.COPY),
        ("street - Copy (2)", "street", Mark.COPY),
        ("street (2)", "street", Mark.NUMBERED),
        ("parrot_4", "parrot_4", Mark.NONE),
        ("August_3", "August_3", Mark.NONE),
        ("000000123456", "000000123456", Mark.NONE),
    ],
)
def test_names_of_copies(stem: str, source: str, mark: Mark) -> None:
    assert copy_name(stem) == (source, mark)


def test_names_of_frames() -> None:
    assert frame_name("clip_mp4-12_jpg.rf.4dedb2f355ee4025") == ("clip_mp4-", 12)
    assert frame_name("000012", "ride3") == ("ride3/", 12)
    assert frame_name("000012") is None
    assert says_video("clip_mp4-")
    assert not says_video("videoton_")
