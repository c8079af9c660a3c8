"""The clipped trainer: Ultralytics' training, with every step measured, clipped, logged, and undone where it fails.

    from ultralytics import YOLO
    from sanitizer.train import ClippedTrainer

    YOLO("yolov8n.pt").train(trainer=ClippedTrainer, data="data.yaml")
    YOLO("yolov8n-seg.pt").train(trainer=ClippedTrainer.configured(max_grad_norm=0.5), data="data.yaml")

What it does about a step, in this order: unscale, measure the norm, clip, step (`sanitizer.train.clipped_step`);
log it; keep the images of a spike. A step whose gradient is not finite is skipped. A run that is not finite for
several steps goes back to the start of the epoch, with a lower learning rate and without the images at fault.
"""

from __future__ import annotations

import math
import os
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from sanitizer.train.adaptive_clip import AdaptiveClip
from sanitizer.train.clipped_step import ClippedStep, images_of
from sanitizer.train.clipping import DEFAULTS, keep_clipping
from sanitizer.train.culprits import not_finite_alone, single_images
from sanitizer.train.ranks import any_rank, from_rank_0, of_each_rank, several_ranks
from sanitizer.train.snapshot import Snapshot, is_finite
from sanitizer.train.spikes import SpikeDetector
from sanitizer.train.step_log import StepLog
from sanitizer.ultra.library import LOGGER, RANK, TASK_TRAINERS, BaseTrainer
from sanitizer.ultra.sources import SourceDataset
from sanitizer.util.bounded_read import MIB, read_bounded
from sanitizer.util.counting import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch

    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.train.spikes import Carried

LEFT_OUT = "left_out.txt"
"""File in `save_dir` that names the images left out, one a line; a resumed run reads it."""


_NAMES_SHOWN = 4
MAX_SUSPECTS = 16
"""Images held in memory as possible culprits of a failure."""


EXPLAINING_SHARE = 0.1
LEAST_EXPLAINING_S = 2.0
"""Spikes are attributed in this share of an epoch's time, or in so many seconds where that is less."""


class TrainingStoppedError(RuntimeError):
    """A run cannot be saved; the text is a sentence."""


