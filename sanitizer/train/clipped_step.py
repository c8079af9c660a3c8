"""The optimizer step of the clipped trainer: unscale, measure, clip, step; never on a gradient that is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist

from sanitizer.train.clipping import AUTO, clip_limit
from sanitizer.train.ranks import of_each_rank, several_ranks
from sanitizer.ultra.adapter.losses import items_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sanitizer.train.adaptive_clip import AdaptiveClip

    class _Trainer:
        """What the clipped trainer uses of `ultralytics.engine.trainer.BaseTrainer`, which carries no types."""

        args: Any
        model: torch.nn.Module
        optimizer: torch.optim.Optimizer | None
        scheduler: Any
        scaler: torch.amp.GradScaler
        ema: Any
        amp: bool
        device: torch.device
        epoch: int
        metrics: Any
        start_epoch: int
        resume: bool
        save_dir: Path
        train_loader: Any
        loss: torch.Tensor | None
        loss_items: dict[str, torch.Tensor] | torch.Tensor | None
        tloss: dict[str, torch.Tensor] | torch.Tensor | None

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def build_dataset(self, img_path: str, mode: str = ..., batch: int | None = ...) -> Any: ...
        def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]: ...
        def run_callbacks(self, event: str) -> None: ...
        def check_resume(self, overrides: dict[str, Any]) -> None: ...
        def _build_train_pipeline(self) -> None: ...
        def _handle_nan_recovery(self, epoch: int) -> bool: ...
else:
    _Trainer = object


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimizer step that is over: the trainer made it or skipped it.

    A step may gather several batches (`nbs` over `batch`). Its losses are the means over these batches, each as the
    criterion returned it. (Ultralytics shows running means over the epoch instead.)

    Attributes:
        step: Number of the step in this process, from 0; skipped steps count.
        epoch: Number of the epoch, from 0.
        loss: The number that backward() started from: the sum of the loss parts, times the batch size.
        loss_items: Name of each loss part to its value for one image.
        grad_norm: L2 norm of all gradients together, unscaled and before clipping; inf or NaN as measured.
        max_grad_norm: Clip limit of this step.
        clip_coefficient: Factor that clipping applied to the gradients: 1 for an unclipped step, 0 for a skipped one.
        lr: Learning rate of the weights (those with weight decay).
        amp_scale: Loss scale of the GradScaler; None without AMP.
        skipped: The gradient was not finite, so weights, optimizer and EMA did not change.
        images: Files of all images in the gathered batches, with mosaic tiles where the dataset names them. On
            several GPUs: the images of this process; for a skipped step those of all processes.
    """

    step: int
    epoch: int
    loss: float
    loss_items: dict[str, float]
    grad_norm: float
    max_grad_norm: float
    clip_coefficient: float
    lr: float
    amp_scale: float | None
    skipped: bool
    images: tuple[str, ...]


@dataclass(slots=True)
class GatheredStep:
    """The optimizer step that is being gathered, batch by batch. `StepRecord` is the same step once it is over.

    Attributes:
        n_batches: Batches that went to the device for this step so far.
        images: Files of the images in these batches.
        losses: One float32 tensor (1 + number of loss parts,) for each batch whose loss is known: the loss, then its
            parts. The loss of the newest batch is known only after its forward pass.
    """

    n_batches: int = 0
    images: list[str] = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)


