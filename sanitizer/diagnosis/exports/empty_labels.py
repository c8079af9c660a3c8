"""Label files that hold no row where others do, or none of which does: an export that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.chance import at_least_by_chance, expected_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.rules.survey import SplitSums

NEARLY_ALL = 0.9
"""Share of empty files from which rows are the exception, and one sentence says more than a line for each file."""
FEWEST_FILES = 10
"""Of fewer files, nearly all are all."""
CHANCE = 0.001
"""How likely the empty files of a split may be, at the rate of the other splits, to be called usual."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """One cause for the whole dataset, or one for the splits that are empty beside others."""
    if not evidence.count("L007"):
        return
    splits = [split for split in evidence.survey.splits if split.labels]
    if _nearly_all(_empty(evidence, splits), sum(split.labels for split in splits)):
        yield _told(evidence, splits, splits)
        return
    failed = [split for split in splits if _is_odd(evidence, split, splits)]
    if failed:
        yield _told(evidence, failed, splits)


def _empty(evidence: Evidence, splits: Sequence[SplitSums]) -> int:
    return sum(evidence.counts.get(("L007", split.name or None), 0) for split in splits)


def _nearly_all(empty: int, labels: int) -> bool:
    return empty == labels if labels < FEWEST_FILES else empty >= NEARLY_ALL * labels


def _is_odd(evidence: Evidence, split: SplitSums, splits: Sequence[SplitSums]) -> bool:
    """Whether nearly all files of a split are empty, and those of the other splits are not."""
    others = [other for other in splits if other is not split]
    empty = _empty(evidence, [split])
    usual = expected_share(_empty(evidence, others), sum(other.labels for other in others))
    return _nearly_all(empty, split.labels) and at_least_by_chance(empty, split.labels, usual) <= CHANCE


def _told(evidence: Evidence, failed: Sequence[SplitSums], splits: Sequence[SplitSums]) -> Hypothesis:
    empty, labels = _empty(evidence, failed), sum(split.labels for split in failed)
    names = frozenset(split.name or None for split in failed)
    where = "" if len(failed) == len(splits) else f" of {' and '.join(split.name for split in failed)}"
    others = [split for split in splits if split not in failed]
    told = [
        f"{split.name or 'the folder'}: {_empty(evidence, [split]):,} of {split.labels:,} label files are empty."
        for split in splits
    ]
    sentence = (
        f"None of the {labels:,} label files{where} holds a row: the export failed."
        if empty == labels
        else f"{empty:,} of {labels:,} label files{where} hold no row: the export failed, or these images show nothing."
    )
    cause = Cause(
        "empty-export",
        "Label files without rows",
        sentence,
        tuple(told) if others or len(splits) > 1 else (),
        _training(failed, is_all=empty == labels),
        "Export the labels again and look into one file: an object is a row."
        + ("" if empty == labels else " If the images show no object, nothing is wrong."),
        images=empty,
    )
    return Hypothesis(cause, lambda finding: finding.rule == "L007" and finding.split in names)


def _training(failed: Sequence[SplitSums], *, is_all: bool) -> str:
    names = {split.name for split in failed}
    if not is_all:
        return "Training reads these images as background."
    if "train" in names or names == {""}:
        return "Training reads every labelled image as background and learns to find nothing."
    return f"Training reads all of {' and '.join(sorted(names))} as background: precision and recall there are 0."
