"""Which export a split or a label came from: class lists that differ, empty label files, files without a partner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.dataset.tables import LABEL_TASKS
from sanitizer.diagnosis.exports import class_lists, empty_labels, one_class, partners, rotated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.cause import Hypothesis


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows."""
    if evidence.dataset.files_only or evidence.spec.task not in LABEL_TASKS:
        return
    yield from class_lists.hypotheses(evidence)
    yield from empty_labels.hypotheses(evidence)
    yield from partners.hypotheses(evidence)
    yield from one_class.hypotheses(evidence)
    yield from rotated.hypotheses(evidence)
