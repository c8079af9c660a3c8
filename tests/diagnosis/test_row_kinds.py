"""Causes of rows of another kind than the task reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from pathlib import Path

BOX = "0 0.5 0.5 0.2 0.2\n"
POLYGON = "0 0.2 0.2 0.6 0.2 0.6 0.7 0.3 0.6\n"


def dataset(root: Path, task: str, texts: list[str]) -> str:
    for i, text in enumerate(texts):
        split = "val" if i == 0 else "train"
        image, label = root / f"images/{split}/{i}.png", root / f"labels/{split}/{i}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (i * 40, 9, 9)).save(image)
        label.write_text(text)
    (root / "data.yaml").write_text(f"task: {task}\ntrain: images/train\nval: images/val\nnames: [a]\n")
    return str(root / "data.yaml")


@pytest.mark.parametrize(
    ("task", "texts", "cause_id"),
    [
        ("detect", [BOX, BOX, POLYGON, POLYGON], "polygons-in-detection"),
        ("segment", [POLYGON, POLYGON, BOX, BOX], "boxes-in-segmentation"),
    ],
)
def test_rows_of_the_other_kind_are_one_cause(
    tmp_path: Path, task: str, texts: list[str], cause_id: str
) -> None:
    report = scan(dataset(tmp_path, task, texts), cache=False)
    (cause,) = report.causes
    assert (cause.id, cause.explains, cause.files) == (cause_id, 2, 2)
    assert cause.sentence.startswith("2 rows of 4 are")


@pytest.mark.parametrize(("task", "row"), [("detect", BOX), ("segment", POLYGON)])
def test_rows_of_the_task_have_no_cause(tmp_path: Path, task: str, row: str) -> None:
    assert not scan(dataset(tmp_path, task, [row] * 4), cache=False).causes
