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


_AT_ONCE = 16
"""Images whose labels are read together."""
_TIMES_AN_IMAGE = 10.0
"""Attributing an image takes about so many times what training takes for one, the copy of the model included."""

Found = dict[str, "tuple[Sample, Measured] | None"]
"""Image file to its sample and measurement; None for an image that training leaves out."""


class SpikeAttribution:
    """Measures the share of each image in spikes, over several calls. Model, random states and files do not change.

    Each image is measured alone, without augmentation, and with BatchNorm on its running statistics. The weights are
    those of the time of the call, not those of the step: a label's effect on the gradient hardly depends on that, and
    saving the weights of every step would cost more than training.
    """

    def __init__(self) -> None:
        self._known: dict[int, Found] = {}
        self._first_image_s: float | None = None

    def measure(
        self, trainer: ClippedStep, images_of_step: Mapping[int, Sequence[str]], seconds: float
    ) -> dict[int, list[SpikeShare]]:
        """Measure as many images as can be measured in so many seconds, those of earlier calls left out.

        Args:
            trainer: A trainer between two epochs, or after the last one.
            images_of_step: Step number to the step's image files, most suspicious first.
            seconds: No image is begun that would probably take longer.

        Returns:
            Step number to the shares of its measured images, largest first, for steps with a new measurement; empty
            if training uses only some classes.
        """
        if trainer.args.classes is not None:  # the measurer would not leave out the rows of other classes
            return {}
        self._known = {step: self._known.get(step, {}) for step in images_of_step}
        wanted = {
            step: [i for i in dict.fromkeys(images) if i not in self._known[step]]
            for step, images in images_of_step.items()
        }
        with _random_states_kept():
            measured = self._measured(
                trainer, dict.fromkeys(i for of in wanted.values() for i in of), seconds
            )
        new = {step: {i: measured[i] for i in of if i in measured} for step, of in wanted.items()}
        for step, of_step in new.items():
            self._known[step].update(of_step)
        return {
            step: list(_shares(images_of_step[step], self._known[step]))
            for step, of_step in new.items()
            if of_step
        }

    def _measured(self, trainer: Any, images: Mapping[str, object], seconds: float) -> Found:
        """The first of these images, as many as there is time for."""
        started = time.perf_counter()
        expected_s = self._first_image_s
        if expected_s is None:  # as far as training itself tells
            expected_s = (
                _TIMES_AN_IMAGE * trainer.unexplained.epoch_s / max(len(trainer.train_loader.dataset), 1)
            )
        found: Found = {}
        for k in range(0, len(images), _AT_ONCE):
            if time.perf_counter() - started + expected_s > seconds:
                break
            files = list(images)[k : k + _AT_ONCE]
            samples = _samples(trainer, files)
            found |= dict.fromkeys(set(files) - {s.image for s in samples})
            if not samples:
                continue
            measurer = _measurer(trainer, samples)
            for i, sample in enumerate(samples):
                begun = time.perf_counter()
                if begun - started + expected_s > seconds:
                    return found
                is_first = not any(found.values())
                (found[sample.image],) = [(sample, m) for m in measurer.measure([i])]
                if is_first:
                    self._first_image_s = min(self._first_image_s or seconds, time.perf_counter() - started)
                expected_s = time.perf_counter() - begun
        return found


def _samples(trainer: Any, files: list[Any]) -> list[Sample]:
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
    samples = list(samples_of(read_chunk(Chunk("train", files, img2label_paths(files)), spec), spec))
    return [replace(s, class_id=s.class_id * 0) for s in samples] if single else samples


def _measurer(trainer: Any, samples: Sequence[Sample]) -> Measurer:
    """A measurer of these samples, with a copy of its own of the trainer's model, as it changes the model's head."""
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
    return Measurer(model, dataset, trainer.device, compares=False)


def _shares(images: Sequence[str], measured: Found) -> Iterator[SpikeShare]:
    """The shares of one step's measured images: images that are not finite first, then by gradient norm."""
    known = [(image, *found) for image in dict.fromkeys(images) if (found := measured.get(image)) is not None]
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
