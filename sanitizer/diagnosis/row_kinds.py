"""Rows of another kind than the task reads: polygons in a detection set, boxes in a segmentation set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence

RULE = "L006"
LEAST_ROWS = 2
"""A single row is told by its finding as well."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """One cause for all rows of the other kind."""
    n, total = evidence.count(RULE), evidence.survey.n_boxes
    if n < LEAST_ROWS:
        return
    tell = {"detect": _polygons_for_detection, "segment": _boxes_for_segmentation}.get(evidence.spec.task)
    if tell is not None:
        yield Hypothesis(tell(n, total), lambda finding: finding.rule == RULE)


def _polygons_for_detection(n: int, total: int) -> Cause:
    return Cause(
        "polygons-in-detection",
        "polygons in a detection set",
        f"{in_thousands(n, 'row')} of {total:,} are polygons, and the task is detection.",
        evidence=(f"{total - n:,} rows are boxes.",),
        training="Training uses the box around each polygon, and nothing else of it.",
        way_out="Nothing is to be done where boxes are wanted; else make all rows polygons, and train segmentation.",
    )


def _boxes_for_segmentation(n: int, total: int) -> Cause:
    return Cause(
        "boxes-in-segmentation",
        "boxes in a segmentation set",
        f"{in_thousands(n, 'row')} of {total:,} are boxes without an outline, and the task is segmentation.",
        evidence=(f"{total - n:,} rows are polygons.",),
        training="Training stops where it keeps such an image: it requires equal numbers of boxes and segments.",
        way_out="Draw the outlines of these objects, take these files out, or train detection with --task detect.",
    )
