"""Images that EXIF rotates: whether their labels were drawn on the upright picture or on the pixels as stored."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.images.image_files import read_images
from sanitizer.labels.row_kinds import BOX_COLUMNS
from sanitizer.util.chance import at_least_by_chance
from sanitizer.util.counting import in_thousands
from sanitizer.util.robust import centre_and_spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.label_sample import SampleFile

RULE = "I005"
FEWEST = 3
"""Rotated images that one sentence tells of."""
FEWEST_BOXES = 5
"""Boxes of a class in other images, from which its usual shape is known."""
CHANCE = 0.01
LEAST_SPREAD = 0.05
TURNED_SIDEWAYS = 5
"""EXIF orientations from 5 on swap width and height."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """One cause for all rotated images."""
    n = evidence.count(RULE)
    if n < FEWEST:
        return
    upright, stored = _witnesses(evidence)
    files = upright + stored
    told: tuple[str, ...] = ()
    if files:
        told = (
            f"Boxes of {upright:,} of {in_thousands(files, 'label file')} are shaped more like those of other images "
            "if they were drawn on the upright picture.",
            f"Boxes of {stored:,} are if they were drawn on the pixels as stored.",
        )
    images = in_thousands(evidence.images, "image")
    sentence = f"{n:,} of {images} are stored rotated or mirrored, with an EXIF tag that says so"
    way_out = (
        "Look at the boxes of some of them on the upright picture. Where they lie wrong, rotate the labels, or remove "
        "the EXIF orientation of these images."
    )
    if at_least_by_chance(stored, files, 0.5) <= CHANCE:
        sentence += ", and their labels seem to be drawn on the pixels as stored"
        way_out = (
            "Remove the EXIF orientation of these images, so that training reads the pixels that the labels fit: "
            "`exiftool -Orientation= FILES`."
        )
    elif at_least_by_chance(upright, files, 0.5) <= CHANCE:
        sentence += ", and their labels seem to be drawn on the upright picture, as training wants it"
        way_out = "Nothing is to be done where some of these images look right."
    cause = Cause(
        "exif-rotated",
        "Images rotated by EXIF",
        f"{sentence}.",
        told,
        "Training turns these images upright and takes their labels as drawn on the upright picture.",
        way_out,
    )
    yield Hypothesis(cause, lambda finding: finding.rule == RULE)


def _witnesses(evidence: Evidence) -> tuple[int, int]:
    """(label files whose boxes fit the upright frame better, the stored one better) by the shapes of other images.

    None of images that are not on this disk: each would cost a request.
    """
    if evidence.dataset.storage.remote:
        return 0, 0
    files = [file for file in evidence.labels.files if file.size_px is not None]
    table = read_images([evidence.survey.image_path(file.pair) for file in files], "header")
    turned = [file for file, o in zip(files, table.orientation.tolist(), strict=True) if o >= TURNED_SIDEWAYS]
    others = [file for file, o in zip(files, table.orientation.tolist(), strict=True) if o < TURNED_SIDEWAYS]
    usual = _usual_aspects(others)
    votes = [vote for file in turned if (vote := _vote(file, usual))]
    return sum(vote > 0 for vote in votes), sum(vote < 0 for vote in votes)


def _aspects(file: SampleFile) -> Iterator[tuple[float, float]]:
    """(class id, log of width over height in pixels of the upright picture) of each box."""
    assert file.size_px is not None
    width_px, height_px = file.size_px
    for row in file.rows:
        if len(row.numbers) >= BOX_COLUMNS and row.numbers[3] > 0 and row.numbers[4] > 0:
            yield row.numbers[0], float(np.log(row.numbers[3] * width_px / (row.numbers[4] * height_px)))


def _usual_aspects(files: Sequence[SampleFile]) -> dict[float, tuple[float, float]]:
    """Class id to (median, spread) of the log aspect of its boxes."""
    found: dict[float, list[float]] = defaultdict(list)
    for file in files:
        for class_id, aspect in _aspects(file):
            found[class_id].append(aspect)
    usual = {}
    for class_id, aspects in found.items():
        if len(aspects) >= FEWEST_BOXES:
            middle, spread = map(float, centre_and_spread(np.array(aspects)))
            usual[class_id] = (middle, max(LEAST_SPREAD, spread))
    return usual


def _vote(file: SampleFile, usual: dict[float, tuple[float, float]]) -> float:
    """Over 0 where the boxes of a file have the usual shapes in the upright frame rather than in the stored one."""
    assert file.size_px is not None
    frame = float(np.log(file.size_px[0] / file.size_px[1]))
    total = 0.0
    for class_id, upright in _aspects(file):
        if class_id in usual:
            middle, spread = usual[class_id]
            # In the stored frame the same numbers are a box that the rotation lays on its side.
            stored = 2 * frame - upright
            total += (abs(stored - middle) - abs(upright - middle)) / spread
    return total
