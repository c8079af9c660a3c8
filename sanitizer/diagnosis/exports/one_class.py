"""One class that all rows have, where data.yaml names many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence

RULE = "C003"
FEWEST_CLASSES, FEWEST_FILES = 3, 44
"""Of two classes one may well be rare. A class that one file of ten holds is in none of 44 once in 100 sets."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """One cause for all the classes without a row."""
    nc, counts = evidence.spec.nc or 0, evidence.class_rows
    files = evidence.survey.n_label_files
    if not evidence.count(RULE) or nc < FEWEST_CLASSES or len(counts) != 1 or files < FEWEST_FILES:
        return
    (only,) = counts
    if not 0 <= only < nc:
        return
    name = evidence.spec.names.get(only)
    cause = Cause(
        "one-class-only",
        "One class for every object",
        f"All {counts[only]:,} rows have class {only}{f' ({name})' if name else ''}, and data.yaml names {nc} classes: "
        "the export wrote one id for every object, or the class list is that of a larger dataset.",
        (f"None of {in_thousands(files, 'label file')} has one of the other {nc - 1} ids.",),
        f"Training learns this class, and has no example of the other {nc - 1}.",
        "Look at some images: where they show other classes as well, export the labels again; where they do not, name "
        "this class alone" + (", and number it 0." if only else "."),
    )
    yield Hypothesis(cause, lambda finding: finding.rule == RULE)
