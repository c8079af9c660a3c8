"""Compares candidate rows of one image with the network's outputs: the numbers from which doubt is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from sanitizer.probe.doubt.twins import LABEL
from sanitizer.probe.gradients.signals import (
    SAME_OBJECT_IOU,
    UNMATCHED_IOU,
    corners,
    intersections,
    other_classes,
    overlaps,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.probe.doubt.twins import Candidates

FEATURES = (
    "support", "support_any", "best_iou", "own", "other", "free_score", "free_iou", "free_product", "rival",
    "second_inside", "covering", "mean_iou", "size", "image_support",
)  # fmt: skip
"""Names of the columns, all 0 to 1 but for the size:

* support: largest product of the class's probability and the IoU, over all predictions; support_any: of any class.
* best_iou: IoU of the closest prediction.
* own, other: largest probability of the row's class, and of another one, among predictions on the box.
* free_score, free_iou, free_product: of the object that no other row claims and that fits best: its probability, its
  IoU with the row, and the product of the two.
* rival: probability of the surest unclaimed object that touches the row, but does not fit it.
* second_inside: probability of the second-surest object inside the row: two objects in one box.
* covering: probability of the surest larger object that covers the row: a part of an object.
* mean_iou: IoU with the mean of the predictions on the row, weighted by their probability.
* size: square root of the area, input pixels.
* image_support: median support of the image's other rows; NaN without any.
"""
_INSIDE = 0.7
"""Share of a box's area that lies in another box which holds it."""
_FITS = 0.6
_NEAR_IOU = UNMATCHED_IOU - 0.1
"""Predictions that overlap a row more than this take part in the mean of the predictions on it."""
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class RowFeatures:
    """Candidates of one image with their features.

    Attributes:
        kind: int64 (C,) as in `Candidates`.
        row: int64 (C,) number of the row in the sample.
        class_id: int64 (C,).
        values: float64 (C, number of `FEATURES`).
    """

    kind: NDArray[np.int64]
    row: NDArray[np.int64]
    class_id: NDArray[np.int64]
    values: NDArray[np.float64]


def row_features(
    probabilities: torch.Tensor, predicted: torch.Tensor, objects: torch.Tensor, candidates: Candidates
) -> NDArray[np.float64]:
    """Compare candidates with an image's outputs.

    Args:
        probabilities: float (A, nc) class probabilities at every anchor.
        predicted: float (A, 4) xyxy, or (A, 5) xywh and angle, input pixels.
        objects: int64 (P,) anchors of different objects, after non-maximum suppression.
        candidates: C rows and twins; the rows themselves come first.

    Returns:
        float64 (C, number of `FEATURES`).
    """
    if not len(candidates.row):
        return np.zeros((0, len(FEATURES)))
    boxes = torch.as_tensor(candidates.boxes, dtype=torch.float32, device=predicted.device)
    n_rows = int((candidates.kind == LABEL).sum())
    claimed = _Claims(overlaps(predicted[objects], boxes[:n_rows]))
    columns = torch.cat(
        [
            _columns(
                probabilities,
                predicted,
                objects,
                torch.as_tensor(candidates.class_id[part], device=predicted.device),
                boxes[part],
                claimed.by_others(candidates.without[part]),
            )
            for part in (slice(k, k + _ROWS_AT_ONCE) for k in range(0, len(candidates.row), _ROWS_AT_ONCE))
        ]
    )
    values = np.empty((len(columns), len(FEATURES)))
    values[:, :-1] = columns.double().nan_to_num(0.0).cpu().numpy()
    values[:, -1] = _median_without(values[:n_rows, 0], candidates.without)
    return values


