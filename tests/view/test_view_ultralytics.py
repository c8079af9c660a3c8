"""The real Ultralytics reads a view as it was planned, and leaves the user's dataset alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from example_files import build, image_bytes
from viewed import fix_into_view

if TYPE_CHECKING:
    from sanitizer.view.write import View

pytestmark = pytest.mark.ultralytics

Tree = dict[str, tuple[bytes, int, int]]


def tree(folder: Path) -> Tree:
    """Every file of a folder: content, mode and time of change; folders with their time of change, too."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
        )
        for path in sorted([folder, *folder.rglob("*")])
    }


@pytest.fixture
def copy_of(shared_data: Path, tmp_path: Path) -> Any:
    """Copies a published set, so that it may be written to."""

    def make(name: str) -> Path:
        folder = tmp_path / "sets" / name
        shutil.copytree(shared_data / name, folder)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return folder

    return make


def loaded(view: View, task: str) -> dict[str, dict[str, int]]:
    """What training loads, by split: path of each image below the view to its number of boxes."""
    utils = pytest.importorskip("ultralytics.data.utils")
    from ultralytics.data.dataset import YOLODataset

    data = utils.check_det_dataset(view.data_yaml, autodownload=False)
    found = {}
    for split in view.images:
        dataset = YOLODataset(img_path=data[split], data=data, task=task, augment=False, imgsz=64)
        found[split] = {os.path.relpath(x["im_file"], view.folder): len(x["cls"]) for x in dataset.labels}
        cache = utils.load_dataset_cache_file(Path(dataset.label_files[0]).parent.with_suffix(".cache"))
        n_corrupt = cache["results"][3]
        assert n_corrupt == 0
    return found


def written(view: View) -> dict[str, dict[str, int]]:
    """The same by the view's own files."""
    found: dict[str, dict[str, int]] = {}
    for split in view.images:
        images = Path(view.folder, f"{split}.txt").read_text().splitlines()
        labels = [Path(view.folder, f"labels/{line[9 : line.rindex('.')]}.txt") for line in images]
        rows = [len(p.read_text().splitlines()) if p.exists() else 0 for p in labels]
        found[split] = {line[2:]: n for line, n in zip(images, rows, strict=True)}
    return found


@pytest.mark.parametrize(
    ("name", "task", "n_images", "n_boxes", "n_excluded"),
    [
        ("bccd", "detect", 364, 4886, 0),
        # Each row of 120 images has a class that the data.yaml does not name.
        ("ships_dirty", "detect", 447, 520, 120),
        ("ultralytics_coco8", "detect", 8, 30, 0),
        ("ultralytics_coco8-seg", "segment", 8, 30, 0),
        ("ultralytics_coco8-pose", "pose", 8, 21, 0),
        ("ultralytics_dota8", "obb", 8, 133, 0),
    ],
)
def test_training_loads_what_was_planned(
    name: str, task: str, n_images: int, n_boxes: int, n_excluded: int, copy_of: Any, tmp_path: Path
) -> None:
    folder = copy_of(name)
    before = tree(folder)
    view = fix_into_view(folder / "data.yaml", out=str(tmp_path / "view"), unsafe=True)
    assert loaded(view, task) == written(view)
    assert sum(view.images.values()) == n_images
    assert sum(view.boxes.values()) == n_boxes == sum(sum(rows.values()) for rows in written(view).values())
    assert len(view.excluded) == n_excluded
    assert tree(folder) == before


def test_odd_names_and_a_damaged_jpeg(tmp_path: Path) -> None:
    names = ["ü,'\" x.jpg", "new\nline.jpg", "a/images/x.jpg", "b/x.jpg", os.fsdecode(b"latin-\xe9.png")]
    folder = tmp_path / "set"
    images = {f"images/train/{name}": {"image": "64x48"} for name in names[:-1]}
    labels = {f"labels/train/{name[:-4]}.txt": "0 0.5 0.5 0.4 0.3\n" * n for n, name in enumerate(names[:-1])}
    # Training looks for the label of a/images/x.jpg beside the last `images` of its path.
    labels = {path.replace("labels/train/a/images", "images/train/a/labels"): x for path, x in labels.items()}
    tail = {"image": "64x48 tail"}
    data = build({"image": "64x48 tail", "files": {**images, **labels, "images/val/z.jpg": tail}}, folder)
    for path, content in (
        (f"images/train/{names[-1]}", image_bytes("64x48", "x.png")),
        (f"labels/train/{names[-1][:-4]}.txt", b"1 .5 .5 .1 .1"),
    ):
        (folder / path).write_bytes(content)
    before = tree(folder)
    view = fix_into_view(data, out=str(tmp_path / "view"))
    found = loaded(view, "detect")
    assert tree(folder) == before
    assert found == written(view)
    assert sorted(found["train"].values()) == [0, 1, 1, 1, 1, 1]
    assert view.copied == 2
    copy = Path(view.folder, "images/train/example.jpg")
    assert copy.read_bytes() != (folder / "images/train/example.jpg").read_bytes()


@pytest.mark.slow
def test_training_runs_on_a_view(copy_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    monkeypatch.chdir(tmp_path)
    folder = copy_of("ultralytics_coco8")
    before = tree(folder)
    view = fix_into_view(folder / "data.yaml", out=str(tmp_path / "view"))
    model = ultralytics.YOLO("yolov8n.yaml")
    options = {"epochs": 1, "imgsz": 64, "batch": 4, "workers": 0, "plots": False, "device": "cpu"}
    model.train(data=view.data_yaml, project=str(tmp_path / "runs"), **options)
    assert list(tmp_path.glob("runs/**/weights/last.pt"))
    assert tree(folder) == before
