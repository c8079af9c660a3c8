"""The cause of files that git-lfs did not download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from sanitizer import scan

if TYPE_CHECKING:
    from pathlib import Path

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"


def dataset(root: Path, n_pointers: int) -> str:
    for i in range(4):
        split = "train" if i < 3 else "val"
        image, label = root / f"images/{split}/{i}.png", root / f"labels/{split}/{i}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (i * 40, 9, 9)).save(image)
        label.write_text(POINTER if i < n_pointers else "0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    return str(root / "data.yaml")


def test_pointers_are_one_cause(tmp_path: Path) -> None:
    report = scan(dataset(tmp_path, 3), cache=False)
    (cause,) = [c for c in report.causes if c.id == "git-lfs-pointers"]
    assert cause.explains == sum(f.rule == "L008" for f in report.findings) == 3
    assert "git lfs pull" in cause.way_out and cause.images == 3


def test_one_pointer_is_told_by_its_finding(tmp_path: Path) -> None:
    assert not scan(dataset(tmp_path, 1), cache=False).causes
