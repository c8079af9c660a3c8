"""Take a fix back: every label file byte for byte as it was, also after a crash in the middle."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sanitizer.cli import OK

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

    done = undo(args.path, args.run, args.force)
    if not args.quiet:
        n = len(done.restored)
        what = f"{n:,} file{' is' if n == 1 else 's are'} byte for byte as before"
        print(f"Took back run {done.run}: {what if n else 'no file had been changed'}.", file=sys.stderr)
    return OK
