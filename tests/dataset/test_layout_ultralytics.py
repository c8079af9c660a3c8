"""The same images and label paths as the real Ultralytics, over many ways to write a data.yaml."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from sanitizer.archives.finding import find_dataset
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sanitizer.dataset.model import Dataset

pytestmark = pytest.mark.ultralytics

STOPPING = ("D001", "D002", "D003", "D004", "L008")
FILES = (
    "images/train/b.jpg", "images/train/a.PNG", "images/train/a-1/z.jpeg", "images/train/a/y.webp",
    "images/train/.hidden.jpg", "images/train/.dir/x.jpg", "images/train/notes.gif", "images/train/noending",
    "images/train/images/deep.tif", "images/train/a b.jpg", "images/train/é🚢.jpg", "images/train/[x].jpg",
    "images/train/two.dots.jpg", "images/val/v.jpg", "images/val/.jpg", "flat/f.jpg", "flat/f.txt",
    "train/images/r.jpg", "train/labels/r.txt", "valid/images/s.jpg", "labels/train/b.txt", "labels/val/v.txt",
)  # fmt: skip
NAMES = "names: [a, b]\n"


def ultralytics_images(data_yaml: str, splits: tuple[str, ...]) -> dict[str, list[tuple[str, str]]] | None:
    """Split to (image, label path) as the loader lists them; None where it stops."""
    from ultralytics.data import utils
    from ultralytics.data.base import BaseDataset

    class Lister(BaseDataset):
        def __init__(self) -> None:
            self.prefix, self.fraction = "", 1.0

    try:
        data = utils.check_det_dataset(data_yaml, autodownload=False, split="val")
        found = {}
        for split in splits:
            if split == "train" or data.get(split):
                images = Lister().get_img_files(data[split])
                found[split] = list(zip(images, utils.img2label_paths(images), strict=True))
    except Exception:  # whatever it is, training ends there
        return None
    return found


def our_images(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    return {
        split.name: [
            (str(split.image_path(i)), split.expected_label_path(i))
            for i in range(len(split))
            if split.has_image[i]
        ]
        for split in dataset.splits
    }


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader would look for a font on the net, and measure the disk."""
    monkeypatch.setattr("ultralytics.data.utils.check_font", lambda *_: None)
    monkeypatch.setattr("ultralytics.data.base.check_file_speeds", lambda *_, **__: None)


def compare(data_yaml: str, in_order: bool = True) -> None:
    theirs = ultralytics_images(data_yaml, ("train", "val", "test"))
    dataset = find_dataset([data_yaml])
    stops = [f for f in dataset.faults if f.rule in STOPPING and f.severity is Severity.ERROR]
    if theirs is None:
        assert stops, "training stops, and nothing says so"
    else:
        assert not stops
        absolute = {
            split: [(os.path.abspath(image), os.path.abspath(label)) for image, label in pairs]
            for split, pairs in theirs.items()
        }
        ours = our_images(dataset)
        if not in_order:
            ours, absolute = ({s: sorted(pairs) for s, pairs in x.items()} for x in (ours, absolute))
        assert ours == absolute
        assert dataset.nc is not None


