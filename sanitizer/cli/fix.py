"""Repair label files in place: by default only what cannot do harm. `sanitize undo` takes it back."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from typing import TYPE_CHECKING

from sanitizer.cli import FOUND, OK, UsageError
from sanitizer.cli.arguments import comma_list
from sanitizer.cli.options import add_config, add_label_task, add_selection, config_folder, with_selection
from sanitizer.cli.output import print_bytes, say_lines
from sanitizer.config import load_config
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sanitizer.config import Config
    from sanitizer.fixes.fixing import FixResult
    from sanitizer.fixes.planning import FixedFile

USAGE = "sanitize fix PATH… [options]"
EPILOG = """\
safe: clip box edges and polygon points that are outside by rounding (up to 1 %), remove exact copies of rows, drop a
byte-order mark, write plain blanks and line ends, put blanks for commas and semicolons where only one reading is a
good row, rename .TXT to .txt.
--unsafe: also clip boxes that are mostly inside, and remove rows that no training can use. A file is never emptied
that way. Where a cause holds for the whole dataset (coordinates in percent or pixels, corners, a confidence, an angle,
class names, …) all rows of a file are read anew, or none; files that do not fit are left as they are and named. Where
two readings fit, neither is used.

Rows that are not repaired keep every byte. Originals are kept in .sanitize in the dataset's folder. Label files with
hard links, or outside the dataset's folder, are not changed.

--view writes nothing into the dataset. Images that training would drop are left out, and so are those whose finding
(on the image, not on a row) has the decision drop; excluded.csv says why. An earlier view in FOLDER is replaced.
--regroup puts all altered copies of one picture (by their names: .rf., _aug1, -flipped, …) into one of its splits.

exit status: 0 done, 1 with --diff: there is something to do; else: something asked for was not done, 2 nothing was
changed because of an error, 130 interrupted

