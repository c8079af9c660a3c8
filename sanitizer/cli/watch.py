"""Scans again whenever a file of the dataset changes, for `sanitize scan --watch`, and prints what that changed."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from sanitizer.cli import FAILED, UsageError, is_ours, sentence
from sanitizer.cli.output import finish, print_pieces, say_note, say_nothing, status_of, wants_colour
from sanitizer.findings.finding import count_by_severity
from sanitizer.reports.text.render import Style, pieces
from sanitizer.reports.text.summary import verdict_lines
from sanitizer.storage.opening import is_remote
from sanitizer.util.counting import in_thousands
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report

    Find = Callable[[], tuple[Dataset, Config]]
    Scan = Callable[[Dataset, Config], Report]

_ELSEWHERE = "--watch looks at loose files of this disk, and this dataset is {}: scan it without --watch"

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the files; ten times as long as a look takes, where that is more."""
SETTLED_AFTER_S = 0.3
"""A file is read once two looks this far apart see the same: a program may still be writing it."""
MOST_LOOKS = 10
"""After so many looks it is read all the same."""
LOOK_AGAIN = b""
"""No state of files is this one."""
MOST_COMPARED = 100_000
"""Findings. With more of them it is said how many there are, not which are new."""
MOST_SHOWN = 40
"""New findings, and findings that are gone, printed of one change."""


def refuse_unwatchable(args: argparse.Namespace) -> None:
    """UsageError where `--watch` and another option do not go together."""
    if args.format not in ("text", "concise"):
        raise UsageError(f"--watch prints lines for people as files change: leave out --format {args.format}")
    for option, given in (("--output", args.output), ("--write-baseline", args.write_baseline),
                          ("--plan", args.plan), ("--statistics", args.statistics)):  # fmt: skip
        if given:
            raise UsageError(
                f"--watch prints what changes in the findings, and nothing else: leave out {option}"
            )
    if any(map(is_remote, args.paths)):
        raise UsageError(_ELSEWHERE.format("behind a URL or in a zip"))
    if args.engine != "local":
        raise UsageError(f"--watch reads files of this disk by itself: leave out --engine {args.engine}")


def watch(args: argparse.Namespace, find: Find, scan: Scan) -> int:
    """Print the report, then what each change of a file changes, until Ctrl-C; exit status of the last state.

    Args:
        args: Of `sanitize scan`.
        find: Reads the configuration and finds the dataset.
        scan: Scans it.

    Raises:
        UsageError: The dataset lies elsewhere than in loose files of this disk.
    """
    dataset, config = find()
    if dataset.packs:
        raise UsageError(_ELSEWHERE.format("in packed files"))
    state, took_s = _timed(dataset, config)
    first = scan(dataset, config)
    status = finish(first, args, config.fail_on, dataset)
    report: Report | None = first
    say = say_nothing if args.quiet else say_note
    say(
        f"watching {legible(dataset.data)}: what a saved label, image or data.yaml changes comes here; Ctrl-C ends"
    )
    try:
        while True:
            time.sleep(max(LOOK_EVERY_S, 10 * took_s))
            look, took_s = _timed(dataset, config)
            if look == state:
                continue
            state = _settled(dataset, config)
            try:
                before = dataset, config
                dataset, config = find()
                # Before it is read: what is saved meanwhile is a change. And what was saved while it was found?
                state, settled = state_of(dataset, config), state
                if state_of(*before) != settled:
                    state = LOOK_AGAIN
                new = scan(dataset, config)
            except Exception as error:
                if not is_ours(error) and not isinstance(error, OSError):
                    raise
                _say(f"{_clock()}  {legible(sentence(error))}; waiting until this is changed")
                report, status = None, FAILED
                continue
            old, report, status = report, new, status_of(new, config.fail_on)
            _tell(old, new)
    except KeyboardInterrupt:
        say(f"stopped watching: exit status {status}")
        return status


def _settled(dataset: Dataset, config: Config) -> bytes:
    """State of the files, once two looks saw the same."""
    state = state_of(dataset, config)
    for _ in range(MOST_LOOKS):
        time.sleep(SETTLED_AFTER_S)
        before, state = state, state_of(dataset, config)
        if state == before:
            break
    return state


def _timed(dataset: Dataset, config: Config) -> tuple[bytes, float]:
    started = time.perf_counter()
    return state_of(dataset, config), time.perf_counter() - started


def state_of(dataset: Dataset, config: Config) -> bytes:
    """A digest of names, times and sizes of what is in the dataset's folders, and of the files that go with it."""
    seen = blake2b(digest_size=16)
    folders = {dataset.root, *(d for s in dataset.splits for d in (*s.image_dirs, *s.label_dirs))}
    lists = (
        [] if dataset.search is None else [path for paths in dataset.search.lists.values() for path in paths]
    )
    for path in sorted({*lists, *filter(None, (dataset.yaml_path, config.source, config.baseline))}):
        seen.update(_state(path))
    for folder in sorted(folders):
        seen.update(folder.encode("utf-8", "surrogateescape"))
        try:
            with os.scandir(folder) as entries:
                states = [(entry.name, *_stat(entry)) for entry in entries]
        except OSError:  # not there, or not any more
            continue
        seen.update(repr(sorted(states)).encode("utf-8", "surrogateescape"))
    return seen.digest()


def _state(path: str) -> bytes:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return b"-"
    return f"{status.st_mtime_ns} {status.st_size} {status.st_ino}".encode()


def _stat(entry: os.DirEntry[str]) -> tuple[int, int]:
    """Time and size of a file. A folder's tell when names in it come and go."""
    try:
        status = entry.stat()
    except OSError:
        return -1, -1
    return status.st_mtime_ns, status.st_size


def _tell(old: Report | None, new: Report) -> None:
    """Print which findings are new and which are gone."""
    before, after = (None if report is None else _by_fingerprint(report) for report in (old, new))
    counts = count_by_severity(new.findings)
    left = ", ".join(
        in_thousands(n, name) if name != "info" else f"{n:,} info" for name, n in counts.items() if n
    )
    total = f"now {left}" if left else "now nothing"
    paint = Style(colour=wants_colour()).paint
    if old is not None and old.would_stop != new.would_stop:
        _say("\n".join(verdict_lines(new, paint)) or "Training would start now")
    if old is None or before is None or after is None:
        _say(f"{_clock()}  read again: {total}")
        return
    come = [f for fingerprint, f in after.items() if fingerprint not in before]
    gone = [f for fingerprint, f in before.items() if fingerprint not in after]
    _say(f"{_clock()}  {in_thousands(len(come), 'new finding')}, {len(gone):,} gone: {total}")
    _list(gone, old, paint("-", "32"))
    _list(come, new, paint("+", "31"))


def _by_fingerprint(report: Report) -> dict[str, Finding] | None:
    """The findings, None where there are too many to hold."""
    if len(report.findings) > MOST_COMPARED:
        return None
    return {finding.fingerprint: finding for finding in report.findings}


def _list(findings: list[Finding], report: Report, mark: str) -> None:
    some = replace(report, findings=findings[:MOST_SHOWN])
    lines = pieces(some, Style(layout="concise", summary=False, colour=wants_colour()))
    _print(f"{mark} {line}" for line in lines)
    if len(findings) > MOST_SHOWN:
        _say(f"{mark} … and {len(findings) - MOST_SHOWN:,} more")


def _say(text: str) -> None:
    _print([f"{text}\n"])


def _print(lines: Iterable[str]) -> None:
    print_pieces(lines, sys.stdout.encoding or "utf-8")


def _clock() -> str:
    return time.strftime("%H:%M:%S")
