"""Name every label and image that training would drop, misread or choke on. Reads only."""

from __future__ import annotations

import codecs
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.cli import FOUND, OK, UsageError, silence_stdout
from sanitizer.cli.arguments import comma_list, one_of, positive_int, setting
from sanitizer.config import FAIL_ON, Config, RuleConfig, class_key, load_config
from sanitizer.findings.finding import Severity
from sanitizer.reports import FORMATS, format_of, pieces, write
from sanitizer.storage.places import absolute, find_storage, is_remote, refuse_remote

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from sanitizer.findings.report import Report

    AsText = Callable[[Report], str]

TASKS = ("auto", "detect", "segment", "pose", "obb")
ENGINES = ("local", "ray")
IMAGE_MODES = ("auto", "header", "decode", "none")

USAGE = "sanitize scan PATH… [options]"
EPILOG = """\
exit status: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage or nothing readable, 130 interrupted

examples:
  sanitize scan data.yaml
  sanitize scan s3://bucket/set/data.yaml        (also gs://, https://, set.zip)
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
    add("--plan", action="store_true", help="read no label and no image: say what the scan will cost")

    add_report_options(parser)


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose rules, for every command that finds something."""
    group = parser.add_argument_group("what to look for")
    add = group.add_argument
    add(
        "--config",
        metavar="FILE",
        help="sanitize.yaml or pyproject.toml (default: the nearest above the dataset)",
    )
    add("--select", metavar="CODES", type=comma_list, action="extend", help="only these rules: B001,C or B")
    add(
        "--ignore",
        metavar="CODES",
        type=comma_list,
        action="extend",
        help="not these, beside those configured",
    )
    add("--set", metavar="CODE.PARAM=N", type=setting, action="append", default=[], dest="settings",
        help="a rule's parameter, as B001.max_ratio=80, or for a class B001.max_ratio.crack=2000")  # fmt: skip
    add("--baseline", metavar="FILE", help="leave out the findings that this file knows")
    add("--write-baseline", metavar="FILE", help="put all findings into this file as known")


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


def run(args: argparse.Namespace) -> int:
    """Scan, report, and return the exit status."""
    if args.plan:
        from sanitizer.cli.plan import run_plan

        return run_plan(args)
    check_outputs(args)
    config = configured(_nearest_config(args.paths, args.config), args)
    say = _silent if args.quiet else _note
    if config.source:
        say(f"configuration: {_near(config.source)}")

    from sanitizer.scanner.run import scan

    report = scan(
        *args.paths,
        config=config,
        task=args.task,
        images=args.images,
        splits=args.split,
        jobs=args.jobs,
        engine=args.engine,
        cache=not args.no_cache,
        progress=wants_bar(args),
    )
    return finish(report, args, config.fail_on)


def finish(report: Report, args: argparse.Namespace, fail_on_name: str, as_text: AsText | None = None) -> int:
    """Say the notes, put findings off into a baseline where asked to, deliver the rest; exit status by these.

    `as_text` writes the report as text in a way of its own, given the report that is delivered.
    """
    say = _silent if args.quiet else _note
    for note in report.notes:
        say(note)
    if args.write_baseline:
        report = _put_off(report, args.write_baseline)
        say(
            f"{report.suppressed:,} findings written: `--baseline {args.write_baseline}` leaves them out from now on"
        )
    return deliver(report, args, fail_on_name, as_text)


def deliver(
    report: Report, args: argparse.Namespace, fail_on_name: str, as_text: AsText | None = None
) -> int:
    """Write the report to files and stdout; exit status by its findings."""
    fail_on = None if fail_on_name == "never" else Severity.parse(fail_on_name)
    for path in args.output:
        write(report, path, fail_on, wants_bar(args))
    if args.format == "text" and as_text and not args.statistics:
        print_as_terminal(as_text(report))
    elif args.format == "text":
        print_text(report, args.statistics, args.quiet)
    else:
        print_pieces(pieces(report, args.format, fail_on), "utf-8")
    # A file that did not come may hold anything: the status says so even where its finding was not asked for.
    return FOUND if fail_on is not None and (report.count(fail_on) or report.unread) else OK


