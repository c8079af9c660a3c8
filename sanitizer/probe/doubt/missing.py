"""How likely a predicted object that lies on no label lacks one.

Of predictions that are as sure as this one, a share lies on no label. Some of these are false, and some are objects
that nobody labelled; only the images can tell them apart. False predictions come evenly, as often as their
probabilities say. Labels are missing in some images and not in others. So every image has a share q of missing labels,
which is 0 for most images and anything for the rest, and the objects of an image say together what its q may be:

    P(object on a label) = s (1 - q)        s: probability that such a prediction is an object at all
    P(object on no label) = 1 - s (1 - q)

s, the number of images with q > 0, and the probability of each q are found in turns (expectation maximisation). An
object on no label lacks one with probability s q / (s q + 1 - s), averaged over q.

If all images lack as many labels, they do not differ, and false predictions would explain as much as missing labels do.
But a model has learnt from these very labels that nothing is in such a place. If it still sees an object there with
some probability, s is at least this probability. It may be less where the model sees more than others label in all
images that look alike: these it knows badly.

Where images hold one or two objects each, none of them says how many labels it lacks. There, the probability is the
share of equally sure predictions that lie on a label, which is too high where predictions are often false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.probe.gradients.signals import UNMATCHED_IOU
from sanitizer.util.robust import logistic_fit, logit, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.probe.doubt.alike import Alike

FEWEST_OBJECTS = 20
"""With fewer predicted objects nothing is learnt."""
FEWEST_OF_IMAGE = 3
"""With fewer objects on labels in the usual image, images say nothing about their share of missing labels."""
_SHARES = np.array([0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
"""Shares q of missing labels that an image may have."""
_LIMITS = (0.05, 0.95)
"""Share of the images that may lack labels, at least and at most."""
_ROUNDS = 25
_HIGHEST = 0.999
_TOUCHING = 0.3
"""An object that shares more than this with a label, but does not fit it, is the same object drawn otherwise, or a part
of it: it says nothing about missing labels."""


def unlabelled(
    iou: NDArray[np.float64], touch: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of P objects lie on a label, and which on none, bool (P,); an object that touches a label is neither."""
    on_label = iou >= UNMATCHED_IOU
    return on_label, ~on_label & (touch <= _TOUCHING)


def unlabelled_share(
    score: NDArray[np.float64],
    class_id: NDArray[np.int64],
    on_label: NDArray[np.bool_],
    on_none: NDArray[np.bool_],
    group: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """float64 (P,): of the objects of each object's class and probability, the share that lies on no label.

    The shares come from a logistic regression over the objects that lie on a label or on none; of the others, and
    where there is too little to learn from, the share is 1.

    Args:
        score: float64 (P,) class probability of each predicted object.
        class_id: int64 (P,) its class.
        on_label, on_none: bool (P,), from `unlabelled`.
        group: float64 (P,) from `group_excess`: how much oftener objects lie on no label in images that look alike.
    """
    known = on_label | on_none
    share = np.ones(len(score))
    if known.sum() >= FEWEST_OBJECTS and on_label.any():
        columns = _columns(score, group)
        share[known] = logistic_fit(columns[known], class_id[known], on_none[known])
    return share


def group_excess(
    image: NDArray[np.int64], on_none: NDArray[np.bool_], share: NDArray[np.float64], alike: Alike, n: int
) -> NDArray[np.float64]:
    """float64 (P,): log of how much oftener than expected objects lie on no label in images like each object's own.

    A model that knows one kind of picture badly sees objects there that are none. The image itself does not count, so
    that an image without labels among well-labelled ones stands out.

    Args:
        image: int64 (P,) number of the object's image.
        on_none: bool (P,), from `unlabelled`.
        share: float64 (P,) from `unlabelled_share`, without groups.
        alike: Which images look alike.
        n: Number of images.
    """
    if alike.nearest is None:
        return np.zeros(len(image))
    count, expected = np.bincount(image, on_none, n), np.bincount(image, np.where(share < 1, share, 0.0), n)
    excess = np.log((count[alike.nearest].sum(1) + 1) / (expected[alike.nearest].sum(1) + 1))
    return np.asarray(excess[image])


def _columns(score: NDArray[np.float64], group: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """float64 (P, 1 or 2): log-odds of the probability, and the group's excess."""
    return np.stack([logit(score), *([] if group is None else [group])], 1)


def missing_probability(
    image: NDArray[np.int64],
    score: NDArray[np.float64],
    class_id: NDArray[np.int64],
    on_label: NDArray[np.bool_],
    on_none: NDArray[np.bool_],
    share: NDArray[np.float64],
    group: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """float64 (P,): probability that each object lacks a label; 0 for objects that do not lie on none.

    Args:
        image: int64 (P,) number of the object's image.
        score: float64 (P,) class probability of each predicted object.
        class_id: int64 (P,) its class.
        on_label, on_none: bool (P,), from `unlabelled`.
        share: float64 (P,) from `unlabelled_share`.
        group: float64 (P,) from `group_excess`, or None.
    """
    found = np.zeros(len(score))
    known = on_label | on_none
    if known.sum() < FEWEST_OBJECTS or not on_label.any() or not on_none.any():
        return found
    count = np.bincount(image[on_label])
    if np.median(count[count > 0]) < FEWEST_OF_IMAGE:
        found[on_none] = 1 - share[on_none]
        return found
    columns = _columns(score, group)[known]
    least = _least_real(score, group)[known]
    found[known] = _by_images(image[known], columns, class_id[known], on_label[known], least)
    return found


def _least_real(score: NDArray[np.float64], group: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """float64 (P,): s at least."""
    return sigmoid(logit(score) - (0.0 if group is None else np.maximum(group, 0.0)))


def _by_images(
    image: NDArray[np.int64],
    columns: NDArray[np.float64],
    class_id: NDArray[np.int64],
    on_label: NDArray[np.bool_],
    least: NDArray[np.float64],
) -> NDArray[np.float64]:
    """float64 (K,): as `missing_probability`, for the K objects that lie on a label or on none."""
    n = int(image.max()) + 1
    seen = np.bincount(image, minlength=n) > 0
    lacking = 0.1
    missing = np.zeros(len(image))
    for _ in range(_ROUNDS):
        real = logistic_fit(columns, class_id, np.where(on_label, 1.0, missing))
        real = np.clip(np.maximum(real, least), 1e-4, _HIGHEST)
        logs = np.stack(
            [
                np.bincount(
                    image,
                    np.where(on_label, np.log(1 - q), np.log(1 - real * (1 - q)) - np.log(1 - real)),
                    n,
                )
                for q in _SHARES
            ],
            1,
        )
        logs += np.log([1 - lacking, *[lacking / (len(_SHARES) - 1)] * (len(_SHARES) - 1)])
        of_image = np.exp(logs - logs.max(1, keepdims=True))
        of_image /= of_image.sum(1, keepdims=True)
        lacking = float(np.clip(1 - of_image[seen, 0].mean(), *_LIMITS))
        of_object = real[:, None] * _SHARES / (real[:, None] * _SHARES + 1 - real[:, None])
        missing = np.where(on_label, 0.0, (of_image[image] * of_object).sum(1))
    return missing
