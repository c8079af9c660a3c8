"""Sentences on what a probe's measurements can say, how to read its lists, and what these leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.probe.doubt.calibrate import MOST_TO_JUDGE
from sanitizer.probe.judging.wording import one_in
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.probe.judging.judgement import Judgement

FEW_IMAGES = 20
"""With fewer images, statistics over the images say little."""
LEAST_USUAL_WEIGHT = 0.1
"""If the median label weight is smaller, the model has learnt too little, and label weights say nothing."""
LIKELY = 0.5
"""An image is named for its labels only where one of them, or one missing label, is as likely wrong as right."""
FEW_OF_ALL = 0.01
"""Under this share of named lines, right objects that are rare may be as many: of nine lines named in a published set
of steel, none was wrong."""
LINE_CODES = ("G002", "G007", "G008")
"""Rules that name label lines which are probably wrong."""
PLACE_CODE = "G005"
"""The rule that names places without a label."""


def notes(judgement: Judgement) -> list[str]:
    """Sentences for the report."""
    return [
        *_about_measurements(judgement),
        *_about_lines(judgement),
        *_about_missing(judgement),
        *_about_looks(judgement),
    ]


def _about_measurements(judgement: Judgement) -> Iterator[str]:
    n = len(judgement.measured)
    if n < FEW_IMAGES:
        yield (
            f"only {in_thousands(n, 'image')} {'was' if n == 1 else 'were'} measured: a probe compares images with one "
            f"another, and has little to go by under {FEW_IMAGES}"
        )
    if judgement.usual_weight() < LEAST_USUAL_WEIGHT:
        yield (
            "the model has learnt too little to stand behind any label: start from trained weights, or give a larger "
            "--budget"
        )


def _about_lines(judgement: Judgement) -> Iterator[str]:
    evidence, codes = judgement.evidence, [c for c in LINE_CODES if c in judgement.ruleset.rules]
    if not codes:
        return
    if np.isnan(evidence.doubt.auroc):
        n_lines, n_images = len(evidence.row_image), len(judgement.measured)
        yield (
            f"no label line is named: {in_thousands(n_lines, 'label line')} in {in_thousands(n_images, 'image')} are "
            "too few to learn what an error looks like"
        )
        return
    if not evidence.doubt.usable:
        alike = "errors put into these labels on paper look hardly different from the labels"
        if evidence.doubt.share > MOST_TO_JUDGE:
            alike = f"up to {evidence.doubt.share:.0%} of these labels look like errors put in on paper"
        yield (
            f"no label line is named: to this model, {alike} (told apart in {evidence.doubt.auroc:.0%} of pairs, where "
            "50% is chance); start from trained weights, or give a larger --budget"
        )
    n_lines = sum(judgement.code_of(kind) in codes for kind, _ in judgement.named_lines.values())
    if n_lines:
        named = f"{in_thousands(n_lines, 'label line')} named ({', '.join(codes)})"
        allowed = one_in(judgement.fdr)
        if len(judgement.named_lines) < FEW_OF_ALL * len(evidence.row_image):
            yield (
                f"{named}, under {FEW_OF_ALL:.0%} of all: where so few stand out, more than {allowed} may be rare but "
                "right objects"
            )
        else:
            yield f"{named}: about {allowed} of these may be fine (--fdr)"


def _about_missing(judgement: Judgement) -> Iterator[str]:
    """For each class of which labels seem to be missing: how many, and in how many images."""
    signals = [(m, m.signals) for m in judgement.measured if m.signals is not None]
    if not signals or PLACE_CODE not in judgement.ruleset.rules:
        return
    evidence = judgement.evidence
    of_rows = np.concatenate([judgement.samples[m.index].class_id[:, 0] for m, _ in signals])
    of_objects = np.concatenate([s.object_class for _, s in signals]).astype(np.int64)
    likely = evidence.object_p >= LIKELY
    for class_id in np.unique(of_objects[likely]).tolist():
        mine = likely & (of_objects == class_id)
        missing, labels = round(float(evidence.object_p[mine].sum())), int((of_rows == class_id).sum())
        if missing:
            images = len(np.unique(evidence.object_image[mine]))
            # Places that are each likelier right than wrong add up to fewer objects than places.
            at_most = "up to " if images > missing else ""
            yield (
                f"about {missing / (missing + labels):.1%} of {judgement.class_name(class_id)} seem unlabelled: "
                f"{in_thousands(missing, 'object')} in {at_most}{images:,} of "
                f"{in_thousands(len(judgement.measured), 'image')} (G005)"
            )


def _about_looks(judgement: Judgement) -> Iterator[str]:
    alone = int(judgement.evidence.alone.sum())
    if alone:
        yield (
            f"{in_thousands(alone, 'image')} look{'s' * (alone == 1)} like no other, so there is little to compare the "
            "labels with"
        )
