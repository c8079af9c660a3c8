"""Measures the images of one batch, without augmentation, with BatchNorm frozen; the weights do not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.probe.doubt.features import RowFeatures, row_features
from sanitizer.probe.doubt.mirror import mirror_average
from sanitizer.probe.doubt.twins import make_candidates
from sanitizer.probe.gradients.attribution import attribute
from sanitizer.probe.gradients.folding import fold
from sanitizer.probe.gradients.measured import Measured
from sanitizer.probe.gradients.one_of_batch import one_image, one_output
from sanitizer.probe.gradients.outputs import branches, features_of, freeze_batchnorm, predictions
from sanitizer.probe.gradients.signals import Letterbox, different_objects, image_signals
from sanitizer.ultra.adapter.criteria import named_criterion
from sanitizer.ultra.probe_dataset import ReadOnlyDataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from sanitizer.probe.gradients.attribution import BatchAttribution
    from sanitizer.probe.gradients.outputs import Assignment
    from sanitizer.ultra.samples import Sample


class Measurer:
    """Measures batches of one model on one device.

    Args:
        model: The model after the warm-up; it is changed for measuring (`prepare`).
        dataset: The images, without augmentation.
        device: The device to run on.
        amp_type: Number type of one more forward pass, which finds losses that are not finite only under AMP; None
            leaves that pass out.
        compares: Compare the outputs with the rows too: `signals`, `features` and `look`. Gradients need none of it.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: ReadOnlyDataset,
        device: torch.device,
        amp_type: torch.dtype | None = None,
        compares: bool = True,
    ) -> None:
        self.model = prepare(model).to(device)
        self.criterion: Any = named_criterion(self.model)
        self.folded = fold(self.model)
        self.dataset, self.device, self.amp_type, self.compares = dataset, device, amp_type, compares
        self._overlap = bool(getattr(branches(self.criterion)[0].criterion, "overlap", True))
        used = [np.unique(sample.class_id) for sample in dataset.samples]
        self._classes = np.unique(np.concatenate([*used, np.zeros(0)])).astype(np.int64)

    def measure(self, indices: Sequence[int], number: int = 0) -> list[Measured]:
        """Measure some samples as one batch.

        Args:
            indices: Numbers of the samples.
            number: Number of the batch, for `Measured.batch`.

        Returns:
            One measurement per sample, in order. An image whose loss or gradient is not finite says so in
            `not_finite`, and the batch is measured again without it.
        """
        batch = self._collate(indices)
        results = {i: Measured(i, number, unreadable=self.dataset.unreadable.get(i, "")) for i in indices}
        self._lone_losses(batch, [results[i] for i in indices])
        good = [i for i in indices if not results[i].not_finite]
        if good:
            batch = batch if len(good) == len(indices) else self._collate(good)
            found: BatchAttribution | None = attribute(self.folded, self.criterion, batch)
            assert found is not None
            if not np.isfinite(found.grad_norm):
                good = self._without_bad_gradients(good, results)
                batch = self._collate(good) if good else batch
                found = attribute(self.folded, self.criterion, batch) if good else None
            if found is not None:
                self._keep(found, batch, [results[i] for i in good])
        return [results[i] for i in indices]

    def _collate(self, indices: Sequence[int]) -> dict[str, Any]:
        items = [self.dataset[i] for i in indices]
        batch: dict[str, Any] = ReadOnlyDataset.collate_fn(items)
        for key, value in batch.items():
            if isinstance(value, torch.Tensor):
                batch[key] = value.to(self.device)
        batch["img"] = batch["img"].float() / 255
        return batch

    def _lone_losses(self, batch: Mapping[str, Any], results: Sequence[Measured]) -> None:
        """Set `loss` of every image as a batch of one, and `not_finite`, `bad_row` and `amp_only`."""
        with torch.no_grad():
            preds = self.folded(batch["img"])
            for i, result in enumerate(results):
                result.loss = self._loss_of(preds, batch, i)
                if not all(np.isfinite(v) for v in result.loss.values()):
                    result.not_finite = "loss"
                    result.bad_row = self._bad_row(preds, batch, i)
            if self.amp_type is not None:
                with torch.autocast(self.device.type, self.amp_type):
                    low = self.model(
                        batch["img"]
                    )  # not the folded model: training runs BatchNorm as its own layer
                    for i, result in enumerate(results):
                        loss = self._loss_of(low, batch, i)
                        result.amp_only = not result.not_finite and not all(map(np.isfinite, loss.values()))

    def _loss_of(
        self, preds: Mapping[str, Any], batch: Mapping[str, Any], image: int, without_row: int | None = None
    ) -> dict[str, float]:
        _total, items = self.criterion(
            one_output(preds, image), one_image(batch, image, self._overlap, without_row)
        )
        return {name: float(value) for name, value in items.items()}

    def _bad_row(self, preds: Mapping[str, Any], batch: Mapping[str, Any], image: int) -> int | None:
        """Number, in the order of training, of the row without which the image's loss is finite; None without one."""
        rows = torch.as_tensor(batch["row"][image]).tolist()
        first = int(self.dataset.first_row[self._sample_of(rows[0])]) if rows else 0
        for k, row in enumerate(rows):
            if all(np.isfinite(v) for v in self._loss_of(preds, batch, image, k).values()):
                return int(row) - first
        return None

    def _sample_of(self, row: int) -> int:
        return int(np.searchsorted(self.dataset.first_row, row, side="right")) - 1

    def _without_bad_gradients(self, indices: Sequence[int], results: Mapping[int, Measured]) -> list[int]:
        good = []
        for i in indices:
            alone = attribute(self.folded, self.criterion, self._collate([i]))
            if np.isfinite(alone.grad_norm):
                good.append(i)
            else:
                results[i].not_finite = "gradient"
        return good

    def _keep(self, found: BatchAttribution, batch: Mapping[str, Any], results: Sequence[Measured]) -> None:
        """Copy a batch's attribution into the measurements of its images, with rows in the order of training."""
        main = branches(self.criterion)[0].name
        assignment = found.loss.assignments[main]
        if self.compares:
            probabilities, predicted, looks = self._outputs(found.scores[main], assignment, batch)
        # The batch's loss is divided by its label weight, and so is each image's part of the gradient.
        per_weight = len(results) / float(assignment.target_scores.sum().clamp(min=1))
        for k, result in enumerate(results):
            sample = self.dataset.samples[result.index]
            letterbox = self._letterbox(sample)
            order = (batch["row"][k].cpu() - int(self.dataset.first_row[result.index])).numpy()
            order = order[self._trained_rows(batch, k)]
            if self.compares:
                self._compare(result, k, order, letterbox, probabilities[k], predicted[k], assignment)
                result.look = looks[k]
            result.row_share = np.zeros(len(sample))
            result.row_share[order] = found.row_share[k, : len(order)].cpu().numpy()
            result.grad_norm, result.per_weight = float(found.image_norm[k]) / per_weight, per_weight
            result.share = float(found.image_share[k])
            result.background_share = float(found.background_share[k])
            background = torch.where(assignment.foreground[k], -torch.inf, found.anchor_share[main][k])
            result.place = letterbox.point(*assignment.place(k, int(background.argmax())))

    def _compare(
        self,
        result: Measured,
        k: int,
        order: NDArray[np.int64],
        letterbox: Letterbox,
        probabilities: torch.Tensor,
        predicted: torch.Tensor,
        assignment: Assignment,
    ) -> None:
        """Set `signals` and `features` of image k of the batch. `order` holds the numbers of the rows that count."""
        sample = self.dataset.samples[result.index]
        classes = torch.from_numpy(sample.class_id[order, 0]).long().to(self.device)
        objects = different_objects(probabilities, predicted)
        boxes = assignment.gt_boxes[k, : len(order)]
        signals = image_signals(probabilities, predicted, objects, assignment, k, classes, boxes, letterbox)
        result.signals = signals.placed(order, len(sample))
        candidates = make_candidates(
            classes.cpu().numpy(),
            boxes.double().cpu().numpy(),
            self._classes,
            letterbox.area,
            np.random.default_rng((0, result.index)),
        )
        values = row_features(probabilities, predicted, objects, candidates)
        result.features = RowFeatures(candidates.kind, order[candidates.row], candidates.class_id, values)

    def _outputs(
        self, scores: torch.Tensor, assignment: Assignment, batch: Mapping[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.float64]]:
        """Class probabilities (B, A, nc) and boxes (B, A, 4 or 5); looks (B, F).

        On a grid of anchors, probabilities and boxes are averaged with those of the mirrored images.
        """
        with torch.no_grad():
            preds = self.folded(batch["img"].flip(3))
        maps = [m.mean((2, 3)) for m in features_of(preds)] or [scores.new_zeros(len(scores), 0)]
        probabilities, boxes = scores.sigmoid().transpose(1, 2), assignment.predicted_boxes.float()
        if assignment.has_grid:
            probabilities, boxes = mirror_average(
                probabilities,
                boxes,
                *predictions(self.criterion, preds, batch),
                assignment.anchors,
                batch["img"].shape[3],
            )
        return probabilities, boxes, torch.cat(maps, 1).double().cpu().numpy()

    def _letterbox(self, sample: Sample) -> Letterbox:
        side: Any = self.dataset.imgsz
        if self.dataset.is_stretched:
            return Letterbox(0, 0, side, side)
        return Letterbox.of(sample.width, sample.height, side)

    def _trained_rows(self, batch: Mapping[str, Any], image: int) -> NDArray[np.bool_]:
        """bool (R,): rows that the loss uses; for oriented boxes, it leaves out boxes with a side under 2 px."""
        boxes = batch["bboxes"][batch["batch_idx"] == image]
        if boxes.shape[-1] != 5:
            return np.ones(len(boxes), np.bool_)
        height, width = batch["img"].shape[2:]
        kept: NDArray[np.bool_] = ((boxes[:, 2] * width >= 2) & (boxes[:, 3] * height >= 2)).cpu().numpy()
        return kept


def prepare(model: nn.Module) -> nn.Module:
    """Change a model for measuring, and return it in float32.

    Freezes BatchNorm, gives all weights but constants a gradient, and turns off in-place operations.
    """
    freeze_batchnorm(model)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".dfl" not in name)  # the projection of box distributions is a constant
    return model.float()
