"""The clustering of CLOD (Chachuła et al. 2022, Combating Noisy Labels in Object Detection Datasets, arXiv 2211.13993).

The paper's program is safednn-clean. Label boxes and predicted boxes of an image that overlap are one cluster (single
linkage). A cluster is a question of multi-label classification: its labels are the classes of its label rows, or
background without any, its probabilities the largest of each class among its predictions, or background without any.
The quality of the answer, by cleanlab's multilabel_classification, is that of every label row in the cluster; where it
has no row, that of a missing label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from injection.rows import iou_of_corners

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from injection.model_scores import ModelView

LINKED_IOU = 0.5
"""The program's default."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Boxes of one image that overlap.

    Attributes:
        image: Number of the image.
        rows: Numbers of its label rows.
        predictions: Numbers of its predictions.
        labels: Classes of its rows; the number of classes stands for background.
        probabilities: Of every class, background last.
    """

    image: int
    rows: Sequence[int]
    predictions: Sequence[int]
    labels: Sequence[int]
    probabilities: Sequence[float]


def clusters_of(views: Sequence[ModelView], nc: int) -> list[Cluster]:
    """The clusters of all images."""
    return [cluster for n, view in enumerate(views) for cluster in _of_image(n, view, nc)]


def question(clusters: Sequence[Cluster]) -> dict[str, Any]:
    """The clusters for cleanlab, with the classes alone that some label has, as the program takes them."""
    used = sorted({c for cluster in clusters for c in cluster.labels})
    return {
        "labels": [[used.index(c) for c in cluster.labels] for cluster in clusters],
        "probabilities": [[cluster.probabilities[c] for c in used] for cluster in clusters],
    }


def _of_image(number: int, view: ModelView, nc: int) -> Iterator[Cluster]:
    boxes = np.concatenate([view.labels, view.predictions[:, :4]])
    group = linked(iou_of_corners(boxes, boxes) > LINKED_IOU)
    for g in np.unique(group).tolist():
        members = np.flatnonzero(group == g)
        rows = members[members < len(view.labels)].tolist()
        found = (members[members >= len(view.labels)] - len(view.labels)).tolist()
        probabilities = np.zeros(nc + 1)
        for p in found:
            confidence, class_id = view.predictions[p, 4:]
            probabilities[int(class_id)] = max(probabilities[int(class_id)], confidence)
        probabilities[nc] = not found
        labels = sorted({view.rows[r].class_id for r in rows}) or [nc]
        yield Cluster(number, rows, found, labels, probabilities.tolist())


def linked(near: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """int64 (N,): number of the group of each member, from which members are near each other, bool (N, N)."""
    group = np.arange(len(near))
    while len(near):
        # Everybody takes the lowest number among those nearby, until nobody changes.
        lowest = np.where(near | np.eye(len(near), dtype=bool), group[None], len(near)).min(1)
        if (lowest == group).all():
            break
        group = lowest
    return group
