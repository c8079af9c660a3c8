"""Make a small flawed dataset, without network, and scan it."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING

from sanitizer.cli import OK, UsageError
from sanitizer.cli.scan import print_text

if TYPE_CHECKING:
    import argparse

USAGE = "sanitize demo [DIR]"
EPILOG = None

FOLDER = "sanitize-demo"
MARK = ".sanitize-demo"
"""An empty file that says: this folder was made by the demo, so the demo may write over it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize demo`."""
    parser.add_argument("folder", metavar="DIR", nargs="?", help=f"where to make it (default ./{FOLDER})")


def run(args: argparse.Namespace) -> int:
    """Make the dataset, scan it, say what to try next. Its findings are the point: the exit status is 0."""
    from sanitizer.config import Config
    from sanitizer.demo import make_demo
    from sanitizer.scan import scan

    folder = _claim(args.folder or _default_folder())
    data = make_demo(folder)
    _say(f"A small flawed dataset is in {folder}. This is what `sanitize scan` says of it:\n")
    print_text(scan(data, config=Config(), progress=sys.stderr.isatty()))
    _say(
        "\nThese findings are on purpose, so the exit status is 0 here; `sanitize scan` would exit with 1. Try next:\n"
        f"  sanitize scan {data} --statistics\n"
        f"  sanitize scan {data} --output findings.csv    for a spreadsheet\n"
        "  sanitize rules B001                           why a rule is there\n"
        "  sanitize scan your/data.yaml"
    )
    return OK


def _say(text: str) -> None:
    """Print beside the report, in the order of the report."""
    print(text, file=sys.stderr, flush=True)


def _default_folder() -> str:
    if os.access(".", os.W_OK):
        return FOLDER
    return os.path.join(tempfile.mkdtemp(prefix="sanitize-"), FOLDER)


def _claim(folder: str) -> str:
    """Make the folder and mark it as the demo's. UsageError where it holds something else."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{folder} is a file: name a folder that does not exist yet")
    os.makedirs(folder, exist_ok=True)
    mark = os.path.join(folder, MARK)
    if os.listdir(folder) and not os.path.exists(mark):
        raise UsageError(f"{folder} holds something else: name a folder that does not exist yet")
    with open(mark, "wb"):
        return folder