class ClippedTrainer(ClippedStep):
    """Ultralytics' trainer of the task at hand, clipped. With `max_grad_norm=10` a healthy run is bit for bit the same.

    A run that is killed resumes as any other: `YOLO("…/last.pt").train(resume=True, trainer=ClippedTrainer)`, with the
    same settings given to `configured` again.

    Attributes:
        adaptive_percentile: Clip at this percentile of the norms so far; None clips at `max_grad_norm`.
        bad_steps: So many steps in a row that are not finite, through no fault of AMP's loss scale, end in a rollback.
        lr_factor: What a rollback multiplies all learning rates with.
        max_rollbacks: One more than this ends the run.
        follow_links: Name the files that images are links to, as those of a clean view are.
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
        max_grad_norm: float = 1.0,
        adaptive_percentile: float | None = None,
        bad_steps: int = 3,
        lr_factor: float = 0.5,
        max_rollbacks: int = 5,
        follow_links: bool = False,
    ) -> type[ClippedTrainer]:
        """The class with these settings, to be given to Ultralytics as `trainer`.

        Raises:
            ValueError: A setting is out of its range.
        """
        if not max_grad_norm > 0:
            raise ValueError(f"max_grad_norm is {max_grad_norm}: it must be over 0")
        if adaptive_percentile is not None:
            AdaptiveClip(
                adaptive_percentile
            )  # says what is wrong with it now rather than when training starts
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
    def for_task(cls, task: str) -> type[ClippedTrainer]:
        """The class for one task: this one in front of Ultralytics' own trainer.

        Raises:
            ValueError: There is none for this task.
        """
        if task not in TASK_TRAINERS:
            raise ValueError(
                f"there is no clipped trainer for the task {task!r}: use {', '.join(TASK_TRAINERS)}"
            )
        return type(
            f"Clipped{TASK_TRAINERS[task].__name__}", (cls, TASK_TRAINERS[task]), {"__doc__": cls.__doc__}
        )

    def __new__(cls, *args: Any, **kwargs: Any) -> ClippedTrainer:
        """A trainer of the task that `overrides` names: Ultralytics calls the class it was given and knows no task."""
        overrides = kwargs.get("overrides") or (args[1] if len(args) > 1 else None) or {}
        if BaseTrainer not in cls.__mro__:
            cls = cls.for_task(overrides.get("task") or "detect")
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.spikes = SpikeDetector()
        self.log: StepLog | None = None
        self.rollbacks = 0
        self._bad_streak = 0
        self._last_step_good = True
        self._snapshots: list[Snapshot] = []
        self._suspects: list[dict[str, Any]] = []
        self._last_batch: dict[str, Any] | None = None
        self._unexplained: dict[int, tuple[str, ...]] = {}
        self._epoch_started = time.perf_counter()
        self._healthy_tloss: dict[str, torch.Tensor] | None = None
        super().__init__(*args, **kwargs)
        if self.adaptive_percentile is not None:
            self.adaptive_clip = AdaptiveClip(self.adaptive_percentile)
        self.step_listeners.append(self._watch)

    # The run's stations

    def run_callbacks(self, event: str) -> None:
        """Do what is ours at an event, then what others asked for.

        Ours are no entries in `callbacks`, which Ultralytics hands, pickled, to the processes of several GPUs.
        """
        if event == "on_train_start":
            self._take_up()
        elif event == "on_train_epoch_start":
            self._take_snapshot()
            self._epoch_started = time.perf_counter()
        elif event == "on_train_epoch_end":
            self._explain_spikes()
        elif event == "teardown" and self.log:
            self.log.close()
        super().run_callbacks(event)

    def _take_up(self) -> None:
        """Open the log; a resumed run goes on with its steps, its norms, and without the images it left out."""
        if RANK in (-1, 0):
            self.log = StepLog(self.save_dir, self.start_epoch if self.resume else None)
            keep_clipping(self.save_dir, {key: getattr(self, key) for key in DEFAULTS})
        norms, self.steps_done = from_rank_0((self.log.norms, self.log.next_step) if self.log else None)
        for norm in norms:
            self.spikes.judge(norm)
        if self.adaptive_clip:
            self.adaptive_clip.learn(norms)
        names = self.save_dir / LEFT_OUT
        if self.resume and names.exists():
            self._leave_out(read_bounded(str(names), 64 * MIB).decode().splitlines())

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Ultralytics' dataset; the training set names the sources of its samples."""
        dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            SourceDataset.adopt(dataset)
        return dataset

    # One step

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Look back at the batch before, whose loss is known by now, and keep this one for the same."""
        self._look_for_culprits()
        batch = super().preprocess_batch(batch)
        self._last_batch = batch if self.optimizer is not None else None
        return batch

    def optimizer_step(self) -> None:
        """Look at the loss of the last batch, then step."""
        self._look_for_culprits()
        super().optimizer_step()

    def _look_for_culprits(self) -> None:
        """Find the images that make the loss of a batch not finite, before anything else happens to the weights."""
        batch, self._last_batch = self._last_batch, None
        if batch is not None and self.loss is not None and not bool(self.loss.isfinite()):
            singles = single_images(batch, self.args.overlap_mask)
            self.restore_running_statistics()  # this batch spoilt them, and its step will be skipped
            self._suspects += not_finite_alone(self, singles)
            del self._suspects[MAX_SUSPECTS:]

    def _watch(self, record: StepRecord) -> None:
        """Log a step; roll back once too many in a row were not finite."""
        spike = self.spikes.judge(record.grad_norm)  # every process sees the same norm, so all say the same
        if spike:
            record = replace(record, images=_of_all_ranks(record.images))
        suspects = _files(self._suspects)
        if self.log:
            shown = replace(record, images=self._shown(record.images))
            self.log.write(shown, spike, self._shown(suspects))
            if spike or record.skipped:
                self._unexplained[record.step] = tuple(dict.fromkeys((*suspects, *record.images)))
        self._last_step_good = not record.skipped
        if not record.skipped:
            self._bad_streak, self._suspects, self._healthy_tloss = 0, [], self.tloss
            return
        if self._healthy_tloss:
            self.tloss = self._healthy_tloss  # one batch would make the mean loss of the whole epoch NaN
        # AMP looks for its loss scale by overflowing: no fault of the run until there is no scale left to blame.
        overflow = record.amp_scale is not None and record.amp_scale > 1 and math.isfinite(record.loss)
        if self._any_rank(not overflow):
            self._bad_streak += 1
            what = "gradient" if math.isfinite(record.loss) else "loss"
            images = listed(self._shown(suspects or record.images), _NAMES_SHOWN)
            self._say(
                f"step {record.step}: the {what} is not finite, so the step is skipped; images: {images}"
            )
            if self._bad_streak >= self.bad_steps:
                self._roll_back(f"{self._bad_streak} steps in a row were not finite")

    def attribute_spikes(
        self, images_of_step: Mapping[int, Sequence[str]], seconds: float
    ) -> Mapping[int, Sequence[Carried]]:
        """What each image of these steps carries, by step, measured within so many seconds; nothing here.

        `sanitizer.probe.explaining_trainer`, which is the trainer that users get, measures it.
        """
        return {}

    def _explain_spikes(self) -> None:
        """Measure what the images of this epoch's spikes carry, within a share of the time that the epoch took."""
        steps, self._unexplained = self._unexplained, {}
        if not self.log or not steps:
            return
        seconds = max((time.perf_counter() - self._epoch_started) * EXPLAINING_SHARE, LEAST_EXPLAINING_S)
        try:
            found = self.attribute_spikes(steps, seconds)
        except RuntimeError as error:  # such as out of memory: training is worth more than its explanation
            LOGGER.warning(f"the spikes of epoch {self.epoch + 1} were not attributed: {error}")
            return
        shown = {
            step: [c._replace(image=self._shown([c.image])[0]) for c in cs] for step, cs in found.items()
        }
        self.log.attribute(shown)

    def _shown(self, images: Iterable[str]) -> tuple[str, ...]:
        """Images as they are named to people."""
        if not self.follow_links:
            return tuple(images)
        return tuple(os.path.realpath(i) if os.path.islink(i) else i for i in images)

    # What happens when a run fails

    def _take_snapshot(self) -> None:
        """Remember the start of an epoch and of the one before: a run may be lost some time before it shows.

        A state that no step came out of since the run went back to it, or got into trouble, has not shown that it
        is any good.
        """
        if self._last_step_good and not self._any_rank(not is_finite(self)):
            self._snapshots = [*self._snapshots[-1:], Snapshot(self)]

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """True where the epoch has to be done again, because its weights are not finite.

        Ultralytics goes back a whole epoch when the last loss of it is not finite, and cannot in the first epoch.
        Here such a step was skipped and has left no trace.
        """
        if not self._any_rank(not is_finite(self)):
            return False
        self._roll_back("weights or running statistics were not finite at the end of the epoch")
        self.scheduler.last_epoch = epoch - 1
        return True

    def _roll_back(self, reason: str) -> None:
        """Go back to the last good state, lower the learning rate, leave out the images at fault, and say so.

        Raises:
            TrainingStoppedError: There is no good state, or it was tried too often.
        """
        assert self.optimizer is not None
        self.rollbacks += 1
        if not self._snapshots or self.rollbacks > self.max_rollbacks:
            raise TrainingStoppedError(
                f"Training stopped in epoch {self.epoch + 1}: {reason}, after {self.rollbacks - 1} rollbacks. "
                f"The images of the steps that failed are in {self.save_dir / 'spikes.csv'}."
            )
        # The same failure again after going back to a state: that state was already lost.
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
        self._bad_streak, self._suspects, self._last_batch = 0, [], None
        self._begin_step()
        self._say(
            f"{reason}: went back to the start of epoch {snapshot.epoch + 1}, lowered lr0 to {self.args.lr0:g}, "
            + (
                f"and leave out {listed(left_out, _NAMES_SHOWN)}"
                if left_out
                else "and found no single image at fault"
            )
        )

    def _images_at_fault(self, most_others: int = 4) -> tuple[str, ...]:
        """The suspects whose loss is not finite with the weights gone back to either, while that of others is.

        Tiles of one mosaic are judged, and left out, together.
        """
        dataset, suspects = self.train_loader.dataset, _files(self._suspects)
        others = [i for i, label in enumerate(dataset.labels) if label["im_file"] not in suspects]
        if not suspects or not others:
            return ()
        drawn = [dataset[i] for i in random.sample(others, min(most_others, len(others)))]
        batch = self.preprocess_batch(dataset.collate_fn(drawn))
        healthy = len(drawn) - len(not_finite_alone(self, single_images(batch, self.args.overlap_mask)))
        return _files(not_finite_alone(self, self._suspects)) if 2 * healthy > len(drawn) else ()

    def _leave_out(self, images: Sequence[str]) -> tuple[str, ...]:
        """Never draw these images again; returns those that are left out by this, none where none would remain."""
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
            # Workers hold their own copy of the dataset, and batches drawn from it; the loop goes on with new ones.
            self.train_loader.reset()
            self.train_loader.iterator = self.train_loader._get_iterator()
        return tuple(images)

    def _any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any process: all of them have to decide alike."""
        return any_rank(flag, self.device)

    def _say(self, sentence: str) -> None:
        if RANK in (-1, 0):
            LOGGER.warning(sentence)


def _of_all_ranks(images: tuple[str, ...]) -> tuple[str, ...]:
    """The images of all processes, each once."""
    if not several_ranks():
        return images
    return tuple(dict.fromkeys(image for of_rank in of_each_rank(images) for image in of_rank))


def _files(batches: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(image for batch in batches for image in images_of(batch)))
