"""ObjectLab's label quality by the real cleanlab, in a process of its own: it need not share our environment.

    PYTHON_WITH_CLEANLAB cleanlab_child.py views.json scores.json

views.json: {"nc", "images": [{"labels": [[x1, y1, x2, y2, class], …], "predictions": [[x1, y1, x2, y2, confidence,
class], …]}], "low": thresholds to ask once more with, or none, "clusters": {"labels": [[class, …], …], "probabilities":
[[of each class], …]} or none}, pixels of the image. scores.json: {"version", "images": [{"quality", "overlooked",
"badloc", "swap", "lines": [quality of each label row], "place": [x1, y1, x2, y2] of the box most surely overlooked, or
null, "boxes": {"badloc": [of each row], "swap": [of each row], "overlooked": [[x1, y1, x2, y2, quality], …]}}], "low":
the same list, "clusters": [quality, …]}.
Source: Tkachenko et al., ObjectLab (2023), as cleanlab implements it; its defaults but for "low".
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from typing import Any

import numpy as np


def main() -> None:
    """Read views, write scores."""
    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    labels = [label_of(view) for view in given["images"]]
    predictions = [predictions_of(view, given["nc"]) for view in given["images"]]
    found: dict[str, Any] = {
        "version": metadata.version("cleanlab"),
        "images": said_of(labels, predictions, {}),
    }
    if given.get("low"):
        found["low"] = said_of(labels, predictions, given["low"])
    if given.get("clusters"):
        from cleanlab.multilabel_classification import get_label_quality_scores

        of = given["clusters"]
        found["clusters"] = get_label_quality_scores(of["labels"], np.array(of["probabilities"])).tolist()
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(found, file)


def said_of(
    labels: list[dict[str, Any]], predictions: list[Any], thresholds: dict[str, float]
) -> list[dict[str, Any]]:
    """What cleanlab says of each image.

    Args:
        labels, predictions: Of each image, in cleanlab's form.
        thresholds: "low" and "high" probability; none for cleanlab's own.
    """
    from cleanlab.object_detection import rank

    given: dict[str, Any] = {"labels": labels, "predictions": predictions}
    low = {"low_probability_threshold": thresholds["low"]} if thresholds else {}
    high = {"high_probability_threshold": thresholds["high"]} if thresholds else {}
    per_box = {
        "overlooked": rank.compute_overlooked_box_scores(**given, **high),
        "badloc": rank.compute_badloc_box_scores(**given, **low),
        "swap": rank.compute_swap_box_scores(**given, **high),
    }
    pooled = {kind: rank.pool_box_scores_per_image(scores) for kind, scores in per_box.items()}
    if thresholds:  # the mean of the paper; cleanlab's own has no thresholds
        quality = np.prod([np.maximum(scores, 0) for scores in pooled.values()], 0) ** (1 / len(pooled))
    else:
        quality = rank.get_label_quality_scores(labels, predictions, verbose=False)
    return [
        {
            "quality": float(quality[i]),
            **{kind: float(scores[i]) for kind, scores in pooled.items()},
            "lines": np.fmin(per_box["badloc"][i], per_box["swap"][i]).tolist(),
            "place": most_overlooked(per_box["overlooked"][i], predictions[i]),
            "boxes": {
                "badloc": per_box["badloc"][i].tolist(),
                "swap": per_box["swap"][i].tolist(),
                "overlooked": overlooked(per_box["overlooked"][i], predictions[i]),
            },
        }
        for i in range(len(labels))
    ]


def label_of(view: dict[str, Any]) -> dict[str, Any]:
    """The labels of an image in cleanlab's form."""
    rows = np.array(view["labels"], np.float64).reshape(-1, 5)
    return {"bboxes": rows[:, :4], "labels": rows[:, 4].astype(int)}


def predictions_of(view: dict[str, Any], nc: int) -> list[Any]:
    """The predictions of an image in cleanlab's form: one (P, 5) array a class."""
    rows = np.array(view["predictions"], np.float64).reshape(-1, 6)
    return [rows[rows[:, 5] == class_id, :5] for class_id in range(nc)]


def most_overlooked(scores: Any, predictions: list[Any]) -> list[float] | None:
    """The predicted box with the least score, which is in the order of classes as cleanlab counts them."""
    if not len(scores) or np.isnan(scores).all():
        return None
    box: list[float] = np.concatenate(predictions)[int(np.nanargmin(scores)), :4].tolist()
    return box


def overlooked(scores: Any, predictions: list[Any]) -> list[list[float]]:
    """Corners and quality of each predicted box that has one."""
    boxes = np.concatenate([p[:, :4] for p in predictions])
    found: list[list[float]] = np.column_stack([boxes, scores])[~np.isnan(scores)].tolist()
    return found


if __name__ == "__main__":
    main()
