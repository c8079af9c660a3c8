"""Turn a saved JSON report into a page, a sheet, or a file that an annotation tool opens. Reads the dataset only."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.cli import OK, UsageError
from sanitizer.cli.output import say, wants_bar
from sanitizer.util.counting import in_thousands
from sanitizer.util.paths import absolute_path, is_url, join_path

if TYPE_CHECKING:
    import argparse

    from sanitizer.findings.report import Report
    from sanitizer.reports.annotators.flagged import Exported
    from sanitizer.reports.reach import Reach

USAGE = "sanitize report FINDINGS.json --html DIR | --csv FILE | --label-studio FILE.json | --cvat FILE.zip"
EPILOG = """\
exit status: 0 written, 2 nothing written because of an error, 130 interrupted

Annotation tools get the images that findings name, with all their boxes, and the findings as notes. Beside the file
lies the configuration that the tool needs: FILE.xml for Label Studio, FILE.labels.json for CVAT.

examples:
  sanitize scan data.yaml --output findings.json
  sanitize report findings.json --html review
  sanitize report findings.json --label-studio tasks.json --images-url https://example.org/ships/
  sanitize report findings.json --cvat flagged.zip --root /mnt/ships

A report may come from anybody, so only files of its dataset are read: of the folder that --root names, or that the
report names and that holds its data.yaml, with all links resolved. --allow-outside reads what is linked elsewhere, too.
"""
OUTPUTS = ("html", "csv", "label_studio", "cvat")
LEFT_OUT_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize report`."""
    add = parser.add_argument
    add("findings", metavar="FINDINGS.json", help="what `sanitize scan --output FINDINGS.json` wrote")
    add("--html", metavar="DIR", help="a page to look through and decide in: DIR/index.html")
    add("--csv", metavar="FILE", help="a sheet for annotators, one row a finding")
    add("--label-studio", metavar="FILE.json", help="tasks with pre-annotations, and the labeling FILE.xml")
    add("--cvat", metavar="FILE.zip", help="images and annotations for CVAT; FILE.xml: annotations alone")
    add("--images-url", metavar="PREFIX",
        help="address of the dataset's folder in Label Studio (default: its own local files)")  # fmt: skip
    add("--root", metavar="DIR", help="the dataset's folder, where it has moved since the scan")
    add(
        "--allow-outside",
        action="store_true",
        help="read images and labels outside the dataset's folder, too: for reports of your own",
    )
    add(
        "--quiet",
        action="store_true",
        help="errors alone: say neither what was written nor what was left out",
    )
    add("--no-progress", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Write what was asked for, say so, and return the exit status."""
    _check(args)
    from sanitizer.reports.saved import read_report
    from sanitizer.storage.opening import is_remote

    report = read_report(args.findings)
    root = args.root or report.root
    report = replace(report, root=root if is_url(root) else absolute_path(root))
    if (args.label_studio or args.cvat) and (is_remote(report.root) or not os.path.isdir(report.root)):
        raise UsageError(f"the dataset's folder {report.root} is not there: name it with --root")
    if report.unread:
        _say(
            args,
            f"note: the scan could not read {in_thousands(report.unread, 'file')}: this report is not whole",
        )
    if args.csv:
        from sanitizer.reports.formats import write

        write(report, args.csv)
        _say(args, f"{args.csv}: {in_thousands(len(report.findings), 'finding')}")
    if args.html:
        _write_page(report, args)
    if args.label_studio or args.cvat:
        _export(report, args)
    return OK


def _check(args: argparse.Namespace) -> None:
    """Refuse before the work what could not be written after it."""
    if not any(getattr(args, name) for name in OUTPUTS):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in OUTPUTS)
        raise UsageError(f"nothing to write: give at least one of {options}")
    if args.images_url and not args.label_studio:
        raise UsageError("--images-url is for --label-studio")
    for option, path, endings in (
        ("--csv", args.csv, (".csv",)),
        ("--label-studio", args.label_studio, (".json",)),
        ("--cvat", args.cvat, (".zip", ".xml")),
    ):
        if path is None:
            continue
        if not path.lower().endswith(endings):
            raise UsageError(f"{option} {path}: the file is to end in {' or '.join(endings)}")
        if not os.path.isdir(os.path.dirname(path) or "."):
            raise UsageError(f"{path}: there is no folder {os.path.dirname(path)}")
    if args.html and os.path.exists(args.html) and not os.path.isdir(args.html):
        raise UsageError(f"--html {args.html}: there is a file of that name, and a folder is to be made")


def _write_page(report: Report, args: argparse.Namespace) -> None:
    from sanitizer.reports.html.build import write_page

    os.makedirs(args.html, exist_ok=True)
    page = join_path(args.html, "index.html")
    crops = join_path(args.html, "crops")
    made = write_page(report, page, crops, wants_bar(args), reach=_reach(report, args))
    for note in made.notes:
        _say(args, f"note: {note}")
    pictures = f" with {in_thousands(made.crops, 'picture')} (in {args.html}/crops)" if made.crops else ""
    _say(args, f"{page}: {in_thousands(made.findings, 'finding')}{pictures}")


def _reach(report: Report, args: argparse.Namespace) -> Reach:
    """Which images and labels may be read: a saved report may name any file of this computer."""
    from sanitizer.reports.reach import Reach

    if args.allow_outside:
        return Reach.everywhere(report)
    return Reach.dataset_only(report, root_is_confirmed=args.root is not None)


def _export(report: Report, args: argparse.Namespace) -> None:
    """Write for the annotation tools that were asked for."""
    from sanitizer.reports.annotators import cvat, label_studio
    from sanitizer.reports.annotators.flagged import Flagged

    if args.label_studio:
        flagged = Flagged.of(report, wants_bar(args), _reach(report, args))
        _tell(args, report, label_studio.write(flagged, args.label_studio, args.images_url))
    if args.cvat:
        flagged = Flagged.of(report, wants_bar(args), _reach(report, args))
        _tell(args, report, cvat.write(flagged, args.cvat))


def _tell(args: argparse.Namespace, report: Report, exported: Exported) -> None:
    """What was written, what was not and why, and what to do with it."""
    for sentence in exported.left_out[:LEFT_OUT_SHOWN]:
        _say(args, f"left out: {sentence}")
    rest = len(exported.left_out) - LEFT_OUT_SHOWN
    if rest > 0:
        _say(args, f"left out: {rest:,} more")
    without = sum(f.image is None for f in report.findings)
    if without:
        _say(args, f"{in_thousands(without, 'finding')} about no image: in the other reports alone")
    _say(args, f"{exported.files[0]}: {in_thousands(exported.images, 'image')} (and {exported.files[1]})")
    for hint in exported.hints:
        _say(args, hint)


def _say(args: argparse.Namespace, sentence: str) -> None:
    if not args.quiet:
        say(sentence)
