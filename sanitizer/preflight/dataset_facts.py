"""What a training recipe has to fit in a dataset: how many images, how many classes, how large the boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.dataset.model import PAIRS_PER_CHUNK
from sanitizer.dataset.tables import RowKind
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import read_labels
from sanitizer.scanner.chunks import pieces
from sanitizer.scanner.task import infer_task
from sanitizer.ultra.label_check import verdicts

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ImageTable, LabelTable, Task

_MAX_SIDES = 1_000_000


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The training split in numbers.

    Attributes:
        task: What its labels are for.
        n_images: Images that training would keep; None where unknown.
        n_classes: None where the data.yaml does not say.
        short_sides: float64 (N,) shorter side of each box of these images, as a share of the image's long side, so
            that times imgsz it is in pixels of the network's input.
    """

    task: Task = "detect"
    n_images: int | None = None
    n_classes: int | None = None
    short_sides: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def dataset_facts(data: str | os.PathLike[str]) -> DatasetFacts:
    """Read the labels and image headers of the training split. Nothing is written, and no rule is run.

    Raises:
        DatasetError: The dataset cannot be read at all.
    """
    dataset = find_loose_dataset([str(data)], ["train"]).without_repeats()
    task, _ = infer_task(dataset)
    spec = dataset.task_spec(task)
    kept, sides = 0, [np.zeros(0)]
    for piece in pieces(dataset, PAIRS_PER_CHUNK["header"]):
        chunk = dataset.splits[piece.split].chunk(piece.start, piece.stop)
        labels, images = read_labels(chunk.labels, spec), read_images(chunk.images, "header")
        used = (
            np.array([image is not None for image in chunk.images]) & ~verdicts(labels, images, spec).dropped
        )
        kept += int(used.sum())
        sides.append(_short_sides(labels, images, used))
    return DatasetFacts(task, kept, dataset.nc, np.concatenate(sides)[:_MAX_SIDES])


def _short_sides(labels: LabelTable, images: ImageTable, used: NDArray[np.bool_]) -> NDArray[np.float64]:
    width, height = images.upright_size()
    rows = used[labels.file] & (labels.kind != RowKind.FAULTY) & (width[labels.file] > 0)
    width, height = width[labels.file[rows]], height[labels.file[rows]]
    shorter = np.minimum(labels.xywh[rows, 2] * width, labels.xywh[rows, 3] * height)
    share: NDArray[np.float64] = shorter / np.maximum(width, height)
    return share[np.isfinite(share) & (share > 0)]
