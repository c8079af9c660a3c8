"""What people corrected in published labels, and whether the probe names it from the labels as first published.

    python scripts/bench/probe_corrections.py nuclei_corrected bccd --weights yolov8n.pt --seeds 0,1,2 --work /tmp/cor

For each set and seed, `sanitize probe` runs for four epochs at 320 px, and its ranking, its lines and its places are
compared with the corrections. What a run wrote is kept in the work folder, and the run is not done again. The datasets
are only read.

The corrections are a JSON file, `DATASET/truth.json` or `DATASET_reannotated.json`: name of an image without its
extension to `{"lines": numbers of the label lines that were removed or moved, "added": boxes that were added}`, with
`"whole": true` for an image that was thrown out, all lines with it. The boxes are corners x1 y1 x2 y2, normalised,
alone or as `[class name, corners]`. Images that `truth.json` does not name were corrected by nobody; those that
`DATASET_reannotated.json` does not name were not looked at, and are left out. Needs the probe extra.
"""

from __future__ import annotations

import datetime
import os
import sys
from typing import TYPE_CHECKING

from corrections.figures import evaluate
from corrections.tables import dataset_tables
from corrections.truth import read_corrections
from injection.command import probe_parser
from injection.probe_adapter import ProbeRun, run_probe
from measure import command_line, machine, publish, versions

if TYPE_CHECKING:
    import argparse

    from corrections.figures import Figures


def main() -> None:
    """Run what is not there yet, print the tables and save them."""
    args = arguments()
    run = ProbeRun(args.weights, args.epochs, args.imgsz, args.batch)
    parts = []
    for dataset in args.datasets:
        name = os.path.basename(os.path.normpath(dataset))
        corrections = read_corrections(dataset)
        figures: list[Figures] = []
        for seed in args.seeds:
            out = os.path.join(args.work, f"{name}-{seed}")
            print(f"{out}: probing, or probed already", file=sys.stderr)
            run_probe(os.path.join(dataset, "data.yaml"), run, seed, out)
            figures.append(evaluate(out, corrections))
        parts.append(f"## {name}\n\n{dataset_tables(figures, args.seeds)}")
    text = heading(args) + "\n".join(parts)
    publish(text, "corrections", args.output)


def arguments() -> argparse.Namespace:
    """The command line."""
    return probe_parser(
        __doc__, datasets="folders with a data.yaml and known corrections", work="folder for all that is kept"
    ).parse_args()


def heading(args: argparse.Namespace) -> str:
    """How and where it was measured, and how to read it."""
    return f"""# What people corrected in published labels, and whether the probe names it

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("numpy", "torch", "ultralytics")}

Warm-up: {args.epochs} epochs, {args.imgsz} px, batch {args.batch}, CPU. Loss and gradient norm are those of the same
run (images.csv). AP is average precision; by chance it is the share of positives. Cells: median (least–most over the
seeds). Not every error was corrected: a line that is named and that nobody corrected may still be wrong, so the shares
that are right are lower bounds, and the clean images that are flagged an upper bound.

"""


if __name__ == "__main__":
    main()
