"""The one door to the gradient probe: runs it on an injected set, and reads what it wrote as scores."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from injection.scores import Scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_FDR = 0.2
"""Of `sanitize probe`."""

LINE_RULES = ("G002", "G007", "G008")
"""Findings that name a line: one that is wrong, one over several objects, one on a part of an object."""
PLACE_RULE = "G005"
"""Names a place where a label is probably missing."""
PROBE_RULES = ("G001", *LINE_RULES, PLACE_RULE)
"""Findings that flag an image. G003, G004 and G006 say nothing of right or wrong labels."""


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """How a probe is run.

    Attributes:
        weights: What it starts from.
        epochs, imgsz, batch: Of its warm-up.
        fdr: Share of the named lines and places that may be fine.
        arguments: Train arguments besides, as they are written on the command line.
    """

    weights: str
    epochs: int
    imgsz: int
    batch: int
    fdr: float = DEFAULT_FDR
    arguments: tuple[str, ...] = ()


def run_probe(data_yaml: str, run: ProbeRun, seed: int, out_dir: str) -> None:
    """Run `sanitize probe` as a user would, and keep what it writes: report.json, images.csv and boxes.csv.

    Nothing runs where these files are already. Where the report alone is missing, what was measured is judged again.
    """
    report = os.path.join(out_dir, "report.json")
    if os.path.exists(report):
        return
    os.makedirs(out_dir, exist_ok=True)
    command = [
        sys.executable, "-m", "sanitizer", "probe", data_yaml, "--model", run.weights, "--budget",
        f"{run.epochs}epochs", "--fdr", str(run.fdr), "--device", "cpu", "--out", out_dir, "--output", report,
        "--fail-on", "never", "--quiet", "--resume", "--format", "json", f"imgsz={run.imgsz}", f"batch={run.batch}",
        f"seed={seed}", *run.arguments,
    ]  # fmt: skip
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def read_probe(out_dir: str) -> dict[str, Scores]:
    """What the probe wrote, as the scores "probe" and "scan + probe"."""
    images = read_rows(os.path.join(out_dir, "images.csv"))
    lines: dict[str, dict[int, float]] = defaultdict(dict)
    p_of_lines: dict[str, dict[int, float]] = defaultdict(dict)
    for row in read_rows(os.path.join(out_dir, "boxes.csv")):
        lines[row["image"]][int(row["line"])] = float(row["score"])
        p_of_lines[row["image"]][int(row["line"])] = float(row["p"])
    findings = read_findings(out_dir)
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    named: dict[str, dict[int, str]] = defaultdict(dict)
    for finding in findings:
        if finding["rule"] == PLACE_RULE and finding["x_center"] is not None:
            places[finding["image"]].append((finding["x_center"], finding["y_center"]))
        if finding["rule"] in LINE_RULES:
            named[finding["image"]][finding["line"]] = finding["rule"]
    best = {
        row["image"]: (float(row["unlabelled_x"]), float(row["unlabelled_y"]))
        for row in images
        if row["unlabelled_x"]
    }
    flagged = flagged_images(findings)
    return {
        name: Scores(
            {row["image"]: float(row[column]) for row in images},
            lines=dict(lines),
            places=dict(places),
            flagged=flagged,
            best_places=best,
            p=dict(p_of_lines),
            named=dict(named),
        )
        for name, column in (("probe", "score_probe"), ("scan + probe", "score_combined"))
    }


def read_findings(out_dir: str) -> list[dict[str, Any]]:
    """The findings of a probe's report, the scan's among them."""
    with open(os.path.join(out_dir, "report.json"), encoding="utf-8") as file:
        findings: list[dict[str, Any]] = json.load(file)["findings"]
    return findings


def flagged_images(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The images with a finding of `PROBE_RULES`."""
    return sorted({f["image"] for f in findings if f["rule"] in PROBE_RULES and f["image"]})


def read_rows(path: str) -> list[dict[str, str]]:
    """A CSV file by column names."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
