"""Take a fix back: every label file byte for byte as it was, also after a crash in the middle."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sanitizer.cli import OK, UsageError

if TYPE_CHECKING:
    import argparse

USAGE = "sanitize undo PATH [RUN]"
EPILOG = """\
A file that was edited since the fix is named, and nothing is undone, unless --force is given.

examples:
  sanitize undo data.yaml
  sanitize undo data.yaml 0002
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize undo`."""
    add = parser.add_argument
    add("path", metavar="PATH", help="the data.yaml or folder that was fixed")
    add("run", metavar="RUN", nargs="?", help="which fix, or the start of its id (default: the latest)")
    add("--force", action="store_true", help="overwrite files that were edited since: these changes are lost")
    add("--quiet", action="store_true", help="say nothing but errors")


def run(args: argparse.Namespace) -> int:
    """Undo one run, and say what was restored."""
    from sanitizer.fixes.undo import undo

    done = undo(_root_of(args.path), args.run, args.force)
    if not args.quiet:
        n = len(done.restored)
        print(f"Run {done.run} undone: {n:,} file{'s' * (n != 1)} restored.", file=sys.stderr)
    return OK


def _root_of(path: str) -> str:
    """Where the journal lies: in the dataset's root, or, where the dataset cannot be made out, above the path."""
    from sanitizer.dataset.layout import DatasetError
    from sanitizer.fixes.fixing import journal_root
    from sanitizer.fixes.journal import FOLDER

    if not os.path.exists(path):
        raise UsageError(f"{path} does not exist")
    folder = os.path.realpath(path)
    try:
        root = journal_root([path])
    except DatasetError:
        root = folder
    if os.path.isdir(os.path.join(root, FOLDER)):
        return root
    while folder != os.path.dirname(folder):
        if os.path.isdir(os.path.join(folder, FOLDER, "runs")):
            return folder
        folder = os.path.dirname(folder)
    return root
