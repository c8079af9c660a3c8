"""The warm-up: some real training steps, with Ultralytics' own trainer, before images are measured."""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, Any
from unittest import mock

from sanitizer.train.clipped_step import ClippedStep
from sanitizer.ultra.library import trainer_for, trainer_module
from sanitizer.ultra.model import is_detr
from sanitizer.ultra.probe_dataset import read_only_dataset
from sanitizer.ultra.silence import silent_ultralytics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import nn

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.ultra.samples import Sample


class BudgetSpentError(Exception):
    """Ends the warm-up, because its budget is used up."""


def trainer_class(task: str, for_detr: bool = False) -> Any:
    """A trainer class for the task that trains on `Sample`s, and writes nothing to the dataset or to a runs folder."""

    base: Any = trainer_for(task, for_detr)

    class WarmUpTrainer(ClippedStep, base):  # type: ignore[misc]
        def __init__(
            self,
            overrides: dict[str, Any],
            model: nn.Module,
            samples: Sequence[Sample],
            spec: TaskSpec,
            keep_on: Callable[[int], bool],
        ) -> None:
            self.initial, self.samples, self.spec, self.keep_on = model, samples, spec, keep_on
            self.batches = 0
            super().__init__(overrides=overrides)

        def get_dataset(self) -> dict[str, Any]:
            data: dict[str, Any] = {"train": "train", "val": "val", "names": dict(self.spec.names)}
            data |= {"nc": self.spec.nc, "channels": 3}
            if self.spec.task == "pose":
                data["kpt_shape"] = list(self.spec.kpt_shape)
            return data

        def setup_model(self) -> None:
            self.model = self.initial

        def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
            return read_only_dataset(
                for_detr,
                self.samples if mode == "train" else self.samples[:1],
                data=self.data,
                task=self.spec.task,
                imgsz=self.args.imgsz,
                augment=mode == "train",
                hyp=self.args,
                batch_size=batch,
            )

        def run_callbacks(self, event: str) -> None:
            """Check the budget after each batch; run no callbacks of the user's integrations."""
            if event == "on_train_batch_end":
                self.batches += 1
                if not self.keep_on(self.batches):
                    raise BudgetSpentError

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, 0.0

        def save_model(self) -> bool:
            return False

        def save_metrics(self, metrics: Mapping[str, float]) -> None:
            pass

        def final_eval(self) -> None:
            pass

    return WarmUpTrainer


def warm_up(
    model: nn.Module,
    samples: Sequence[Sample],
    spec: TaskSpec,
    overrides: Mapping[str, Any],
    max_grad_norm: float | str,
    listen: Callable[[StepRecord], None],
    keep_on: Callable[[int], bool],
) -> nn.Module:
    """Train a model for a few steps.

    Args:
        model: A model that was built for the dataset; its weights change.
        samples: The training images.
        spec: Task, classes and keypoints.
        overrides: Ultralytics train arguments, with `epochs`.
        max_grad_norm: Clip limit, or "auto".
        listen: Called with the record of every optimizer step.
        keep_on: Called after every batch, with the number of batches so far; if it returns False, the warm-up ends.

    Returns:
        The trained weights, averaged as Ultralytics averages them (EMA), on the training device.
    """
    with tempfile.TemporaryDirectory(prefix="sanitize-probe-") as folder, _unattended():
        settings = dict(overrides) | {
            "task": spec.task, "mode": "train", "data": "probe", "model": "probe.yaml", "val": False, "save": False,
            "plots": False, "project": folder, "name": "warm-up", "exist_ok": True,
        }  # fmt: skip
        trainer = trainer_class(spec.task, is_detr(model))(settings, model, samples, spec, keep_on)
        trainer.max_grad_norm = max_grad_norm
        trainer.step_listeners.append(listen)
        with contextlib.suppress(BudgetSpentError):
            trainer.train()
        averaged: nn.Module = trainer.ema.ema
        return averaged


@contextlib.contextmanager
def _unattended() -> Iterator[None]:
    """Inside the block, Ultralytics shows no log and no bars, and skips its check of AMP, which downloads a model."""
    with (
        silent_ultralytics(),
        mock.patch.object(trainer_module, "check_amp", lambda _model: True),
        mock.patch.object(trainer_module, "TQDM", _no_bar),
    ):
        yield


class _NoBar:
    """A progress bar that shows nothing."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)

    def set_description(self, _text: str) -> None:
        """Show nothing."""


def _no_bar(batches: Iterable[Any], *_args: object, **_kwargs: object) -> _NoBar:
    return _NoBar(batches)
