"""The clipped trainer: Ultralytics' training, with every step measured, clipped, logged, and undone where it fails.

    from ultralytics import YOLO
    from sanitizer.train import ClippedTrainer

    YOLO("yolov8n.pt").train(trainer=ClippedTrainer, data="data.yaml")
    YOLO("yolov8n-seg.pt").train(trainer=ClippedTrainer.configured(max_grad_norm=0.5), data="data.yaml")

A step, in this order: unscale the gradient, measure its norm, clip, step (`sanitizer.train.clipped_step`); log the
step; keep the images of a spike. A step whose gradient is not finite is skipped. After several such steps in a row
the trainer goes back to the start of the epoch, lowers the learning rate and leaves out the images at fault.
"""

from __future__ import annotations

import math
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from sanitizer.train.adaptive_clip import AdaptiveClip
from sanitizer.train.clipped_step import ClippedStep, GatheredStep, images_of
from sanitizer.train.clipping import AUTO, checked_limit, clip_limit, keep_clipping, reason_of_limit
from sanitizer.train.culprits import not_finite_alone, single_images
from sanitizer.train.epoch_metrics import EVENT, EpochMetrics
from sanitizer.train.failures import Failures
from sanitizer.train.ranks import any_rank, from_rank_0, of_each_rank, several_ranks
from sanitizer.train.snapshot import Snapshot, is_finite
from sanitizer.train.spikes import SpikeDetector
from sanitizer.train.step_log import StepLog
from sanitizer.train.unexplained import UnexplainedSpikes
from sanitizer.ultra.adapter.families import DETR, task_of
from sanitizer.ultra.arguments import OWN_ARGUMENTS
from sanitizer.ultra.library import LOGGER, RANK, REPEATS_EPOCHS, TASK_TRAINERS, BaseTrainer, trainer_for
from sanitizer.ultra.model import head_of_file
from sanitizer.ultra.sources import SourceDataset
from sanitizer.util.bounded_read import MIB, read_bounded
from sanitizer.util.counting import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.train.spikes import SpikeShare

LEFT_OUT = "left_out.txt"
"""File in `save_dir` that names the images left out, one per line; a resumed run reads it."""

_NAMES_SHOWN = 4
"""Images that a message names at most."""


class TrainingStoppedError(RuntimeError):
    """The trainer cannot bring the run back to a good state; the text is a sentence."""


