"""Rows that causes look at, out of label files that are longer than what is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny_sets import tiny_set

from sanitizer import scan
from sanitizer.labels.heads import HEAD_BYTES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["ä", "猫", "𠮷"])
def test_a_long_file_is_looked_at_wherever_its_head_ends(tmp_path: Path, name: str) -> None:
    row = f"{name} 0.5 0.5 0.2 0.2\n"
    size = len(row.encode())
    before = "\n" * (
        (HEAD_BYTES - 2) % size
    )  # so that a name's second byte is the first that is not looked at
    data = tiny_set(tmp_path, train=2, val=1)
    for label in tmp_path.glob("labels/*/*.txt"):
        label.write_text(before + row * (HEAD_BYTES // size + 1), "utf-8")
    report = scan(data, cache=False, jobs=1, images="header")
    assert [cause.id for cause in report.causes] == ["unknown-class-names"]
