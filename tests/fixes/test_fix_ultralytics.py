"""After a fix of published sets, the real Ultralytics loads every image that a repair of rows could save."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sanitizer.fixes.fixing import fix
from sanitizer.fixes.undo import undo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.ultralytics


def loaded(folder: Path) -> dict[str, int]:
    """Name of each image that Ultralytics keeps to its number of boxes."""
    data_utils = pytest.importorskip("ultralytics.data.utils")
    import yaml

    data = yaml.safe_load((folder / "data.yaml").read_text())
    names = data["names"]
    images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    labels = data_utils.img2label_paths([str(p) for p in images])
    kept = {}
    for image, label in zip(images, labels, strict=True):
        args = (str(image), label, "", False, len(names), 0, 0, False)
        result = data_utils.verify_image_label(args)
        if result[0] is not None:
            kept[str(image.relative_to(folder))] = len(result[1])
    return kept


@pytest.mark.parametrize(
    ("name", "dropped_before", "dropped_after", "boxes_lost"),
    [
        # Every row of these 120 images has a class that the data.yaml does not name: nothing would be left of them.
        ("ships_dirty", 120, 120, 0),
        # Two boxes of zero width and height.
        ("bccd", 0, 0, 2),
        ("ultralytics_dota8", 0, 0, 0),
    ],
)
def test_no_image_is_dropped_that_could_be_saved(
    name: str, dropped_before: int, dropped_after: int, boxes_lost: int, shared_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / name
    shutil.copytree(shared_data / name, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    contents = {p: p.read_bytes() for p in folder.rglob("*.txt")}
    n_images = sum(p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") for p in folder.rglob("*"))

    before = loaded(folder)
    result = fix(folder / "data.yaml", unsafe=True)
    after = loaded(folder)
    assert n_images - len(before) == dropped_before
    assert n_images - len(after) == dropped_after
    assert set(before) <= set(after)
    assert sum(before.values()) - sum(after[image] for image in before) == boxes_lost
    assert sum(file.plan.removed for file in result.files) == boxes_lost

    if result.run:
        undo(folder / "data.yaml")
    assert {p: p.read_bytes() for p in folder.rglob("*.txt")} == contents
