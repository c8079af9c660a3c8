"""Attributes a spike to its images and their label lines: measured at the epoch's end, on a copy of the model."""

from __future__ import annotations

import contextlib
import random
import time
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.dataset.tables import Chunk, TaskSpec
from sanitizer.probe.gradients.measure import Measurer
from sanitizer.train.spikes import SpikeShare
from sanitizer.ultra.library import img2label_paths, unwrap_model
from sanitizer.ultra.model import is_detr
from sanitizer.ultra.probe_dataset import read_only_dataset
from sanitizer.ultra.samples import read_chunk, samples_of
from sanitizer.ultra.versions import behaviour_to_judge_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.train.clipped_step import ClippedStep
    from sanitizer.ultra.samples import Sample


def attribute_steps(
    trainer: ClippedStep, images_of_step: Mapping[int, Sequence[str]], seconds: float
) -> dict[int, list[SpikeShare]]:
    """Measure the share of each image in the spikes of these steps. The model, random states and files do not change.

    Each image is measured alone, without augmentation, and with BatchNorm on its running statistics. The weights are
    those of the epoch's end, not those of the step: a label's effect on the gradient hardly depends on that, and
    saving the weights of every step would cost more than training.

    Args:
        trainer: A trainer between two epochs.
        images_of_step: Step number to the step's image files, most suspicious first.
        seconds: After this time no further image is measured.

    Returns:
        Step number to the shares of its measured images, largest first; empty if training uses only some classes.
    """
    if trainer.args.classes is not None:  # training leaves out rows of other classes, the measurer does not
        return {}
    samples = _samples(trainer, dict.fromkeys(i for images in images_of_step.values() for i in images))
    with _random_states_kept():
        measured = _measured(trainer, samples, time.perf_counter() + seconds)
    return {step: list(_shares(images, measured)) for step, images in images_of_step.items()}


def _samples(trainer: Any, images: Mapping[str, object]) -> list[Sample]:
    """The samples that training reads from these image files and their label files."""
    data, single = trainer.data, bool(trainer.args.single_cls)
    names = {int(k): str(v) for k, v in data["names"].items()}
    spec = TaskSpec(
        trainer.args.task,
        None if single else data["nc"],
        names,
        tuple(data.get("kpt_shape") or (0, 0)),
        behaviour=behaviour_to_judge_by(),
    )
    files: list[Any] = list(images)
    samples = list(samples_of(read_chunk(Chunk("train", files, img2label_paths(files)), spec), spec))
    return [replace(s, class_id=s.class_id * 0) for s in samples] if single else samples


def _measured(trainer: Any, samples: Sequence[Sample], deadline: float) -> dict[str, tuple[Sample, Measured]]:
    """Image file to its sample and measurement, for as many images as fit before the deadline."""
    if not samples:
        return {}
    model = deepcopy(unwrap_model(trainer.model))
    model.args = trainer.args
    dataset = read_only_dataset(
        is_detr(model),
        samples,
        data=trainer.data,
        task=trainer.args.task,
        imgsz=trainer.args.imgsz,
        augment=False,
        hyp=trainer.args,
    )
    measurer = Measurer(model, dataset, trainer.device)
    measured = {}
    for i, sample in enumerate(samples):
        if time.perf_counter() > deadline:
            break
        (measured[sample.image],) = [(sample, m) for m in measurer.measure([i])]
    return measured


def _shares(images: Sequence[str], measured: Mapping[str, tuple[Sample, Measured]]) -> Iterator[SpikeShare]:
    """The shares of one step's measured images: images that are not finite first, then by gradient norm."""
    known = [(image, *measured[image]) for image in dict.fromkeys(images) if image in measured]
    squares = np.array([m.grad_norm**2 for _, _, m in known])
    total = float(np.nansum(squares)) or 1.0
    for k in np.argsort(-np.nan_to_num(squares, nan=np.inf), kind="stable").tolist():
        image, sample, m = known[k]
        share = float(squares[k]) / total if np.isfinite(squares[k]) else None
        row, line_share = _heaviest_row(m)
        yield SpikeShare(image, share, None if row is None else int(sample.lines[row]), line_share)


def _heaviest_row(m: Measured) -> tuple[int | None, float | None]:
    """(row with the largest part of the image's gradient, that part); if the loss is not finite, (`bad_row`, None)."""
    if m.not_finite:
        return m.bad_row, None
    if not len(m.row_share) or not np.isfinite(m.row_share).all():
        return None, None
    row = int(m.row_share.argmax())
    return row, float(m.row_share[row])


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    """After the block, put back the states of Python's, NumPy's and PyTorch's random number generators."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
