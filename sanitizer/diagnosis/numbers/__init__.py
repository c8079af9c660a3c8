"""How the numbers of label rows are written: units, layouts, columns too many, other tools' text, class ids.

Each module asks one question of all rows at once. `boxes.py` places rows in their images, `enough_rows.py` says how
many rows it takes, `parts.py` tries all files, then splits, then folders, and `writing.py` makes the cause.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.cause import Hypothesis

DETECTORS: dict[str, tuple[str, ...]] = {
    "texts": ("L002", "L003"),
    "keypoints": ("K001", "L006", "K003"),
    "oriented": ("L002",),
    "columns": ("L002", "L003", "K001", "L006", "B003", "S004", "C001"),
    "odd_rows": ("L002", "L003"),
    "units": ("B003", "B011", "S004", "K003", "O002", "B002"),
    "layouts": ("B003", "B004", "B010", "B011"),
    "other_sizes": ("B003", "B004", "B010", "B011"),
    "shifted": ("B003", "B004"),
}
"""Modules with `writings`, in the order in which they are asked, each with the rules without a finding of which it has
nothing to say. Only those that are asked are imported."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows. Files that one detector explains are not shown to the next."""
    taken: set[str] = set()
    for detector, rules in DETECTORS.items():
        if not evidence.count(*rules):
            continue
        from sanitizer.diagnosis.numbers.writing import told

        files = [file for file in evidence.labels.files if file.label not in taken]
        for writing in import_module(f"{__name__}.{detector}").writings(files, evidence.spec):
            taken.update(file.label for file in writing.files)
            yield told(writing, evidence)
    if evidence.count("C001", "D003"):
        from sanitizer.diagnosis.numbers import class_ids

        yield from class_ids.hypotheses(evidence)