class ClippedTrainer(ClippedStep):
    """Ultralytics' trainer of a task, with clipped steps.

    With `max_grad_norm=10` and finite steps, the training is bit for bit that of Ultralytics. A run that was killed
    resumes like any other, `YOLO("…/last.pt").train(resume=True, trainer=ClippedTrainer)`; give `configured` the same
    settings again.

    Attributes:
        adaptive_percentile: Clip at this percentile, 0 to 100, of the norms so far; None clips at `max_grad_norm`.
        bad_steps: Roll back after this many steps in a row that are not finite. Steps that AMP's loss scale explains
            do not count.
        lr_factor: A rollback multiplies all learning rates by this factor.
        max_rollbacks: The run ends when it needs one rollback more than this.
        follow_links: Where an image is a link, as in a clean view, log the file that the link leads to.
        unexplained: Spikes that wait for their attribution.
    """

    adaptive_percentile: ClassVar[float | None] = None
    bad_steps: ClassVar[int] = 3
    lr_factor: ClassVar[float] = 0.5
    max_rollbacks: ClassVar[int] = 5
    follow_links: ClassVar[bool] = False

    @classmethod
    def configured(
        cls,
        *,
        max_grad_norm: float | str = AUTO,
        adaptive_percentile: float | None = None,
        bad_steps: int = 3,
        lr_factor: float = 0.5,
        max_rollbacks: int = 5,
        follow_links: bool = False,
    ) -> type[ClippedTrainer]:
        """The class with these settings (see its attributes); pass it to Ultralytics as `trainer`.

        Raises:
            ValueError: A setting is out of its range.
        """
        max_grad_norm = checked_limit(max_grad_norm)
        if adaptive_percentile is not None:
            AdaptiveClip(adaptive_percentile)  # raises here, and not only once training starts
        if bad_steps < 1 or max_rollbacks < 0 or not 0 < lr_factor <= 1:
            raise ValueError(
                "bad_steps must be 1 or more, max_rollbacks 0 or more, lr_factor over 0 and at most 1"
            )
        settings = {
            "max_grad_norm": max_grad_norm,
            "adaptive_percentile": adaptive_percentile,
            "bad_steps": bad_steps,
            "lr_factor": lr_factor,
            "max_rollbacks": max_rollbacks,
            "follow_links": follow_links,
            "__doc__": cls.__doc__,
        }
        return type("ConfiguredTrainer", (cls,), settings)

    @classmethod
    def for_task(cls, task: str, is_detr: bool = False) -> type[ClippedTrainer]:
        """The class for one task: a subclass of this class and of Ultralytics' trainer for the task, or for RT-DETR.

        Raises:
            ValueError: The task has no clipped trainer.
        """
        if task not in TASK_TRAINERS:
            raise ValueError(
                f"there is no clipped trainer for the task {task!r}: use {', '.join(TASK_TRAINERS)}"
            )
        base = trainer_for(task, is_detr)
        return type(f"Clipped{base.__name__}", (cls, base), {"__doc__": cls.__doc__})

    def __new__(cls, *args: Any, **kwargs: Any) -> ClippedTrainer:
        """A trainer for task and model in `overrides`: Ultralytics calls this class, whatever these are.

        Raises:
            ModelError: Models of this kind are not supported.
            ValueError: The task has no clipped trainer.
        """
        overrides = _overrides(args, kwargs)
        if BaseTrainer not in cls.__mro__:
            task, model = overrides.get("task") or "detect", str(overrides.get("model"))
            head = head_of_file(model)
            if head and task in TASK_TRAINERS:
                task_of(head, model)
            cls = cls.for_task(task, head == DETR)
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.spikes = SpikeDetector()
        self.log: StepLog | None = None
        self.epoch_metrics = EpochMetrics()
        self.rollbacks = 0
        self._failures = Failures()
        self._snapshots: list[Snapshot] = []
        self.unexplained = UnexplainedSpikes()
        self._folder_asked_for = _overrides(args, kwargs).get("save_dir")
        super().__init__(*args, **kwargs)
        if self.adaptive_percentile is not None:
            self.adaptive_clip = AdaptiveClip(self.adaptive_percentile)
        self.step_listeners.append(self._after_step)

    def check_resume(self, overrides: dict[str, Any]) -> None:
        """Take up the arguments of a resumed run. Up to 8.4.0, Ultralytics would forget `save_dir` before this."""
        super().check_resume(overrides)
        if self._folder_asked_for:
            self.args.save_dir = self._folder_asked_for

    # Start and end of the run and of its epochs

    def run_callbacks(self, event: str) -> None:
        """Run the trainer's own actions for an event, then the user's callbacks.

        The trainer's own actions are not in `callbacks`, because Ultralytics pickles that dictionary for the processes
        of several GPUs.
        """
        if event == "on_train_start":
            self.unexplained.run_starts()
            self._settle_limit()
            self._start_log()
        elif event == "on_train_epoch_start":
            self._take_snapshot()
            self.unexplained.epoch_starts()
        elif event == "on_train_epoch_end":
            self._explain_spikes(self.unexplained.after_epoch_s())
            if not REPEATS_EPOCHS:
                self._roll_back_if_not_finite()
        elif event == "on_train_end":
            self._explain_spikes(self.unexplained.after_run_s())
        elif event == "teardown" and self.log:
            self.log.close()
        if event != EVENT:
            super().run_callbacks(event)
            return
        self.epoch_metrics.show(self)
        super().run_callbacks(event)
        self.epoch_metrics.hide(self)

    def _settle_limit(self) -> None:
        """Turn `auto` into a number now that the optimizer is known, and say it with its reason."""
        asked, optimizer = self.max_grad_norm, type(self.optimizer).__name__
        self.max_grad_norm = clip_limit(asked, optimizer)
        if RANK in (-1, 0):
            where = f"a norm of {self.max_grad_norm:g}"
            if self.adaptive_percentile is not None:
                where = f"the {self.adaptive_percentile:g}th percentile of the norms so far; at first {where}"
            LOGGER.info(f"Gradients are clipped at {where} ({reason_of_limit(asked, optimizer)})")

    def _start_log(self) -> None:
        """Open the log. A resumed run continues its step numbers and norms, and leaves out the same images again."""
        if RANK in (-1, 0):
            self.log = StepLog(self.save_dir, self.start_epoch if self.resume else None)
            keep_clipping(self.save_dir, {key: getattr(self, key) for key in OWN_ARGUMENTS})
        norms, self.steps_done = from_rank_0((self.log.norms, self.log.next_step) if self.log else None)
        for norm in norms:
            self.spikes.judge(norm)
        if self.adaptive_clip:
            self.adaptive_clip.learn(norms)
        names = self.save_dir / LEFT_OUT
        if self.resume and names.exists():
            self._leave_out(read_bounded(str(names), 64 * MIB).decode().splitlines())

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Ultralytics' dataset; a training set also names the image files that went into each sample."""
        dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            SourceDataset.convert(dataset)
        return dataset

    # One step

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Check the loss of the batch before, which is known now, then preprocess this batch."""
        self._check_last_batch()
        batch = super().preprocess_batch(batch)
        self._failures.unchecked_batch = batch if self.optimizer is not None else None
        return batch

    def optimizer_step(self) -> None:
        """Check the loss of the last batch, then step."""
        self._check_last_batch()
        super().optimizer_step()

    def _check_last_batch(self) -> None:
        """If the last batch's loss is not finite, find its suspect images, while the weights are still the same."""
        batch = self._failures.take_unchecked_batch()
        if batch is not None and self.loss is not None and not bool(self.loss.isfinite()):
            singles = single_images(batch, self.args.overlap_mask)
            self.restore_running_statistics()  # this batch made them NaN, and its step will be skipped
            self._failures.suspect(not_finite_alone(self, singles))

    def _after_step(self, record: StepRecord) -> None:
        """Log a step; roll back once too many steps in a row were not finite."""
        spike = self.spikes.judge(
            record.grad_norm
        )  # the norm, and so the result, is the same on every process
        self.epoch_metrics.add(record, spike is not None)
        if spike:
            record = replace(record, images=_of_all_ranks(record.images))
        suspects = _files(self._failures.suspects)
        if self.log:
            shown = replace(record, images=self._shown(record.images))
            self.log.write(shown, spike, self._shown(suspects))
            if spike or record.skipped:
                self.unexplained.add(record.step, tuple(dict.fromkeys((*suspects, *record.images))))
        if record.skipped:
            self._after_skipped_step(record, suspects)
        else:
            self._failures.step_was_good(self.tloss)

    def _after_skipped_step(self, record: StepRecord, suspects: tuple[str, ...]) -> None:
        """Warn of a step that was not finite, and roll back if it is one too many."""
        failures = self._failures
        failures.last_step_good = False
        if failures.good_tloss is not None:
            self.tloss = failures.good_tloss  # else this batch would make the epoch's mean loss NaN
        # AMP finds its loss scale by overflows. They are normal until the scale is down at 1.
        overflow = record.amp_scale is not None and record.amp_scale > 1 and math.isfinite(record.loss)
        if not self._any_rank(not overflow):
            return
        failures.in_a_row += 1
        what = "gradient" if math.isfinite(record.loss) else "loss"
        images = listed(self._shown(suspects or record.images), _NAMES_SHOWN)
        self._warn(f"step {record.step}: the {what} is not finite, so the step is skipped; images: {images}")
        if failures.in_a_row >= self.bad_steps:
            self._roll_back(f"{failures.in_a_row} steps in a row were not finite")

    def attribute_spikes(
        self, images_of_step: Mapping[int, Sequence[str]], seconds: float
    ) -> Mapping[int, Sequence[SpikeShare]]:
        """Step number to the share of each of its images in that step's spike. This class returns {}.

        Subclasses measure it within that many seconds, and go on where they stopped when they are asked again. Steps
        of which nothing new was measured are not in the result. `sanitizer.probe.explaining_trainer` is the trainer
        that users get.
        """
        return {}

    def _explain_spikes(self, seconds: float) -> None:
        """Log the shares of the images in the spikes so far, as many as can be measured in so many seconds."""
        if not self.log or not self.unexplained.images:
            return
        try:
            with self.unexplained.spending():
                found = self.attribute_spikes(self.unexplained.images, seconds)
        except (
            RuntimeError
        ) as error:  # such as out of memory: the training must go on without the explanation
            LOGGER.warning(f"the spikes up to epoch {self.epoch + 1} were not attributed: {error}")
            self.unexplained.images = {}
            return
        self.log.attribute(
            {
                step: [share._replace(image=self._shown([share.image])[0]) for share in shares]
                for step, shares in found.items()
            }
        )

    def _shown(self, images: Iterable[str]) -> tuple[str, ...]:
        """Image files as the logs and messages name them."""
        if not self.follow_links:
            return tuple(images)
        return tuple(os.path.realpath(i) if os.path.islink(i) else i for i in images)

    # Rollback

    def _take_snapshot(self) -> None:
        """Keep the state at the start of this epoch and of the one before.

        Two states are kept, as a run may be beyond help some time before a step fails. There is no snapshot after a
        failed step: such a state must first show, with a good step, that training can go on from it.
        """
        if self._failures.last_step_good and not self._any_rank(not is_finite(self)):
            self._snapshots = [*self._snapshots[-1:], Snapshot(self)]

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """True if the epoch has to start again, because weights or running statistics are not finite.

        Ultralytics goes back a whole epoch if the epoch's last loss is not finite, and cannot do so in the first epoch.
        The clipped trainer skipped such a step, so the loss alone is no reason to go back.
        """
        if not self._roll_back_if_not_finite():
            return False
        self.scheduler.last_epoch = epoch - 1
        return True

    def _roll_back_if_not_finite(self) -> bool:
        """At the end of an epoch: whether it went back, because weights or running statistics are not finite."""
        goes_back = self._any_rank(not is_finite(self))
        if goes_back:
            self._roll_back("weights or running statistics were not finite at the end of the epoch")
        return goes_back

    def _roll_back(self, reason: str) -> None:
        """Go back to the last good state, lower the learning rate, leave out the images at fault, and warn.

        Raises:
            TrainingStoppedError: There is no good state, or the run had `max_rollbacks` rollbacks already.
        """
        assert self.optimizer is not None
        self.rollbacks += 1
        if not self._snapshots or self.rollbacks > self.max_rollbacks:
            raise TrainingStoppedError(
                f"Training stopped in epoch {self.epoch + 1}: {reason}, after {self.rollbacks - 1} rollbacks. "
                f"The images of the steps that failed are in {self.save_dir / 'spikes.csv'}."
            )
        # The first snapshot in the list is reused. The second is not: if the run fails again, it was no good state.
        snapshot = self._snapshots.pop() if len(self._snapshots) > 1 else self._snapshots[0]
        snapshot.restore(self)
        for group in self.optimizer.param_groups:
            group["lr"] *= self.lr_factor
            group["initial_lr"] *= self.lr_factor
        self.scheduler.base_lrs = [lr * self.lr_factor for lr in self.scheduler.base_lrs]
        self.args.lr0 *= self.lr_factor  # kept in the checkpoint, so a resumed run starts from it
        self.args.warmup_bias_lr *= self.lr_factor
        left_out = self._shown(self._leave_out(_of_all_ranks(self._images_at_fault())))
        if self.log:
            self.log.rolled_back(self.steps_done, self.epoch, left_out)
        self._failures.clear()
        self._gathered = GatheredStep()
        self._warn(
            f"{reason}: went back to the start of epoch {snapshot.epoch + 1}, lowered lr0 to {self.args.lr0:g}, "
            + (
                f"and leave out {listed(left_out, _NAMES_SHOWN)}"
                if left_out
                else "and found no single image at fault"
            )
        )

    def _images_at_fault(self, most_others: int = 4) -> tuple[str, ...]:
        """Files of the suspects that have no finite loss with the restored weights either, if other images have one.

        The tiles of one mosaic are judged, and left out, together.
        """
        dataset, suspects = self.train_loader.dataset, _files(self._failures.suspects)
        others = [i for i, label in enumerate(dataset.labels) if label["im_file"] not in suspects]
        if not suspects or not others:
            return ()
        drawn = [dataset[i] for i in random.sample(others, min(most_others, len(others)))]
        batch = self.preprocess_batch(dataset.collate_fn(drawn))
        healthy = len(drawn) - len(not_finite_alone(self, single_images(batch, self.args.overlap_mask)))
        return _files(not_finite_alone(self, self._failures.suspects)) if 2 * healthy > len(drawn) else ()

    def _leave_out(self, images: Sequence[str]) -> tuple[str, ...]:
        """Never draw these images again. Returns them; returns () and does nothing if no image would remain."""
        dataset = self.train_loader.dataset
        if not images or not isinstance(dataset, SourceDataset):
            return ()
        try:
            dataset.leave_out(images)
        except ValueError:
            return ()
        if RANK in (-1, 0):
            (self.save_dir / LEFT_OUT).write_text(
                "".join(f"{i}\n" for i in sorted(dataset.left_out)), encoding="utf-8"
            )
        if getattr(self.train_loader, "iterator", None) is not None:
            # Loader workers hold copies of the dataset and batches drawn from them. Replace the workers.
            self.train_loader.reset()
            self.train_loader.iterator = self.train_loader._get_iterator()
        return tuple(images)

    def _any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any process, so that all processes make the same decision."""
        return any_rank(flag, self.device)

    def _warn(self, sentence: str) -> None:
        if RANK in (-1, 0):
            LOGGER.warning(sentence)


def _overrides(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The argument `overrides` of a trainer, by name or as the second one."""
    return kwargs.get("overrides") or (args[1] if len(args) > 1 else None) or {}


def _of_all_ranks(images: tuple[str, ...]) -> tuple[str, ...]:
    """The images of all processes, each once."""
    if not several_ranks():
        return images
    return tuple(dict.fromkeys(image for of_rank in of_each_rank(images) for image in of_rank))


def _files(batches: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Files of the images in these batches, each once."""
    return tuple(dict.fromkeys(image for batch in batches for image in images_of(batch)))
