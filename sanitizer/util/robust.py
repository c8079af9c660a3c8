"""Statistics that a few bad values cannot move: medians and median absolute deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

MAD_TO_SIGMA = 1.4826
"""The standard deviation of a normal distribution in median absolute deviations."""
OUTLIER_Z = 3.5
"""Modified z-score from which a value is an outlier (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers)."""
_PRIOR_SIZE = 10
"""The spread of a group of this size counts as much as the spread of all values."""


def robust_z(values: ArrayLike, groups: ArrayLike | None = None) -> NDArray[np.float64]:
    """Modified z-scores: distance from the median of the value's group, in its spread.

    Args:
        values: (N,) numbers. A value that is not finite is left out, and its score is NaN.
        groups: int (N,) group of each; None for one group. The spread of a small group is
            moved towards the spread of all values.

    Returns:
        float64 (N,).
    """
    x = np.asarray(values, np.float64)
    group = np.zeros(len(x), np.int64) if groups is None else np.asarray(groups)
    z = np.full(len(x), np.nan)
    finite = np.isfinite(x)
    if not finite.any():
        return z
    # Deviations within groups, pooled: a difference between groups is no spread.
    medians = {g: float(np.median(x[finite & (group == g)])) for g in np.unique(group[finite]).tolist()}
    centred = x - np.array([medians.get(g, 0.0) for g in group.tolist()])
    overall = _spread(centred[finite])
    for g in medians:
        members = finite & (group == g)
        own, n = _spread(centred[members]), int(members.sum())
        spread = (own * n + overall * _PRIOR_SIZE) / (n + _PRIOR_SIZE)
        # Equal values have no outlier. With a tiny spread the ratio may overflow to infinity.
        with np.errstate(over="ignore"):
            z[members] = centred[members] / spread if spread > 0 else 0.0
    return z


def centre_and_spread(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(medians, median absolute deviations as standard deviations) of each column of values (N, …)."""
    centre = np.median(values, axis=0)
    return centre, np.asarray(MAD_TO_SIGMA * np.median(np.abs(values - centre), axis=0))


