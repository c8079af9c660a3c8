"""The methods of the field on single rows, places and images, all from the outputs of one model.

* loss: `injection.model_scores.loss_of_rows`, after arXiv 2303.06999; of a place, the cross entropy of the prediction
  with background.
* cleanlab: ObjectLab (arXiv 2309.00832) by cleanlab itself; its parts each alone, and all with thresholds of
  probability that a model of few epochs reaches.
* CLOD: arXiv 2211.13993, see `boxes.clusters`.
* Ultralytics: the scores for labels that its pull requests 24995 and 24997 add to validation, of single boxes before
  an image's largest (FN: mean) is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from injection.baselines import ask_cleanlab
from injection.model_scores import CONFIDENCE
from injection.rows import iou_of_corners

from boxes.clusters import clusters_of, question
from boxes.said import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from injection.model_scores import ModelView
    from injection.rows import Box
    from numpy.typing import NDArray

LOW = {"low": 0.05, "high": 0.25}
"""Thresholds for cleanlab in place of 0.5 and 0.95: the least confidence handed on, and the one that predict draws."""
ON_LABEL_IOU = 0.5
PARTS = ("badloc", "swap", "overlooked")


def of_field(views: Sequence[ModelView], nc: int, cleanlab_python: str | None) -> dict[str, Said]:
    """Name of each method to what it says; those of cleanlab and CLOD only with a Python that has cleanlab."""
    found = {"loss": loss(views), "gradient norm": Said(images={v.image: v.grad_norm for v in views})}
    if cleanlab_python is not None:
        clusters = clusters_of(views, nc)
        answer = ask_cleanlab(views, nc, cleanlab_python, low=LOW, clusters=question(clusters))
        found |= cleanlab(views, answer["images"], "cleanlab")
        found |= cleanlab(views, answer["low"], "cleanlab, low thresholds")
        found["CLOD"] = clod(views, clusters, answer["clusters"])
    return found | ultralytics(views)


def loss(views: Sequence[ModelView]) -> Said:
    """Losses of rows, of predictions on no label, and of images."""

    def of_place(view: ModelView) -> NDArray[np.float64]:
        confidence = np.minimum(view.predictions[:, 4], 1 - 1e-9)
        nearest = iou_of_corners(view.predictions[:, :4], view.labels).max(1, initial=0)
        return np.where(nearest < ON_LABEL_IOU, -np.log1p(-confidence), 0.0)

    return Said(
        by_line(views, lambda v: v.row_loss), places(views, of_place), {v.image: v.loss for v in views}
    )


def cleanlab(views: Sequence[ModelView], answer: Sequence[Mapping[str, Any]], name: str) -> dict[str, Said]:
    """One minus cleanlab's qualities: the parts each alone, and all together."""
    boxes = {v.image: a["boxes"] for v, a in zip(views, answer, strict=True)}
    badloc, swap = (
        by_line(views, lambda v, part=part: 1 - np.array(boxes[v.image][part], np.float64))  # type: ignore[misc]
        for part in ("badloc", "swap")
    )
    both = {
        image: {line: float(np.nanmax([a, swap[image][line], 0])) for line, a in of.items()}
        for image, of in badloc.items()
    }
    overlooked = {v.image: [(box, 1 - q) for box, q in corner_boxes(v, boxes[v.image])] for v in views}
    parts = {
        f"{name}: {part}": {v.image: 1 - a[part] for v, a in zip(views, answer, strict=True)}
        for part in PARTS
    }
    return {
        name: Said(both, overlooked, {v.image: 1 - a["quality"] for v, a in zip(views, answer, strict=True)}),
        f"{name}: badloc": Said(rows=badloc, images=parts[f"{name}: badloc"]),
        f"{name}: swap": Said(rows=swap, images=parts[f"{name}: swap"]),
    }


