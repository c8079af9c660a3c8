"""Take a fix back: every label file byte for byte as it was, also after a crash in the middle."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.cli import OK
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sanitizer.fixes.undo import Restoration

USAGE = "sanitize undo PATH [RUN]"
EPILOG = """\
A file that was edited since the fix is named, and nothing is undone, unless --force is given.

The journal lies in the dataset, so that it may have come with the dataset. A run that you did not make on this machine
(or that an earlier version of sanitize made) is named and left alone. With --trust-journal its files are listed first:
path, size, mode. Where you sit at a terminal you are asked, and nothing is written unless you say yes; elsewhere the
option counts as the answer. Only label files and label caches are ever written.

Your runs are told from others by a key in your state folder; SANITIZE_STATE_DIR names another place for it.

exit status: 0 taken back, 2 nothing was changed, 130 interrupted

examples:
  sanitize undo data.yaml
  sanitize undo data.yaml 0002
  sanitize undo data.yaml --trust-journal
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize undo`."""
    add = parser.add_argument
    add("path", metavar="PATH", help="the data.yaml or folder that was fixed")
    add("run", metavar="RUN", nargs="?", help="which fix, or the start of its id (default: the latest)")
    add("--force", action="store_true", help="overwrite files that were edited since: these changes are lost")
    add(
        "--trust-journal",
        action="store_true",
        help="also take back a run that you did not make: shows first what it would write",
    )
    add("--quiet", action="store_true", help="say nothing but errors")


def run(args: argparse.Namespace) -> int:
    """Undo one run, and say what was restored."""
    from sanitizer.fixes.undo import undo

    done = undo(args.path, args.run, args.force, args.trust_journal, partial(_confirm, args.path))
    if not args.quiet:
        n = len(done.restored)
        what = f"{n:,} file{' is' if n == 1 else 's are'} byte for byte as before"
        print(f"Took back run {done.run}: {what if n else 'no file had been changed'}.", file=sys.stderr)
    return OK


def _confirm(dataset: str, run: str, restorations: Sequence[Restoration]) -> bool:
    """Show what somebody else's run would write; ask where there is somebody to answer."""
    n = len(restorations)
    files = "1 file" if n == 1 else f"{n:,} files"
    _say(f"Run {run} was not made by you. Taking it back writes {files} in {legible(dataset)}:")
    for restoration in restorations:
        _say(f"  {_described(restoration)}")
    if not (sys.stdin and sys.stdin.isatty()):
        return True
    print("Write them? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _described(restoration: Restoration) -> str:
    size = f"{restoration.n_bytes:,} byte{'s' * (restoration.n_bytes != 1)}"
    text = f"{legible(restoration.path)}  {size}, mode {restoration.mode:04o}"
    if restoration.in_place_of is not None:
        text += f", in place of {legible(restoration.in_place_of)}"
    if restoration.is_cache:
        text += ", a label cache: a pickle, which training loads"
    return text


def _say(line: str) -> None:
    print(line.encode(errors="replace").decode(), file=sys.stderr)
