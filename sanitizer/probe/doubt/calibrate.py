"""Learns, from a dataset's own rows and their twins, how likely each row is wrong.

Logistic regressions tell twins, which are wrong by construction, from rows. The odds of one estimate the ratio of
densities h/f of such wrong rows and all rows f, for rows with such features. If a share π of the rows is wrong,
f = (1 - π) g + π h, where g is the density of right rows, and a row is wrong with probability π r, r = h/f.

* One regression sees all kinds of twins together, and one each kind alone. One plane cannot lie around errors on
  several sides of the right rows; the mean of the ratios over the kinds does, but varies more. So the logs of both are
  averaged.
* A row has the wrong class or the wrong place. Four kinds of twins have a wrong place and one the wrong class, so that
  a mean over kinds would drown what speaks against the class. So the ratios for the class and for the place are
  averaged too, with equal weights, and the log of that with the log of the ratio for all kinds.
* Every row is judged by regressions that did not see its image (cross-fitting).
* The images that look alike are compared with one another (`alike.py`).
* π is at most the smallest ratio of P(row ≥ t) and P(twin ≥ t) over all thresholds t (the mixture proportion's upper
  bound, Blanchard, Lee and Scott 2010, Semi-Supervised Novelty Detection, JMLR 11). This holds where wrong rows look
  like twins. Where they are milder, π and p come out too small, and the list too short.
* The mean probability of the rows is π, by definition. The estimate is below it, as the logs of ratios are averaged and
  their size is limited, so all ratios are multiplied by what makes it π.
* Errors come together: an image with wrong rows has a larger π. Each image's own π has a beta prior around the set's,
  with the weight of `_PRIOR_ROWS` rows (empirical Bayes, by expectation maximisation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.probe.doubt.features import FEATURES
from sanitizer.probe.doubt.twins import CLASS, LABEL
from sanitizer.util.robust import logistic_weights, logit, over_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.probe.doubt.alike import Alike
    from sanitizer.probe.doubt.features import RowFeatures

FEWEST_ROWS = 50
"""With fewer rows or twins nothing is learnt."""
_FOLDS = 5
_ROWS_OF_IMAGE = 15
"""An image's rows together weigh at most so much, so that a crowded image does not teach alone."""
_PRIOR_ROWS = 8.0
_ROUNDS = 30
_MOST_WRONG = 0.98
"""Upper limit of the share of wrong rows: where all rows are wrong, there is no right one to compare with."""
MOST_TO_JUDGE = 0.5
"""Where more rows than this may be wrong as far as the model can tell, it knows too little to name any: a model that
learnt from these labels agrees with most of them once it has learnt."""
_WIDEST, _HALVINGS = 3.0, 12
"""Limits of the log of the factor that makes probabilities add up, and how often the interval is halved."""
_FLOOR = 1e-3
"""Probabilities and overlaps are kept so far from 0 and 1 before their log-odds are taken."""
_SHARES = (0.02, 0.1, 0.3)
"""Shares of wrong rows over which an image's evidence is averaged."""
_PROBABILITIES = tuple(name for name in FEATURES if name not in ("size", "image_support"))
_WITH_SIZE = (
    "support", "support_any", "best_iou", "own", "free_product", "mean_iou", "rival", "second_inside", "covering",
    "preference",
)  # fmt: skip
"""Columns whose meaning changes with the size of the box: nothing fits a box of 2 px well."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What calibration says about N images with R rows together.

    Attributes:
        image, row: int64 (R,) number of the image, and of the row in its sample.
        log_ratio: float64 (R,) log of r, compared with images that look alike.
        p: float64 (R,) probability that the row is wrong.
        image_log_ratio: float64 (N,) log of the mean, over `_SHARES`, of the ratio of an image with such a share of
            wrong rows to one without; NaN without rows.
        auroc: How well twins are told from rows of images that the regressions did not see; 0.5 is chance, and NaN
            that there are too few rows to learn from.
        share: Upper bound of the share of wrong rows, if these look like twins.
        usable: Whether twins are told from rows better than by chance, and `share` is at most `MOST_TO_JUDGE`; else
            `p` is 0.
    """

    image: NDArray[np.int64]
    row: NDArray[np.int64]
    log_ratio: NDArray[np.float64]
    p: NDArray[np.float64]
    image_log_ratio: NDArray[np.float64]
    auroc: float
    share: float
    usable: bool


