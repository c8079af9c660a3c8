"""Where files lie that training looks for elsewhere: one cause says it, and its way out makes the set whole.

The way out is run as a person would run it, in a shell, and the set is scanned again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.report import Report

YAML = "train: images/train\nval: images/val\nnames: [a]\n"
PLACES = ("D002", "D006", "D007", "I001", "L009")
NEEDS_SHELL = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("perl")), reason="needs bash and perl"
)


def picture(path: Path, seed: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (seed * 37 % 256, seed * 91 % 256, seed * 13 % 256) if mode == "RGB" else seed % 3
    Image.new(mode, (32, 24), colour).save(path)


def label(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"0 0.5 0.5 0.{2 + seed % 5} 0.3\n")


def make(
    root: Path,
    image: str = "images/{s}/p{i}.jpg",
    text: str = "labels/{s}/p{i}.txt",
    yaml: str = YAML,
    n: int = 6,
    val: str = "val",
) -> Path:
    """n images, the last two of them of val, and their labels; {s} is the split and {i} the number."""
    for i in range(n):
        split = "train" if i < n - 2 else val
        picture(root / image.format(s=split, i=i), i)
        label(root / text.format(s=split, i=i), i)
    (root / "data.yaml").write_text(yaml)
    return root


def listed(root: Path, line: str, image: str = "images/p{i}.jpg", text: str = "labels/p{i}.txt") -> Path:
    """A set by lists, whose lines are `line`."""
    make(root, image, text, "train: train.txt\nval: val.txt\nnames: [a]\n")
    (root / "train.txt").write_text("".join(f"{line.format(i=i)}\n" for i in range(4)))
    (root / "val.txt").write_text("".join(f"{line.format(i=i)}\n" for i in range(4, 6)))
    return root


def look(root: Path) -> Report:
    return scan(root / "data.yaml", cache=False, jobs=1, images="header")


def only_cause(report: Report) -> Cause:
    (cause,) = report.causes
    unclaimed = [f for f in report.findings if f.rule in PLACES and f.cause != cause.id]
    assert not unclaimed
    return cause


def run_way_out(root: Path, cause: Cause) -> None:
    """Run the last command in backticks, in the folder that the sentence names."""
    command = re.findall(r"run `(.*?)`(?=[,.]|$)", cause.way_out)[-1]
    subprocess.run(["bash", "-e", "-c", f"set +e; {command}; true"], cwd=root, check=True, timeout=60)


def fields(**named: str) -> dict[str, str]:
    return named


# situation: fields of `make`, id of the cause, words of its sentence
ELSEWHERE = {
    "labels in folders of another name": (
        fields(text="labels/{s}_labels/p{i}.txt"),
        "labels-elsewhere",
        "lie in labels/train_labels and labels/val_labels",
    ),
    "a misspelt folder": (
        fields(text="lables/{s}/p{i}.txt"),
        "labels-elsewhere",
        "lie in lables/train and lables/val",
    ),
    "labels of all splits in one folder": (
        fields(text="labels/p{i}.txt"),
        "labels-elsewhere",
        "lie in labels, but",
    ),
    "labels one folder deeper": (
        fields(text="labels/{s}/labels/p{i}.txt"),
        "labels-elsewhere",
        "lie in labels/train/labels",
    ),
    "labels beside images in a folder called images": (
        fields(text="images/{s}/p{i}.txt"),
        "labels-beside-images",
        "lie beside them in images/train",
    ),
    "capitals in the labels' folder": (
        fields(text="Labels/{s}/p{i}.txt"),
        "label-folder-case",
        "upper and lower case make two folders",
    ),
    "capitals in the images' folder": (
        fields(image="Images/{s}/p{i}.jpg", yaml=YAML.replace("images", "Images")),
        "no-images-folder",
        "not called images in small letters",
    ),
    "JPEGImages in each split": (
        fields(
            image="{s}/JPEGImages/p{i}.jpg",
            text="{s}/labels/p{i}.txt",
            yaml="train: train/JPEGImages\nval: val/JPEGImages\nnames: [a]\n",
        ),
        "no-images-folder",
        "no folder above them is called images",
    ),
    "images and labels in folders of any name": (
        fields(
            image="my_images/{s}/p{i}.png",
            text="my labels/{s}/p{i}.txt",
            yaml=YAML.replace("images", "my_images"),
        ),
        "no-images-folder",
        "lie in my labels/train",
    ),
    "valid for val": (
        fields(text="labels/{s}id/p{i}.txt"),
        "labels-elsewhere",
        "training looks in labels/train and labels/val",
    ),
    "the extension of the image kept": (
        fields(image="images/{s}/p{i}.JPG", text="labels/{s}/p{i}.JPG.txt"),
        "renamed-labels-extension-kept",
        "p0.JPG.txt belongs to p0.JPG",
    ),
    "a hash in front": (
        fields(text="labels/{s}/3f2a91{i}c-p{i}.txt"),
        "renamed-labels-hash-prefix",
        "have a hash in front",
    ),
    "a hash of Roboflow's": (
        fields(text="labels/{s}/p{i}_jpg.rf.0a1b2c3d4e5f607{i}.txt"),
        "renamed-labels-roboflow-labels",
        "`.rf.` hash",
    ),
    "a hash of Roboflow's on the images": (
        fields(image="images/{s}/p{i}_jpg.rf.0a1b2c3d4e5f607{i}.jpg"),
        "renamed-labels-roboflow-images",
        "lack the `.rf.` hash",
    ),
    "a word behind the name": (
        fields(text="labels/{s}/p{i}_label.txt"),
        "renamed-labels-affix-of-labels",
        "have `_label` behind the image's name",
    ),
    "one word for another": (
        fields(image="images/{s}/p{i}_rgb.jpg", text="labels/{s}/p{i}_gt.txt"),
        "renamed-labels-affix-of-both",
        "have `_gt` where",
    ),
    "blanks and # replaced": (
        fields(image="images/{s}/cam 1#{i}.jpg", text="labels/{s}/cam_1_{i}.txt"),
        "renamed-labels-replaced",
        "a blank and #",
    ),
    "another extension of the labels": (fields(text="labels/{s}/p{i}.TXT"), "label-extension", "end in .TXT"),
}


@NEEDS_SHELL
@pytest.mark.parametrize("situation", ELSEWHERE)
def test_labels_that_lie_elsewhere(situation: str, tmp_path: Path) -> None:
    places, cause_id, words = ELSEWHERE[situation]
    n = 8 if cause_id.startswith("renamed") else 6
    root = make(tmp_path / "set", n=n, **places)
    report = look(root)
    cause = only_cause(report)
    assert cause.id == cause_id
    assert words in cause.sentence
    assert cause.images == n
    assert 'Training stops with "No labels found"' in cause.training
    assert not any(f.suggestion and "Label the image" in f.suggestion for f in report.findings)
    run_way_out(root, cause)
    if "write images/ for" in cause.way_out:
        old = re.findall(r"write images/ for (.*?)/ in data.yaml", cause.way_out)[0]
        (root / "data.yaml").write_text((root / "data.yaml").read_text().replace(old, "images"))
    again = look(root)
    assert [f.message for f in again.findings if f.rule in PLACES] == []
    assert again.summary.boxes == n


@pytest.mark.parametrize(
    ("image", "text", "words"),
    [
        ("images/{s}/p%20{i}.jpg", "labels/{s}/p {i}.txt", "write as in a URL"),
        ("images/{s}/p {i}.jpg", "labels/{s}/p%20{i}.txt", "written as in a URL"),
        ("images/{s}/p{i}.jpg", "labels/{s}/p000{i}.txt", "another count of leading zeros"),
        ("images/{s}/caf\u00e9{i}.jpg", "labels/{s}/cafe\u0301{i}.txt", "other Unicode characters"),
        ("images/{s}/P{i}.jpg", "labels/{s}/p{i}.txt", "in upper and lower case only"),
    ],
)
def test_names_that_no_pattern_maps_are_shown_by_a_pair(
    image: str, text: str, words: str, tmp_path: Path
) -> None:
    cause = only_cause(look(make(tmp_path / "set", image, text)))
    assert words in cause.sentence
    assert "mv -n " in cause.way_out and "so on for the other 5" in cause.way_out


@NEEDS_SHELL
def test_half_of_the_labels_beside_their_images(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a/p{i}.jpg", "a/p{i}.txt", "train: [a, b]\nval: val\nnames: [a]\n", n=4)
    for i in range(4):
        picture(root / f"b/images/q{i}.jpg", 20 + i)
        label(root / f"b/images/q{i}.txt", i)
        picture(root / f"val/v{i}.jpg", 40 + i)
        label(root / f"val/v{i}.txt", i)
    report = look(root)
    cause = only_cause(report)
    assert cause.id == "labels-beside-images"
    assert (cause.images, cause.explains) == (4, 1)
    assert (
        cause.training == "Training reads 4 images as background, and learns that there is nothing on them."
    )
    run_way_out(root, cause)
    assert not [f for f in look(root).findings if f.rule in PLACES]


@NEEDS_SHELL
def test_a_link_that_leads_out_of_images(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "store/{s}/p{i}.jpg")
    (root / "images").mkdir()
    for split in ("train", "val"):
        os.symlink(f"../store/{split}", root / "images" / split)
    cause = only_cause(look(root))
    assert cause.id == "linked-images"
    assert "images/train and images/val are links to store/train and store/val" in cause.sentence
    run_way_out(root, cause)
    assert not look(root).findings


def test_a_list_of_jpegimages(tmp_path: Path) -> None:
    cause = only_cause(look(listed(tmp_path / "set", "./JPEGImages/p{i}.jpg", "JPEGImages/p{i}.jpg")))
    assert cause.id == "no-images-folder"
    assert cause.way_out.endswith(
        "`mv JPEGImages images`, and write images/ for JPEGImages/ in train.txt and val.txt."
    )


LINES = {
    "backslashes": (".\\images\\p{i}.jpg", "list-backslashes", "have backslashes"),
    "paths of Windows": (
        "C:\\Users\\me\\set\\images\\p{i}.jpg",
        "list-backslashes",
        "lies here as images/p0.jpg",
    ),
    "paths of another machine": ("/content/set/images/p{i}.jpg", "list-folder", "lead to no file"),
    "names alone": ("p{i}.jpg", "list-folder", "the image lies in images"),
    "a folder too few": ("./p{i}.jpg", "list-folder", "./p0.jpg is not there, images/p0.jpg is"),
    "a folder too many": ("data/images/p{i}.jpg", "list-folder", "not relative to the list"),
    "another extension": ("./images/p{i}.png", "list-extension", "images/p0.jpg is"),
}


@NEEDS_SHELL
def test_lines_that_begin_with_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = listed(tmp_path / "set", "images/p{i}.jpg")
    monkeypatch.chdir(root)
    cause = only_cause(look(root))
    assert cause.id == "list-no-folder-before-images"
    assert "looks for the label beside the image" in cause.sentence
    run_way_out(root, cause)
    assert not look(root).findings


@NEEDS_SHELL
@pytest.mark.parametrize("situation", LINES)
def test_lines_of_a_list(situation: str, tmp_path: Path) -> None:
    line, cause_id, words = LINES[situation]
    root = listed(tmp_path / "set", line)
    report = look(root)
    cause = only_cause(report)
    assert cause.id == cause_id
    assert words in cause.sentence
    assert not [f for f in report.findings if f.rule == "D005" and f.cause is None]
    run_way_out(root, cause)
    assert not [f.message for f in look(root).findings if f.rule in PLACES]


def test_a_url_in_a_list_is_told_once(tmp_path: Path) -> None:
    root = listed(tmp_path / "set", "./images/p{i}.jpg")
    with (root / "train.txt").open("a") as file:
        file.write("https://example.org/img/p99.jpg\n")
    cause = only_cause(look(root))
    assert cause.id == "list-url"
    assert cause.sentence.startswith("1 line of train.txt is a URL")


YAML_PATHS = {
    "a stray quote": ("./images/train'", "./images/val'", "lost-path-quote", "stray quote"),
    "a blank": ('"images/train "', '"images/val "', "lost-path-blank", "blank at one end"),
    "backslashes": (".\\images\\train\\", ".\\images\\val\\", "lost-path-backslashes", "on Windows only"),
    "paths of other machines": (
        "/kaggle/input/x/images/train",
        "C:/x/images/val",
        "lost-path-machine",
        "another machine",
    ),
    "capitals": ("Images/Train", "Images/Val", "lost-path-case", "upper and lower case"),
    "a singular": ("image/train", "image/valid", "lost-path-name", "called otherwise here"),
    "a folder too many": (
        "set/images/train",
        "set/images/val",
        "lost-path-steps",
        "begin with a folder too many",
    ),
}


@pytest.mark.parametrize("situation", YAML_PATHS)
def test_paths_of_the_yaml(situation: str, tmp_path: Path) -> None:
    train, val, cause_id, words = YAML_PATHS[situation]
    root = make(tmp_path / "set", yaml=f"train: {train}\nval: {val}\nnames: [a]\n")
    report = look(root)
    cause = only_cause(report)
    assert cause.id == cause_id
    assert words in cause.sentence
    assert cause.way_out == "In data.yaml write `train: images/train` and `val: images/val`."
    assert report.summary.boxes == 6, "what lies there is scanned"


def test_splits_that_lie_deeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = "path: ./\ntrain: train/images\nval: valid/images\nnames: [a]\n"
    root = make(tmp_path / "set", "ds/{s}/images/p{i}.jpg", "ds/{s}/labels/p{i}.txt", yaml, val="valid")
    monkeypatch.chdir(root)
    report = look(root)
    cause = only_cause(report)
    assert cause.id == "lost-path-deeper"
    assert "`train: ds/train/images` and `val: ds/valid/images`, and leave `path: ./` out" in cause.way_out
    assert report.summary.boxes == 6


@pytest.mark.parametrize(
    ("path", "words"),
    [("./set", "taken from the folder in which training is started"), ("/content/set", "of another machine")],
)
def test_a_path_that_leads_elsewhere(path: str, words: str, tmp_path: Path) -> None:
    root = make(tmp_path / "set", yaml=f"path: {path}\n{YAML}")
    cause = only_cause(look(root))
    assert cause.id == "path-leads-elsewhere"
    assert words in cause.sentence
    assert cause.way_out.startswith("Leave `path:` out of data.yaml")


def test_an_archive_that_was_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(YAML)
    (tmp_path / "my images.zip").write_bytes(b"PK")
    cause = only_cause(look(tmp_path))
    assert cause.id == "not-unpacked"
    assert "`unzip -n 'my images.zip' -d .`" in cause.way_out


def test_masks_in_place_of_labels(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    shutil.rmtree(root / "labels")
    for i in range(6):
        picture(root / f"masks/{'train' if i < 4 else 'val'}/p{i}.png", i, "L")
    cause = only_cause(look(root))
    assert cause.id == "masks-as-labels"
    assert "PNG masks in masks/train and masks/val" in cause.sentence
    assert "task semantic" in cause.way_out and "c('masks/train', 'labels/train', 1)" in cause.way_out


@pytest.mark.parametrize(
    ("text", "cause_id", "words"),
    [
        ("Annotations/{s}/p{i}.xml", "voc-as-labels", "Pascal VOC .xml files in Annotations/train"),
        ("images/{s}/p{i}.json", "labelme-as-labels", "as LabelMe writes them, in images/train"),
    ],
)
def test_files_of_other_tools(text: str, cause_id: str, words: str, tmp_path: Path) -> None:
    cause = only_cause(look(make(tmp_path / "set", text=text)))
    assert cause.id == cause_id
    assert words in cause.sentence


def test_a_coco_file(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    shutil.rmtree(root / "labels")
    (root / "annotations").mkdir()
    content = {"images": [{"file_name": "p0.jpg"}], "annotations": [{"bbox": [1, 2, 3, 4]}]}
    (root / "annotations/instances.json").write_text(json.dumps(content))
    cause = only_cause(look(root))
    assert cause.id == "coco-as-labels"
    assert "convert_coco('annotations', save_dir='converted', cls91to80=False)" in cause.way_out


def test_pictures_that_training_never_opens(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    for name in ("g.gif", "j.jfif", "m.ppm"):
        (root / "images/train" / name).write_bytes(b"x")
        label(root / f"labels/train/{name[0]}.txt", 0)
    cause = only_cause(look(root))
    assert cause.id == "image-format-not-read"
    assert "3 pictures in images/train are .gif, .jfif and .ppm" in cause.sentence
    assert '"${f%.*}.jpg"' in cause.way_out and "mogrify -format png images/train/*.gif" in cause.way_out


def some_background(root: Path) -> None:
    for i in (1, 3):
        (root / f"labels/train/p{i}.txt").unlink()


def some_orphans(root: Path) -> None:
    for i in (0, 1, 2):
        (root / f"images/train/p{i}.jpg").unlink()
    for i in (3, 4, 5):
        (root / f"labels/train/p{i}.txt").unlink()


def two_cameras(root: Path) -> None:
    """Background of one camera, deleted images of another, numbered alike."""
    for i in range(4):
        for camera in "ab":
            picture(root / f"images/train/{camera}_{i}.jpg", i)
            label(root / f"labels/train/{camera}_{i}.txt", i)
    for i in range(3):
        (root / f"labels/train/a_{i}.txt").unlink()
        (root / f"images/train/b_{i}.jpg").unlink()


def predictions(root: Path) -> None:
    some_background(root)
    for i in (1, 3):
        label(root / f"runs/detect/predict/labels/p{i}.txt", i)


def another_set(root: Path) -> None:
    some_background(root)
    for i in (1, 3):
        label(root / f"other/labels/p{i}.txt", i)
        picture(root / f"other/images/p{i}.jpg", 50 + i)


def captions(root: Path) -> None:
    shutil.rmtree(root / "labels/val")
    for i in (8, 9):
        (root / f"images/val/p{i}.txt").write_text("a photo of a dog\n")


def copies_in_colour(root: Path) -> None:
    shutil.rmtree(root / "labels/val")
    for i in (8, 9):
        picture(root / f"thumbnails/p{i}.png", i)


@pytest.mark.parametrize(
    "harm",
    [some_background, some_orphans, two_cameras, predictions, another_set, captions, copies_in_colour],
)
def test_nothing_is_explained_where_nothing_lies_elsewhere(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    root = make(tmp_path / "set", n=10)
    harm(root)
    report = look(root)
    assert not report.causes
    assert {f.rule for f in report.findings} & {"D006"}


def test_an_image_folder_alone_without_labels_is_told_once(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    for i in range(30):
        picture(root / f"images/train/empty/e{i}.jpg", 60 + i)
    report = look(root)
    (found,) = [f for f in report.findings if f.rule == "D006"]
    assert found.file == "images/train/empty"
    assert found.message.startswith("none of the 30 images in images/train/empty has a label file")


def test_a_label_folder_alone_without_images_is_told_once(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    for i in range(5):
        label(root / f"labels/train/lost/e{i}.txt", i)
    (found,) = [f for f in look(root).findings if f.rule == "D007"]
    assert (found.file, found.label) == ("labels/train/lost", None)
    assert "none of the 5 label files" in found.message


def test_no_folder_is_listed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "set", text="elsewhere/{s}/p{i}.txt")
    seen: list[str] = []

    def counting(real: Callable[[str], object]) -> Callable[[str], object]:
        def count(path: str) -> object:
            # A look at the first name in a folder tells whether it holds shards.
            if not sys._getframe(1).f_code.co_filename.endswith("archives/entry.py"):
                seen.append(str(path))
            return real(path)

        return count

    monkeypatch.setattr(os, "listdir", counting(os.listdir))
    monkeypatch.setattr(os, "scandir", counting(os.scandir))
    assert only_cause(look(root)).id == "labels-elsewhere"
    inside = [path for path in seen if path.startswith((f"{root}/images", f"{root}/elsewhere"))]
    assert sorted(set(inside)) == sorted(inside)
    assert f"{root}/elsewhere/train" in inside
