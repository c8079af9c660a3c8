"""Label files as lines: the text of every row is kept, so that a row nobody alters stays byte for byte as it was."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Centre and size, normalised."""


class InjectionError(Exception):
    """The dataset cannot be used for this benchmark; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Row:
    """One box.

    Attributes:
        line: 1-based physical line.
        class_id: As written.
        box: Centre and size, normalised.
    """

    line: int
    class_id: int
    box: Box


@dataclass(frozen=True, slots=True)
class Page:
    """One image's labels.

    Attributes:
        lines: Of the label file, without line ends; empty where there is no file.
        rows: Its boxes that have an area: the others are flawed already and are left alone.
        width, height: Of the image, pixels.
        nc: Number of classes of the dataset.
    """

    lines: Sequence[str]
    rows: Sequence[Row]
    width: int
    height: int
    nc: int

    @classmethod
    def read(cls, path: str | None, width: int, height: int, nc: int) -> Page:
        """Read a label file; None stands for an image without one.

        Raises:
            InjectionError: A row is no box of five numbers.
        """
        lines: list[str] = []
        if path is not None:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        rows = [parse(line, n, path) for n, line in enumerate(lines, 1) if line.strip()]
        return cls(lines, [row for row in rows if min(row.box[2:]) > 0], width, height, nc)


def parse(line: str, number: int, path: str | None) -> Row:
    """One line of a label file as a row."""
    tokens = line.split()
    try:
        class_id, (x, y, w, h) = int(tokens[0]), map(float, tokens[1:])
    except ValueError as error:
        raise InjectionError(
            f"{path}:{number}: a row of a detection set is a class id and four numbers"
        ) from error
    return Row(number, class_id, (x, y, w, h))


def training_rows(label: str) -> list[Row]:
    """The rows of a label file, each once, as training has them."""
    if not os.path.exists(label):
        return []
    with open(label, encoding="utf-8") as file:
        rows = [parse(line, n, label) for n, line in enumerate(file, 1) if line.strip()]
    first: dict[tuple[int, Box], Row] = {}
    for row in rows:
        first.setdefault((row.class_id, row.box), row)
    return list(first.values())


def text(class_id: int, box: Box) -> str:
    """A row as it is written, six decimals."""
    return " ".join([str(class_id), *(f"{v:.6f}" for v in box)])


def corners(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """float64 (N, 4): x1 y1 x2 y2, normalised."""
    xywh = np.array(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, :2] + xywh[:, 2:] / 2], axis=1)


def iou(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """float64 (len(a), len(b)): intersection over union."""
    return iou_of_corners(corners(a), corners(b))


def iou_of_corners(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (N, M): intersection over union of boxes (N, 4) and (M, 4), x1 y1 x2 y2; 0 for boxes without area."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    area_a, area_b = (np.clip(c[:, 2:] - c[:, :2], 0, None).prod(-1) for c in (a, b))
    return np.asarray(common / np.maximum(area_a[:, None] + area_b[None] - common, 1e-12))