def median_of_counts(values: NDArray[Any], counts: NDArray[np.int64]) -> float:
    """The value (of N, in any order) at which half of the counts (N,) are reached."""
    order = np.argsort(values)
    reached = np.cumsum(counts[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _spread(centred: NDArray[np.float64]) -> float:
    """Median absolute deviation as a standard deviation; the mean deviation where over half of the values are equal."""
    spread = float(np.median(np.abs(centred))) * MAD_TO_SIGMA
    return spread if spread > 0 else float(np.mean(np.abs(centred))) * 1.2533


def over_groups(
    function: Callable[[NDArray[np.float64]], float],
    values: NDArray[np.float64],
    group: NDArray[np.int64],
    n: int,
) -> NDArray[np.float64]:
    """float64 (n,): the function of each group's values without NaN; NaN for a group that has no such values.

    Args:
        function: Gets the values of one group, limited to -1e6 to 1e6.
        values: float64 (N,).
        group: int64 (N,) 0 to n - 1, in ascending order.
        n: Number of groups.
    """
    result = np.full(n, np.nan)
    finite = ~np.isnan(values)
    values, group = np.clip(values[finite], -1e6, 1e6), group[finite]
    if len(values):
        starts = np.flatnonzero(np.r_[True, np.diff(group) > 0])
        for start, stop in zip(starts, [*starts[1:], len(group)], strict=True):
            result[group[start]] = function(values[start:stop])
    return result


def logit(probability: ArrayLike, floor: float = 1e-4) -> NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities, float64, kept away from 0 and 1 by `floor`."""
    p = np.clip(np.asarray(probability, np.float64), floor, 1 - floor)
    return np.asarray(np.log(p / (1 - p)))


def logistic_weights(
    x: NDArray[np.float64],
    truth: NDArray[np.bool_] | NDArray[np.float64],
    ridge: float = 1.0,
    rounds: int = 50,
    sample_weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Weights (K,) of a ridge logistic regression on columns x (N, K), by Newton's method.

    Args:
        x: float64 (N, K).
        truth: bool (N,), or the probability that it is true.
        ridge: Strength of the penalty on the squared weights.
        rounds: Most steps.
        sample_weight: float64 (N,) weight of each sample, 1 if not given.
    """
    weights = np.zeros(x.shape[1])
    y = truth.astype(np.float64)
    each = np.ones(len(x)) if sample_weight is None else sample_weight
    for _ in range(rounds):
        p = sigmoid(x @ weights)
        gradient = x.T @ (each * (p - y)) + ridge * weights
        hessian = (x * (each * (p * (1 - p) + 1e-9))[:, None]).T @ x + ridge * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def logistic_fit(
    x: NDArray[np.float64],
    group: NDArray[np.int64],
    truth: NDArray[np.bool_] | NDArray[np.float64],
    ridge: float = 1.0,
    rounds: int = 50,
) -> NDArray[np.float64]:
    """Fitted probabilities (N,) of a ridge logistic regression: a slope for each column, and a level for each group.

    It is `logistic_weights` on x and an indicator column for each group. These are never built, as their part of the
    Hessian is a diagonal.

    Args:
        x: float64 (N, D).
        group: int64 (N,) any numbers.
        truth: bool (N,), or the probability that it is true.
        ridge: Strength of the penalty on the squared weights.
        rounds: Most steps of Newton's method.
    """
    names, group = np.unique(group, return_inverse=True)
    n, y = len(names), truth.astype(np.float64)
    slope, level = np.zeros(x.shape[1]), np.zeros(n)
    for _ in range(rounds):
        p = sigmoid(x @ slope + level[group])
        weighted, rest = x * (p * (1 - p) + 1e-9)[:, None], p - y
        down = np.bincount(group, rest, n) + ridge * level
        own = np.bincount(group, p * (1 - p) + 1e-9, n) + ridge
        mixed = np.stack([np.bincount(group, column, n) for column in weighted.T], 1)  # (groups, D)
        hessian = weighted.T @ x + ridge * np.eye(len(slope)) - mixed.T @ (mixed / own[:, None])
        slope_step = np.linalg.solve(hessian, x.T @ rest + ridge * slope - mixed.T @ (down / own))
        level_step = (down - mixed @ slope_step) / own
        slope, level = slope - slope_step, level - level_step
        if max(np.abs(slope_step).max(initial=0.0), np.abs(level_step).max(initial=0.0)) < 1e-8:
            break
    return sigmoid(x @ slope + level[group])


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))


def against_count(values: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """log values (N,) minus the usual value for their count: a line over log1p(count), fitted to the medians of bins.

    A gradient grows with the number of boxes, so only the difference describes the image.
    """
    y = np.log(np.maximum(np.asarray(values, np.float64), 1e-12))
    x = np.log1p(np.asarray(counts, np.float64))
    finite = np.isfinite(y)
    if finite.sum() < 8 or np.ptp(x[finite]) == 0:
        return np.asarray(y - (np.median(y[finite]) if finite.any() else 0.0))
    edges = np.unique(np.quantile(x[finite], np.linspace(0, 1, 9)))
    bin_of = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    centres, medians, sizes = [], [], []
    for b in range(len(edges) - 1):
        members = finite & (bin_of == b)
        if members.any():
            centres.append(float(np.median(x[members])))
            medians.append(float(np.median(y[members])))
            sizes.append(float(members.sum()))
    if len(centres) < 2 or np.ptp(centres) == 0:
        return np.asarray(y - np.median(y[finite]))
    slope, intercept = np.polyfit(centres, medians, 1, w=np.sqrt(sizes))
    rest = y - (slope * x + intercept)
    return np.asarray(rest - np.median(rest[finite]))
