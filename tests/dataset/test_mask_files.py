"""Semantic sets: which data.yaml describes one, where its masks are, and which tasks are declined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sanitizer.archives.finding import find_dataset
from sanitizer.dataset.model import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.dataset.model import Dataset

YAML = "train: images/train\nval: images/val\nnames: [a, b]\n"
FILES = (
    "images/train/1.jpg",
    "images/train/2.jpg",
    "images/val/3.jpg",
    "masks/train/1.png",
    "masks/val/3.png",
)


def make(root: Path, yaml: str, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "data.yaml").write_text(yaml)
    return root


def found(root: Path, task: str = "auto") -> Dataset:
    return find_dataset([str(root / "data.yaml")], task=task)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "task", "expected"),
    [
        ("masks_dir: masks\n", "auto", "semantic"),
        ("task: semantic\n", "auto", "semantic"),
        ("", "semantic", "semantic"),
        ("", "auto", None),
        ("masks_dir: masks\ntask: segment\n", "auto", "segment"),
        ("masks_dir: masks\n", "detect", None),
        ("task: semantic\n", "detect", None),
    ],
)
def test_who_decides_on_masks(tmp_path: Path, more: str, task: str, expected: str | None) -> None:
    dataset = found(make(tmp_path, YAML + more, *FILES), task)
    assert dataset.declared_task == expected
    assert any(f.rule == "D006" for f in dataset.faults) == (expected != "semantic")


def test_masks_are_the_labels_of_their_images(tmp_path: Path) -> None:
    root = make(tmp_path, YAML + "masks_dir: masks\n", *FILES, "masks/train/2.bmp")
    train = found(root).splits[0].chunk(0, 2)
    assert train.labels == [f"{tmp_path}/masks/train/1.png", f"{tmp_path}/masks/train/2.bmp"]


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        (("masks/train/1.png",), ["M001 no mask 2.png in masks/train: training drops the image"]),
        (("masks/train/1.png", "masks/train/2.PNG"), ["(2.PNG differs in upper and lower case only)"]),
        (
            ("masks/train/1_mask.png",),
            ["M008 none of the 2 images of train has a mask: masks/train holds 1_mask.png"],
        ),
        (
            (),
            [
                "M008 none of the 2 images of train has a mask: there is no folder masks/train; training stops here"
            ],
        ),
    ],
)
def test_missing_masks(tmp_path: Path, masks: tuple[str, ...], expected: list[str]) -> None:
    root = make(tmp_path, YAML + "masks_dir: masks\n", *FILES[:3], "masks/val/3.png", *masks)
    told = [f"{f.rule} {f.values['detail']}" for f in found(root).faults]
    assert len(told) == len(expected)
    assert all(part in detail for detail, part in zip(told, expected, strict=True)), told


def test_images_outside_a_folder_called_images_have_no_masks(tmp_path: Path) -> None:
    yaml = "train: train\nval: val\nnames: [a]\nmasks_dir: masks\n"
    told = found(make(tmp_path, yaml, "train/1.png", "val/2.png", "masks/train/1.png")).faults
    assert [f.rule for f in told] == ["M008", "M008"]
    assert "training takes each image for its own mask" in str(told[0].values["detail"])


@pytest.mark.parametrize(
    ("text", "mapping", "stops"),
    [
        ("{7: 1, 3: ignore_label, -1: ignore_label, 4: null, '5': '0'}", {7: 1, 3: 255, 4: 255, 5: 0}, False),
        ("[1]", {}, True),
        ("{x: 1}", {}, True),
        ("{7: -1}", {}, True),
        ("{7: 300}", {}, True),
    ],
)
def test_label_mapping(tmp_path: Path, text: str, mapping: dict[int, int], stops: bool) -> None:
    dataset = found(
        make(tmp_path, f"{YAML}masks_dir: masks\nlabel_mapping: {text}\n", *FILES, "masks/train/2.png")
    )
    assert dataset.label_mapping == mapping
    assert [f.rule for f in dataset.faults] == ["D003"] * stops
    assert all("training stops here" in str(f.values["detail"]) for f in dataset.faults)


@pytest.mark.parametrize(
    ("more", "task", "words"),
    [
        ("task: depth\n", "auto", "declares `task: depth`, and depth maps are not checked by this version"),
        ("task: detct\n", "auto", "no task that is judged (did you mean 'detect'?)"),
        ("task: [x]\n", "auto", "--task names another"),
        ("task: classify\n", "auto", "holds no folders of classes, which"),
        (
            "task: semantic\n",
            "auto",
            "would draw the masks from polygons in label files; --task segment judges those",
        ),
    ],
)
def test_what_is_not_judged_is_declined_in_a_sentence(
    tmp_path: Path, more: str, task: str, words: str
) -> None:
    root = make(tmp_path, YAML + more, *FILES[:3])
    with pytest.raises(DatasetError) as error:
        found(root, task)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert found(root, "detect").splits
