"""Classification sets are told from all others by their folders, and what is wrong with the folders is said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sanitizer.archives.finding import find_dataset
from sanitizer.dataset.model import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.dataset.model import Dataset

YAML = "path: .\ntrain: train\nval: val\nnames: {0: cat, 1: dog}\n"
CLASSES = ("train/cat/1.jpg", "train/cat/2.jpg", "train/dog/3.jpg", "val/cat/4.jpg", "val/dog/5.jpg")


def make(root: Path, *names: str, **texts: str) -> Path:
    """Files by name; layout looks at names only, so they may be empty."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in texts.items():
        (root / f"{name}.yaml").write_text(text)
    return root


def found(root: Path, name: str = "", task: str = "auto") -> Dataset:
    return find_dataset([str(root / name)], task=task)  # type: ignore[arg-type]


def faults(dataset: Dataset) -> list[tuple[str, str]]:
    return [(f.rule, str(f.values["detail"])) for f in dataset.faults]


@pytest.mark.parametrize("given", ["", "data.yaml"])
def test_class_folders_are_a_classification_set(tmp_path: Path, given: str) -> None:
    dataset = found(make(tmp_path, *CLASSES, data=YAML), given)
    assert (dataset.declared_task, dataset.nc, dataset.names) == ("classify", 2, {0: "cat", 1: "dog"})
    assert [(s.name, len(s)) for s in dataset.splits] == [("train", 3), ("val", 2)]
    classes = dataset.splits[0].chunk(0, 3).classes
    assert classes is not None and classes.tolist() == [0, 0, 1]
    assert {rule for rule, _ in faults(dataset)} == ({"F001"} if given else set())
    assert "--task detect if not" in dataset.notes[0]


def test_train_given_a_data_yaml_is_told_to_take_the_folder(tmp_path: Path) -> None:
    dataset = found(make(tmp_path, *CLASSES, data=YAML), "data.yaml")
    assert dataset.faults[0].suggestion == f"Train with data={tmp_path}; no data.yaml is needed."


OTHERS = {
    "images and labels in each split": ("train/images/1.jpg", "train/labels/1.txt", "val/images/2.jpg"),
    "splits below images": ("images/train/1.jpg", "images/val/2.jpg", "labels/train/1.txt"),
    "cameras": ("train/cat/1.jpg", "train/cat/1.txt", "train/dog/2.jpg", "train/dog/2.txt", "val/cat/3.jpg"),
    "cameras below images": ("images/train/cat/1.jpg", "images/train/dog/2.jpg", "labels/train/cat/1.txt"),
    "a detection set in each class": (
        "train/cat/images/1.jpg",
        "train/cat/labels/1.txt",
        "train/dog/images/2.jpg",
    ),
    "images and masks": ("images/1.jpg", "masks/1.png"),
    "VOC": ("JPEGImages/1.jpg", "SegmentationClass/1.png", "Annotations/1.xml"),
    "COCO": ("train2017/1.jpg", "val2017/2.jpg", "annotations/instances.json"),
    "KITTI": ("training/image_2/1.png", "training/image_3/1.png", "testing/image_2/2.png"),
    "MOT": ("train/MOT-02/img1/1.jpg", "train/MOT-04/img1/2.jpg", "train/MOT-02/gt/gt.txt"),
    "a file beside each image": tuple(
        f"train/{c}/{n}.{e}" for c in ("cat", "dog") for n in range(4) for e in ("jpg", "xml")
    ),
    "images in one folder": ("train/pictures/1.jpg", "val/pictures/2.jpg"),
    "images beside folders": ("train/1.jpg", "train/2.jpg", "train/cat/3.jpg", "train/dog/4.jpg"),
}


