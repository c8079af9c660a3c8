"""What the probe says of rows, places and images, read from its files, or judged again from its kept measurements."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
from injection.probe_adapter import read_rows

from boxes.said import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from injection.probe_adapter import ProbeRun

PLACES = "places.json"
COLUMNS: Mapping[str, Callable[[Mapping[str, str]], float]] = {
    "probe": lambda row: float(row["score"]),
    "probe's 1 − support": lambda row: -float(row["support"]),
    "probe's 1 − best IoU": lambda row: -float(row["best_iou"]),
    "probe's 1 − own probability": lambda row: -float(row["own_probability"]),
    "probe's share of gradient": lambda row: float(row["share"] or "inf"),
    "probe's 1 − label weight": lambda row: -float(row["weight"]),
}
"""Columns of boxes.csv as suspicions. The probe's score is the log-odds of p, or a z-score where p was not learnt."""


def keep_places(data_yaml: str, run: ProbeRun, seed: int, out_dir: str) -> None:
    """Write every predicted object on no label to places.json, if it is not there: box, p and share.

    p is the probability that it lacks a label; share is that of the equally sure predictions that lie on no label.
    """
    path = os.path.join(out_dir, PLACES)
    if os.path.exists(path):
        return
    from sanitizer.probe.probing import probe

    overrides = {"imgsz": run.imgsz, "batch": run.batch, "seed": seed}
    result = probe(
        data_yaml, run.weights, budget=f"{run.epochs}epochs", device="cpu", overrides=overrides, out=out_dir,
        resume=True, fdr=run.fdr,
    )  # fmt: skip
    evidence = result.evidence
    found: dict[str, list[tuple[list[float], float, float]]] = {
        result.judgement.image(m): [] for m in result.measured
    }
    for o in np.flatnonzero(evidence.object_p > 0).tolist():
        m = result.measured[evidence.object_image[o]]
        assert m.signals is not None
        box = m.signals.object_xywh[evidence.object_number[o]].tolist()
        found[result.judgement.image(m)].append(
            (box, float(evidence.object_p[o]), float(evidence.object_share[o]))
        )
    with open(path, "w", encoding="utf-8") as file:
        json.dump(found, file)


def read_said(out_dir: str) -> dict[str, Said]:
    """The probe, with the scan's findings too for images, and the plain numbers that its score is made from."""
    rows: dict[str, dict[str, dict[int, float]]] = {name: {} for name in COLUMNS}
    for row in read_rows(os.path.join(out_dir, "boxes.csv")):
        for name, value in COLUMNS.items():
            rows[name].setdefault(row["image"], {})[int(row["line"])] = value(row)
    with open(os.path.join(out_dir, PLACES), encoding="utf-8") as file:
        kept = json.load(file)
    places = {image: [(tuple(box), p) for box, p, _ in of] for image, of in kept.items()}
    labelled = {image: [(tuple(box), 1 - share) for box, _, share in of] for image, of in kept.items()}
    images = read_rows(os.path.join(out_dir, "images.csv"))
    alone, combined = (
        {r["image"]: float(r[column]) for r in images} for column in ("score_probe", "score_combined")
    )
    return {
        "probe": Said(rows.pop("probe"), places, alone),
        "scan + probe": Said(images=combined),
        **{name: Said(of) for name, of in rows.items()},
        "probe's share of predictions on a label": Said(places=labelled),
    }
