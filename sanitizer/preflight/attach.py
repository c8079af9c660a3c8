"""For plain Ultralytics scripts: a preflight before `model.train()`, and the gradient norms of every step logged.

    from ultralytics import YOLO
    import sanitizer

    model = sanitizer.attach(YOLO("yolov8n.pt"))
    model.train(data="data.yaml", lr0=0.01)

Training itself is Ultralytics' own, bit for bit: nothing is clipped otherwise, nothing is skipped, nothing left out.
"""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from sanitizer.findings.finding import Severity
from sanitizer.train.clipped_step import StepRecord, images_of, weight_lr
from sanitizer.train.epoch_metrics import EVENT, EpochMetrics
from sanitizer.train.spikes import SpikeDetector
from sanitizer.train.step_log import StepLog
from sanitizer.ultra.adapter.losses import items_of
from sanitizer.ultra.arguments import ULTRALYTICS_LIMIT, default_arguments
from sanitizer.ultra.library import RANK
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Callable

    Model = TypeVar("Model")


class NoGoError(Exception):
    """A preflight found what should be settled first; the text is its checklist."""


def attach(model: Model, *, preflight: bool = True, stop: bool = False, **options: Any) -> Model:
    """Fly a checklist before each `train()` of a model, and log the norms during it.

    The checklist looks at the file that the model was made from, not at what was changed in it since.

    Args:
        model: An Ultralytics model, such as `YOLO("yolov8n.pt")`; it is changed in place.
        preflight: Print the checklist; without it norms are logged all the same.
        stop: Raise where the verdict is no-go, rather than go on.
        options: For `sanitizer.preflight.flight.preflight`: budget, probing, config, trust_weights, …

    Returns:
        The model. A run writes grad_norms.csv and spikes.csv into its folder.

    Raises:
        NoGoError: By `train()`, where `stop` was asked for.
    """
    trained: Any = model
    train = trained.train

    @functools.wraps(train)
    def train_with_preflight(*args: Any, **kwargs: Any) -> Any:
        # `train(False)` is torch's: a mode of the module, no run.
        is_run = not (args and isinstance(args[0], bool))
        if is_run and preflight and not kwargs.get("resume"):
            _fly(trained, kwargs, stop, options)
        return train(*args, **kwargs)

    trained.train = train_with_preflight
    trained.add_callback("on_train_start", log_norms)
    return model


def _fly(model: Any, arguments: dict[str, Any], stop: bool, options: dict[str, Any]) -> None:
    """Print the checklist. What keeps it from being made is said, and keeps nobody from training."""
    from sanitizer.preflight.checklist import checklist, is_go
    from sanitizer.preflight.flight import preflight
    from sanitizer.ultra.silence import silent_ultralytics

    # As `Model.train` puts them together: what the model remembers, then what is asked for.
    overrides = {"max_grad_norm": ULTRALYTICS_LIMIT, **_remembered(model), **arguments}
    data = overrides.pop("data", None)
    for key in ("trainer", "model", "mode", "task"):
        overrides.pop(key, None)
    try:
        with silent_ultralytics():
            flight = preflight(data, str(model.ckpt_path or model.model_name), overrides, **options)
    except Exception as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        _say(f"preflight was not possible: {legible(text)}")
        return
    text = checklist(flight, Severity.ERROR, lambda text, _sgr: text)
    _say(text.rstrip("\n"))
    if stop and not is_go(flight, Severity.ERROR):
        raise NoGoError(text)


def _remembered(model: Any) -> dict[str, Any]:
    known = default_arguments()
    return {k: v for k, v in model.overrides.items() if k in known}


def log_norms(trainer: Any) -> None:
    """Callback `on_train_start`: log every optimizer step of the run that begins. Nothing is changed in the step.

    A function of a module, so that Ultralytics can hand it to the processes of several GPUs.
    """
    if RANK in (-1, 0) and not hasattr(trainer, "step_listeners"):  # a clipped trainer logs by itself
        _NormLog(trainer).begin()


class _NormLog:
    """Measures the gradient that an optimizer step is about to use, and then lets Ultralytics make the step."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.log = StepLog(trainer.save_dir, trainer.start_epoch if trainer.resume else None)
        self.spikes = SpikeDetector()
        self.epoch = EpochMetrics()
        self.step = self.log.next_step
        for norm in self.log.norms:
            self.spikes.judge(norm)
        self.images: list[str] = []

    def begin(self) -> None:
        """Put ourselves before the trainer's methods."""
        trainer = self.trainer
        trainer.optimizer_step = self._before(trainer.optimizer_step)
        preprocess = trainer.preprocess_batch

        def noted(batch: dict[str, Any]) -> Any:
            self.images += images_of(batch)
            return preprocess(batch)

        trainer.preprocess_batch = noted
        trainer.callbacks[EVENT].insert(0, self.epoch.show)
        trainer.add_callback(EVENT, self.epoch.hide)
        trainer.add_callback("teardown", lambda _trainer: self.log.close())

    def _before(self, optimizer_step: Callable[[], None]) -> Callable[[], None]:
        def logged_step() -> None:
            record = self._record()
            optimizer_step()
            spike = self.spikes.judge(record.grad_norm)
            self.epoch.add(record, spike is not None)
            self.log.write(record, spike)
            self.step, self.images = self.step + 1, []

        return logged_step

    def _record(self) -> StepRecord:
        """The step that is about to be made. Its losses are those of the last batch gathered into it."""
        trainer = self.trainer
        scale = trainer.scaler.get_scale() if trainer.scaler.is_enabled() else None
        norms = [p.grad.detach().float().norm() for p in trainer.model.parameters() if p.grad is not None]
        norm = float(torch.stack(norms).norm()) / (scale or 1.0)
        return StepRecord(
            step=self.step,
            epoch=trainer.epoch,
            loss=float(trainer.loss.detach()),
            loss_items={name: float(value.detach()) for name, value in items_of(trainer).items()},
            grad_norm=norm,
            max_grad_norm=ULTRALYTICS_LIMIT,
            clip_coefficient=min(1.0, ULTRALYTICS_LIMIT / (norm + 1e-6)),
            lr=weight_lr(trainer.optimizer),
            amp_scale=scale,
            # Under AMP the scaler leaves out a step that is not finite; without it Ultralytics makes it all the same.
            skipped=scale is not None and not math.isfinite(norm),
            images=tuple(self.images),
        )


def _say(text: str) -> None:
    if RANK in (-1, 0):
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding))
