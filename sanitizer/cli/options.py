"""Options that commands share: what they look for and how they report it, and the configuration that comes of it."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.cli import UsageError
from sanitizer.cli.arguments import comma_list, one_of, setting
from sanitizer.config import FAIL_ON, Config, RuleConfig, class_key, load_config
from sanitizer.reports.formats import FORMATS, format_of
from sanitizer.storage.opening import absolute, find_storage, is_remote, refuse_remote
from sanitizer.util.paths import absolute_path, common_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Add = Callable[..., object]

TASKS = ("auto", "detect", "segment", "semantic", "classify", "pose", "obb")
LABEL_TASKS = ("auto", "detect", "segment", "pose", "obb")
ENGINES = ("local", "ray")


def add_label_task(add: Add) -> None:
    """`--task` of commands that work on label files."""
    add(
        "--task",
        type=_label_task,
        default="auto",
        metavar="TASK",
        help=f"{', '.join(LABEL_TASKS)} (default auto)",
    )


def _label_task(text: str) -> str:
    if text in TASKS and text not in LABEL_TASKS:
        raise argparse.ArgumentTypeError(f"only `scan` judges {text} sets: this command works on label files")
    return one_of(LABEL_TASKS)(text)


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose rules, for every command that finds something."""
    group = parser.add_argument_group("what to look for")
    add = group.add_argument
    add_config(add)
    add_selection(add)
    add("--set", metavar="CODE.PARAM=N", type=setting, action="append", default=[], dest="settings",
        help="a rule's parameter, as B001.max_ratio=80, or for a class B001.max_ratio.crack=2000")  # fmt: skip
    add("--baseline", metavar="FILE", help="leave out the findings that this file knows")
    add("--write-baseline", metavar="FILE", help="put all findings into this file as known")


def add_config(add: Add) -> None:
    """`--config`, for every command that reads a dataset."""
    add(
        "--config",
        metavar="FILE",
        help="sanitize.yaml or pyproject.toml (default: the nearest above the dataset)",
    )


def add_selection(add: Add) -> None:
    """`--select` and `--ignore`."""
    add("--select", metavar="CODES", type=comma_list, action="extend", help="only these rules: B001,C or B")
    add(
        "--ignore",
        metavar="CODES",
        type=comma_list,
        action="extend",
        help="not these, beside those configured",
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """The options on what is reported and how, for every command that finds something."""
    group = parser.add_argument_group("what to say")
    add = group.add_argument
    add(
        "--format",
        type=one_of(FORMATS),
        default="text",
        metavar="NAME",
        help=f"{', '.join(FORMATS)} (on stdout)",
    )
    add("--output", metavar="FILE", action="append", default=[],
        help="also write a file (repeatable) of this kind: .json .jsonl .csv .sarif .xml .html .parquet")  # fmt: skip
    add("--fail-on", type=one_of(FAIL_ON), metavar="SEVERITY",
        help="least severity for exit status 1: error (default), warning, info, never")  # fmt: skip
    add("--statistics", action="store_true", help="count by rule and by class in place of the findings")
    add("--quiet", action="store_true", help="findings and errors alone: no summary, no notes, no bar")
    add("--no-progress", action="store_true", help="no progress bar")


def nearest_config(paths: Sequence[str], explicit: str | None) -> Config:
    """The configuration that belongs to the paths, wherever they are."""
    if explicit is not None or not any(map(is_remote, paths)):
        return load_config(config_folder(paths) if explicit is None else "", explicit)
    storage, found = find_storage(paths)
    folders = [path if storage.isdir(path) else os.path.dirname(path) for path in found]
    return load_config(common_path(folders), storage=storage)


def config_folder(paths: Sequence[str]) -> str:
    """Folder where the search for a configuration starts: that of the data.yaml, or what all paths have in common.

    Raises:
        StorageError: A path is not on this disk.
    """
    refuse_remote(paths)
    folders = [p if os.path.isdir(p) else os.path.dirname(p) for p in map(absolute_path, paths)]
    try:
        return common_path(folders)
    except ValueError:  # two drives
        return folders[0]


def configured(config: Config, args: argparse.Namespace) -> Config:
    """The configuration with what the options on rules and reports change."""
    config = with_selection(config, args)
    changes: dict[str, object] = {"rules": _with_settings(config, args.settings)}
    if args.imgsz:
        changes["imgsz"] = args.imgsz
    if args.fail_on:
        changes["fail_on"] = args.fail_on
    if args.write_baseline:
        changes["baseline"] = None  # the new one is to know everything
    return replace(config, **changes)  # type: ignore[arg-type]


def with_selection(config: Config, args: argparse.Namespace) -> Config:
    """The configuration with what `--select`, `--ignore` and `--baseline` change.

    `--select` sets the configured select and ignore aside; `--ignore` adds to what is ignored.
    """
    ignore = tuple(args.ignore or ())
    if args.select:
        config = replace(config, select=tuple(args.select), ignore=ignore)
    else:
        config = replace(config, ignore=(*config.ignore, *ignore))
    return replace(config, baseline=absolute(args.baseline)) if args.baseline else config


def _with_settings(
    config: Config, settings: Iterable[tuple[str, str, str | None, float]]
) -> dict[str, RuleConfig]:
    rules = dict(config.rules)
    for code, parameter, cls, number in settings:
        rule = rules.get(code, RuleConfig())
        if cls is None:
            rules[code] = replace(rule, params={**rule.params, parameter: number})
        else:
            key = class_key(cls)
            of_class = {**rule.per_class.get(key, {}), parameter: number}
            rules[code] = replace(rule, per_class={**rule.per_class, key: of_class})
    return rules


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse before a long scan what could not be written after it."""
    if args.statistics and args.format != "text":
        raise UsageError(f"--statistics is a view of the text report: leave out --format {args.format}")
    if args.baseline and args.write_baseline:
        raise UsageError("--baseline reads and --write-baseline writes: give one of them")
    for path in args.output:
        format_of(path)
    for path in [*args.output, *filter(None, [args.write_baseline])]:
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise UsageError(f"{path}: there is no folder {folder}")
        if os.path.isdir(path):
            raise UsageError(f"{path}: is a folder, and a file is to be written")
