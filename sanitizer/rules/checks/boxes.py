"""Checks on single boxes that need a word for what is wrong, not only a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import RowKind
from sanitizer.rules.checks import row_check
from sanitizer.rules.checks.geometry import DROPS, no_hits, row_image_size
from sanitizer.rules.hits import Hits
from sanitizer.ultra.label_check import lower_limit, upper_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable, TaskSpec
    from sanitizer.rules.hits import Params

_COLUMN_NAMES = ("x centre", "y centre", "width", "height")


def _box_rows(labels: LabelTable) -> NDArray[np.bool_]:
    """bool (R,): rows that state centre and size."""
    return np.asarray((labels.kind == RowKind.BOX) | (labels.kind == RowKind.POSE))


@row_check("no-size")
def no_size(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Width or height zero or negative. Training refuses negative ones, and keeps zeros without learning them."""
    size = tables.labels.xywh[:, 2:]
    index = np.flatnonzero((size <= 0).any(axis=1))
    if not len(index):
        return no_hits()
    size = size[index]
    worst = np.argmin(size, axis=1)
    value = size[np.arange(len(index)), worst]
    known = spec.behaviour
    smallest = lower_limit(known) if known.takes_small_negative_size else np.float32(0)
    dropped = (size.astype(np.float32) < smallest).any(axis=1)
    fate = np.where(dropped, DROPS, "training keeps the row but can learn nothing from it")
    return Hits(index, value, np.zeros(len(index)), {"what": _named(worst + 2), "fate": fate})


@row_check("out-of-range")
def out_of_range(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Centre or size further outside 0 to 1 than training lets pass; sizes under zero are for `no-size`.

    In a pose set training looks at keypoints instead of the box where values are too large, but not where they
    are too small.
    """
    with np.errstate(over="ignore"):
        xywh = tables.labels.xywh.astype(np.float32)
    highest, lowest = upper_limit(spec.behaviour), lower_limit(spec.behaviour)
    over = xywh > highest
    beyond = over.copy()
    beyond[:, :2] |= xywh[:, :2] < lowest
    index = np.flatnonzero(beyond.any(axis=1))
    if not len(index):
        return no_hits()
    written = tables.labels.xywh[index]
    excess = np.where(beyond[index], np.maximum(written - 1, -written), -np.inf)
    worst = np.argmax(excess, axis=1)
    value = written[np.arange(len(index)), worst]
    threshold = np.where(value > 0, float(highest), float(lowest)).round(2) + 0.0
    kept = (spec.task == "pose") & ~(xywh[index, :2] < lowest).any(axis=1)
    margin = (
        f" by more than {spec.behaviour.tolerance:.0%}".replace("%", " %") if spec.behaviour.tolerance else ""
    )
    fate = np.where(kept, "a pose set is trained on such a box as it stands", DROPS)
    return Hits(
        index, value, threshold, {"what": _named(worst), "margin": [margin] * len(index), "fate": fate}
    )


def _named(columns: NDArray[np.int64]) -> list[str]:
    return [_COLUMN_NAMES[c] for c in columns.tolist()]


@row_check("tiny-side")
def tiny_side(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """A side of at most so many pixels, in the image or in the network's input. Silent without an image size."""
    img_w, img_h = row_image_size(tables)
    size = tables.labels.xywh[:, 2:]
    # NaN where the size is unknown, and no comparison holds of NaN
    side = np.minimum(size[:, 0] * img_w, size[:, 1] * img_h)
    scale = params["imgsz"] / np.maximum(img_w, img_h)
    # Labels are written with six digits: 2 px of a wide image may read 2.001.
    class_id = tables.labels.class_id
    least, least_net = params.by_class("min_px", class_id), params.by_class("min_net_px", class_id)
    in_image = np.round(side, 2) <= least
    index = np.flatnonzero((in_image | (np.round(side * scale, 2) <= least_net)) & (side > 0))
    if not len(index):
        return no_hits()
    here = in_image[index]
    sides = size[index] * np.stack([img_w[index], img_h[index]], axis=1)
    shown = sides * np.where(here, 1.0, scale[index])[:, None]
    where = np.where(here, "in the image", f"once the image is resized to {params['imgsz']:.0f}")
    return Hits(
        index,
        shown.min(axis=1),
        np.where(here, least[index], least_net[index]),
        {"side_w": shown[:, 0], "side_h": shown[:, 1], "where": where},
    )


@row_check("corner-rows")
def corner_rows(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Rows that make sense as two corners and, read as centre and size, leave the image.

    One row by itself must leave it by `min_outside`. Where every row of a file has its third number over its
    first and its fourth over its second, one that leaves it by 1 % is enough, and so are `min_rows` rows: real
    files hold that many boxes on each other's top rarely, two corners always read like that.
    """
    labels = tables.labels
    is_box = _box_rows(labels)
    x, y, w, h = labels.xywh.T
    ordered = is_box & (w > x) & (h > y) & (x >= 0) & (y >= 0) & (w <= 1.001) & (h <= 1.001)
    outside = np.maximum(np.maximum(w / 2 - x, x + w / 2 - 1), np.maximum(h / 2 - y, y + h / 2 - 1))
    n_files = labels.n_files
    rows = np.bincount(labels.file, is_box, minlength=n_files)
    all_ordered = (rows > 1) & (np.bincount(labels.file, ordered, minlength=n_files) == rows)
    leaves = np.bincount(labels.file, ordered & (outside > 0.01), minlength=n_files) > 0
    telling = all_ordered & (leaves | (rows >= params["min_rows"]))
    by_file = telling[labels.file]
    index = np.flatnonzero(ordered & (by_file | (outside > params["min_outside"])))
    if not len(index):
        return no_hits()
    here = by_file[index]
    counts = rows[labels.file[index]]
    evidence = [
        f"all {n:.0f} rows of the file do" if f else f"as centre and size it leaves the image by {o:.0%}"
        for f, n, o in zip(here.tolist(), counts.tolist(), outside[index].tolist(), strict=True)
    ]
    threshold = np.full(len(index), params["min_outside"])
    return Hits(index, np.maximum(outside[index], 0), threshold, {"evidence": evidence})