def calibrate(features: Sequence[RowFeatures | None], alike: Alike) -> Doubt:
    """Learn from all measured images how likely each of their rows is wrong.

    Args:
        features: Of N images; None for an image without features.
        alike: Which of these images look alike.
    """
    n = len(features)
    known = [(i, f) for i, f in enumerate(features) if f is not None and len(f.row)]
    image = np.concatenate([np.full(len(f.row), i) for i, f in known] or [np.zeros(0, np.int64)])
    row = np.concatenate([f.row for _, f in known] or [np.zeros(0, np.int64)])
    kind = np.concatenate([f.kind for _, f in known] or [np.zeros(0, np.int64)])
    label = kind == LABEL
    if label.sum() < FEWEST_ROWS or (~label).sum() < FEWEST_ROWS or len(known) < _FOLDS:
        nothing = np.zeros(int(label.sum()))
        return Doubt(image[label], row[label], nothing, nothing, np.full(n, np.nan), np.nan, 0.0, False)
    columns = _columns(
        np.concatenate([f.values for _, f in known]),
        np.concatenate([f.class_id for _, f in known]),
        label,
    )
    weight = _weights(kind, image, n)
    ratios = _log_ratios(columns, image, kind, weight, n)
    auroc = _auroc(ratios[0].log[~label], ratios[0].log[label])
    for ratio in ratios:
        ratio.log -= alike.excess(over_groups(_high, ratio.log[label], image[label], n))[image]
    # What speaks against the class, and what against the place, each have a bound of their own.
    parts = ratios[1:] or ratios
    share = min(sum(part.upper_share(kind, weight) for part in parts), _MOST_WRONG)
    apart = _log_mean(np.stack([part.log[label] for part in parts]))
    of_rows, rows_image = (ratios[0].log[label] + apart) / 2, image[label]
    # Standard error of the area under the curve without any difference (Mann and Whitney 1947).
    error = np.sqrt((len(label) + 1) / (12 * label.sum() * (~label).sum()))
    usable = auroc > 0.5 + 3 * error and share <= MOST_TO_JUDGE
    p = _scaled_posterior(of_rows, rows_image, weight[label], n, share) if usable else np.zeros(len(of_rows))
    return Doubt(
        rows_image, row[label], of_rows, p, _image_ratio(of_rows, rows_image, n), auroc, share, usable
    )


