"""How boxes are spread: aspect, size and position of all boxes by class, and of flagged ones by rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import read_labels
from sanitizer.reports.html.pool import share_out
from sanitizer.scanner.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import ImageTable, TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.scanner.pieces import Piece

GRID = 24
"""Cells a side in the plot of positions."""
MAX_CLASSES = 200
"""Classes with a histogram of their own; the rarer ones share one under the key `other`."""
PAIRS_PER_PIECE = 2048

_EDGES = {
    "aspect": np.geomspace(1, 1000, 31),
    "size_px": np.geomspace(1, 8192, 27),
    "size_share": np.geomspace(0.001, 1, 31),
}
"""Edges of the bins. What lies beyond the last counts in the last bin, likewise below the first."""

_BINS = {
    "aspect_px": len(_EDGES["aspect"]) - 1,
    "aspect_share": len(_EDGES["aspect"]) - 1,
    "size_px": len(_EDGES["size_px"]) - 1,
    "size_share": len(_EDGES["size_share"]) - 1,
    "position": GRID * GRID,
}

Histograms = dict[str, "NDArray[np.int64]"]
"""Name of a measure to counts, int64 (k,)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How the boxes of a dataset are spread.

    Attributes:
        classes: Class id to its histograms.
        counts: Class id to number of rows that could be read.
    """

    classes: Mapping[int, Histograms]
    counts: Mapping[int, int]


def spread_of_dataset(dataset: Dataset, spec: TaskSpec, jobs: int, progress: bool) -> Spread:
    """Read every label file and image header again, and count."""
    todo = list(pieces(dataset, PAIRS_PER_PIECE))
    weights = [p.stop - p.start for p in todo]
    bar = ("measuring boxes", " files") if progress else None
    classes: dict[int, Histograms] = {}
    counts: Counter[int] = Counter()
    for part in share_out(
        partial(_spread_of_piece, dataset, spec), todo, min(jobs, len(todo)), 1, weights, bar
    ):
        counts.update(part.counts)
        for class_id, histograms in part.classes.items():
            _add(classes.setdefault(class_id, _empty()), histograms)
    return Spread(classes, counts)


def _spread_of_piece(dataset: Dataset, spec: TaskSpec, piece: Piece) -> Spread:
    chunk = dataset.splits[piece.split].chunk(piece.start, piece.stop)
    labels, images = read_labels(chunk.labels, spec), read_images(chunk.images, "header")
    kept = np.flatnonzero((labels.kind != RowKind.FAULTY) & (labels.class_id % 1 == 0))
    size_px = _upright_size(images)[labels.file[kept]]
    return Spread(
        _by_key(labels.class_id[kept].astype(np.int64).tolist(), labels.xywh[kept], size_px),
        Counter(labels.class_id[kept].astype(np.int64).tolist()),
    )


def spread_of_findings(findings: Sequence[Finding], paths: Sequence[str | None]) -> dict[str, Histograms]:
    """Rule to histograms of the boxes it flags. `paths` are the findings' images, absolute."""
    boxes = [
        (f.rule, path, (f.x_center, f.y_center, f.width, f.height))
        for f, path in zip(findings, paths, strict=True)
        if f.x_center is not None and f.y_center is not None and f.width is not None and f.height is not None
    ]
    if not boxes:
        return {}
    rules, of_box, xywh = zip(*boxes, strict=True)
    images = {path: i for i, path in enumerate(dict.fromkeys(of_box))}
    size_px = _upright_size(read_images(list(images), "header"))[[images[path] for path in of_box]]
    return _by_key(rules, np.array(xywh, np.float64), size_px)


