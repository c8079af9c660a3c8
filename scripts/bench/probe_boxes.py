"""Errors in single rows of real detection sets, and how well the probe's numbers tell these rows from all others.

    python scripts/bench/probe_boxes.py DATASET… --weights yolov8n.pt --seeds 0,1,2 --work /tmp/boxes

For each set and seed: copy the set, put an error into one training row in five (`injection/box_errors.py`: drop, flip,
shift, spawn), and run `sanitize probe` once. Every number in its boxes.csv that could tell a wrong row is compared with
the probe's own score. What was made is kept in the work folder and not made again. Needs the probe extra.
"""

from __future__ import annotations

import datetime
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from injection.box_errors import ROW_KINDS, inject_rows, read_row_truth
from injection.command import probe_parser
from injection.metrics import auroc, max_f1, recall_at
from injection.named import RIGHT_PLACE_IOU, Counted, matched
from injection.probe_adapter import LINE_RULES, PLACE_RULE, ProbeRun, read_findings, read_rows, run_probe
from injection.rows import InjectionError
from injection.tables import cell, counted_row
from measure import command_line, machine, publish, table, versions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from injection.box_errors import RowTruth

ALL = "all"
FALSE_POSITIVE_RATE = 0.1
"""Where the share of the wrong rows that are found is read off, as in arXiv 2211.13993."""
METHODS: Mapping[str, Callable[[Mapping[str, str]], float]] = {
    "1 − support": lambda row: -float(row["support"]),
    "1 − best IoU": lambda row: -float(row["best_iou"]),
    "1 − own probability": lambda row: -float(row["own_probability"]),
    "share of gradient": lambda row: float(row["share"] or "inf"),
    "1 − label weight": lambda row: -float(row["weight"]),
    "probe": lambda row: float(row["score"]),
}
"""Columns of boxes.csv as suspicions. The probe's score is the log-odds of p, or a z-score where p was not learnt."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one probe reached on one set.

    Attributes:
        auroc, max_f1, recall: Kind of error, or `ALL`, to method to the figure: rows of that kind against rows that
            nobody altered. The recall is read off at `FALSE_POSITIVE_RATE`.
        lines: Lines named, and how many of them were altered.
        places: Places named, and how many of them fit a dropped box.
        dropped: Dropped boxes, and how many of them have a place that fits.
    """

    auroc: Mapping[str, Mapping[str, float]]
    max_f1: Mapping[str, Mapping[str, float]]
    recall: Mapping[str, Mapping[str, float]]
    lines: Counted
    places: Counted
    dropped: Counted


def main() -> None:
    """Run what is not there yet, print the tables and save them."""
    args = arguments()
    os.makedirs(args.work, exist_ok=True)
    run = ProbeRun(args.weights, args.epochs, args.imgsz, args.batch)
    parts = []
    for dataset in args.datasets:
        name = os.path.basename(os.path.normpath(dataset))
        figures = []
        for seed in args.seeds:
            folder = os.path.join(args.work, f"{name}-{seed}")
            if not os.path.exists(os.path.join(folder, "truth.json")):
                inject_rows(dataset, folder, seed, args.share)
            print(f"{folder}: probing, or probed already", file=sys.stderr)
            out = os.path.join(folder, "probe")
            run_probe(os.path.join(folder, "data.yaml"), run, seed, out)
            figures.append(evaluate(out, read_row_truth(folder)))
        parts.append(f"## {name}\n\n{dataset_tables(figures, args.seeds)}")
    text = heading(args) + "\n".join(parts)
    publish(text, "boxes", args.output)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = probe_parser(__doc__)
    parser.add_argument("--share", type=float, default=0.2, help="of the training rows that get an error")
    return parser.parse_args()


