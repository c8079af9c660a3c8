"""Turns measurements into scores: how suspicious each label row, each unlabelled object and each image is.

There are no thresholds that were fitted to known answers. How likely a row is wrong is learnt from errors that are put
into the set's own labels (`doubt/`). Everything else is compared with the same number elsewhere in the dataset, by
robust statistics: with rows of the same class where classes differ, with images of about as many boxes, and with images
that look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.probe.doubt.alike import Alike
from sanitizer.probe.doubt.calibrate import calibrate
from sanitizer.probe.doubt.missing import group_excess, missing_probability, unlabelled, unlabelled_share
from sanitizer.util.robust import against_count, logit, over_groups, robust_z

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.probe.doubt.calibrate import Doubt
    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.ultra.samples import Sample

HIGHEST_Z = 8.0
"""Upper limit of a z-score in an image's score, so that no single kind of evidence decides alone."""
_SWAP_FLOOR = 0.01
"""Added to two probabilities before their ratio is taken, because differences between tiny probabilities are noise."""
_CALIBRATED_WEIGHT = 2.0
"""Weight of the evidence that is calibrated by twins in an image's score; every other kind has the weight 1."""
_COMPARED_ALREADY = ("rows", "lacking", "likeliest")
"""Kinds of evidence whose probabilities are compared with images that look alike already."""

EVIDENCE_KINDS = {
    "rows": "its labels look more like wrong ones than those of other images",
    "row_max": "the model does not stand behind line {line}",
    "row_sum": "the model stands behind few of its labels",
    "swap_max": "the model prefers another class on line {line}",
    "box_max": "no predicted box fits line {line}",
    "lacking": "a larger part of its labels seems to be missing than elsewhere",
    "unlabelled_sum": "objects without label that the model is sure of",
    "likeliest": "a label that is likelier wrong or missing than those elsewhere",
    "loss": "its loss is far over that of other images",
}
"""Kinds of evidence, which an image's score adds up, and the text for each; {line} is a line of the label file."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scores of N images with R label rows and P predicted objects together. A z is in robust standard deviations.

    Attributes:
        row_image, row_number: int64 (R,) number of the measured image, and number of the row in that image.
        row_p: float64 (R,) probability that the row is wrong (`doubt/calibrate.py`); 0 where nothing could be learnt.
        row_z: float64 (R,) how far the row's support is below the support of its class's rows.
        swap_z: float64 (R,) how much more than on its class's other rows the model prefers another class.
        box_z: float64 (R,) how much worse than for its class's other rows the closest predicted box fits.
        object_image, object_number: int64 (P,) number of the measured image, and of the predicted object in it.
        object_p: float64 (P,) probability that the object lacks a label (`doubt/missing.py`); 0 for one on a label.
        object_share: float64 (P,) of the objects of its class and probability, the share that lies on no label.
        norm_z: float64 (N,) log gradient norm, compared with images of about as many boxes.
        parts: Each key of `EVIDENCE_KINDS` to float64 (N,), its z-scores over the images.
        score: float64 (N,) weighted sum of `parts`, each limited to 0 to 8.
        alone: bool (N,) images that look like no others.
        doubt: What was learnt from twins.
    """

    row_image: NDArray[np.int64]
    row_number: NDArray[np.int64]
    row_p: NDArray[np.float64]
    row_z: NDArray[np.float64]
    swap_z: NDArray[np.float64]
    box_z: NDArray[np.float64]
    object_image: NDArray[np.int64]
    object_number: NDArray[np.int64]
    object_p: NDArray[np.float64]
    object_share: NDArray[np.float64]
    norm_z: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]
    score: NDArray[np.float64]
    alone: NDArray[np.bool_]
    doubt: Doubt

    def worst_row(self, part: str, image: int) -> int | None:
        """Number of the image's row with the largest z of a kind of evidence; None if the kind is not about a row."""
        z = {"row_max": self.row_z, "swap_max": self.swap_z, "box_max": self.box_z}.get(part)
        rows = np.flatnonzero(self.row_image == image)
        if z is None or not len(rows) or np.isnan(z[rows]).all():
            return None
        return int(self.row_number[rows[np.nanargmax(z[rows])]])

    def likeliest_object(self, image: int) -> int | None:
        """Number of the image's predicted object that most likely lacks a label; None without any."""
        objects = np.flatnonzero((self.object_image == image) & (self.object_p > 0))
        return int(self.object_number[objects[self.object_p[objects].argmax()]]) if len(objects) else None

    def row_score(self) -> NDArray[np.float64]:
        """float64 (R,): log-odds of being wrong; the largest z of each row where nothing could be learnt from twins."""
        if not self.doubt.usable:
            return np.nan_to_num(np.maximum(np.maximum(self.row_z, self.swap_z), self.box_z), nan=0.0)
        return np.asarray(logit(self.row_p, 1e-9))


