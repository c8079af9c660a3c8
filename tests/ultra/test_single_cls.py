"""With `single_cls=True` no image is dropped for its class id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny_sets import tiny_set

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.findings.finding import count_by_rule
from sanitizer.scanner.run import scan_dataset

pytest.importorskip("ultralytics")

import real_training

from sanitizer.preflight.flight import as_trained

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.probe


@pytest.mark.parametrize("single_cls", [True, False])
def test_a_class_id_beyond_the_names_costs_an_image_unless_all_classes_are_one(
    tmp_path: Path, single_cls: bool
) -> None:
    data = tiny_set(tmp_path)
    (tmp_path / "labels/train/0.txt").write_text("7 0.5 0.5 0.4 0.4\n")
    dataset = as_trained(find_loose_dataset([str(data)]), {"single_cls": single_cls})
    report = scan_dataset(dataset, cache=False)
    kept = {s.split: s.images - s.dropped for s in report.summary.splits}
    assert kept == {"train": 3 + single_cls, "val": 2}
    assert ("C001" in count_by_rule(report.findings)) is not single_cls
    assert real_training.tried(data, "detect", single_cls=single_cls).kept == kept
