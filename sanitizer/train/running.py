"""A whole run, top to bottom: a clean view of the dataset, clipped training on this view, and one line of results."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.train.clipping import kept_clipping
from sanitizer.train.exclusions import read_exclusions
from sanitizer.train.step_log import NORMS, SPIKES
from sanitizer.ultra.arguments import OWN_ARGUMENTS, ArgumentError, resolve_arguments
from sanitizer.util.counting import in_thousands
from sanitizer.util.escape import legible
from sanitizer.util.paths import absolute_path, join_path
from sanitizer.view.fixing import fix_into_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task
    from sanitizer.train.trainer import ClippedTrainer
    from sanitizer.view.write import View


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class TrainError(Exception):
    """A run cannot be started, or it failed; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A training run that is ready to start.

    Attributes:
        model: Path or name that `YOLO` gets.
        save_dir: Absolute folder of the run.
        arguments: Train arguments for Ultralytics.
        clipping: Arguments for `ClippedTrainer.configured`.
        view: The clean view to train on; None for a resumed run, whose view was written before.
        trust_weights: Load the weights even if the file can run code.
    """

    model: str
    save_dir: str
    arguments: Mapping[str, Any]
    clipping: Mapping[str, Any]
    view: View | None = None
    trust_weights: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run.

    Attributes:
        save_dir: The run's folder.
        steps: Number of optimizer steps.
        spikes, skipped: How many of these steps were spikes, and how many were skipped.
        rollbacks: How often the run went back to an earlier state.
        left_out: Images that a rollback left out, as spikes.csv names them.
    """

    save_dir: str
    steps: int
    spikes: int
    skipped: int
    rollbacks: int
    left_out: tuple[str, ...] = field(default_factory=tuple)

    @property
    def sentence(self) -> str:
        """The whole result in one line."""
        said = [
            in_thousands(self.spikes, "step") + " spiked",
            f"{self.skipped:,} {'was' if self.skipped == 1 else 'were'} skipped as not finite",
            in_thousands(self.rollbacks, "rollback"),
        ]
        left_out = f", which left out {', '.join(self.left_out)}" if self.left_out else ""
        return f"Of {in_thousands(self.steps, 'optimizer step')}, {', '.join(said[:2])}; {said[2]}{left_out}."


def prepare_run(
    dataset: Dataset,
    model: str,
    overrides: Mapping[str, Any],
    *,
    task: Task,
    config: Config | None = None,
    unsafe: bool = False,
    decisions: str | None = None,
    exclude: str | None = None,
    trust_weights: bool = False,
    progress: bool = False,
) -> TrainingRun:
    """Choose the run's folder and write the clean view beside it. The dataset is only read.

    Args:
        dataset: The result of `find_loose_dataset`.
        model: A .pt file, or a model yaml by path or name.
        overrides: Train arguments that differ from the defaults, with those of the clipped trainer.
        task: The task that label rows are checked for.
        config: Rules whose findings are repaired in the view; None looks for a configuration beside the dataset.
        unsafe: Also make unsafe repairs in the view, which remove boxes or change what they mean.
        decisions: A CSV file with an annotator's decisions, which replace the automatic repairs.
        exclude: A file that names images to leave out, see `read_exclusions`.
        trust_weights: Load the weights even if the file can run code.
        progress: Show a progress bar on stderr while scanning.

    Raises:
        DatasetError, ConfigError, ArgumentError, DecisionsError, ExclusionError, JournalError, ViewError: The text
            says what is wrong.
        TrainError: The view has no image left to train on, or to validate on.
    """
    arguments, clipping = split_arguments(overrides)
    _check_clipping(clipping)
    excluded = read_exclusions(exclude, dataset) if exclude else None
    save_dir = _folder_of_run(arguments, task)
    view = fix_into_view(
        dataset,
        f"{save_dir}-dataset",
        config=config,
        task=task,
        unsafe=unsafe,
        decisions=decisions,
        exclude=excluded,
        progress=progress,
    )
    for split in ("train", "val"):
        if not view.images.get(split):
            raise TrainError(
                f"{dataset.data}: no image is left to {'train' if split == 'train' else 'validate'} on "
                f"({join_path(view.folder, 'excluded.csv')} says why); nothing was started"
            )
    arguments |= {"data": view.data_yaml, "save_dir": save_dir}
    return TrainingRun(model, save_dir, arguments, clipping, view, trust_weights)


