"""ObjectLab's label quality by the real cleanlab, in a process of its own: it need not share our environment.

    PYTHON_WITH_CLEANLAB cleanlab_child.py views.json scores.json

views.json: a list of {"labels": [[x1, y1, x2, y2, class], …], "predictions": [[x1, y1, x2, y2, confidence, class], …]}
and "nc" beside it, pixels of the image. scores.json: {"version", "images": [{"quality", "overlooked", "badloc", "swap",
"lines": [quality of each label row], "place": [x1, y1, x2, y2] of the box most surely overlooked, or null}]}.
Source: Tkachenko et al., ObjectLab (2023), as cleanlab implements it; its defaults throughout.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from typing import Any

import numpy as np


def main() -> None:
    """Read views, write scores."""
    from cleanlab.object_detection import rank

    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    labels = [label_of(view) for view in given["images"]]
    predictions = [predictions_of(view, given["nc"]) for view in given["images"]]
    quality = rank.get_label_quality_scores(labels, predictions, verbose=False)
    per_box = {
        "overlooked": rank.compute_overlooked_box_scores(labels=labels, predictions=predictions),
        "badloc": rank.compute_badloc_box_scores(labels=labels, predictions=predictions),
        "swap": rank.compute_swap_box_scores(labels=labels, predictions=predictions),
    }
    pooled = {kind: rank.pool_box_scores_per_image(scores) for kind, scores in per_box.items()}
    images = [
        {
            "quality": float(quality[i]),
            **{kind: float(scores[i]) for kind, scores in pooled.items()},
            "lines": np.fmin(per_box["badloc"][i], per_box["swap"][i]).tolist(),
            "place": most_overlooked(per_box["overlooked"][i], predictions[i]),
        }
        for i in range(len(labels))
    ]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"version": metadata.version("cleanlab"), "images": images}, file)


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


if __name__ == "__main__":
    main()