examples:
  sanitize fix data.yaml --diff
  sanitize fix data.yaml
  sanitize fix data.yaml --unsafe --select B002,C001
  sanitize scan data.yaml --output findings.csv    then fill its column decision with fix, drop or keep, then
  sanitize fix data.yaml --decisions findings.csv
  sanitize fix data.yaml --unsafe --view clean     then train with data=clean/data.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize fix`."""
    add = parser.add_argument
    add("paths", metavar="PATH", nargs="+", help="a data.yaml, a dataset folder, or label files of one")
    add("--diff", action="store_true", help="show what would change, and change nothing")
    add(
        "--unsafe",
        action="store_true",
        help="also remove rows that no training can use, and read rows anew under a cause",
    )
    add(
        "--decisions",
        metavar="FILE",
        help="carry out the decisions of a reviewed findings CSV, and nothing else",
    )
    add(
        "--view",
        metavar="FOLDER",
        help="leave the dataset as it is: write there a data.yaml to train on, with repaired copies of the labels",
    )
    add(
        "--regroup",
        action="store_true",
        help="with --view: put all copies of one picture into the split where most of them are (D012)",
    )
    add_selection(add)
    add_config(add)
    add("--split", metavar="NAMES", type=comma_list, action="extend", help="only these splits: train,val")
    add_label_task(add)
    add("--baseline", metavar="FILE", help="leave alone what this file knows")
    add("--quiet", action="store_true", help="no summary, no notes, no bar")


def run(args: argparse.Namespace) -> int:
    """Fix, say what was done, and return the exit status."""
    if args.unsafe and args.decisions:
        raise UsageError("--decisions carries out what was decided and nothing else: leave --unsafe out")
    config = with_selection(load_config(config_folder(args.paths), args.config), args)
    if args.view is not None:
        return _write_view(args, config)

    if args.regroup:
        raise UsageError(
            "--regroup makes other splits in a view, and moves no file of the dataset: add --view FOLDER"
        )

    from sanitizer.fixes.fixing import fix

    result = fix(
        *args.paths,
        config=config,
        task=args.task,
        splits=args.split,
        unsafe=args.unsafe,
        decisions=args.decisions,
        dry_run=args.diff,
        progress=not args.quiet and sys.stderr.isatty(),
    )
    if args.diff:
        _print_diff(result)
    for sentence in result.refused:
        say_lines(sentence)
    if not args.quiet:
        for note in result.notes:
            say_lines(f"note: {note}")
        say_lines(_summary(result, args))
    if args.diff:
        return FOUND if result.files else OK
    return FOUND if result.refused else OK


def _write_view(args: argparse.Namespace, config: Config) -> int:
    """Write a view, say what is in it, and return the exit status."""
    if args.diff:
        raise UsageError("--diff shows what a fix would change in place: leave --view out")
    if args.split:
        raise UsageError("a view holds every split, or training would miss some: leave --split out")

    from sanitizer.archives.finding import find_loose_dataset
    from sanitizer.view.fixing import fix_into_view
    from sanitizer.view.text import view_summary

    view = fix_into_view(
        find_loose_dataset(args.paths),
        args.view,
        config=config,
        task=args.task,
        unsafe=args.unsafe,
        decisions=args.decisions,
        regrouped=args.regroup,
        progress=not args.quiet and sys.stderr.isatty(),
    )
    for sentence in view.refused:
        say_lines(sentence)
    if not args.quiet:
        for note in view.notes:
            say_lines(f"note: {note}")
        say_lines(view_summary(view, args.view, tally_of(view.files) if view.files else []))
    return FOUND if view.refused else OK


def _print_diff(result: FixResult) -> None:
    from sanitizer.fixes.diff import unified_diff
    from sanitizer.fixes.outcomes import outcome_lines
    from sanitizer.util.escape import legible

    lines = (
        [f"# {legible(line)}" for line in outcome_lines(result.outcomes, would=True)] if result.files else []
    )
    lines += [
        line
        for file in result.files
        for line in unified_diff(file.path, file.new_path, file.plan.before, file.plan.after)
    ]
    print_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))


def _summary(result: FixResult, args: argparse.Namespace) -> str:
    """What was done to how many rows, rule by rule; what that means to training; what can be done next."""
    from sanitizer.fixes.outcomes import outcome_lines

    path = shlex.quote(args.paths[0])
    lines = outcome_lines(result.outcomes, would=args.diff)
    if result.files:
        files, tally = in_thousands(len(result.files), "label file"), tally_of(result.files)
        lines.append(f"{'Would change' if args.diff else 'Changed'} {files}{':' if tally else '.'}")
        lines += tally
        lines.append(_outcome(result, args.diff))
    else:
        lines.append("Nothing was changed." if result.refused else _nothing_to_do(result, args))
    if result.still_dropped:
        images = in_thousands(result.still_dropped, "image")
        lines.append(
            f"Training {'would still drop' if args.diff else 'still drops'} {images}: `sanitize scan {path}` says why;"
            f" --view FOLDER makes a view of the dataset without {'it' if result.still_dropped == 1 else 'them'}."
        )
    if result.caches:
        lines.append(f"Set aside, as they are stale now: {', '.join(result.caches)}.")
    if result.further:
        removing = in_thousands(result.further_boxes_lost, "box")
        price = f", and remove {removing} for it" if result.further_boxes_lost else ""
        lines.append(
            f"With --unsafe it would settle {in_thousands(result.further, 'more finding')}{price}:"
            f" see `sanitize fix {path} --unsafe --diff`."
        )
    if result.run:
        lines.append(f"`sanitize undo {path}` takes it back (run {result.run}).")
    return "\n".join(lines)


def tally_of(files: Sequence[FixedFile]) -> list[str]:
    """One line for each thing done, but for what is done about causes: rule, how many, what."""
    from sanitizer.fixes.repair.by_cause import STEP_RULE
    from sanitizer.fixes.repair.repairs import TEXT_RULE

    counts = Counter(
        (s.rule, "file" if s.rule == TEXT_RULE else "row", s.done)
        for file in files
        for s in file.plan.steps
        if s.rule != STEP_RULE
    )
    renamed = sum(file.path != file.new_path for file in files)
    if renamed:
        counts[TEXT_RULE, "file", "renamed to end in .txt"] = renamed
    if not counts:
        return []
    number_width = len(f"{max(counts.values()):,}")
    code_width = max(len(rule) for rule, _, _ in counts)
    gap = " " * any(n != 1 for n in counts.values())
    return [
        f"  {rule:<{code_width}}  {n:>{number_width},} {what}{'s' if n != 1 else gap} {done}"
        for (rule, what, done), n in sorted(counts.items())
    ]


def _outcome(result: FixResult, would: bool) -> str:
    """What training has less, and more."""
    from sanitizer.fixes.outcomes import lost_besides_boxes
    from sanitizer.fixes.planning import boxes_lost

    lost = sum(boxes_lost(file.plan) for file in result.files)
    text = f"{in_thousands(lost, 'box') if lost else 'No box'} {'would be ' * would}lost"
    if lost:
        removed = sum(file.plan.removed for file in result.files)
        text += f": the row{'s' * (removed != 1)} removed above{', but for the copies' * (removed > lost)}"
    besides = lost_besides_boxes(result.outcomes)
    text += f", but {' and '.join(besides)}." if besides else "."
    if result.saved:
        images = in_thousands(result.saved, "image")
        text += f" Training {'would get' if would else 'gets'} {images} back that it would {'have ' * (not would)}drop"
        text += "." if would else "ped."
    return text


def _nothing_to_do(result: FixResult, args: argparse.Namespace) -> str:
    if result.keep_rows:
        return "Nothing that can be fixed: correct data.yaml or the rows, or leave these images out (--view FOLDER)."
    return "Nothing to fix." if args.unsafe or not result.further else "Nothing to fix that is safe."
