"""The figures of one probe on a dataset with known corrections."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from injection.metrics import average_precision
from injection.named import Counted, matched
from injection.probe_adapter import LINE_RULES, PLACE_RULE, flagged_images, read_findings, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from corrections.truth import Correction, Corrections

METHODS = ("loss", "grad norm", "probe", "scan + probe")
LOSS_ENDING = "_loss"
MOST_CORRECTED = 0.25
"""Share of the images that counts as the most corrected ones."""

Scored = list[tuple[float, bool]]
"""Scores, and whether each belongs to something that was corrected."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a probe reached on the images that somebody looked at.

    Attributes:
        images: Those images, and how many of them were corrected.
        image_ap: Method to average precision of corrected images.
        most_ap: The same for the quarter of the images with the largest share of corrected labels; empty where fewer
            images than that were corrected.
        rows: Label rows of images that were not thrown out, and how many of them were corrected.
        row_ap: Average precision of these rows, by the probe's score.
        rows_with_whole: The same as `rows` with the images that were thrown out, all of whose rows count as corrected.
        row_ap_with_whole: Average precision of these.
        lines: Lines named, and how many of them were corrected, without images that were thrown out.
        lines_of_whole: Lines named in images that were thrown out.
        clean_flagged: Images that nobody corrected, and how many of them are flagged.
        corrected_flagged: Corrected images, and how many of them are flagged.
        places: Places named, and how many of them fit an added box.
        added: Added boxes, and how many of them have a place that fits.
    """

    images: Counted
    image_ap: Mapping[str, float]
    most_ap: Mapping[str, float]
    rows: Counted
    row_ap: float
    rows_with_whole: Counted
    row_ap_with_whole: float
    lines: Counted
    lines_of_whole: int
    clean_flagged: Counted
    corrected_flagged: Counted
    places: Counted
    added: Counted


def evaluate(out_dir: str, corrections: Corrections) -> Figures:
    """Compare the files that a probe wrote with the corrections."""
    images = [
        (row, found) for row in _rows(out_dir, "images.csv") if (found := _of(row, corrections)) is not None
    ]
    boxes = [
        (row, found) for row in _rows(out_dir, "boxes.csv") if (found := _of(row, corrections)) is not None
    ]
    findings = read_findings(out_dir)
    flagged = set(flagged_images(findings))
    named = [(f, found) for f in findings if (found := _of(f, corrections)) is not None]
    lines = [(f, found) for f, found in named if f["rule"] in LINE_RULES]
    corrected = [bool(found) for _, found in images]
    most = most_corrected(images)
    kept = [(row, found) for row, found in boxes if not found.whole]
    places, added = match_places(
        [(f["image"], tuple(f[key] for key in ("x_center", "y_center", "width", "height")))
         for f, _ in named if f["rule"] == PLACE_RULE],
        {row["image"]: found for row, found in images},
    )  # fmt: skip
    return Figures(
        images=Counted.of(corrected),
        image_ap=_by_method(images, corrected),
        most_ap=_by_method(images, most) if any(most) else {},
        rows=Counted.of(_is_corrected(*pair) for pair in kept),
        row_ap=_ap([(float(row["score"]), _is_corrected(row, found)) for row, found in kept]),
        rows_with_whole=Counted.of(_is_corrected(*pair) for pair in boxes),
        row_ap_with_whole=_ap([(float(row["score"]), _is_corrected(row, found)) for row, found in boxes]),
        lines=Counted.of(_is_corrected(f, found) for f, found in lines if not found.whole),
        lines_of_whole=sum(found.whole for _, found in lines),
        clean_flagged=Counted.of(row["image"] in flagged for row, found in images if not found),
        corrected_flagged=Counted.of(row["image"] in flagged for row, found in images if found),
        places=places,
        added=added,
    )


def most_corrected(images: Sequence[tuple[Mapping[str, Any], Correction]]) -> list[bool]:
    """Which images are the quarter with the largest share of corrected labels; none where fewer were corrected.

    The share is the number of lines and added boxes over the number of labels that there should have been.
    """
    count = int(len(images) * MOST_CORRECTED)
    share = np.array(
        [
            (len(found.lines) + len(found.added)) / max(int(row["boxes"]) + len(found.added), 1)
            for row, found in images
        ]
    )
    chosen = np.zeros(len(images), np.bool_)
    if np.count_nonzero(share) > count:
        chosen[np.argsort(-share, kind="stable")[:count]] = True
    return [bool(is_chosen) for is_chosen in chosen]


def match_places(
    places: Sequence[tuple[str, tuple[float, ...]]], corrections: Mapping[str, Correction]
) -> tuple[Counted, Counted]:
    """The named places with how many fit an added box, and the added boxes with how many a place fits."""
    fits: list[bool] = []
    found: list[bool] = []
    for image, correction in corrections.items():
        here = [(x, y, w, h) for other, (x, y, w, h) in places if other == image]
        of_places, of_boxes = matched(here, correction.added)
        fits += of_places
        found += of_boxes
    return Counted.of(fits), Counted.of(found)


def total_loss(row: Mapping[str, str]) -> float:
    """Sum of an image's loss parts; infinite where one was not finite."""
    parts = [value for name, value in row.items() if name.endswith(LOSS_ENDING)]
    return sum(float(value) if value else np.inf for value in parts)


_SCORES: Mapping[str, Callable[[Mapping[str, str]], float]] = {
    "loss": total_loss,
    "grad norm": lambda row: float(row["grad_norm"] or np.inf),
    "probe": lambda row: float(row["score_probe"]),
    "scan + probe": lambda row: float(row["score_combined"]),
}


def _by_method(
    images: Sequence[tuple[Mapping[str, str], Correction]], positive: Sequence[bool]
) -> dict[str, float]:
    return {
        method: _ap([(_SCORES[method](row), is_it) for (row, _), is_it in zip(images, positive, strict=True)])
        for method in METHODS
    }


def _ap(scored: Scored) -> float:
    if not any(positive for _, positive in scored):
        return float("nan")
    scores, positive = zip(*scored, strict=True)
    return average_precision(np.array(scores, np.float64), np.array(positive))


def _is_corrected(row: Mapping[str, Any], found: Correction) -> bool:
    return found.whole or int(row["line"]) in found.lines


def _of(row: Mapping[str, Any], corrections: Corrections) -> Correction | None:
    return corrections.find(row["image"]) if row["image"] else None


def _rows(out_dir: str, name: str) -> list[dict[str, str]]:
    return read_rows(os.path.join(out_dir, name))