def _columns(
    values: NDArray[np.float64], class_id: NDArray[np.int64], label: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """float64 (C, K): log-odds of the features, differences from class and image, and products with the size."""
    by_name = dict(zip(FEATURES, values.T, strict=True))
    columns = {name: logit(np.clip(by_name[name], 0, 1), _FLOOR) for name in _PROBABILITIES}
    columns["preference"] = np.log((by_name["other"] + 0.01) / (by_name["own"] + 0.01))
    if not by_name["other"].any():  # with one class, nothing but the own probability would be in it
        del columns["preference"]
    support = columns["support"]
    classes, of_row = np.unique(class_id, return_inverse=True)
    of_class = np.zeros(len(classes))
    for c in range(len(classes)):
        rows = label & (of_row == c)
        of_class[c] = np.median(support[rows if rows.any() else label])
    columns["against_class"] = support - of_class[of_row]
    around = by_name["image_support"]
    around = np.where(np.isfinite(around), around, np.nanmedian(around) if np.isfinite(around).any() else 0.5)
    columns["against_image"] = support - logit(around, _FLOOR)
    size = _standard(np.log(np.maximum(by_name["size"], 1e-3)), label)
    with_size = {
        f"{name}*size": _standard(columns[name], label) * size for name in _WITH_SIZE if name in columns
    }
    return np.stack([*columns.values(), size, *with_size.values()], 1)


def _standard(values: NDArray[np.float64], label: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distances from the rows' median in their standard deviations, limited to -3 to 3."""
    spread = float(values[label].std())
    return np.clip((values - np.median(values[label])) / (spread + 1e-9), -3, 3)


def _weights(kind: NDArray[np.int64], image: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Weights (C,): crowded images are limited, and each kind of twin weighs the same, together as much as the rows."""
    label = kind == LABEL
    count = np.bincount(image[label], minlength=n)
    weight = np.minimum(1.0, _ROWS_OF_IMAGE / np.maximum(count[image], 1))
    kinds = np.unique(kind[~label])
    for k in kinds:
        twins = kind == k
        weight[twins] = weight[label].sum() / len(kinds) / twins.sum()
    return weight


@dataclass(slots=True)
class _Ratio:
    """What regressions on twins of some kinds say: float64 (C,) log of r."""

    kinds: Sequence[int]
    log: NDArray[np.float64]

    def upper_share(self, kind: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
        label, twins = kind == LABEL, np.isin(kind, self.kinds)
        return _upper_share(self.log[label], weight[label], self.log[twins], weight[twins])


def _log_ratios(
    columns: NDArray[np.float64],
    image: NDArray[np.int64],
    kind: NDArray[np.int64],
    weight: NDArray[np.float64],
    n: int,
) -> list[_Ratio]:
    """log of r for all kinds of twin; then, where enough twins have another class, for the class and for the place."""
    label = kind == LABEL
    kinds = np.unique(kind[~label]).tolist()

    def fitted(some: Sequence[int]) -> NDArray[np.float64]:
        # All kinds together weigh as much as the rows, and so do some of them.
        part = np.isin(kind, some) * len(kinds) / len(some)
        return _cross_fitted(columns, image, label, weight * np.where(label, 1, part), n)

    alone = {k: fitted([k]) for k in kinds}
    found = []
    place = [k for k in kinds if k != CLASS]
    apart = place and (kind == CLASS).sum() >= FEWEST_ROWS
    for some in [kinds, [CLASS], place] if apart else [kinds]:
        mean = _log_mean(np.stack([alone[k] for k in some]))
        found.append(_Ratio(some, (mean + fitted(some)) / 2 if len(some) > 1 else mean))
    return found


def _cross_fitted(
    columns: NDArray[np.float64],
    image: NDArray[np.int64],
    label: NDArray[np.bool_],
    weight: NDArray[np.float64],
    n: int,
) -> NDArray[np.float64]:
    """Log-odds (C,) of being a twin, each by a regression on the images of the other folds; weight 0 is left out."""
    fold = np.random.default_rng(0).permutation(n)[image] % _FOLDS
    found = np.zeros(len(image))
    for k in range(_FOLDS):
        mine = fold == k
        train = ~mine & (weight > 0)
        if not (mine.any() and label[train].any() and (~label[train]).any()):
            continue
        mean = np.average(columns[train], axis=0, weights=weight[train])
        spread = np.sqrt(np.average((columns[train] - mean) ** 2, axis=0, weights=weight[train])) + 1e-9
        x = np.concatenate([np.ones((len(columns), 1)), (columns - mean) / spread], 1)
        found[mine] = x[mine] @ logistic_weights(x[train], ~label[train], sample_weight=weight[train])
    return found


def _high(values: NDArray[np.float64]) -> float:
    """The 90 % quantile."""
    return float(np.quantile(values, 0.9))


def _upper_share(
    rows: NDArray[np.float64],
    row_weight: NDArray[np.float64],
    twins: NDArray[np.float64],
    twin_weight: NDArray[np.float64],
) -> float:
    """The smallest ratio of an upper limit of P(row ≥ t) and P(twin ≥ t), over thresholds t."""
    least = _MOST_WRONG
    for t in np.quantile(twins, np.linspace(0.05, 0.95, 37)).tolist():
        above = min(float(row_weight[rows >= t].sum() / row_weight.sum()), 1.0)
        reached = float(twin_weight[twins >= t].sum() / twin_weight.sum())
        least = min(least, _upper_limit(above, len(rows)) / reached if reached > 0 else least)
    return float(least)


def _upper_limit(share: float, n: int) -> float:
    """Upper limit of a share that n rows showed, with 95 % confidence; above 0 where no row showed it (Wilson 1927)."""
    z2 = 1.645**2 / n
    return float((share + z2 / 2 + np.sqrt(z2 * (share * (1 - share) + z2 / 4))) / (1 + z2))


def _scaled_posterior(
    log_ratio: NDArray[np.float64],
    image: NDArray[np.int64],
    weight: NDArray[np.float64],
    n: int,
    share: float,
) -> NDArray[np.float64]:
    """As `_posterior`, with all r multiplied by what makes the mean of the probabilities `share`."""
    low, high = -_WIDEST, _WIDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        p = _posterior(log_ratio + middle, image, n, share)
        low, high = (middle, high) if np.average(p, weights=weight) < share else (low, middle)
    return p


def _posterior(
    log_ratio: NDArray[np.float64], image: NDArray[np.int64], n: int, share: float
) -> NDArray[np.float64]:
    """Probability (R,) that each row is wrong, given its features and the other rows of its image.

    r = h/f goes over into h/g = r (1 - π) / (1 - π r), the ratio to right rows.
    """
    r = np.exp(np.clip(log_ratio, -30, np.log(_MOST_WRONG / share)))
    ratio = r * (1 - share) / (1 - share * r)
    rows = np.bincount(image, minlength=n)
    of_image = np.full(n, share)
    p = np.zeros(len(ratio))
    for _ in range(_ROUNDS):
        prior = of_image[image]
        p = prior * ratio / (1 - prior + prior * ratio)
        of_image = (np.bincount(image, p, n) + _PRIOR_ROWS * share) / (rows + _PRIOR_ROWS)
    return p


def _image_ratio(log_ratio: NDArray[np.float64], image: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """float64 (N,): as `Doubt.image_log_ratio`: log of the mean over π of Π (1 - π + π r)."""
    r = np.exp(np.clip(log_ratio, -30, 30))
    logs: NDArray[np.float64] = np.stack(
        [np.bincount(image, np.log1p(share * (r - 1)), n) for share in _SHARES]
    )
    return np.where(np.bincount(image, minlength=n) > 0, _log_mean(logs), np.nan)


def _log_mean(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (N,): log of the mean of the numbers whose logs are given, (M, N), over the M."""
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)))


def _auroc(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """Chance that one of `higher` is over one of `lower`; ties count half."""
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")
    return float(below.mean() / (2 * len(lower)))