def split_arguments(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(arguments for Ultralytics, arguments for the clipped trainer).

    Raises:
        ArgumentError: There is no such argument.
    """
    resolve_arguments(overrides)
    clipping = {key: overrides.get(key, default) for key, default in OWN_ARGUMENTS.items()}
    return {k: v for k, v in overrides.items() if k not in OWN_ARGUMENTS}, clipping


def _folder_of_run(arguments: Mapping[str, Any], task: str) -> str:
    """Absolute path of the folder that Ultralytics would choose for a run; makes the folder."""
    from sanitizer.ultra.library import get_save_dir

    values = resolve_arguments(arguments)
    wanted = {key: values[key] for key in ("project", "name", "exist_ok")}
    save_dir = get_save_dir(
        SimpleNamespace(**wanted, save_dir=arguments.get("save_dir"), task=task, mode="train")
    )
    os.makedirs(save_dir, exist_ok=True)
    return str(save_dir)


def resumed_run(checkpoint: str, overrides: Mapping[str, Any], trust_weights: bool = False) -> TrainingRun:
    """A run that continues from its checkpoint, in its own folder, with its own view and its own clip settings.

    Args:
        checkpoint: The run's weights/last.pt.
        overrides: Train arguments that replace those of the checkpoint.
        trust_weights: Load the weights even if the file can run code.

    Raises:
        ArgumentError: An argument does not exist.
        ModelError: The checkpoint cannot be used.
        TrainError: There is no checkpoint, or the dataset that it was trained on is not here.
    """
    if not os.path.isfile(checkpoint):
        raise TrainError(f"{checkpoint}: there is no such checkpoint: name the run's weights/last.pt")
    save_dir = os.path.dirname(os.path.dirname(absolute_path(checkpoint)))
    arguments, clipping = split_arguments(overrides)
    clipping |= {key: value for key, value in kept_clipping(save_dir).items() if key not in overrides}
    # The paths in the checkpoint may be those of another machine, so the run's own folder replaces them.
    arguments |= {"resume": checkpoint, "save_dir": save_dir}
    if not trust_weights:
        _check_resumable(checkpoint)
    return TrainingRun(checkpoint, save_dir, arguments, clipping, trust_weights=trust_weights)


def _check_resumable(checkpoint: str) -> None:
    """Refuse a checkpoint whose arguments would make Ultralytics download or run something."""
    from sanitizer.ultra.checkpoint import read_checkpoint

    arguments = read_checkpoint(checkpoint).arguments
    data = arguments.get("data")
    if not isinstance(data, str) or not os.path.isfile(data):
        raise TrainError(
            f"{checkpoint}: the dataset that it was trained on is not here: {legible(str(data))}"
        )
    if read_data_yaml(absolute_path(data)).data.get("download"):
        raise TrainError(
            f"{checkpoint}: {legible(data)} has a `download:`, which training may run; take it out, and resume again"
        )
    _check_weights(arguments, "distill_model")
    if arguments.get("augmentations"):
        raise TrainError(
            f"{checkpoint}: it carries its own `augmentations`, which are made by name; if you know who made the file, "
            "--trust-weights allows that"
        )


def _check_weights(arguments: Mapping[str, Any], *keys: str) -> None:
    """Apply `check_model_file` to the model files that these arguments name. Raises ModelError."""
    from sanitizer.ultra.model import check_model_file

    for key in keys:
        value = arguments.get(key)
        if isinstance(value, str | os.PathLike):
            check_model_file(os.fspath(value))


def train(run: TrainingRun, trainer: type[ClippedTrainer]) -> Outcome:
    """Train to the end of the run. Ultralytics' log goes to stderr.

    Raises:
        ModelError: Weights that the run names cannot be used.
        TrainError, TrainingStoppedError: The training failed; the text says why.
    """
    from sanitizer.train.known_labels import labels_read_ahead
    from sanitizer.ultra.model import model_to_train

    _check_files(run)
    configured = trainer.configured(**run.clipping, follow_links=True)
    with _log_on_stderr(), labels_read_ahead():
        try:
            model_to_train(run.model).train(trainer=configured, **run.arguments)
        except Exception as error:
            if type(error).__module__.startswith("sanitizer.") or "SANITIZE_TRACEBACK" in os.environ:
                raise
            first = _COLOURS.sub("", (str(error).splitlines() or [type(error).__name__])[0])
            raise TrainError(f"training stopped: {first} (SANITIZE_TRACEBACK=1 shows where)") from error
    return outcome(run.save_dir)


def _check_files(run: TrainingRun) -> None:
    """Check all weights before Ultralytics loads them, because Ultralytics loads without any restriction."""
    from sanitizer.ultra.model import check_model_file

    check_model_file(run.model, run.trust_weights)
    if not run.trust_weights:
        _check_weights(resolve_arguments(run.arguments), "pretrained", "distill_model")


def _check_clipping(clipping: Mapping[str, Any]) -> None:
    """Raise ArgumentError for a setting of the clipped trainer that is out of its range."""
    from sanitizer.train.trainer import ClippedTrainer

    try:
        ClippedTrainer.configured(**clipping)
    except (ValueError, TypeError) as error:
        raise ArgumentError(str(error)) from error


def outcome(save_dir: str) -> Outcome:
    """The result of a run, read from its logs in `save_dir`."""
    norms, spikes = _rows(Path(save_dir, NORMS)), _rows(Path(save_dir, SPIKES))
    rollbacks = [row for row in spikes if row["kind"] == "rollback"]
    return Outcome(
        save_dir=save_dir,
        steps=len(norms),
        spikes=sum(row["spike"] == "1" for row in norms),
        skipped=sum(row["skipped"] == "1" for row in norms),
        rollbacks=len({row["step"] for row in rollbacks}),
        left_out=tuple(dict.fromkeys(row["image"] for row in rollbacks if row["image"])),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@contextlib.contextmanager
def _log_on_stderr() -> Iterator[None]:
    """Inside the block, everything that Ultralytics writes to stdout, log and progress bars, goes to stderr.

    Redirecting `sys.stdout` is not enough: the processes of several GPUs write to the file descriptor.
    """
    import logging

    from sanitizer.ultra.library import LOGGER

    handlers = [h for h in LOGGER.handlers if isinstance(h, logging.StreamHandler) and h.stream is sys.stdout]
    for handler in handlers:
        handler.setStream(sys.stderr)
    sys.stdout.flush()
    real_stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(real_stdout, 1)
        os.close(real_stdout)
        for handler in handlers:
            handler.setStream(sys.stdout)
