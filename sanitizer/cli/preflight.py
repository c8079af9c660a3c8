"""Say why a training run would fail, before it starts: scan, check of the recipe, short probe; go or no-go.

Needs PyTorch and Ultralytics: pip install 'sanitize-yolo[probe]'. The dataset is only read.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sanitizer.cli import INTERRUPTED, OK, UsageError
from sanitizer.cli.options import (
    add_label_task,
    add_report_options,
    add_rule_options,
    check_outputs,
    config_folder,
    configured,
)
from sanitizer.cli.output import finish, wants_bar, wants_colour
from sanitizer.config import Config, load_config
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    import argparse

    from sanitizer.findings.report import Report

USAGE = "sanitize preflight data.yaml --model MODEL [k=v …] [options]"
EPILOG = """\
k=v are Ultralytics train arguments, as `yolo train` spells them: imgsz=640 batch=16 lr0=0.01 device=0; and
max_grad_norm=auto, the clip limit of `sanitize train` (auto: 10 under SGD and MuSGD, 1 under Adam and its like), which
Ultralytics alone fixes at 10

exit status: 0 go (nothing at or above --fail-on), 1 no-go, 2 wrong usage or nothing readable, 130 interrupted

examples:
  sanitize preflight data.yaml --model yolov8n.pt optimizer=SGD lr0=0.05 warmup_epochs=0
  sanitize preflight data.yaml --model yolov8n.pt lr0=0.05 --fix-recipe
  sanitize preflight data.yaml --model yolo11n.yaml --no-probe --output preflight.json --output preflight.html
"""
NOT_AS_ARGUMENT = {"model": "--model", "data": "the first argument", "task": "--task", "mode": "the command"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize preflight`."""
    parser.add_argument("data", metavar="data.yaml", help="a data.yaml or a dataset folder")
    parser.add_argument("overrides", metavar="k=v", nargs="*", help="Ultralytics train arguments")
    add_run_options(parser)
    add = parser.add_argument_group("what to run").add_argument
    add(
        "--budget",
        metavar="B",
        default="2m",
        help="time for everything: 2m, 90s (default 2m); or steps, epochs",
    )
    add("--no-probe", action="store_true", help="do not run the model: dataset and recipe alone")
    add("--fix-recipe", action="store_true", help="print the corrected train command, and do nothing else")
    add_rule_options(parser)
    add_report_options(parser)


def add_run_options(parser: argparse.ArgumentParser, model_is_required: bool = True) -> None:
    """The options that say what is trained, for every command that knows a recipe."""
    add = parser.add_argument_group("what to train").add_argument
    add(
        "--model",
        metavar="MODEL",
        required=model_is_required,
        help="weights (.pt) to start from, or a model .yaml",
    )
    add(
        "--device",
        metavar="D",
        help="auto, cpu, 0 or 0,1; the same as device=D (default auto)",
    )
    add_label_task(add)
    add(
        "--trust-weights",
        action="store_true",
        help="load weights that need more than tensors and known classes, which may run their maker's code",
    )


def run(args: argparse.Namespace) -> int:
    """Fly the checklist, report, and return the exit status."""
    check_outputs(args)
    need_torch("a preflight")
    overrides = train_arguments(args)
    args.imgsz = None
    config = configured(load_config(config_folder([args.data]), args.config), args)
    if args.fix_recipe:
        return fix_recipe(args, overrides, config)
    from sanitizer.scanner.engines.ready import ready_workers

    with ready_workers():
        from sanitizer.preflight.flight import preflight

        flight = preflight(
            args.data,
            args.model,
            overrides,
            budget=args.budget,
            task=args.task,
            trust_weights=args.trust_weights,
            config=config,
            probing=not args.no_probe,
            progress=wants_bar(args),
        )
    from sanitizer.preflight.checklist import checklist, headline, preflight_record

    fail_on = None if config.fail_on == "never" else Severity.parse(config.fail_on)

    def paint(text: str, sgr: str) -> str:
        return f"\x1b[{sgr}m{text}\x1b[0m" if wants_colour() else text

    def as_text(report: Report) -> str:
        shown = replace(flight, report=report)
        return f"{headline(shown, fail_on, paint)}\n" if args.quiet else checklist(shown, fail_on, paint)

    report = replace(flight.report, preflight=preflight_record(flight, fail_on))
    status = finish(report, args, config.fail_on, flight.dataset, as_text)
    return INTERRUPTED if flight.interrupted else status


def need_torch(what: str) -> None:
    """UsageError where PyTorch or Ultralytics is not installed, RequirementError where Ultralytics is too old."""
    import importlib.util

    from sanitizer.ultra.adapter.requirement import check_installed

    missing = [name for name in ("torch", "ultralytics") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{what} needs {' and '.join(missing)}: pip install 'sanitize-yolo[probe]'")
    check_installed(what)
    os.environ["YOLO_VERBOSE"] = "False"  # Ultralytics logs to stdout, which belongs to the report


def train_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The train arguments of a command line, `--device` among them."""
    from sanitizer.ultra.arguments import parse_arguments

    overrides = parse_arguments(args.overrides)
    for key in overrides.keys() & NOT_AS_ARGUMENT.keys():
        raise UsageError(f"{key}={overrides[key]}: {key} is given by {NOT_AS_ARGUMENT[key]}")
    if args.device is not None:
        if "device" in overrides:
            raise UsageError(f"--device {args.device} and device={overrides['device']}: give one of them")
        if args.device != "auto":
            overrides["device"] = args.device
    return overrides


def fix_recipe(args: argparse.Namespace, overrides: dict[str, Any], config: Config) -> int:
    """Print the train command with every suggestion applied; on stderr what each is for."""
    from sanitizer.archives.finding import find_loose_dataset
    from sanitizer.preflight.correction import train_command
    from sanitizer.preflight.flight import read_recipe
    from sanitizer.util.escape import legible

    recipe, *_ = read_recipe(
        find_loose_dataset([args.data]),
        args.model,
        overrides,
        task=args.task,
        trust_weights=args.trust_weights,
        config=config,
    )
    if not args.quiet:
        for finding in recipe.findings():
            print(legible(f"{finding.rule} {finding.suggestion}: {finding.message}"), file=sys.stderr)
    command = train_command(args.data, args.model, recipe.corrected())
    if args.trust_weights:
        command += " --trust-weights"
    print(command)
    return OK
