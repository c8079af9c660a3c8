"""The real Ultralytics on a dataset: whether a run starts, where it stops, and what it keeps of each split.

`python tests/real_training.py FOLDER…` copies each folder with a data.yaml, trains on the copy, and compares the
outcome with the report of a scan.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

IMGSZ = 64
MODELS = {
    "detect": "yolov8n.yaml",
    "segment": "yolov8n-seg.yaml",
    "pose": "yolov8n-pose.yaml",
    "obb": "yolov8n-obb.yaml",
}


@dataclass
class RealOutcome:
    """What the real thing did.

    Attributes:
        error: The exception that ended the run, as "Type: text"; None where the first epoch went through.
        kept, listed: Images kept, and images found, by split, of the splits that were built.
    """

    error: str | None = None
    kept: dict[str, int] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)

    @property
    def starts(self) -> bool:
        return self.error is None


def tried(data: Path | str, task: str, **arguments: Any) -> RealOutcome:
    """The trainer's own steps up to the first pass over train and val, with one convolution in place of the model.

    Every picture is flipped, so that what a flip would do shows in one pass.
    """
    import torch
    from ultralytics.cfg import get_cfg

    from sanitizer.ultra.library import TASK_TRAINERS

    outcome = RealOutcome()
    trainer = object.__new__(TASK_TRAINERS[task])
    trainer.device, trainer.batch_size, trainer.stride = torch.device("cpu"), 4, 32
    with _quiet(), _ended(outcome):
        trainer.args = get_cfg(overrides=_arguments(data, task) | {"fliplr": 1.0, **arguments})
        trainer.data = trainer.get_dataset()
        channels = trainer.data["channels"]
        trainer.model = torch.nn.Sequential(torch.nn.Conv2d(channels, 1, 3, 2))
        trainer.model.stride, trainer.model.nc = torch.tensor([32.0]), trainer.data["nc"]
        trainer.set_model_attributes()
        loaders = []
        for split in ("train", "val"):
            loader = trainer.get_dataloader(trainer.data[split], batch_size=4, rank=-1, mode=split)
            _count(outcome, split, loader.dataset)
            loaders.append(loader)
        for loader in loaders:
            for batch in loader:
                trainer.model(trainer.preprocess_batch(batch)["img"])
    return outcome


def trained(data: Path | str, task: str, **arguments: Any) -> RealOutcome:
    """One epoch of the real trainer, with a tiny model."""
    from sanitizer.ultra.library import TASK_TRAINERS

    outcome = RealOutcome()
    with _quiet(), _ended(outcome), tempfile.TemporaryDirectory() as runs:
        trainer = TASK_TRAINERS[task](
            overrides=_arguments(data, task) | {"model": MODELS[task], "project": runs, **arguments}
        )

        def count(trainer: Any) -> None:
            for split, loader in (("train", trainer.train_loader), ("val", trainer.test_loader)):
                _count(outcome, split, loader.dataset)

        trainer.add_callback("on_train_start", count)
        trainer.train()
    return outcome


def _arguments(data: Path | str, task: str) -> dict[str, Any]:
    return {
        "data": str(data), "task": task, "imgsz": IMGSZ, "batch": 4, "workers": 0, "device": "cpu", "epochs": 1,
        "plots": False, "save": False, "amp": False, "verbose": False, "seed": 0,
    }  # fmt: skip


def _count(outcome: RealOutcome, split: str, dataset: Any) -> None:
    outcome.kept[split] = len(dataset.labels)
    outcome.listed[split] = len(dataset.label_files)


@contextlib.contextmanager
def _ended(outcome: RealOutcome) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on the terminal, no font fetched, no thread for each of a handful of images, no search for slow disks."""
    import logging

    import ultralytics.data.base as base
    import ultralytics.data.dataset as dataset
    import ultralytics.data.utils as utils
    from ultralytics.utils import LOGGER

    class OneThread:
        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> OneThread:
            return self

        def __exit__(self, *_: object) -> None: ...
        def imap(self, func: Any, iterable: Any) -> Any:
            return map(func, iterable)

    kept = (utils.check_font, base.check_file_speeds, dataset.ThreadPool, LOGGER.level)
    utils.check_font = base.check_file_speeds = lambda *_, **__: None
    dataset.ThreadPool = OneThread
    LOGGER.setLevel(logging.CRITICAL)
    state = random.getstate()
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        utils.check_font, base.check_file_speeds, dataset.ThreadPool, level = kept
        LOGGER.setLevel(level)
        random.setstate(state)


def says_the_same(sentence: str, error: str) -> bool:
    """Whether a verdict's sentence is the exception: its parts, between the …, in their order, without colours."""
    if sentence.startswith("ValueError or RuntimeError"):
        return error.startswith(("ValueError", "RuntimeError"))
    plain = " ".join(re.sub(r"\x1b\[\d+m|❌", "", error).split())
    at = 0
    for part in map(str.strip, sentence.partition(" (")[0].split("…")):
        at = plain.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def compared(data: Path, task: str = "auto") -> tuple[str, str, str]:
    """("same" or "OTHER", the real outcome, our verdict), each in a few words; trains on a copy of the folder."""
    from sanitizer import scan

    original, here = data.parent.resolve(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / original.name
        shutil.copytree(original, copy, symlinks=True)
        _point_to(copy, original)
        os.chdir(copy)
        try:
            report = scan(data.name, task=task, cache=False)  # type: ignore[arg-type]
            real = trained(copy / data.name, report.task)
            if real.starts:  # a flip may have come to no picture, or not to every one
                real.error = tried(copy / data.name, report.task).error
        finally:
            os.chdir(here)
    kept = {s.split: s.images - s.dropped for s in report.summary.splits if s.split in ("train", "val")}
    assert report.training is not None
    theirs = "starts" if real.error is None else " ".join(real.error.replace(str(copy), "COPY").split())
    said = "starts" if report.training.starts else str(report.training.stops_with)
    same = real.starts == report.training.starts and (real.starts or says_the_same(said, theirs))
    if real.starts and same and real.kept != kept:
        same, theirs, said = False, f"kept {real.kept}", f"kept {kept}"
    return ("same" if same else "OTHER", theirs[:200], said[:160])


def _point_to(copy: Path, original: Path) -> None:
    """Let absolute paths in the text files of a copy lead into the copy, and links that lead out of it be copies."""
    for path in copy.rglob("*"):
        if path.is_symlink() and original in path.resolve().parents:
            target = copy / path.resolve().relative_to(original)
            path.unlink()
            path.symlink_to(target)
        elif path.suffix in (".yaml", ".yml", ".txt") and path.is_file():
            content = path.read_bytes()
            if str(original).encode() in content:
                path.write_bytes(content.replace(str(original).encode(), str(copy).encode()))


def main(paths: list[str]) -> None:
    """Compare every data.yaml in these folders."""
    for path in paths:
        for data in sorted(Path(path).glob("*.y*ml")):
            try:
                print(data.parent.name, data.name, *compared(data), sep=" | ", flush=True)
            except Exception as error:
                print(data.parent.name, data.name, f"FAILED {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
