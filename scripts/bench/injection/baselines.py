"""The scores that the probe has to beat: loss, gradient norm, cleanlab's label quality, and the scan alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from injection.model_scores import trained_model, view_images
from injection.scores import CLEANLAB_PARTS, Scores, load_scores, save_scores
from sanitizer.config import Config
from sanitizer.findings.finding import Severity
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from injection.inject import Injected
    from injection.model_scores import ModelView

SEVERITY_SCORES = {Severity.ERROR: 3.0, Severity.WARNING: 2.0, Severity.INFO: 1.0}


def baseline_scores(
    injected: Injected, weights: str, imgsz: int, cleanlab_python: str | None
) -> dict[str, Scores]:
    """All baselines of an injected set, kept in its baselines.json and not computed again.

    Args:
        injected: The set.
        weights: What `train` wrote.
        imgsz: Side of the letterbox, pixels.
        cleanlab_python: A Python that has cleanlab; None leaves cleanlab out.
    """
    path = os.path.join(injected.folder, "baselines.json")
    if os.path.exists(path):
        scores = load_scores(path)
        if cleanlab_python is None or "cleanlab" in scores:
            return scores
    views = list(view_images(injected.folder, trained_model(weights), imgsz))
    scores = {
        "loss": Scores({v.image: v.loss for v in views}),
        "grad norm": Scores({v.image: v.grad_norm for v in views}),
        "scan": scan_scores(injected.data_yaml, imgsz),
    }
    if cleanlab_python is not None:
        scores |= cleanlab_scores(views, injected.nc, cleanlab_python)
    save_scores(scores, path)
    return scores


def scan_scores(data_yaml: str, imgsz: int) -> Scores:
    """The severest finding on an image or on a line of its label: error 3, warning 2, info 1; the rest has none.

    Train split alone: a copy in val would be a finding on every image of a set whose val is its train.
    """
    report = scan(data_yaml, config=Config(imgsz=imgsz), splits=["train"], cache=False)
    images: dict[str, float] = defaultdict(float)
    lines: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for finding in report.findings:
        if finding.image is None:
            continue
        score = SEVERITY_SCORES[finding.severity]
        images[finding.image] = max(images[finding.image], score)
        if finding.line is not None:
            line = lines[finding.image]
            line[finding.line] = max(line[finding.line], score)
    flagged = [image for image, score in images.items() if score >= SEVERITY_SCORES[Severity.WARNING]]
    return Scores(dict(images), {image: dict(by_line) for image, by_line in lines.items()}, None, flagged)


def cleanlab_scores(views: Sequence[ModelView], nc: int, python: str) -> dict[str, Scores]:
    """cleanlab's label quality turned round (1 - quality), and its three parts under names of their own."""
    found = ask_cleanlab(views, nc, python)["images"]
    pairs = list(zip(views, found, strict=True))
    lines = {
        v.image: {row.line: 1 - quality for row, quality in zip(v.rows, f["lines"], strict=True)}
        for v, f in pairs
    }
    places = {v.image: [centre(f["place"], v)] for v, f in pairs if f["place"]}
    parts = {name: Scores({v.image: 1 - f[name.split()[1]] for v, f in pairs}) for name in CLEANLAB_PARTS}
    return {"cleanlab": Scores({v.image: 1 - f["quality"] for v, f in pairs}, lines, places), **parts}


def ask_cleanlab(views: Sequence[ModelView], nc: int, python: str, **more: Any) -> dict[str, Any]:
    """What cleanlab_child.py says of these images; `more` are its other questions."""
    given = [
        {
            "labels": [[*box, r.class_id] for box, r in zip(v.labels.tolist(), v.rows, strict=True)],
            "predictions": v.predictions.tolist(),
        }
        for v in views
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "views.json"), os.path.join(folder, "scores.json")
        Path(source).write_text(json.dumps({"nc": nc, "images": given, **more}))
        child = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cleanlab_child.py")
        subprocess.run([python, child, source, target], check=True, stdout=sys.stderr)
        found: dict[str, Any] = json.loads(Path(target).read_text())
    return found


def cleanlab_version(python: str | None) -> str:
    """The version for the heading."""
    if python is None:
        return ""
    code = "from importlib.metadata import version; print(version('cleanlab'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return f", cleanlab {done.stdout.strip()}"


def centre(corners_px: Sequence[float], view: ModelView) -> tuple[float, float]:
    """Centre of a box, normalised."""
    x1, y1, x2, y2 = corners_px
    return (x1 + x2) / 2 / view.width, (y1 + y2) / 2 / view.height
