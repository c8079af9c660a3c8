"""Writes the files in a probe's folder: steps.csv, images.csv, boxes.csv, grad_norms.png and TensorBoard events."""

from __future__ import annotations

import csv
import io
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.reports.csv_ import guarded
from sanitizer.util.atomic import open_atomically, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sanitizer.probe.result import ProbeResult
    from sanitizer.train.clipped_step import StepRecord

STEPS, IMAGES, BOXES, PLOT = "steps.csv", "images.csv", "boxes.csv", "grad_norms.png"


def write_tables(result: ProbeResult, folder: str) -> list[str]:
    """Write all files and return their names. Raises OSError if one cannot be written."""
    os.makedirs(folder, exist_ok=True)
    written = [STEPS, IMAGES, BOXES]
    _write(os.path.join(folder, STEPS), steps_table(result))
    _write(os.path.join(folder, IMAGES), images_table(result))
    _write(os.path.join(folder, BOXES), boxes_table(result))
    if _plot(result, os.path.join(folder, PLOT)):
        written.append(PLOT)
    if _events(result.steps, folder):
        written.append("events.out.tfevents…")
    return written


def steps_table(result: ProbeResult) -> list[dict[str, Any]]:
    """One row for each step of the warm-up, with the fields of `StepRecord`; images relative to the dataset's root."""
    relative = result.judgement.dataset.relative
    return [
        {
            "step": s.step, "epoch": s.epoch, "loss": s.loss, **s.loss_items, "grad_norm": s.grad_norm,
            "clip_coefficient": s.clip_coefficient, "lr": s.lr, "amp_scale": s.amp_scale, "skipped": int(s.skipped),
            "images": " ".join(relative(image) or "" for image in s.images),
        }
        for s in result.steps
    ]  # fmt: skip


def images_table(result: ProbeResult) -> list[dict[str, Any]]:
    """One row for each measured image, the most suspicious first.

    `grad_norm` is the norm of the image's gradient in a batch of the usual label weight. `norm_z` compares this norm
    with images that have about as many boxes. `share` is the image's part of its batch's squared gradient norm. Rows
    are sorted by `score_combined`, which is `score_probe` and a bonus for findings of the scan. Positions are
    normalised.
    """
    judgement, evidence = result.judgement, result.evidence
    combined = judgement.combined_score()
    rows = []
    for n in np.argsort(-combined, kind="stable").tolist():
        m = result.measured[n]
        sample = result.samples[m.index]
        unlabelled = evidence.likeliest_object(n)
        x, y = (
            (None, None)
            if unlabelled is None or m.signals is None
            else m.signals.object_xywh[unlabelled, :2].tolist()
        )
        rows.append(
            {
                "image": judgement.dataset.relative(sample.image),
                "label": judgement.dataset.relative(sample.label),
                "boxes": len(sample),
                **m.loss,
                "grad_norm": m.grad_norm,
                "norm_z": float(evidence.norm_z[n]),
                "batch": m.batch,
                "share": m.share,
                "background_share": m.background_share,
                "background_x": m.place[0] if m.place else None,
                "background_y": m.place[1] if m.place else None,
                "unlabelled_x": x,
                "unlabelled_y": y,
                "score_probe": float(evidence.score[n]),
                "score_combined": float(combined[n]),
                "reasons": "; ".join(judgement.reasons(n)),
                "not_finite": m.not_finite or ("amp" if m.amp_only else ""),
            }
        )
    return rows


