"""The optimizer step of the clipped trainer: unscale, measure, clip, step; never on a gradient that is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist

from sanitizer.train.ranks import of_each_rank, several_ranks

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
        start_epoch: int
        resume: bool
        save_dir: Path
        train_loader: Any
        loss: torch.Tensor | None
        loss_items: dict[str, torch.Tensor] | None
        tloss: dict[str, torch.Tensor] | None

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def build_dataset(self, img_path: str, mode: str = ..., batch: int | None = ...) -> Any: ...
        def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]: ...
        def run_callbacks(self, event: str) -> None: ...
        def _build_train_pipeline(self) -> None: ...
        def _handle_nan_recovery(self, epoch: int) -> bool: ...
else:
    _Trainer = object


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimizer step, made or skipped.

    A step may gather several batches (`nbs` over `batch`): its losses are the means over these batches, each as the
    criterion returned it, and no running mean over the epoch as Ultralytics shows it.

    Attributes:
        step: Number of the step in this process, from 0; skipped ones count.
        epoch: Number of the epoch, from 0.
        loss: What backward() was called on: the sum of the loss parts, times the batch size.
        loss_items: Loss part to its value for one image.
        grad_norm: L2 norm of all gradients together, unscaled and before clipping; inf or NaN as measured.
        max_grad_norm: The limit that held for this step.
        clip_coefficient: What the gradients were multiplied with: 1 for a step left alone, 0 for a skipped one.
        lr: Learning rate of the weights (those with weight decay).
        amp_scale: Loss scale of the GradScaler; None without AMP.
        skipped: The gradient was not finite, so weights, optimizer and EMA stay as they were.
        images: Files of all images in the gathered batches, mosaic tiles included where the data set says so. With
            several GPUs those of this process; of all processes for a skipped step.
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


class ClippedStep(_Trainer):
    """Mixin for Ultralytics trainers, placed before them: `class T(ClippedStep, DetectionTrainer)`.

    It replaces `optimizer_step` alone and keeps its order, so with `max_grad_norm = 10` and finite gradients training
    is bit for bit what it is without the mixin.

    Attributes:
        max_grad_norm: Clip limit; Ultralytics fixes it at 10.
        adaptive_clip: Takes the limit from past norms instead, once it knows enough of them.
        step_listeners: Called with the record of every step, on every process.
    """

    max_grad_norm: float = 1.0
    adaptive_clip: AdaptiveClip | None = None
    step_listeners: list[Callable[[StepRecord], None]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.step_listeners = []
        self.steps_done = 0
        self._running: _RunningStatistics | None = None
        self._begin_step()
        super().__init__(*args, **kwargs)

    def optimizer_step(self) -> None:
        """Make one optimizer step, or skip it where the gradient is not finite, and tell the listeners."""
        assert self.optimizer is not None
        amp_scale = self.scaler.get_scale() if self.scaler.is_enabled() else None
        max_norm = self.adaptive_clip.limit(self.max_grad_norm) if self.adaptive_clip else self.max_grad_norm
        # Before this the gradients are `amp_scale` times too large: clipping them would all but stop training.
        self.scaler.unscale_(self.optimizer)
        norm, loss, loss_items = self._numbers(self._clip(max_norm))
        skipped = not math.isfinite(norm)
        if not skipped:
            self.scaler.step(self.optimizer)
        else:
            self.restore_running_statistics()
        self.scaler.update()  # after a skipped step too: it is how the loss scale comes down from an overflow
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
            else min(1.0, max_norm / (norm + 1e-6)),  # as clip_grad_norm_ has it
            lr=weight_lr(self.optimizer),
            amp_scale=amp_scale,
            skipped=skipped,
            images=self.images_of_all_ranks() if skipped else tuple(self._images),
        )
        self.steps_done += 1
        self._begin_step()
        for listener in self.step_listeners:
            listener(record)

    def _clip(self, max_norm: float) -> torch.Tensor:
        """Clip the gradients in place; their norm before that, float32 () and the same on all processes.

        DistributedDataParallel averages gradients over the processes during backward(), so each holds the gradient
        of the whole batch and its local norm is already the global one. The mean taken here changes no finite norm
        by more than rounding; it makes all processes see one number, and so decide alike, even at the edge of
        overflow: a value that is not finite anywhere makes the mean not finite everywhere.
        """
        foreach = False if self.device.type == "npu" else None  # as Ultralytics does
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=max_norm, foreach=foreach)
        if several_ranks():
            dist.all_reduce(norm)
            norm /= dist.get_world_size()
        return norm

    def _numbers(self, norm: torch.Tensor) -> tuple[float, float, dict[str, float]]:
        """Norm, loss and loss parts, brought to the host in one transfer."""
        self._keep_losses()
        assert self.loss_items is not None
        losses = torch.stack(self._losses).mean(0)
        numbers = torch.cat([norm.detach().float().reshape(1), losses]).tolist()
        return numbers[0], numbers[1], dict(zip(self.loss_items, numbers[2:], strict=True))

    # What belongs to a step is gathered batch by batch.

    def _begin_step(self) -> None:
        self._images: list[str] = []
        self._losses: list[torch.Tensor] = []
        self._batches = 0

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Note the images of a batch on its way to the device."""
        if self.optimizer is not None:  # earlier batches serve calibration, not training
            self._keep_losses()
            if self._running is None:
                self._running = _RunningStatistics(self.model)
            elif not self._batches:
                self._running.save()
            self._batches += 1
            self._images += images_of(batch)
        return super().preprocess_batch(batch)

    def _keep_losses(self) -> None:
        """Keep the losses of the latest batch: the trainer overwrites them with the next one's."""
        if len(self._losses) < self._batches:
            assert self.loss is not None and self.loss_items is not None
            items = [torch.as_tensor(v, device=self.device) for v in self.loss_items.values()]
            self._losses.append(torch.stack([x.detach().float().reshape(()) for x in (self.loss, *items)]))

    def _build_train_pipeline(self) -> None:
        """Forget a half gathered step: the trainer starts its epoch again after running out of memory."""
        self._begin_step()
        self._running = None
        super()._build_train_pipeline()

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Forget a half gathered step where the trainer does its epoch again."""
        recovered = super()._handle_nan_recovery(epoch)
        if recovered:
            self._begin_step()
        return recovered

    def restore_running_statistics(self) -> None:
        """Undo what the batches of the step being gathered did to the statistics of normalisation layers."""
        if self._running:
            self._running.restore()

    def images_of_all_ranks(self) -> tuple[str, ...]:
        """The images of the step being gathered, from all processes; every process has to call it."""
        return tuple(image for images in of_each_rank(self._images) for image in images)


class _RunningStatistics:
    """The running statistics of normalisation layers as they were before a step.

    A batch that is not finite leaves them NaN for good, although its step was skipped.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._live = [b for b in model.buffers() if b.is_floating_point()]
        self._saved = [b.clone() for b in self._live]

    def save(self) -> None:
        """Remember the present state."""
        if self._live:
            torch._foreach_copy_(self._saved, self._live)  # one launch for all of them

    def restore(self) -> None:
        """Go back to the state last saved."""
        if self._live:
            torch._foreach_copy_(self._live, self._saved)


def images_of(batch: dict[str, Any]) -> Iterable[str]:
    """Files of the images in a batch: all that went into each sample where known, else the one that Ultralytics names.

    Of a mosaic or a mix of images Ultralytics names only the first.
    """
    if "sources" in batch:
        return [image for images in batch["sources"] for image in images]
    return [str(image) for image in batch.get("im_file", ())]


def weight_lr(optimizer: torch.optim.Optimizer) -> float:
    """Learning rate of the weights. Biases warm up from another end, and some heads get a multiple."""
    groups = [g for g in optimizer.param_groups if g.get("param_group") in ("weight", "muon") and g["params"]]
    return float((groups or optimizer.param_groups)[-1]["lr"])
