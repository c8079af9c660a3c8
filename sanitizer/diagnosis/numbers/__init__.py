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
    other_sizes,
    shifted,
    texts,
    units,
)
from sanitizer.diagnosis.numbers.telling import told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.cause import Hypothesis

DETECTORS = (texts, keypoints, oriented, columns, odd_rows, units, layouts, other_sizes, shifted)
"""In the order in which they are asked: each has `RULES`, without a finding of which there is nothing to ask, and
`writings`."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows. Files that one detector explains are not shown to the next."""
    taken: set[str] = set()
    for detector in DETECTORS:
        if not evidence.count(*detector.RULES):
            continue
        files = [file for file in evidence.labels.files if file.label not in taken]
        for writing in detector.writings(files, evidence.spec):
            taken.update(file.label for file in writing.files)
            yield told(writing, evidence)
    yield from class_ids.hypotheses(evidence)