def weigh(measured: Sequence[Measured], samples: Sequence[Sample], n_classes: int) -> Evidence:
    """Compare all images of a measuring pass with one another.

    Args:
        measured: The N measured images, on a common scale (`on_common_scale`).
        samples: All training images; `Measured.index` counts them.
        n_classes: Number of classes.

    Returns:
        The scores. An image without signals, because a number was not finite, has the score 0.
    """
    n = len(measured)
    signals = [m.signals for m in measured]
    n_rows = [0 if s is None else len(s.support) for s in signals]
    n_objects = [0 if s is None else len(s.object_score) for s in signals]
    row_image, row_number = _numbered(n_rows)
    object_image, object_number = _numbered(n_objects)

    def gathered(name: str) -> NDArray[np.float64]:
        return np.concatenate([np.zeros(0), *(getattr(s, name) for s in signals if s is not None)])

    class_of_row = np.concatenate(
        [samples[m.index].class_id[:, 0] for m in measured if m.signals is not None]
        or [np.zeros(0, np.float32)]
    ).astype(np.int64)
    row_z = robust_z(-logit(gathered("support")), class_of_row)
    preference = np.log(
        (gathered("other_probability") + _SWAP_FLOOR) / (gathered("own_probability") + _SWAP_FLOOR)
    )
    # With one class there is no other to prefer, and this would be the own probability once more.
    swap_z = robust_z(preference, class_of_row) if n_classes > 1 else np.zeros(len(preference))
    box_z = robust_z(-logit(gathered("best_iou")), class_of_row)

    on_label, on_none = unlabelled(gathered("object_iou"), gathered("object_touch"))
    score, object_class = gathered("object_score"), gathered("object_class").astype(np.int64)
    alike = Alike(_looks(measured))
    share = unlabelled_share(score, object_class, on_label, on_none)
    group = group_excess(object_image, on_none, share, alike, n)
    share = unlabelled_share(score, object_class, on_label, on_none, group)
    object_p = missing_probability(object_image, score, object_class, on_label, on_none, share, group)
    surprise = np.where(on_none, -np.log(share + 1e-3), 0.0)
    total, seen = np.bincount(object_image, surprise, n), np.bincount(object_image, minlength=n)
    missing = np.bincount(object_image, object_p, n).astype(np.float64)

    doubt = calibrate([m.features for m in measured], alike)
    row_p = _placed(doubt, row_image, row_number)
    likeliest = np.zeros(n)
    np.maximum.at(likeliest, row_image, row_p)
    np.maximum.at(likeliest, object_image, object_p)
    losses = np.array([sum(m.loss.values()) if m.loss else np.nan for m in measured])
    known = np.array([s is not None for s in signals], np.bool_)
    values = {
        "rows": doubt.image_log_ratio if doubt.usable else np.full(n, np.nan),
        "row_max": over_groups(np.max, row_z, row_image, n),
        "row_sum": over_groups(_stouffer, row_z, row_image, n),
        "swap_max": over_groups(np.max, swap_z, row_image, n),
        "box_max": over_groups(np.max, box_z, row_image, n),
        "lacking": logit(_missing_share(missing, np.bincount(row_image, minlength=n)), 1e-3),
        "unlabelled_sum": total / np.sqrt(seen + 1),
        "likeliest": logit(likeliest, 1e-3),
        "loss": np.log(np.maximum(losses, 1e-12)),
    }
    parts = {}
    for name, value in values.items():
        value = np.where(known & np.isfinite(value), value, np.nan)
        parts[name] = robust_z(value if name in _COMPARED_ALREADY else value - alike.excess(value))
    norms = np.array([m.grad_norm for m in measured])
    return Evidence(
        row_image=row_image,
        row_number=row_number,
        row_p=row_p,
        row_z=row_z,
        swap_z=swap_z,
        box_z=box_z,
        object_image=object_image,
        object_number=object_number,
        object_p=object_p,
        object_share=share,
        norm_z=robust_z(against_count(norms, [len(samples[m.index]) for m in measured])),
        parts=parts,
        score=np.sum(
            [
                np.clip(np.nan_to_num(z), 0, HIGHEST_Z) * (_CALIBRATED_WEIGHT if name == "rows" else 1)
                for name, z in parts.items()
            ],
            axis=0,
        ),
        alone=alike.alone,
        doubt=doubt,
    )


def _missing_share(missing: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (N,): share of each image's labels that are missing, of so many (N,) missing ones and labels.

    One more label, of which the usual share is missing, keeps images with few labels or none from standing out.
    """
    usual = missing.sum() / max(missing.sum() + labels.sum(), 1e-9)
    return np.asarray((missing + usual) / (missing + labels + 1))


def _looks(measured: Sequence[Measured]) -> NDArray[np.float64]:
    """float64 (N, F): the images' looks; a row of NaN for an image without one."""
    width = max((len(m.look) for m in measured), default=0)
    looks = np.full((len(measured), width), np.nan)
    for n, m in enumerate(measured):
        if len(m.look) == width:
            looks[n] = m.look
    return looks


def _placed(doubt: Doubt, row_image: NDArray[np.int64], row_number: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (R,): the probability of each row; 0 for rows that the loss did not use."""
    first = np.searchsorted(row_image, doubt.image)
    p = np.zeros(len(row_number))
    p[first + doubt.row] = doubt.p
    return p


def _numbered(counts: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For groups of these sizes: int64 (sum of sizes,) the group of each member, and its number in the group."""
    group = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return group, np.arange(len(group)) - np.repeat(starts, counts).astype(np.int64)


def _stouffer(z: NDArray[np.float64]) -> float:
    """Combined z-score, sum over √n (Stouffer 1949), of z-scores that are limited to -3 to 6."""
    return float(np.clip(z, -3, 6).sum() / np.sqrt(len(z)))
