"""Images without a label file and label files without an image, where they are many: told once, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.model import Split
    from sanitizer.diagnosis.evidence import Evidence

MANY = 5
"""Findings of one kind that are told in one sentence: fewer are read as quickly one by one."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """What no earlier family explains by where the files lie."""
    if evidence.count("D006") >= MANY:
        yield from _unlabelled(evidence)
    if evidence.count("D007") >= MANY:
        yield from _orphans(evidence)


def _unlabelled(evidence: Evidence) -> Iterator[Hypothesis]:
    counts = [(split.name, *_pairs(split, image=True)) for split in evidence.dataset.splits]
    missing, images = sum(c[1] for c in counts), sum(c[2] for c in counts)
    if missing < MANY:
        return
    stops = any(name == "train" and n == of for name, n, of in counts if of)
    training = "Training reads them as background: if they show objects, it learns to miss these."
    if stops:
        training = 'Training stops with "No labels found", as no image of train has a label file.'
    cause = Cause(
        "images-without-labels",
        "Images without a label file",
        f"{_of(missing, images)} images have no label file{_where(counts)}.",
        _by_split(counts, "images have no label file"),
        training,
        "Label them or put their label files in place; where an image shows no object, add an empty label file.",
        images=missing,
    )
    yield Hypothesis(cause, lambda finding: finding.rule == "D006")


def _orphans(evidence: Evidence) -> Iterator[Hypothesis]:
    splits = [
        s for s, sums in zip(evidence.dataset.splits, evidence.survey.splits, strict=True) if sums.images
    ]
    counts = [(split.name, *_pairs(split, image=False)) for split in splits]
    orphans, labels = sum(c[1] for c in counts), sum(c[2] for c in counts)
    if orphans < MANY:
        return
    cause = Cause(
        "labels-without-images",
        "Label files without an image",
        f"{_of(orphans, labels)} label files have no image{_where(counts)}.",
        _by_split(counts, "label files have no image"),
        "Training never reads them.",
        "Put their images back, or name the images as the labels are named; else delete these label files.",
    )
    yield Hypothesis(cause, lambda finding: finding.rule == "D007" and finding.label is not None)


def _pairs(split: Split, *, image: bool) -> tuple[int, int]:
    """(images without a label, images) of a split; with `image` False (labels without an image, labels)."""
    alone = total = 0
    for part in blocks(len(split)):
        mine, partner = split.has_image[part], split.has_label[part]
        if not image:
            mine, partner = partner, mine
        alone += int(np.count_nonzero(mine & ~partner))
        total += int(np.count_nonzero(mine))
    return alone, total


def _of(n: int, total: int) -> str:
    return f"All {total:,}" if n == total else f"{n:,} of {total:,}"


def _where(counts: Sequence[tuple[str, int, int]]) -> str:
    """Where they are, if that is one of several splits."""
    places = [name for name, n, _ in counts if n]
    return f", all in {places[0]}" if len(places) == 1 < len(counts) else ""


def _by_split(counts: Sequence[tuple[str, int, int]], what: str) -> tuple[str, ...]:
    if len(counts) < 2:
        return ()
    return tuple(f"{name}: {n:,} of {of:,} {what}." for name, n, of in counts if of)
