"""Name every label and image that training would drop, misread or choke on. Reads only."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.cli.arguments import comma_list, one_of, positive_int
from sanitizer.cli.options import (
    ENGINES,
    TASKS,
    add_report_options,
    add_rule_options,
    check_outputs,
    configured,
    nearest_config,
)
from sanitizer.cli.output import finish, say_note, say_nothing, wants_bar
from sanitizer.storage.opening import is_on_platform
from sanitizer.util.paths import is_url

if TYPE_CHECKING:
    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.report import Report

IMAGE_MODES = ("auto", "header", "decode", "none")
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""A scan makes few reference cycles, and by default Python looks for them a hundred times in a commit hook."""

USAGE = "sanitize scan PATH… [options]"
EPILOG = """\
exit status: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage or nothing readable, 130 interrupted

examples:
  sanitize scan data.yaml
  sanitize scan s3://bucket/set/data.yaml        (also gs://, https://, ul://, set.zip)
  sanitize scan data.yaml --output findings.csv --output findings.sarif
  sanitize scan data.yaml --select B,C001 --set B001.max_ratio=80
  sanitize scan data.yaml --write-baseline known.json    then    --baseline known.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize scan`."""
    add = parser.add_argument
    add(
        "paths",
        metavar="PATH",
        nargs="+",
        help="a data.yaml, a dataset folder, label and image files, tar shards or an .ndjson; URLs and .zip too",
    )

    add_rule_options(parser)
    group = parser.add_argument_group("what to read")
    add = group.add_argument
    add("--split", metavar="NAMES", type=comma_list, action="extend", help="only these splits: train,val")
    add(
        "--task",
        type=one_of(TASKS),
        default="auto",
        metavar="TASK",
        help=f"{', '.join(TASKS)} (default auto)",
    )
    add(
        "--ultralytics",
        metavar="VERSION",
        type=_version,
        help="judge as this version of Ultralytics reads the dataset: 8.3.200 (default: the installed one, or else "
        "the newest known)",
    )
    add("--imgsz", type=positive_int, metavar="PX", help="training image size (default 640)")
    add("--images", type=one_of(IMAGE_MODES), default="auto", metavar="HOW",
        help="header, decode (slow, finds hidden damage and near-duplicates), none, or auto by size")  # fmt: skip
    add(
        "--jobs",
        type=positive_int,
        metavar="N",
        help="worker processes, or tasks at a time on Ray (default: as many as help)",
    )
    add("--engine", type=one_of(ENGINES), default="local", metavar="NAME",
        help="local, or ray: on the cluster of RAY_ADDRESS, or else one that runs here; all nodes must see the "
        "files under the same paths, or reach the same URL (pip install 'sanitize-yolo[ray]')")  # fmt: skip
    add("--no-cache", action="store_true", help="read everything again, remember nothing")
    add(
        "--plan",
        action="store_true",
        help="read no label and no image: count files, bytes and requests of the scan",
    )

    add_report_options(parser)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on: scan again whenever a file is saved, and print what that changes in the findings",
    )


def _version(text: str) -> str:
    from sanitizer.ultra.versions import VersionError, behaviour_of

    try:
        return behaviour_of(text).version
    except VersionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    """Scan, report, and return the exit status."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    # Before it ends, Python looks for reference cycles once more, to free what is gone with the process anyway.
    atexit.register(gc.freeze)
    if args.watch:
        from sanitizer.cli.watch import refuse_unwatchable

        refuse_unwatchable(args)
    if any(map(is_on_platform, args.paths)):
        from sanitizer.ultra.adapter.platform import addresses_of

        args.paths = addresses_of(args.paths)
    if args.plan:
        from sanitizer.cli.plan import run_plan

        return run_plan(args)
    check_outputs(args)
    config = configured(nearest_config(args.paths, args.config), args)
    say = say_nothing if args.quiet else say_note
    if config.source:
        say(f"configuration: {config.source if is_url(config.source) else os.path.relpath(config.source)}")
    if args.watch:
        from sanitizer.cli.watch import watch

        return watch(args, partial(_find, args), partial(_scan, args))
    started = time.perf_counter()
    dataset = _dataset(args)
    return finish(_scan(args, dataset, config, started), args, config.fail_on, dataset)


def _find(args: argparse.Namespace) -> tuple[Dataset, Config]:
    return _dataset(args), configured(nearest_config(args.paths, args.config), args)


def _dataset(args: argparse.Namespace) -> Dataset:
    from sanitizer.archives.finding import find_dataset

    return find_dataset(args.paths, args.split, args.task)


def _scan(args: argparse.Namespace, dataset: Dataset, config: Config, started: float | None = None) -> Report:
    from sanitizer.scanner.run import scan_dataset

    return scan_dataset(
        dataset,
        config=config,
        task=args.task,
        images=args.images,
        jobs=args.jobs,
        engine=args.engine,
        cache=not args.no_cache,
        progress=wants_bar(args),
        ultralytics=args.ultralytics,
        started=started,
    )
