"""The figures of one method on one injected set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from injection.errors import NAMES, UNSEEN_KINDS
from injection.metrics import altered_first, auroc, average_precision, inside_any, top_images
from injection.named import NamedFigures, count_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from injection.inject import Truth
    from injection.scores import Scores

ALL = "all"
UNSEEN = "unseen by a scan"
"""The images of all `UNSEEN_KINDS` together."""
LINE_KINDS = ("wrong class", "shifted box")
PLACE_KIND = "missing box"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a method reached on one injected set; NaN where there is nothing to count.

    Attributes:
        auroc, ap: Kind of error, `UNSEEN` or `ALL`, to the figure: images of that kind against all clean images.
        line_of_all: Kind to the share of its images in which the line that scores highest is an altered one.
        line_of_flagged: The same, of its flagged images: those the method reports, or for a method without a
            threshold the highest scores, as many as there are altered images.
        flagged: Kind, `UNSEEN` or `ALL`, to the share of its images that are flagged.
        clean_flagged: Share of the clean images that are flagged.
        place: Share of the images with missing boxes that have a place inside a removed box.
        place_of_named: The same, of those that have a place at all.
        best_place: Share of the images with missing boxes whose likeliest place, reported or not, lies inside one.
        clean_place: Share of the clean images that have a place at all.
        named: How many of the lines and places that it names are right; None for a method that names no lines.
    """

    auroc: Mapping[str, float]
    ap: Mapping[str, float]
    line_of_all: Mapping[str, float]
    line_of_flagged: Mapping[str, float]
    flagged: Mapping[str, float]
    clean_flagged: float
    place: float
    place_of_named: float
    best_place: float
    clean_place: float
    named: NamedFigures | None


def evaluate(scores: Scores, truth: Mapping[str, Truth], images: Sequence[str]) -> Figures:
    """Compare scores with the truth. An image without a score has the least of all."""
    least = min(scores.images.values(), default=0.0)
    floor = least - 1 if set(images) - set(scores.images) else least
    of_image = {image: scores.images.get(image, floor) for image in images}
    clean = [image for image in images if image not in truth]
    of_kind = {kind: [image for image in images if kind_of(truth, image) == kind] for kind in NAMES}
    of_kind[UNSEEN] = [image for kind in UNSEEN_KINDS for image in of_kind[kind]]
    of_kind[ALL] = [image for image in images if image in truth]
    pairs = {kind: ranked(of_image, found, clean) for kind, found in of_kind.items()}
    flagged = top_images(of_image, len(truth)) if scores.flagged is None else set(scores.flagged)

    def line_share(found: Sequence[str]) -> float:
        if scores.lines is None:
            return math.nan
        return mean([altered_first(scores.lines.get(i, {}), truth[i].lines) for i in found])

    def place_share(found: Sequence[str], is_right: Callable[[str], bool]) -> float:
        return math.nan if scores.places is None else mean([is_right(i) for i in found])

    places = scores.places or {}
    missing = of_kind[PLACE_KIND]

    def inside(image: str) -> bool:
        return inside_any(places.get(image, ()), truth[image].removed)

    def best_inside(image: str) -> bool:
        best = (scores.best_places or {}).get(image)
        return best is not None and inside_any([best], truth[image].removed)

    return Figures(
        {kind: auroc(*pair) for kind, pair in pairs.items()},
        {kind: average_precision(*pair) for kind, pair in pairs.items()},
        {kind: line_share(of_kind[kind]) for kind in LINE_KINDS},
        {kind: line_share([i for i in of_kind[kind] if i in flagged]) for kind in LINE_KINDS},
        {kind: mean([i in flagged for i in found]) for kind, found in of_kind.items()},
        mean([i in flagged for i in clean]),
        place_share(missing, inside),
        place_share([i for i in missing if places.get(i)], inside),
        math.nan if scores.best_places is None else mean([best_inside(i) for i in missing]),
        place_share(clean, lambda i: bool(places.get(i))),
        count_named(scores, truth),
    )


def kind_of(truth: Mapping[str, Truth], image: str) -> str | None:
    """The kind of error in an image, None in a clean one."""
    return truth[image].kind if image in truth else None


def ranked(
    scores: Mapping[str, float], found: Sequence[str], clean: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """(scores, whether altered) of these images."""
    values = np.array([scores[image] for image in (*found, *clean)], np.float64)
    return values, np.arange(len(values)) < len(found)


def mean(values: Sequence[float]) -> float:
    """Mean, NaN of nothing."""
    return float(np.mean(values)) if len(values) else math.nan
