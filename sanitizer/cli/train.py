"""Train through Ultralytics with clipped, logged steps, on a clean view: the dataset stays as it is.

Needs PyTorch and Ultralytics: pip install 'sanitize-yolo[probe]'.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from sanitizer.cli import OK, UsageError
from sanitizer.cli.options import add_config, config_folder
from sanitizer.cli.output import say_lines
from sanitizer.cli.preflight import add_run_options, need_torch, train_arguments
from sanitizer.config import load_config
from sanitizer.findings.finding import Severity
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    import argparse

    from sanitizer.train.running import TrainingRun

USAGE = "sanitize train data.yaml --model MODEL [k=v …] [options]"
EPILOG = """\
k=v are Ultralytics train arguments, as `yolo train` spells them, and those of the clipped trainer:
  max_grad_norm=auto        clip gradients at this norm (auto: 10 under SGD and MuSGD, 1 under Adam and its like;
                            Ultralytics alone always clips at 10)
  adaptive_percentile=90    or at this percentile of the norms so far (for optimizers of the Adam family)

Images that training would drop are left out, safe repairs are made, and images of --exclude are left out, all in a
view beside the run's folder: RUN-dataset, with excluded.csv. The dataset itself is only read.

RUN holds what Ultralytics writes, grad_norms.csv (a row a step) and spikes.csv (images and lines behind spikes, steps
skipped because their gradient was not finite, rollbacks).

exit status: 0 trained, 2 wrong usage, or the run could not be saved, 130 interrupted

examples:
  sanitize train data.yaml --model yolov8n.pt optimizer=SGD lr0=0.01 epochs=100
  sanitize train data=data.yaml model=yolov8n.pt epochs=100
  sanitize train data.yaml --model yolov8n.pt --decisions reviewed.csv --exclude bad_images.txt
  sanitize train --model runs/detect/train/weights/last.pt resume=True
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize train`."""
    parser.add_argument("data", metavar="data.yaml", nargs="?", help="a data.yaml or a dataset folder")
    parser.add_argument("overrides", metavar="k=v", nargs="*", help="train arguments")
    add_run_options(parser, model_is_required=False)
    add = parser.add_argument_group("what to train on").add_argument
    add(
        "--exclude",
        metavar="FILE",
        help="images to leave out: one a line, or a .csv with a column `image` (of findings: rows decided `drop`)",
    )
    add(
        "--decisions",
        metavar="FILE",
        help="carry out a reviewed findings CSV in the view, and no other repair",
    )
    add("--unsafe", action="store_true", help="also repair, in the view, what fix --unsafe repairs")
    add_config(add)
    add("--quiet", action="store_true", help="errors alone, and where the run is")


def run(args: argparse.Namespace) -> int:
    """Prepare the view, train, say what came of it, and return the exit status."""
    _read_as_yolo_spells(args)
    if args.unsafe and args.decisions:
        raise UsageError("--decisions carries out what was decided and nothing else: leave --unsafe out")
    need_torch("training")
    os.environ["YOLO_VERBOSE"] = str(not args.quiet)
    from sanitizer.scanner.engines.ready import ready_workers

    overrides = train_arguments(args)
    with ready_workers():
        ready = _resumed(args, overrides) if overrides.get("resume") else _prepared(args, overrides)
    from sanitizer.probe import explaining_trainer
    from sanitizer.train.running import train

    outcome = train(ready, explaining_trainer.ExplainingTrainer)
    print(f"run: {outcome.save_dir}")
    if not args.quiet:
        logs = [name for name in ("grad_norms.csv", "spikes.csv") if _is_there(outcome.save_dir, name)]
        print(f"logs: {', '.join(join_path(outcome.save_dir, name) for name in logs)}")
        print(outcome.sentence)
    return OK


def _read_as_yolo_spells(args: argparse.Namespace) -> None:
    """Take data=, model= and task= for what the first argument, --model and --task say."""
    if args.data and "=" in args.data and not os.path.exists(args.data):
        args.data, args.overrides = None, [args.data, *args.overrides]
    rest = []
    for text in args.overrides:
        key, _, value = text.partition("=")
        if key not in ("data", "model", "task") or not value:
            rest.append(text)
        elif getattr(args, key) not in (None, "auto"):
            raise UsageError(f"{text}: {key} is named twice")
        else:
            setattr(args, key, value)
    args.overrides = rest
    if args.model is None:
        raise UsageError("name what to train: --model yolov8n.pt, or model=yolov8n.pt")


def _prepared(args: argparse.Namespace, overrides: dict[str, Any]) -> TrainingRun:
    """A new run; what it leaves out and what its recipe risks is said on stderr."""
    if not args.data:
        raise UsageError("name what to train on: sanitize train data.yaml --model …")
    from sanitizer.archives.finding import find_loose_dataset
    from sanitizer.cli.fix import tally_of
    from sanitizer.preflight.flight import as_trained, read_recipe
    from sanitizer.train.running import prepare_run
    from sanitizer.ultra.silence import silent_ultralytics
    from sanitizer.view.text import view_summary

    config = load_config(config_folder([args.data]), args.config)
    with silent_ultralytics():
        dataset = as_trained(find_loose_dataset([args.data]), overrides)
        recipe, _, _, spec = read_recipe(
            dataset,
            args.model,
            overrides,
            task=args.task,
            trust_weights=args.trust_weights,
            config=config,
            counting=False,
        )
        ready = prepare_run(
            dataset,
            args.model,
            overrides,
            task=spec.task,
            config=config,
            unsafe=args.unsafe,
            decisions=args.decisions,
            exclude=args.exclude,
            trust_weights=args.trust_weights,
            progress=not args.quiet and sys.stderr.isatty(),
        )
    assert ready.view is not None
    recipe = recipe.counted(ready.view.images["train"])
    for sentence in ready.view.refused:
        say_lines(sentence)
    if not args.quiet:
        for note in ready.view.notes:
            say_lines(f"note: {note}")
        tally = tally_of(ready.view.files) if ready.view.files else []
        say_lines(view_summary(ready.view, os.path.relpath(ready.view.folder), tally, advice=False))
        for finding in recipe.findings():
            if finding.severity >= Severity.WARNING:
                say_lines(f"{finding.rule} {finding.message} (set {finding.suggestion})")
    return ready


def _resumed(args: argparse.Namespace, overrides: dict[str, Any]) -> TrainingRun:
    """A run that goes on."""
    from sanitizer.train.running import resumed_run

    for option in ("exclude", "decisions", "unsafe"):
        if getattr(args, option):
            raise UsageError(f"a resumed run keeps its view of the dataset: leave --{option} out")
    if args.data and not args.quiet:
        say_lines(
            f"note: the run goes on with its own view of the dataset, not with {args.data} as it is now"
        )
    resume = overrides.pop("resume")
    return resumed_run(resume if isinstance(resume, str) else args.model, overrides, args.trust_weights)


def _is_there(folder: str, name: str) -> bool:
    return os.path.exists(join_path(folder, name))
