"""Where label and image files lie, when that is not where training looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.cause import Hypothesis

_RULES = ("D002", "D006", "D007", "I001", "L009")
"""Findings that a place can explain. Without any of them nothing is looked at."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows."""
    dataset = evidence.dataset
    if dataset.files_only or evidence.survey.packed_files is not None or not evidence.count(*_RULES):
        return
    from sanitizer.diagnosis.whereabouts.image_formats import foreign_images
    from sanitizer.diagnosis.whereabouts.label_folders import labels_elsewhere
    from sanitizer.diagnosis.whereabouts.list_lines import list_lines
    from sanitizer.diagnosis.whereabouts.look import Look
    from sanitizer.diagnosis.whereabouts.lost_splits import lost_splits
    from sanitizer.diagnosis.whereabouts.other_annotations import other_annotations
    from sanitizer.diagnosis.whereabouts.renamed_labels import renamed_labels

    look = Look(evidence)
    yield from lost_splits(look)
    yield from list_lines(look)
    yield from labels_elsewhere(look)
    yield from renamed_labels(look)
    yield from other_annotations(look)
    yield from foreign_images(look)
