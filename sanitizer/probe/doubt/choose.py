"""Chooses which rows are named, and says what kind of error a named row most likely has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.probe.doubt.features import FEATURES
from sanitizer.probe.doubt.twins import LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.probe.doubt.features import RowFeatures

_LEAST_OF_PROMISED = 0.25
"""Part of the share that a list promises to be right, which the probability of each of its rows has at least."""


def chosen(p: NDArray[np.float64], fdr: float) -> NDArray[np.bool_]:
    """The longest list of the likeliest rows, bool (R,), of which on average a share of at most `fdr` is fine.

    The expected share of right rows in a list is the mean of 1 - p over it (Efron et al. 2001, Empirical Bayes Analysis
    of a Microarray Experiment). However sure the others are, no row is named whose probability is under a quarter of
    what the list promises: it would only fill the list up.

    Args:
        p: float64 (R,) probability that each row is wrong.
        fdr: 0 to 1.
    """
    named = np.zeros(len(p), np.bool_)
    order = np.argsort(-p, kind="stable")
    order = order[(p[order] > 0) & (p[order] >= _LEAST_OF_PROMISED * (1 - fdr))]
    good = np.flatnonzero(np.cumsum(1 - p[order]) <= fdr * np.arange(1, len(order) + 1))
    if len(good):
        # Rows as likely as the last one of the list are named with it, so that the order of files decides nothing.
        named = p >= p[order[good[-1]]]
    return named


def kind_of_error(features: RowFeatures, row: int) -> tuple[str, float]:
    """G007 for a box that holds several objects, G008 for a box on a part of one, else G002; and how sure the model is.

    Args:
        features: Of the row's image.
        row: Number of the row in the sample.
    """
    mine = int(np.flatnonzero((features.kind == LABEL) & (features.row == row))[0])
    values = dict(zip(FEATURES, features.values[mine].tolist(), strict=True))
    inside, around, support = values["second_inside"], values["covering"], values["support"]
    if inside > max(support, around):
        return "G007", inside
    if around > support and values["best_iou"] > 0:
        return "G008", around
    return "G002", support
