"""Make a small flawed dataset, without network, and scan it."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING

from sanitizer.cli import OK
from sanitizer.cli.output import print_text
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    import argparse

USAGE = "sanitize demo [DIR]"
EPILOG = None

FOLDER = "sanitize-demo"
SIGNATURE = b"Made by `sanitize demo`"
"""What the data.yaml of a demo dataset says of itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize demo`."""
    parser.add_argument("folder", metavar="DIR", nargs="?", help=f"where to make it (default ./{FOLDER})")


def run(args: argparse.Namespace) -> int:
    """Make the dataset, scan it, say what to try next. Its findings are the point: the exit status is 0."""
    from sanitizer.config import Config
    from sanitizer.scanner.run import scan

    data, is_new = _dataset(args.folder or _default_folder())
    made = (
        "A small flawed dataset was made" if is_new else "The demo dataset is still there, and left as it is"
    )
    _say(f"{made}: {data}\nThis is what `sanitize scan` says of it:\n")
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
    return join_path(tempfile.mkdtemp(prefix="sanitize-"), FOLDER)


def _dataset(folder: str) -> tuple[str, bool]:
    """(path of its data.yaml, whether it was made just now). FileExistsError where the folder holds something else."""
    from sanitizer.cli.demo_dataset import make_demo

    data = join_path(folder, "data.yaml")
    if os.path.isfile(data):
        with open(data, "rb") as file:
            if SIGNATURE in file.read(1000):
                return data, False
    return make_demo(folder), True