def _median_without(values: NDArray[np.float64], without: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (C,): median of the values (R,) without those of the numbers (C, 2), -1 for none; NaN of no values."""
    n = len(values)
    order = np.argsort(values, kind="stable")
    rank = np.empty(n + 1, np.int64)
    rank[order], rank[n] = np.arange(n), n  # of none: after all others
    gone = np.sort(rank[np.where(without >= 0, without, n)], axis=1)
    left = n - (gone < n).sum(1)
    ordered = np.append(values[order], np.nan)

    def ranked(place: NDArray[np.int64]) -> NDArray[np.float64]:
        for k in range(gone.shape[1]):
            place = place + (place >= gone[:, k])
        return np.asarray(ordered[np.minimum(place, n)])

    return np.where(left > 0, (ranked((left - 1) // 2) + ranked(left // 2)) / 2, np.nan)


class _Claims:
    """For every object, the three label rows that overlap it most, so that a row can be taken out fast."""

    def __init__(self, iou: torch.Tensor) -> None:
        most = min(3, iou.shape[1])
        self.iou, self.row = iou.topk(most, dim=1) if most else (iou, iou.long())

    def by_others(self, without: NDArray[np.int64]) -> torch.Tensor:
        """float (P, C): IoU of each object with the closest row that is there beside each candidate."""
        gone = torch.as_tensor(without, device=self.iou.device)
        left = (self.row[:, :, None, None] != gone[None, None]).all(3)  # (P, 3, C)
        iou = torch.where(left, self.iou[:, :, None], 0.0)
        return iou.amax(1) if iou.shape[1] else iou.new_zeros(len(iou), len(gone))


def _columns(
    probabilities: torch.Tensor,
    predicted: torch.Tensor,
    objects: torch.Tensor,
    class_id: torch.Tensor,
    boxes: torch.Tensor,
    claimed: torch.Tensor,
) -> torch.Tensor:
    """float (C, all `FEATURES` but the last)."""
    surest = probabilities.amax(1)
    iou = overlaps(predicted, boxes)  # (A, C)
    own = probabilities[:, class_id]
    on_box = iou > SAME_OBJECT_IOU
    other = torch.where(on_box, other_classes(probabilities, class_id)[0], 0.0).amax(0)
    weight = (surest[:, None] * iou).square() * (iou > _NEAR_IOU)
    total = weight.sum(0)
    mean = weight.T @ predicted / total.clamp_min(1e-12)[:, None]
    upright = corners(boxes)
    columns = [
        (own * iou).amax(0),
        (surest[:, None] * iou).amax(0),
        iou.amax(0),
        torch.where(on_box, own, 0.0).amax(0),
        other,
        *_object_columns(surest[objects], predicted[objects], iou[objects], boxes, claimed),
        torch.where(total > 0, _paired_iou(corners(mean), upright), 0.0),
        (upright[:, 2:] - upright[:, :2]).clamp_min(0).prod(1).sqrt(),
    ]
    return torch.stack(columns, 1)


def _object_columns(
    score: torch.Tensor,
    predicted: torch.Tensor,
    iou: torch.Tensor,
    boxes: torch.Tensor,
    claimed: torch.Tensor,
) -> list[torch.Tensor]:
    """The features from `free_score` to `covering`, each float (C,)."""
    if not len(score):
        return [iou.new_zeros(len(boxes))] * 6
    here = score[:, None].expand_as(iou)
    free = claimed < UNMATCHED_IOU
    product = torch.where(free, here * iou, 0.0)
    best, number = product.max(0)
    inter, object_area, row_area = intersections(corners(predicted), corners(boxes))
    touching = free & (iou < UNMATCHED_IOU) & (inter > 0)
    inside = inter / object_area[:, None].clamp_min(1e-9) > _INSIDE
    covers = (inter / row_area.clamp_min(1e-9) > _INSIDE) & (iou < _FITS) & (object_area[:, None] > row_area)
    two = torch.where(inside, here, 0.0).topk(min(2, len(score)), dim=0).values
    fits = best > 0
    return [
        torch.where(fits, score[number], 0.0),
        torch.where(fits, iou.gather(0, number[None])[0], 0.0),
        best,
        torch.where(touching, here, 0.0).amax(0),
        two[1] if len(two) > 1 else torch.zeros_like(best),
        torch.where(covers, here, 0.0).amax(0),
    ]


def _paired_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """float (N,): IoU of each box of a with the box of the same number of b, (N, 4) xyxy."""
    inter = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp_min(0).prod(1)
    both = (a[:, 2:] - a[:, :2]).clamp_min(0).prod(1) + (b[:, 2:] - b[:, :2]).clamp_min(0).prod(1)
    return inter / (both - inter).clamp_min(1e-9)