def boxes_table(result: ProbeResult) -> list[dict[str, Any]]:
    """One row for each label row of the measured images, by label file and line.

    `p` is the probability that the row is wrong, empty where nothing could be learnt; `score` orders the rows.
    """
    judgement, evidence = result.judgement, result.evidence
    row_score = evidence.row_score()
    rows = []
    for k, (n, row) in enumerate(zip(evidence.row_image.tolist(), evidence.row_number.tolist(), strict=True)):
        m = result.measured[n]
        sample, s = result.samples[m.index], m.signals
        assert s is not None
        rows.append(
            {
                "image": judgement.dataset.relative(sample.image),
                "label": judgement.dataset.relative(sample.label),
                "line": int(sample.lines[row]),
                "class_id": int(sample.class_id[row, 0]),
                "p": float(evidence.row_p[k]) if evidence.doubt.usable else None,
                "score": float(row_score[k]),
                "share": float(m.row_share[row]),
                "weight": float(s.weight[row]),
                "support": float(s.support[row]),
                "best_iou": float(s.best_iou[row]),
                "own_probability": float(s.own_probability[row]),
                "other_class": int(s.other_class[row]),
                "other_probability": float(s.other_probability[row]),
            }
        )
    return sorted(rows, key=lambda r: (r["label"] or "", r["line"]))


def probe_record(result: ProbeResult) -> dict[str, Any]:
    """The probe's part of the JSON report: plain values, and null for numbers that are not finite.

    `imgsz`; `steps`, a list of {step, loss, grad_norm, clip_coefficient, lr, skipped, images}; `images`, a list of
    rows of `images_table` with `lines`: a list of {line, p, score, share, weight} of the label rows, largest score
    first; p, the probability that the row is wrong, is null where nothing could be learnt.
    """
    lines: dict[str | None, list[dict[str, Any]]] = {}
    for row in boxes_table(result):
        kept = {name: row[name] for name in ("line", "p", "score", "share", "weight")}
        lines.setdefault(row["image"], []).append(kept)
    for rows in lines.values():
        rows.sort(key=lambda r: -r["score"])
    relative = result.judgement.dataset.relative
    # The table joins names with blanks, but a name can contain blanks, so the names come from the record.
    steps = [
        {name: row[name] for name in ("step", "loss", "grad_norm", "clip_coefficient", "lr", "skipped")}
        | {"images": [relative(image) or "" for image in step.images]}
        for row, step in zip(steps_table(result), result.steps, strict=True)
    ]
    images = [row | {"lines": lines.get(row["image"], [])} for row in images_table(result)]
    return {"imgsz": result.imgsz, "steps": _finite(steps), "images": _finite(images)}


def _finite(value: Any) -> Any:
    """The same value with floats rounded to five digits, and None for floats that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _write(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file for spreadsheets; cells of numbers that are not finite are empty. Raises OSError."""
    out = io.StringIO()
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    write_atomically(path, ("\ufeff" + out.getvalue()).encode("utf-8", "backslashreplace"))


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else guarded(value)


def _plot(result: ProbeResult, path: str) -> bool:
    """Plot the gradient norms of the steps, and those of the images over the number of boxes.

    Returns False if matplotlib is not installed.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    norms = [s.grad_norm for s in result.steps]
    left.plot(range(len(norms)), norms, linewidth=1)
    left.set(title="warm-up: gradient norm before clipping", xlabel="step", ylabel="norm")
    counts = np.array([len(result.samples[m.index]) for m in result.measured])
    image_norms = np.array([m.grad_norm for m in result.measured])
    spikes = result.evidence.norm_z >= 3.5
    right.scatter(counts[~spikes], image_norms[~spikes], s=8, alpha=0.5)
    right.scatter(counts[spikes], image_norms[spikes], s=18, color="tab:red", label="far over what is usual")
    right.set(title="measuring: one point an image", xlabel="boxes in the image", ylabel="gradient norm")
    if spikes.any():
        right.legend()
    for axes, values in ((left, norms), (right, image_norms)):
        if any(math.isfinite(v) and v > 0 for v in values):
            axes.set_yscale("log")
    with open_atomically(path) as file:
        figure.savefig(file, format="png", dpi=110)
    return True


def _events(steps: Iterable[StepRecord], folder: str) -> bool:
    """Write the steps of the warm-up as TensorBoard scalars. Returns False if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    with SummaryWriter(folder) as writer:
        for s in steps:
            values = {
                "loss": s.loss,
                "grad_norm": s.grad_norm,
                "clip_coefficient": s.clip_coefficient,
                "lr": s.lr,
            }
            for tag, value in values.items():
                if math.isfinite(value):
                    writer.add_scalar(f"probe/{tag}", value, s.step)
    return True
