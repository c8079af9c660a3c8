"""Files that were never downloaded: git-lfs pointers in place of labels and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence

POINTER_RULE = "L008"
LEAST_POINTERS = 2
"""A single pointer is told by its finding as well."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """One cause for all git-lfs pointers."""
    n = evidence.count(POINTER_RULE)
    if n < LEAST_POINTERS:
        return
    images = in_thousands(evidence.images, "image")
    labels = in_thousands(evidence.survey.n_label_files, "label file")
    cause = Cause(
        "git-lfs-pointers",
        "git-lfs pointers",
        f"{in_thousands(n, 'file')} are git-lfs pointers: the real files were never downloaded.",
        evidence=(f"The dataset has {images} and {labels} in all.",),
        training="Training takes the text of a pointer for a broken image or label, and leaves the image out.",
        way_out="Run `git lfs install && git lfs pull` in the dataset's repository.",
        images=min(n, evidence.dropped),
    )
    yield Hypothesis(cause, lambda finding: finding.rule == POINTER_RULE)
