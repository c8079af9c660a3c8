"""Boxes whose size or shape is far from that of their class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import DatasetFault
from sanitizer.rules.checks import dataset_check
from sanitizer.rules.sketch import AREA, ASPECT, BINS_PER_OCTAVE
from sanitizer.util.robust import median_of_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sanitizer.rules.hits import Params
    from sanitizer.rules.survey import Survey

NORMAL_MAD = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations (Iglewicz and Hoaglin 1993)."""
LEAST_SPREAD = 2 / BINS_PER_OCTAVE
"""Octaves: boxes that are all of one size still differ by clicks and rounding."""


@dataset_check("shape-outliers")
def shape_outliers(survey: Survey, params: Params) -> Iterator[DatasetFault]:
    """Boxes with a modified z-score over `max_z` in log size or log shape, one finding a box.

    Spread is measured below and above the median by themselves, as sizes in perspective are skewed.
    """
    sketch = survey.shapes
    for class_id in sketch.classes():
        count = int(sketch.histogram(class_id, AREA)[1].sum())
        if count < params["min_boxes"]:
            continue
        rows = np.flatnonzero(sketch.class_id == class_id)
        values = sketch.measures[rows]
        medians = np.zeros(2)
        scores = np.zeros((len(rows), 2))
        for measure in (AREA, ASPECT):
            medians[measure], below, above = _centre_and_spread(*sketch.histogram(class_id, measure))
            away = values[:, measure] - medians[measure]
            scores[:, measure] = NORMAL_MAD * np.abs(away) / np.where(away < 0, below, above)
        limit = params.by_class("max_z", np.full(1, float(class_id)))[0]
        for i in np.flatnonzero(scores.max(axis=1) > limit).tolist():
            measure = int(np.argmax(scores[i]))
            name = survey.spec.names.get(class_id, f"class {class_id}")
            problem = _in_words(measure, float(values[i, measure]), float(medians[measure]), str(name))
            yield _place(
                survey, int(sketch.file[rows[i]]), int(sketch.line[rows[i]]), problem, scores[i].max(), limit
            )


def _centre_and_spread(middles: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """(median, median distance of those below it, of those above it), in octaves."""
    centre = median_of_counts(middles, counts)
    spreads = []
    for side in (middles <= centre, middles >= centre):
        distance = np.abs(middles[side] - centre)
        spreads.append(max(median_of_counts(distance, counts[side]), LEAST_SPREAD))
    return centre, spreads[0], spreads[1]


def _in_words(measure: int, value: float, median: float, name: str) -> str:
    if measure == ASPECT:
        return f"box is {2.0**value:.3g}:1 in shape, the median {name} box {2.0**median:.3g}:1"
    factor = 2.0 ** min(abs(value - median), 1000.0)
    times = f"{factor:.3g} times" if value > median else f"1/{factor:.3g} of"
    return f"box has {times} the area of the median {name} box"


def _place(survey: Survey, pair: int, line: int, problem: str, score: float, limit: float) -> DatasetFault:
    return DatasetFault(
        rule="B012",
        image=survey.image_path(pair),
        label=survey.label_path(pair),
        split=survey.split_name(pair),
        line=line,
        values={"problem": problem, "value": float(score), "threshold": float(limit)},
    )