class ClippedStep(_Trainer):
    """Mixin for Ultralytics trainers, placed before them: `class T(ClippedStep, DetectionTrainer)`.

    The mixin replaces `optimizer_step` and keeps the order of its operations. With `max_grad_norm = 10` and finite
    gradients, the mixin does not change a single bit of the training.

    Attributes:
        max_grad_norm: Clip limit, or "auto": see `clip_limit`. Ultralytics fixes it at 10.
        adaptive_clip: If set, gives the clip limit from past norms, once it knows enough of them.
        step_listeners: Functions that get the record of every step, on every process.
        steps_done: Number of the next step.
    """

    max_grad_norm: float | str = AUTO
    adaptive_clip: AdaptiveClip | None = None
    step_listeners: list[Callable[[StepRecord], None]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.step_listeners = []
        self.steps_done = 0
        self._gathered = GatheredStep()
        self._statistics: _RunningStatistics | None = None
        super().__init__(*args, **kwargs)

    def optimizer_step(self) -> None:
        """Make one optimizer step, or skip it if the gradient is not finite; then call the listeners."""
        assert self.optimizer is not None
        amp_scale = self.scaler.get_scale() if self.scaler.is_enabled() else None
        max_norm = clip_limit(self.max_grad_norm, type(self.optimizer).__name__)
        if self.adaptive_clip:
            max_norm = self.adaptive_clip.limit(max_norm)
        # Unscale first: scaled gradients are `amp_scale` times too large, and clipping them would almost stop training.
        self.scaler.unscale_(self.optimizer)
        norm, loss, loss_items = self._numbers(self._clip(max_norm))
        skipped = not math.isfinite(norm)
        if not skipped:
            self.scaler.step(self.optimizer)
        else:
            self.restore_running_statistics()
        self.scaler.update()  # after a skipped step too: this call lowers the loss scale after an overflow
        self.optimizer.zero_grad()
        if self.ema and not skipped:
            self.ema.update(self.model)
        if self.adaptive_clip:
            self.adaptive_clip.learn([norm])
        record = StepRecord(
            step=self.steps_done,
            epoch=self.epoch,
            loss=loss,
            loss_items=loss_items,
            grad_norm=norm,
            max_grad_norm=max_norm,
            clip_coefficient=0.0
            if skipped
            else min(1.0, max_norm / (norm + 1e-6)),  # the formula of clip_grad_norm_
            lr=weight_lr(self.optimizer),
            amp_scale=amp_scale,
            skipped=skipped,
            images=self.images_of_all_ranks() if skipped else tuple(self._gathered.images),
        )
        self.steps_done += 1
        self._gathered = GatheredStep()
        for listener in self.step_listeners:
            listener(record)

    def _clip(self, max_norm: float) -> torch.Tensor:
        """Clip the gradients in place. Returns their norm before clipping: float32 (), the same on all processes.

        DistributedDataParallel averages the gradients over the processes during backward(). So every process holds
        the gradient of the whole batch, and its local norm is already the global norm, up to rounding. The mean over
        the processes removes the rounding differences, so that all processes make the same decision. If one process
        has a norm that is not finite, then the mean is not finite on all processes.
        """
        foreach = False if self.device.type == "npu" else None  # as in Ultralytics
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=max_norm, foreach=foreach)
        if several_ranks():
            dist.all_reduce(norm)
            norm /= dist.get_world_size()
        return norm

    def _numbers(self, norm: torch.Tensor) -> tuple[float, float, dict[str, float]]:
        """(norm, loss, loss parts) as Python numbers, copied from the device in one transfer."""
        self._keep_losses()
        assert self.loss_items is not None
        losses = torch.stack(self._gathered.losses).mean(0)
        numbers = torch.cat([norm.detach().float().reshape(1), losses]).tolist()
        return numbers[0], numbers[1], dict(zip(items_of(self), numbers[2:], strict=True))

    # Gathering a step, batch by batch

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Add the images of a batch to the gathered step, before Ultralytics copies the batch to the device."""
        if self.optimizer is not None:  # without an optimizer, Ultralytics calibrates and does not train
            self._keep_losses()
            if self._statistics is None:
                self._statistics = _RunningStatistics(self.model)
            elif not self._gathered.n_batches:
                self._statistics.save()
            self._gathered.n_batches += 1
            self._gathered.images += images_of(batch)
        return super().preprocess_batch(batch)

    def _keep_losses(self) -> None:
        """Copy the losses of the newest batch: the trainer will overwrite them with those of the next batch."""
        step = self._gathered
        if len(step.losses) < step.n_batches:
            assert self.loss is not None and self.loss_items is not None
            items = [torch.as_tensor(v, device=self.device) for v in items_of(self).values()]
            step.losses.append(torch.stack([x.detach().float().reshape(()) for x in (self.loss, *items)]))

    def _build_train_pipeline(self) -> None:
        """Drop a half gathered step: the trainer starts its epoch again after it ran out of memory."""
        self._gathered = GatheredStep()
        self._statistics = None
        super()._build_train_pipeline()

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Drop a half gathered step if the trainer starts its epoch again."""
        recovered = super()._handle_nan_recovery(epoch)
        if recovered:
            self._gathered = GatheredStep()
        return recovered

    def restore_running_statistics(self) -> None:
        """Set the statistics of the normalisation layers to their values before the gathered step."""
        if self._statistics:
            self._statistics.restore()

    def images_of_all_ranks(self) -> tuple[str, ...]:
        """Image files of the gathered step, from all processes; every process must make this call."""
        return tuple(image for images in of_each_rank(self._gathered.images) for image in images)


class _RunningStatistics:
    """A copy of the running statistics of all normalisation layers, made before a step.

    A batch that is not finite makes these statistics NaN, and they stay NaN although the step is skipped.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._live = [b for b in model.buffers() if b.is_floating_point()]
        self._saved = [b.clone() for b in self._live]

    def save(self) -> None:
        """Copy the statistics of now."""
        if self._live:
            torch._foreach_copy_(self._saved, self._live)  # one launch for all of them

    def restore(self) -> None:
        """Put the last copy back into the model."""
        if self._live:
            torch._foreach_copy_(self._live, self._saved)


def images_of(batch: dict[str, Any]) -> Iterable[str]:
    """Files of the images in a collated batch.

    For a mosaic or a mix of images, Ultralytics names only the first image. `SourceDataset` names all of them.
    """
    if "sources" in batch:
        return [image for images in batch["sources"] for image in images]
    return [str(image) for image in batch.get("im_file", ())]


def weight_lr(optimizer: torch.optim.Optimizer) -> float:
    """Learning rate of the weights. (Biases have a different warm-up, and some heads have a multiple of this rate.)"""
    groups = [g for g in optimizer.param_groups if g.get("param_group") in ("weight", "muon") and g["params"]]
    return float((groups or optimizer.param_groups)[-1]["lr"])
