"""The one door to the gradient probe: runs it on an injected set, and reads what it wrote as scores."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import defaultdict

from injection.scores import Scores

PROBE_RULES = ("G001", "G002", "G005")
"""Findings that flag an image: a spike, a line that carries it, a place where a box is probably missing."""
PLACE_RULE = "G005"


def probe_scores(
    data_yaml: str, weights: str, seed: int, epochs: int, imgsz: int, batch: int, out_dir: str
) -> dict[str, Scores]:
    """The scores "probe" and "scan + probe" of an injected set, by `sanitize probe` as a user would run it.

    `out_dir` has what the probe writes: report.json, images.csv (image, score_probe, score_combined) and boxes.csv
    (image, label, line, score). Its flagged images are those with a finding of `PROBE_RULES`. Nothing runs where it
    has them already.
    """
    report = os.path.join(out_dir, "report.json")
    if not os.path.exists(report):
        os.makedirs(out_dir, exist_ok=True)
        command = [
            sys.executable, "-m", "sanitizer", "probe", data_yaml, "--model", weights, "--budget", f"{epochs}epochs",
            "--device", "cpu", "--out", out_dir, "--output", report, "--fail-on", "never", "--quiet",
            "--format", "json", f"imgsz={imgsz}", f"batch={batch}", f"seed={seed}",
        ]  # fmt: skip
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return read_probe(out_dir)


def read_probe(out_dir: str) -> dict[str, Scores]:
    """What the probe wrote, as scores."""
    images = read_rows(os.path.join(out_dir, "images.csv"))
    lines: dict[str, dict[int, float]] = defaultdict(dict)
    for row in read_rows(os.path.join(out_dir, "boxes.csv")):
        lines[row["image"]][int(row["line"])] = float(row["score"])
    with open(os.path.join(out_dir, "report.json"), encoding="utf-8") as file:
        findings = json.load(file)["findings"]
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for finding in findings:
        if finding["rule"] == PLACE_RULE and finding["x_center"] is not None:
            places[finding["image"]].append((finding["x_center"], finding["y_center"]))
    best = {
        row["image"]: (float(row["unlabelled_x"]), float(row["unlabelled_y"]))
        for row in images
        if row["unlabelled_x"]
    }
    flagged = sorted({f["image"] for f in findings if f["rule"] in PROBE_RULES and f["image"]})
    return {
        name: Scores(
            {row["image"]: float(row[column]) for row in images}, dict(lines), dict(places), flagged, best
        )
        for name, column in (("probe", "score_probe"), ("scan + probe", "score_combined"))
    }


def read_rows(path: str) -> list[dict[str, str]]:
    """A CSV file by column names."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