SPLITS = [
    "train: images/train\nval: images/val\n",
    "train: images\nval: images/val\n",
    "train: .\nval: images/val\n",
    "train: train\nval: valid\n",
    "train: ../train/images\nval: ../valid/images\n",
    "train: [../train/images]\nval: valid/images\n",
    "train: ./train/images/\nval: valid/images/../images\n",
    "train: [images/train, train/images, flat]\nval: [images/val]\n",
    "train: flat\nval: flat\ntest: images/val\n",
    "train: images/train\nvalidation: images/val\n",
    "train: images/train\nval: images/nothing\n",
    "train: images/train\nval: labels/val\n",
    "train: images/nothing\nval: images/val\n",
    "train: images/train\n",
    "val: images/val\n",
    "train: images/train\nval:\n",
    "train: images/train\nval: ''\n",
    "train: images/train\nval: []\n",
    "train: images/train\nval: None\n",
    "train:\nval: images/val\n",
    "train: 5\nval: images/val\n",
    "train: [5]\nval: images/val\n",
    "train: images/train\nval: images/val\ntest: ''\n",
    "train: images/train\nval: images/val/v.jpg\n",
    "train: linked\nval: images/val\n",
    "train: images/linked\nval: images/val\n",
    "train: loop\nval: images/val\n",
    "path: ROOT\ntrain: images/train\nval: images/val\n",
    "path: ROOT/images\ntrain: train\nval: val\n",
    "path: ''\ntrain: images/train\nval: images/val\n",
    "path:\ntrain: images/train\nval: images/val\n",
    "path: /no/such/folder\ntrain: images/train\nval: images/val\n",
    "path: 7\ntrain: images/train\nval: images/val\n",
    "path: /no/such/folder\ntrain: ROOT/images/train\nval: ROOT/images/val\n",
    "path: https://example.com/set\ntrain: images/train\nval: images/val\n",
    "train: dotted.txt\nval: images/val\n",
    "train: bom.txt\nval: images/val\n",
    "train: absolute.txt\nval: images/val\n",
    "train: empty.txt\nval: images/val\n",
    "train: [dotted.txt, images/val]\nval: images/val\n",
]
LISTS = {
    "dotted.txt": "./images/train/b.jpg\n./images/train/a.PNG\n./flat/f.jpg\n./gone.jpg\n./a.gif\n\n",
    "bom.txt": "\ufeff  ./images/val/v.jpg\r\n./images/../images/train/b.jpg\n",
    "absolute.txt": "ROOT/images/val/v.jpg\nROOT/images/train/b.jpg\n",
    "empty.txt": "\n",
}
CLASSES = [
    "names: [a, b]\n", "names: {0: a, 1: b}\n", "names: {1: a, 0: b}\n", "nc: 2\n", "nc: '2'\n", "nc: 2.0\n",
    "names: [a, b]\nnc: 2\n", "names: [a, b]\nnc: 3\n", "names: [a, b]\nnc: 2.5\n", "nc: -1\n", "nc: 0\n", "nc: x\n",
    "nc:\n", "names:\n", "names: []\n", "names: {}\n", "names: {0: a, 2: b}\n", "names: {1: a, 2: b}\n",
    "names: {x: a}\n", "names: {'0': a}\n", "names: ab\n", "names: [a, a]\n", "names: [yes, no]\n",
    "names: [1, [2]]\n", "", "names: [a\n", "names: !!python/name:os.system\n", "names: [a]\n---\nx: 1\n",
    "names: [a, b]\nkpt_shape: 3\n", "nc: .inf\n", "nc: true\n",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, text in LISTS.items():
        (root / name).write_text(text.replace("ROOT", str(root)), encoding="utf-8")
    (root / "linked").symlink_to("flat")
    (root / "images" / "linked").symlink_to("train")
    (root / "images" / "val" / "gone.jpg").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    return root


@pytest.mark.parametrize("splits", SPLITS)
def test_splits(folder: Path, splits: str) -> None:
    (folder / "data.yaml").write_text(splits.replace("ROOT", str(folder)) + NAMES)
    compare(str(folder / "data.yaml"))


@pytest.mark.parametrize("classes", CLASSES)
def test_classes(folder: Path, classes: str) -> None:
    (folder / "data.yaml").write_text(SPLITS[0] + classes)
    compare(str(folder / "data.yaml"))


@pytest.mark.parametrize(
    ("where", "given", "text"),
    [
        ("set", "data.yaml", "path: .\n" + SPLITS[0]),
        ("set", "data.yaml", "path: images\ntrain: train\nval: val\n"),
        ("set/flat", "../data.yaml", SPLITS[0]),
        (".", "set/data.yaml", "path: set\n" + SPLITS[0]),
        (".", "set/data.yaml", SPLITS[4]),
        ("set", "data.yaml", "train: plain.txt\nval: images/val\n"),
    ],
)
def test_relative_paths(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, given: str, text: str
) -> None:
    (folder / "plain.txt").write_text(
        "images/val/v.jpg\nflat/f.jpg\nset/images/val/v.jpg\n./images/train/b.jpg\n"
    )
    (folder / "data.yaml").write_text(text + NAMES)
    monkeypatch.chdir(folder.parent / where)
    if "plain" in text:
        (folder / "set").symlink_to(".")
    compare(given, in_order="plain" not in text)  # training sorts relative lines as they are written


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["flat/gone.jpg", "flat/i1.jpg", "flat/i2.jpg"], ["flat/i1.jpg", "flat/i2.jpg"]),
        (["gone.jpg", "i1.jpg", "i2.jpg"], None),
        (["z.jpg", "flat/i1.jpg"], ["flat/i1.jpg"]),
    ],
)
def test_what_training_keeps_of_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], kept: list[str] | None
) -> None:
    """A missing image is left out alone; a name without a folder, sorted first, stops training."""
    from PIL import Image
    from ultralytics.data.dataset import YOLODataset

    (tmp_path / "flat").mkdir()
    for stem in ("i1", "i2", "flat/i1", "flat/i2"):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{stem}.jpg")
        (tmp_path / f"{stem}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "train.txt").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    data = {"names": {0: "a"}, "nc": 1, "channels": 3}
    if kept is None:
        with pytest.raises(ValueError, match="empty name"):
            YOLODataset("train.txt", data=data, task="detect", imgsz=32)
    else:
        assert YOLODataset("train.txt", data=data, task="detect", imgsz=32).im_files == kept


@pytest.mark.parametrize(
    "name", ["bccd", "ships_dirty", "dronetraffic", "ltvideo12_pose", "mcore14_obb", "neudet600", "nuinsseg18_seg",
             "lfs_pointers20", "ultralytics_coco8", "ultralytics_dota8"],
)  # fmt: skip
def test_published_datasets(shared_data: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(shared_data / name, tmp_path / name, copy_function=_touch)
    compare(str(tmp_path / name / "data.yaml"))


def _touch(source: str, target: str, **_: Any) -> None:
    """Only names matter; the yaml is copied whole."""
    if source.endswith(".yaml"):
        shutil.copyfile(source, target)
    else:
        open(target, "w").close()


def test_image_endings() -> None:
    from ultralytics.data.utils import DATASET_KEY_TYPES, IMG_FORMATS

    from sanitizer.dataset.data_yaml import KEY_TYPES
    from sanitizer.dataset.listing import IMAGE_EXTENSIONS

    ours: Mapping[str, object] = KEY_TYPES
    assert set(IMAGE_EXTENSIONS) == set(IMG_FORMATS)
    assert ours == DATASET_KEY_TYPES
