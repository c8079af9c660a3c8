"""What one method reached on one set with errors in single rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from injection.box_errors import DROP, ROW_KINDS
from injection.metrics import auroc, average_precision, max_f1, precision_at, recall_at
from injection.named import RIGHT_PLACE_IOU
from injection.rows import iou

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from injection.box_errors import RowTruth
    from injection.rows import Box
    from numpy.typing import NDArray

    from boxes.said import Said

ALL_ROWS = "all rows"
KINDS = (*ROW_KINDS, ALL_ROWS, DROP)
FALSE_POSITIVE_RATE = 0.1
"""Where the share of the wrong rows that are found is read off, as in arXiv 2211.13993."""
TOP = 100
"""Images of which ObjectLab (arXiv 2309.00832) counts how many have an error."""
SAME_PLACE_IOU = 0.5
"""Two predictions that overlap more are one candidate for a missing label."""


@dataclass(slots=True)
class Figures:
    """What a method reached.

    Attributes:
        auroc, max_f1, recall: Kind of error, or `ALL_ROWS`, to the figure: rows of that kind against rows that nobody
            altered; dropped boxes against what is predicted elsewhere. The recall is at `FALSE_POSITIVE_RATE`.
        images: "AUROC", "AP" and "P@100" of images with an error of any kind.
    """

    auroc: dict[str, float] = field(default_factory=dict)
    max_f1: dict[str, float] = field(default_factory=dict)
    recall: dict[str, float] = field(default_factory=dict)
    images: dict[str, float] = field(default_factory=dict)


def evaluate(said: Mapping[str, Said], truth: Mapping[str, RowTruth], kinds: Kinds) -> dict[str, Figures]:
    """Name of each method to its figures.

    Args:
        said: Name of each method to what it says.
        truth: Image to what was done to it.
        kinds: The rows that are judged, see `Kinds`.
    """
    candidates = candidates_of(truth, [of.places for of in said.values() if of.places is not None])
    return {name: _of_method(of, truth, kinds, candidates) for name, of in said.items()}


Kinds = dict[tuple[str, int], "str | None"]
"""(image, line) of every row that training has to the kind of its error, None for one that nobody altered."""
Candidates = dict[str, list[tuple["Box", bool]]]
"""Image to boxes that may lack a label, and whether a label was dropped there."""


def kinds_of(rows: Mapping[str, Sequence[int]], truth: Mapping[str, RowTruth]) -> Kinds:
    """The kind of every row, from the numbers of each image's lines."""
    return {
        (image, line): truth[image].lines.get(line) if image in truth else None
        for image, lines in rows.items()
        for line in lines
    }


def candidates_of(
    truth: Mapping[str, RowTruth], places: Sequence[Mapping[str, Sequence[tuple[Box, float]]]]
) -> Candidates:
    """The dropped boxes, and the places of all methods that fit none of them: each once, for all methods alike."""
    found: Candidates = {image: [(box, True) for box in t.dropped] for image, t in truth.items()}
    for of_method in places:
        for image, of_image in of_method.items():
            known = found.setdefault(image, [])
            for box, _score in sorted(of_image, key=lambda place: -place[1]):
                overlap = iou([box], [b for b, _ in known])[0] if known else np.zeros(1)
                dropped = np.array([d for _, d in known] or [False])
                if (overlap < np.where(dropped, RIGHT_PLACE_IOU, SAME_PLACE_IOU)).all():
                    known.append((box, False))
    return found


def scores_of_candidates(
    candidates: Candidates, places: Mapping[str, Sequence[tuple[Box, float]]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(score, whether a label was dropped) of each candidate: the largest score of the places that fit it best."""
    scores, dropped = [], []
    for image, known in candidates.items():
        best = np.full(len(known), -np.inf)
        for box, score in places.get(image, ()):
            overlap = iou([box], [b for b, _ in known])[0]
            if overlap.max() >= RIGHT_PLACE_IOU:
                best[overlap.argmax()] = max(best[overlap.argmax()], score)
        scores.append(best)
        dropped.append([d for _, d in known])
    return np.concatenate(scores), np.concatenate(dropped).astype(bool)


def _of_method(said: Said, truth: Mapping[str, RowTruth], kinds: Kinds, candidates: Candidates) -> Figures:
    figures = Figures()
    if said.rows is not None:
        rows = said.rows
        scores = np.array([rows.get(image, {}).get(line, -np.inf) for image, line in kinds])
        of_row = list(kinds.values())
        for kind in (*ROW_KINDS, ALL_ROWS):
            counted = np.array([k in (None, kind) or kind == ALL_ROWS for k in of_row])
            _add(figures, kind, scores[counted], np.array([k is not None for k in of_row])[counted])
    if said.places is not None:
        _add(figures, DROP, *scores_of_candidates(candidates, said.places))
    if said.images is not None:
        images = dict.fromkeys([*said.images, *truth])
        values = np.array([said.images.get(image, -np.inf) for image in images])
        wrong = np.array([image in truth for image in images])
        if wrong.any() and not wrong.all():
            figures.images = {
                "AUROC": auroc(values, wrong),
                "AP": average_precision(values, wrong),
                f"P@{TOP}": precision_at(values, wrong, TOP),
            }
    return figures


def _add(figures: Figures, kind: str, scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> None:
    """Add the figures of a kind; a set without such errors, such as flips with one class, has none."""
    if positive.any() and not positive.all():
        figures.auroc[kind] = auroc(scores, positive)
        figures.max_f1[kind] = max_f1(scores, positive)
        figures.recall[kind] = recall_at(scores, positive, FALSE_POSITIVE_RATE)