@pytest.mark.parametrize("names", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("with_yaml", [False, True])
def test_no_other_set_is_taken_for_one(tmp_path: Path, names: tuple[str, ...], with_yaml: bool) -> None:
    root = make(tmp_path, *names)
    if with_yaml:
        parts = ("images/train", "images/val") if (root / "images/train").is_dir() else ("train", "val")
        make(root, data=f"train: {parts[0]}\nval: {parts[1]}\nnames: [cat, dog]\n")
    assert found(root).declared_task != "classify"


def test_folders_that_no_class_is_called_after_are_no_classes(tmp_path: Path) -> None:
    """Their labels are lost: that is what is to be said."""
    root = make(tmp_path, *CLASSES, data=YAML.replace("cat", "car").replace("dog", "bus"))
    dataset = found(root)
    assert dataset.declared_task is None
    assert "D006" in {f.rule for f in dataset.faults}


def test_a_folder_is_judged_as_the_user_says(tmp_path: Path) -> None:
    root = make(tmp_path, *CLASSES, "train/cat/1.txt")
    assert found(root).declared_task is None
    assert found(root, task="classify").declared_task == "classify"
    (root / "train/cat/1.txt").unlink()
    assert found(root, task="detect").declared_task is None


@pytest.mark.parametrize("given", ["", "data.yaml"])
def test_no_class_folders_where_the_user_says_so_is_a_sentence(tmp_path: Path, given: str) -> None:
    texts = {"data": "train: images/train\nval: images/val\nnames: [a]\n"} if given else {}
    root = make(tmp_path, "notes.md", **texts)
    with pytest.raises(DatasetError, match="holds no folders of classes: training wants train/CLASS/"):
        found(root, given, task="classify")


def test_the_order_of_classes_is_that_of_the_folders(tmp_path: Path) -> None:
    dataset = found(
        make(tmp_path, *CLASSES, data=YAML.replace("cat", "x").replace("dog", "cat").replace("x", "dog"))
    )
    assert dataset.names == {0: "cat", 1: "dog"}
    ((rule, detail),) = faults(dataset)
    assert rule == "F002"
    assert "class 0 is cat, and the data.yaml calls it dog" in detail


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ("val/bird/6.jpg",),
            [("F003", "class bird is in val and not in train: training skips its 1 image there")],
        ),
        (("val/Cat/6.jpg",), [("F003", "(train has cat)")]),
        (("train/bird/6.jpg",), [("F003", "val has no image of bird")]),
        (("train/bird/note.md",), [("F004", "class bird holds no image")]),
        (
            ("train/.ipynb_checkpoints/1.jpg",),
            [("F002", "hidden folder train/.ipynb_checkpoints/ for a class")],
        ),
        (("train/CAT/6.jpg", "val/CAT/7.jpg"), [("F005", "'CAT' and 'cat' differ by letter case")]),
        (("train/cat/6.gif", "train/dog/7.gif"), [("F006", "2 files of train with the extension .gif")]),
        (("train/6.jpg",), [("F006", "1 image in train/ itself, such as 6.jpg")]),
        (("train/cat/old/6.jpg",), [("F007", "such as train/cat/old: training counts them as cat")]),
        (("valid/cat/6.jpg",), [("F002", "does not read the folder valid/: it takes val/ for that split")]),
        (("test/cat/6.jpg", "test/dog/7.jpg"), []),
        (("README.md", "train/cat/README.md", "train/cat/1.npy"), []),
        (("train/cat/SHOUT.JPG",), []),
    ],
)
def test_what_is_wrong_with_folders(
    tmp_path: Path, names: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    told = faults(found(make(tmp_path, *CLASSES, *names)))
    assert [rule for rule, _ in told] == [rule for rule, _ in expected]
    assert all(part in detail for (_, detail), (_, part) in zip(told, expected, strict=True)), told


def test_splits_that_training_cannot_start_with(tmp_path: Path) -> None:
    no_val = found(make(tmp_path / "a", *CLASSES[:3]))
    assert [rule for rule, _ in faults(no_val)] == ["F001"]
    only_test = found(make(tmp_path / "b", *CLASSES[:3], "test/cat/4.jpg", "test/dog/5.jpg"))
    assert faults(only_test)[0][1].startswith("there is no folder val/: training validates on test/")
    empty = make(tmp_path / "c", *CLASSES[:3], "val/cat/note.md")
    assert ("F001", "no class folder of val holds an image; training stops here") in faults(found(empty))


def test_folders_in_capitals_become_classes(tmp_path: Path) -> None:
    dataset = found(make(tmp_path, *(name.capitalize() for name in CLASSES)))
    assert [(s.name, len(s)) for s in dataset.splits] == [("train", 3), ("val", 2)]
    ((rule, detail),) = faults(dataset)
    assert (rule, dataset.names) == ("F002", {0: "cat", 1: "dog"})
    assert "training takes Train/, Val/ for the classes" in detail


def test_classes_without_a_split_are_split_by_training(tmp_path: Path) -> None:
    root = make(tmp_path / "pets", "cat/1.jpg", "cat/2.jpg", "dog/3.jpg")
    dataset = found(root)
    assert [(s.name, len(s)) for s in dataset.splits] == [("", 3)]
    told = faults(dataset)
    assert told[0][0] == "F002" and "copies the images into pets_split/" in told[0][1]
    assert told[1] == ("F004", "class dog has one image, which goes to val: training never sees the class")


def test_splits_without_a_common_class_are_numbered_anew(tmp_path: Path) -> None:
    root = make(tmp_path, *CLASSES[:3], "val/x/4.jpg", "val/y/5.jpg", "val/z/6.jpg")
    dataset = found(root)
    assert [f.rule for f in dataset.faults] == ["F003"]
    classes = dataset.splits[1].chunk(0, 3).classes
    assert classes is not None and classes.tolist()[:2] == [0, 1] and classes[2] >= 2


def test_one_split_alone(tmp_path: Path) -> None:
    make(tmp_path, *CLASSES)
    assert [s.name for s in find_dataset([str(tmp_path)], ["val"]).splits] == ["val"]
    with pytest.raises(DatasetError, match="has no split 'test'; its splits: train, val"):
        find_dataset([str(tmp_path)], ["test"])
