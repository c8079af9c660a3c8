"""How the numbers of label rows are written: units, layouts, columns too many, other tools' text, class ids.

Each module asks one question of all rows at once. `boxes.py` places rows in their images, `belief.py` says how many
rows it takes, `parts.py` tries all files, then splits, then folders, and `telling.py` makes the cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.diagnosis.numbers import (
    class_ids,
    columns,
    keypoints,
    layouts,
    odd_rows,
    oriented,
    texts,
    units,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.cause import Hypothesis

DETECTORS = (texts, keypoints, oriented, columns, odd_rows, units, layouts, class_ids)


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows."""
    for detector in DETECTORS:
        yield from detector.hypotheses(evidence)