def evaluate(out_dir: str, truth: Mapping[str, RowTruth]) -> Figures:
    """Compare the files that a probe wrote with what was done to the rows."""
    rows = read_rows(os.path.join(out_dir, "boxes.csv"))
    kinds = [kind_of(truth, row["image"], int(row["line"])) for row in rows]
    scores = {name: np.array([of(row) for row in rows], np.float64) for name, of in METHODS.items()}
    found: dict[str, dict[str, dict[str, float]]] = {"auroc": {}, "max_f1": {}, "recall": {}}
    for kind in (*ROW_KINDS, ALL):
        counted = np.array([k in (None, kind) or kind == ALL for k in kinds])
        positive = np.array([k is not None for k in kinds])[counted]
        if not positive.any():  # a set with one class has no flips
            continue
        of_kind = {name: values[counted] for name, values in scores.items()}
        found["auroc"][kind] = {name: auroc(v, positive) for name, v in of_kind.items()}
        found["max_f1"][kind] = {name: max_f1(v, positive) for name, v in of_kind.items()}
        found["recall"][kind] = {
            name: recall_at(v, positive, FALSE_POSITIVE_RATE) for name, v in of_kind.items()
        }
    findings = read_findings(out_dir)
    places, dropped = match_dropped([f for f in findings if f["rule"] == PLACE_RULE], truth)
    lines = Counted.of(
        kind_of(truth, f["image"], f["line"]) is not None for f in findings if f["rule"] in LINE_RULES
    )
    return Figures(found["auroc"], found["max_f1"], found["recall"], lines, places, dropped)


def kind_of(truth: Mapping[str, RowTruth], image: str, line: int) -> str | None:
    """The kind of error in a line, None for one that nobody altered."""
    return truth[image].lines.get(line) if image in truth else None


def match_dropped(
    findings: Sequence[Mapping[str, Any]], truth: Mapping[str, RowTruth]
) -> tuple[Counted, Counted]:
    """The named places with how many fit a dropped box, and the dropped boxes with how many a place fits."""
    right = 0
    found: list[bool] = []
    for image, of_image in truth.items():
        here = [
            (f["x_center"], f["y_center"], f["width"], f["height"]) for f in findings if f["image"] == image
        ]
        fits, has_place = matched(here, of_image.dropped)
        right += sum(fits)
        found += has_place
    return Counted(len(findings), right), Counted.of(found)


def dataset_tables(figures: Sequence[Figures], seeds: Sequence[int]) -> str:
    """All tables of one dataset."""

    def by_kind(name: str) -> str:
        of_seeds: list[Mapping[str, Mapping[str, float]]] = [getattr(f, name) for f in figures]
        rows = [
            [kind, *(cell([of[kind][method] for of in of_seeds]) for method in METHODS)]
            for kind in of_seeds[0]
        ]
        return table(("kind", *METHODS), rows)

    counts = [
        ("lines named: altered", [f.lines for f in figures]),
        (f"places named: fit a dropped box (IoU ≥ {RIGHT_PLACE_IOU})", [f.places for f in figures]),
        ("dropped boxes: have a place that fits", [f.dropped for f in figures]),
    ]
    rows = [counted_row(name, of) for name, of in counts]
    return "\n".join(
        (
            f"Seeds {', '.join(map(str, seeds))}. AUROC:",
            "",
            by_kind("auroc"),
            "Largest F1:",
            "",
            by_kind("max_f1"),
            f"Share of the altered rows that are found where {FALSE_POSITIVE_RATE:.0%} of the other rows are, too:",
            "",
            by_kind("recall"),
            table(("counted, by seed", "right of all", "share"), rows),
        )
    )


def heading(args: argparse.Namespace) -> str:
    """How and where it was measured, and how to read it."""
    return f"""# Errors in single rows, and what tells them from other rows

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("numpy", "torch", "ultralytics")}

One row in {1 / args.share:g} has an error, as many of each kind. Drop: the row is taken away. Flip: another class.
Shift: moved and resized, IoU .4 to .7 with what it was. Spawn: class and size of a row, put into any image where no
row is. The kinds are those of arXiv 2303.06999. Warm-up: {args.epochs} epochs, {args.imgsz} px, batch {args.batch},
CPU. All columns are of the same run. Cells: median (least–most over the seeds). Rows that nobody altered count as
right: their makers' own errors count against every method. "1 −" means that a smaller number is more suspicious.

"""


if __name__ == "__main__":
    try:
        main()
    except InjectionError as error:
        sys.exit(str(error))
