"""How well scores find what was injected; ties count as they would on average over all orders, or as one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from injection.rows import Box


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Chance that a positive scores over a negative; a tie counts half (Mann-Whitney U with mid-ranks)."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = int(positive.sum()), int((~positive).sum())
    return float((mid_ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def average_precision(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Sum over thresholds of precision times gain in recall; equal scores are one threshold, as in scikit-learn."""
    hits, taken = _cumulative(scores, positive)
    precision, recall = hits / taken, hits / hits[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())


def altered_first(line_scores: Mapping[int, float], altered: Collection[int]) -> float:
    """Chance that the line with the highest score is an altered one, lines with equal scores in random order."""
    if not line_scores:
        return 0.0
    highest = max(line_scores.values())
    top = [line for line, score in line_scores.items() if score == highest]
    return sum(line in altered for line in top) / len(top)


def inside_any(places: Sequence[tuple[float, float]], boxes: Sequence[Box]) -> bool:
    """Whether some point lies inside some box."""
    return any(abs(px - x) <= w / 2 and abs(py - y) <= h / 2 for px, py in places for x, y, w, h in boxes)


def top_images(scores: Mapping[str, float], count: int) -> set[str]:
    """The images that score highest, fewer where all that is left is a tie."""
    if count >= len(scores):
        return set(scores)
    limit = sorted(scores.values(), reverse=True)[count]
    return {image for image, score in scores.items() if score > limit}


def max_f1(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Largest F1 over all thresholds."""
    hits, taken = _cumulative(scores, positive)
    return float((2 * hits / (taken + hits[-1])).max())


def precision_at(scores: NDArray[np.float64], positive: NDArray[np.bool_], count: int) -> float:
    """Share of positives among the highest `count` scores, or all; a tie at the end counts as on average."""
    hits, taken = _cumulative(scores, positive)
    count = min(count, len(scores))
    whole = int(np.searchsorted(taken, count, "right"))
    before, hit = (int(taken[whole - 1]), int(hits[whole - 1])) if whole else (0, 0)
    if before == count:
        return hit / count
    return float(hit + (count - before) * (hits[whole] - hit) / (taken[whole] - before)) / count


def recall_at(scores: NDArray[np.float64], positive: NDArray[np.bool_], false_positive_rate: float) -> float:
    """Share of the positives over the lowest threshold that at most such a share of the negatives reaches."""
    hits, taken = _cumulative(scores, positive)
    allowed = (taken - hits) <= false_positive_rate * (~positive).sum()
    return float(np.where(allowed, hits, 0).max() / hits[-1])


def _cumulative(
    scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each threshold, from the highest on: positives that reach it, and all that do; equal scores are one step."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(scores) - 1)
    return np.cumsum(positive[order])[last_of_tie], last_of_tie + 1