def plots(spread: Spread, flagged: Mapping[str, Histograms]) -> dict[str, Any]:
    """What the page draws, plain values; sizes in pixels where that of any image is known, else as shares."""
    ranked = sorted(spread.classes, key=lambda c: (-spread.counts.get(c, 0), c))
    groups: dict[str, Histograms] = {str(c): spread.classes[c] for c in sorted(ranked[:MAX_CLASSES])}
    for class_id in ranked[MAX_CLASSES:]:
        _add(groups.setdefault("other", _empty()), spread.classes[class_id])
    in_px = any(h["size_px"].any() for h in (*groups.values(), *flagged.values()))
    unit = "px" if in_px else "share"

    def histogram(title: str, unit_shown: str, measure: str, edges: NDArray[np.float64]) -> dict[str, Any]:
        used = np.flatnonzero(sum((h[measure] for h in groups.values()), np.zeros(_BINS[measure])))
        used = np.union1d(
            used, np.flatnonzero(sum((h[measure] for h in flagged.values()), np.zeros(_BINS[measure])))
        )
        start, stop = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        return {
            "title": title,
            "unit": unit_shown,
            "log": True,
            "edges": [float(f"{edge:.4g}") for edge in edges[start : stop + 1]],
            "classes": {key: h[measure][start:stop].tolist() for key, h in groups.items()},
            "rules": {key: h[measure][start:stop].tolist() for key, h in flagged.items()},
        }

    size_unit = "px" if in_px else "share of the image"
    return {
        "aspect": histogram(
            "Aspect ratio, long side to short side", ":1", f"aspect_{unit}", _EDGES["aspect"]
        ),
        "size": histogram("Size, root of the area", size_unit, f"size_{unit}", _EDGES[f"size_{unit}"]),
        "position": {
            "grid": GRID,
            "classes": {key: h["position"].tolist() for key, h in groups.items()},
            "rules": {key: h["position"].tolist() for key, h in flagged.items()},
        },
    }


def _upright_size(images: ImageTable) -> NDArray[np.float64]:
    """float64 (F, 2): width and height as training sees them, NaN where unknown."""
    size = np.stack(images.upright_size(), axis=1).astype(np.float64)
    size[(size <= 0).any(axis=1)] = np.nan
    return size


def _empty() -> Histograms:
    return {measure: np.zeros(n, np.int64) for measure, n in _BINS.items()}


def _add(total: Histograms, part: Histograms) -> None:
    for measure, counts in part.items():
        total[measure] += counts


def _by_key(
    keys: Sequence[Any], xywh: NDArray[np.float64], size_px: NDArray[np.float64]
) -> dict[Any, Histograms]:
    """Key to histograms of its boxes. xywh float64 (R, 4) normalised, size_px float64 (R, 2) NaN where unknown."""
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    group = np.array([numbers[key] for key in keys], np.int64)
    tables = {}
    for measure, bins in _measured(xywh, size_px).items():
        n_bins, counted = _BINS[measure], bins >= 0
        flat = np.bincount(group[counted] * n_bins + bins[counted], minlength=len(numbers) * n_bins)
        tables[measure] = flat.reshape(len(numbers), n_bins)
    return {key: {measure: table[i] for measure, table in tables.items()} for key, i in numbers.items()}


@np.errstate(all="ignore")
def _measured(xywh: NDArray[np.float64], size_px: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
    """Measure to int64 (R,), the bin of each box, -1 where it counts in none."""
    wh = np.abs(xywh[:, 2:])
    cell = np.floor(xywh[:, :2] * GRID)
    inside: NDArray[np.bool_] = np.all((xywh[:, :2] >= 0) & (xywh[:, :2] <= 1), axis=1)
    cell = np.where(inside[:, None], np.minimum(cell, GRID - 1), 0).astype(np.int64)
    return {
        "aspect_px": _bins(_aspect(wh * size_px), _EDGES["aspect"]),
        "aspect_share": _bins(_aspect(wh), _EDGES["aspect"]),
        "size_px": _bins(np.sqrt((wh * size_px).prod(axis=1)), _EDGES["size_px"]),
        "size_share": _bins(np.sqrt(wh.prod(axis=1)), _EDGES["size_share"]),
        "position": np.where(inside, cell[:, 1] * GRID + cell[:, 0], -1),
    }


def _aspect(wh: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (R,): long side to short side; NaN for a box without area, which has no shape."""
    short = wh.min(axis=1)
    return np.where(short > 0, wh.max(axis=1) / short, np.nan)


def _bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return np.where(np.isnan(values), -1, bins)
