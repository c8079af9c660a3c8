"""What a training recipe has to fit in a dataset: how many images, how many classes, how large the boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.model import refuse_unknown_splits
from sanitizer.dataset.tables import RowKind
from sanitizer.ultra.label_check import verdicts
from sanitizer.ultra.samples import read_chunk, read_split, samples_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import ChunkTables, ImageTable, LabelTable, Task, TaskSpec
    from sanitizer.ultra.samples import Sample

_MAX_SIDES = 1_000_000
SAMPLED_PAIRS, SAMPLED_AT_ONCE = 2048, 64
"""Pairs of a split that tell how large its boxes are, read in stretches at even distances: a share is right within a
hundredth or two, which is what its rule rounds to."""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The training split in numbers.

    Attributes:
        task: What its labels are for.
        n_images: Images that training would keep; None where unknown: only a sample was read.
        n_classes: None where the data.yaml does not say.
        short_sides: float64 (N,) shorter side of each box of these images, as a share of the image's long side, so
            that times imgsz it is in pixels of the network's input.
    """

    task: Task = "detect"
    n_images: int | None = None
    n_classes: int | None = None
    short_sides: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def sample_training_split(dataset: Dataset, spec: TaskSpec) -> DatasetFacts:
    """As `read_training_split`, of some images only where there are many: `n_images` is None then."""
    split = next((split for split in dataset.splits if split.name == "train"), None)
    if split is None or len(split) <= SAMPLED_PAIRS:
        return read_training_split(dataset, spec)[0]
    _refuse_without_training_split(dataset)
    sides = []
    for start in np.linspace(
        0, len(split) - SAMPLED_AT_ONCE, SAMPLED_PAIRS // SAMPLED_AT_ONCE, dtype=int
    ).tolist():
        tables = read_chunk(split.chunk(start, start + SAMPLED_AT_ONCE), spec)
        sides.append(_short_sides(tables.labels, tables.images, _used(tables, spec)))
    return DatasetFacts(spec.task, None, dataset.nc, np.concatenate(sides)[:_MAX_SIDES])


def read_training_split(
    dataset: Dataset, spec: TaskSpec, *, keep_samples: bool = False
) -> tuple[DatasetFacts, list[Sample]]:
    """Read the labels and image headers of the training split, once. Nothing is written, and no rule is run.

    Args:
        dataset: What `find_loose_dataset` found.
        spec: What training assumes of every row.
        keep_samples: Also make samples of the images, for runs of the model.

    Returns:
        The split in numbers, and its samples as `read_samples` gives them; no sample where none are wanted.

    Raises:
        DatasetError: A folder without data.yaml has no training split.
    """
    _refuse_without_training_split(dataset)
    n_kept, sides = 0, [np.zeros(0)]
    samples: list[Sample] = []
    for tables in read_split(dataset, spec, "train"):
        used = _used(tables, spec)
        n_kept += int(used.sum())
        sides.append(_short_sides(tables.labels, tables.images, used))
        if keep_samples:
            samples += samples_of(tables, spec)
    facts = DatasetFacts(spec.task, n_kept, dataset.nc, np.concatenate(sides)[:_MAX_SIDES])
    return facts, sorted(samples, key=lambda s: s.image)


def _used(tables: ChunkTables, spec: TaskSpec) -> NDArray[np.bool_]:
    """bool (N,): pairs with an image that training would keep."""
    has_image = np.array([image is not None for image in tables.chunk.images])
    return has_image & ~verdicts(tables.labels, tables.images, spec).dropped


def _refuse_without_training_split(dataset: Dataset) -> None:
    """DatasetError where the look of a folder shows no training split; of a data.yaml the scan's findings say so."""
    names = [split.name for split in dataset.splits]
    if not dataset.files_only and (dataset.yaml_path is None or "" in names):
        refuse_unknown_splits(["train"], names, dataset.data)


def _short_sides(labels: LabelTable, images: ImageTable, used: NDArray[np.bool_]) -> NDArray[np.float64]:
    width, height = images.upright_size()
    rows = used[labels.file] & (labels.kind != RowKind.FAULTY) & (width[labels.file] > 0)
    width, height = width[labels.file[rows]], height[labels.file[rows]]
    shorter = np.minimum(labels.xywh[rows, 2] * width, labels.xywh[rows, 3] * height)
    share: NDArray[np.float64] = shorter / np.maximum(width, height)
    return share[np.isfinite(share) & (share > 0)]