def wants_bar(args: argparse.Namespace) -> bool:
    """Whether to show progress on stderr."""
    return not (args.quiet or args.no_progress) and sys.stderr.isatty()


def _near(path: str) -> str:
    return path if "://" in path else os.path.relpath(path)


def _nearest_config(paths: Sequence[str], explicit: str | None) -> Config:
    """The configuration that belongs to the paths, wherever they are."""
    if explicit is not None or not any(map(is_remote, paths)):
        return load_config(config_folder(paths) if explicit is None else "", explicit)
    storage, found = find_storage(paths)
    folders = [path if storage.isdir(path) else os.path.dirname(path) for path in found]
    return load_config(os.path.commonpath(folders), storage=storage)


def config_folder(paths: Sequence[str]) -> str:
    """Folder where the search for a configuration starts: that of the data.yaml, or what all paths have in common.

    Raises:
        StorageError: A path is not on this disk.
    """
    refuse_remote(paths)
    folders = [p if os.path.isdir(p) else os.path.dirname(p) for p in map(os.path.abspath, paths)]
    try:
        return os.path.commonpath(folders)
    except ValueError:  # two drives
        return folders[0]


def configured(config: Config, args: argparse.Namespace) -> Config:
    """The configuration with what the command line changes.

    `--select` sets the configured select and ignore aside; `--ignore` adds to what is ignored.
    """
    changes: dict[str, object] = {"rules": _with_settings(config, args.settings)}
    ignore = tuple(args.ignore or ())
    if args.select:
        changes |= {"select": tuple(args.select), "ignore": ignore}
    else:
        changes |= {"ignore": (*config.ignore, *ignore)}
    if args.imgsz:
        changes["imgsz"] = args.imgsz
    if args.fail_on:
        changes["fail_on"] = args.fail_on
    if args.write_baseline:
        changes["baseline"] = None  # the new one is to know everything
    elif args.baseline:
        changes["baseline"] = absolute(args.baseline)
    return replace(config, **changes)  # type: ignore[arg-type]


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


def _put_off(report: Report, path: str) -> Report:
    """Write all findings to a baseline; the report that is left has none."""
    from sanitizer.findings.baseline import write_baseline

    write_baseline(report.findings, path)
    return replace(report, findings=[], suppressed=len(report.findings))


def print_text(report: Report, statistics: bool = False, quiet: bool = False) -> None:
    """Print the text report, coloured and shortened on a terminal."""
    from sanitizer.reports.text import Style
    from sanitizer.reports.text import pieces as lines_of

    style = Style(wants_colour(), shorten=sys.stdout.isatty(), summary=not quiet, statistics=statistics)
    print_pieces(lines_of(report, style), sys.stdout.encoding or "utf-8")


def wants_colour() -> bool:
    """Whether stdout is a terminal that shows colours, and nobody said not to."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_as_terminal(text: str) -> None:
    """Print text in the encoding of stdout, what it cannot say escaped."""
    print_pieces([text], sys.stdout.encoding or "utf-8")


def print_pieces(texts: Iterable[str], encoding: str) -> None:
    """Write texts to stdout as they come, what the encoding cannot say escaped; else as `print_bytes`."""
    encoder = codecs.getincrementalencoder(encoding)("backslashreplace")
    for text in texts:
        if not _wrote(encoder.encode(text)):
            return
    _flushed()


def print_bytes(content: bytes) -> None:
    """Write to stdout as it is, whatever the terminal's encoding; a reader that leaves early changes nothing."""
    if _wrote(content):
        _flushed()


def _wrote(content: bytes) -> bool:
    """Write to stdout; False where nobody reads on."""
    return _to_stdout(sys.stdout.buffer.write, content)


def _flushed() -> bool:
    return _to_stdout(sys.stdout.flush)


def _to_stdout(write: Callable[..., object], *content: bytes) -> bool:
    try:
        write(*content)
    except BrokenPipeError:
        silence_stdout()
        return False
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error
    return True


def _note(sentence: str) -> None:
    from sanitizer.util.escape import legible

    print(f"note: {legible(sentence)}".encode(errors="replace").decode(), file=sys.stderr)


def _silent(sentence: str) -> None:
    """Say nothing."""
