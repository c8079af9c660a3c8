"""Errors in single rows all over a set: drop, flip, shift and spawn.

The kinds are those of Schubert et al. (2023), Identifying Label Errors in Object Detection Datasets by Loss Inspection,
arXiv 2303.06999. One row in five has an error, as in Chachuła et al. (2022), Combating Noisy Labels in Object Detection
Datasets, arXiv 2211.13993; each kind has the same number of rows.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from injection.errors import another_class
from injection.inject import copy_dataset, label_of
from injection.rows import InjectionError, iou, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from injection.rows import Box, Page, Row

DROP, FLIP, SHIFT, SPAWN = "drop", "flip", "shift", "spawn"
ROW_KINDS = (FLIP, SHIFT, SPAWN)
"""Kinds that leave a wrong row behind."""
SHIFTED_IOU = (0.4, 0.7)
"""IoU of a shifted box with the box that it was."""
SPAWNED_IOU = 0.3
"""Most IoU of a spawned box with any row of its image."""
_TRIES = 1000


@dataclass(frozen=True, slots=True)
class RowTruth:
    """What was done to one image.

    Attributes:
        lines: 1-based number of a line in the new label file to its kind of error.
        dropped: Boxes whose line was taken away: centre and size, normalised.
    """

    lines: Mapping[int, str]
    dropped: Sequence[Box]


def inject_rows(dataset_dir: str, out_dir: str, seed: int, share: float = 0.2) -> dict[str, RowTruth]:
    """Copy a set, put an error into a share of its training rows, and write what was done to truth.json.

    A row has one error at most. A set with one class gets no flips.

    Raises:
        InjectionError: The set has too few rows, or `out_dir` exists.
    """
    pages = copy_dataset(dataset_dir, out_dir)
    truth = alter_rows(pages, out_dir, share, np.random.default_rng(seed))
    # The last file: where it is, the copy is whole.
    with open(os.path.join(out_dir, "truth.json"), "w", encoding="utf-8") as file:
        json.dump({image: asdict(t) for image, t in truth.items()}, file, indent=1)
    return truth


def read_row_truth(out_dir: str) -> dict[str, RowTruth]:
    """What `inject_rows` did there."""
    with open(os.path.join(out_dir, "truth.json"), encoding="utf-8") as file:
        saved = json.load(file)
    return {
        image: RowTruth(
            {int(line): kind for line, kind in record["lines"].items()},  # JSON's keys are text
            [tuple(box) for box in record["dropped"]],
        )
        for image, record in saved.items()
    }


def alter_rows(
    pages: Mapping[str, Page], out_dir: str, share: float, random: np.random.Generator
) -> dict[str, RowTruth]:
    """Write the label files with errors; the images that have any."""
    rows = [(image, row) for image, page in pages.items() for row in page.rows]
    kinds = (DROP, *ROW_KINDS) if next(iter(pages.values())).nc > 1 else (DROP, SHIFT, SPAWN)
    each = int(len(rows) * share) // len(kinds)
    if not each:
        raise InjectionError(
            f"{len(rows)} rows: a share of {share} gives none for each of {len(kinds)} kinds"
        )
    chosen = random.permutation(len(rows))[: each * len(kinds)].tolist()
    work: dict[str, list[tuple[str, Row]]] = {}
    for n, number in enumerate(chosen):
        image, row = rows[number]
        kind = kinds[n % len(kinds)]
        # A spawned box has the class and the size of the row, but may lie in any image.
        target = list(pages)[int(random.integers(len(pages)))] if kind == SPAWN else image
        work.setdefault(target, []).append((kind, row))
    return {image: _alter(pages[image], image, work[image], out_dir, random) for image in sorted(work)}


def _alter(
    page: Page, image: str, work: Sequence[tuple[str, Row]], out_dir: str, random: np.random.Generator
) -> RowTruth:
    lines: list[tuple[str | None, str | None]] = [(line, None) for line in page.lines]
    boxes = [row.box for row in page.rows]
    dropped = []
    for kind, row in work:
        if kind == SPAWN:
            box = spawn(row.box, boxes, random)
            if box is not None:
                lines.append((text(row.class_id, box), kind))
                boxes.append(box)
            continue
        if kind == DROP:
            lines[row.line - 1] = (None, None)
            dropped.append(row.box)
        elif kind == FLIP:
            rest = page.lines[row.line - 1].split(maxsplit=1)[1]
            lines[row.line - 1] = (f"{another_class(row, page.nc, random)} {rest}", kind)
        else:
            lines[row.line - 1] = (text(row.class_id, shift(row.box, random)), kind)
    kept = [(line, kind) for line, kind in lines if line is not None]
    with open(label_of(os.path.join(out_dir, image)), "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line, _ in kept)
    return RowTruth({n: kind for n, (_, kind) in enumerate(kept, 1) if kind}, dropped)


def shift(box: Box, random: np.random.Generator) -> Box:
    """The box moved and resized inside the image, until its IoU with the old one is in `SHIFTED_IOU`."""
    low, high = SHIFTED_IOU
    x, y, w, h = box
    for _ in range(_TRIES):
        scale_w, scale_h = np.exp(random.uniform(-0.4, 0.4, 2)).tolist()
        dx, dy = random.uniform(-0.5, 0.5, 2).tolist()
        moved = _inside((x + dx * w, y + dy * h, min(w * scale_w, 1.0), min(h * scale_h, 1.0)))
        if low <= iou([box], [moved])[0, 0] <= high:
            return moved
    # A box as large as the image cannot move: half of it is left.
    return _inside((x, y, w * 0.75, h * 0.75))


def spawn(box: Box, others: Sequence[Box], random: np.random.Generator) -> Box | None:
    """A box of the same size where no row is; None where there is no room."""
    _, _, w, h = box
    for _ in range(_TRIES):
        x, y = random.uniform(w / 2, max(1 - w / 2, w / 2)), random.uniform(h / 2, max(1 - h / 2, h / 2))
        if not others or iou([(x, y, w, h)], others).max() <= SPAWNED_IOU:
            return x, y, w, h
    return None


def _inside(box: Box) -> Box:
    """The box, pushed back into the image."""
    x, y, w, h = box
    return min(max(x, w / 2), 1 - w / 2), min(max(y, h / 2), 1 - h / 2), w, h