def clod(views: Sequence[ModelView], clusters: Sequence[Any], quality: Sequence[float]) -> Said:
    """One minus the quality of each row's cluster, and of each cluster without a row; the worst one of an image."""
    rows: dict[str, dict[int, float]] = {v.image: {} for v in views}
    missing: dict[str, list[tuple[Box, float]]] = {v.image: [] for v in views}
    images = {v.image: 0.0 for v in views}
    for cluster, q in zip(clusters, quality, strict=True):
        view = views[cluster.image]
        images[view.image] = max(images[view.image], 1 - q)
        for r in cluster.rows:
            rows[view.image][view.rows[r].line] = 1 - q
        if not cluster.rows:
            surest = max(cluster.predictions, key=lambda p: view.predictions[p, 4])
            missing[view.image].append((normalised(view.predictions[surest, :4], view), 1 - q))
    return Said(rows, missing, images)


def ultralytics(views: Sequence[ModelView]) -> dict[str, Said]:
    """Possible FP, FN and label confusion, and the largest of them."""
    scores = {v.image: possible(v) for v in views}
    fn = by_line(views, lambda v: scores[v.image][1])
    confusion = by_line(views, lambda v: scores[v.image][2])
    worst = by_line(views, lambda v: np.maximum(*scores[v.image][1:]))
    fp = {v.image: likely_places(v, scores[v.image][0]) for v in views}
    of_image = {
        image: (fp_.max(initial=0), fn_.mean() if len(fn_) else 0.0, other.max(initial=0))
        for image, (fp_, fn_, other) in scores.items()
    }
    return {
        "Ultralytics": Said(worst, fp, {image: float(max(of)) for image, of in of_image.items()}),
        "Ultralytics: possible FP": Said(images={image: float(of[0]) for image, of in of_image.items()}),
        "Ultralytics: possible FN": Said(fn, images={image: float(of[1]) for image, of in of_image.items()}),
        "Ultralytics: confusion": Said(
            confusion, images={image: float(of[2]) for image, of in of_image.items()}
        ),
    }


def possible(view: ModelView) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Possible FP of each prediction (V,), possible FN and confusion of each row (R,), float64, 0 to 1."""
    boxes, confidence, class_id = np.split(view.val_predictions, [4, 5], axis=1)
    iou = iou_of_corners(view.labels, boxes)
    weighted = iou * confidence[:, 0]
    same = np.array([row.class_id for row in view.rows], np.float64)[:, None] == class_id[:, 0]
    return (
        confidence[:, 0] * (1 - iou.max(0, initial=0)),
        1 - np.where(same, weighted, 0).max(1, initial=0),
        np.where(~same, weighted, 0).max(1, initial=0),
    )


# From arrays in the order of a view to images, lines and boxes


def by_line(
    views: Sequence[ModelView], scores: Callable[[ModelView], NDArray[np.float64]]
) -> dict[str, dict[int, float]]:
    """Image to number of the line to the score of the row."""
    return {v.image: {row.line: float(s) for row, s in zip(v.rows, scores(v), strict=True)} for v in views}


def places(
    views: Sequence[ModelView], scores: Callable[[ModelView], NDArray[np.float64]]
) -> dict[str, list[tuple[Box, float]]]:
    """Image to its predictions, each with its score."""
    return {
        v.image: [(normalised(p, v), float(s)) for p, s in zip(v.predictions[:, :4], scores(v), strict=True)]
        for v in views
    }


def corner_boxes(view: ModelView, boxes: Mapping[str, Any]) -> list[tuple[Box, float]]:
    """The boxes that cleanlab calls overlooked, each with its quality."""
    return [(normalised(np.array(of[:4]), view), of[4]) for of in boxes["overlooked"]]


def likely_places(view: ModelView, scores: NDArray[np.float64]) -> list[tuple[Box, float]]:
    """Those predictions of validation that are as sure as all methods' are, each with its score."""
    sure = view.val_predictions[:, 4] >= CONFIDENCE
    boxes = view.val_predictions[sure, :4]
    return [(normalised(box, view), float(s)) for box, s in zip(boxes, scores[sure], strict=True)]


def normalised(corners_px: NDArray[np.float64], view: ModelView) -> Box:
    """Corners in pixels as centre and size, normalised."""
    x1, y1, x2, y2 = (corners_px / [view.width, view.height, view.width, view.height]).tolist()
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
