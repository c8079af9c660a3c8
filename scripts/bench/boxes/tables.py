"""The figures of all methods and seeds as Markdown tables: medians, with least and most over the seeds."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from injection.baselines import cleanlab_version
from injection.named import RIGHT_PLACE_IOU
from injection.tables import cell, counted_row
from measure import command_line, machine, table, versions

from boxes.figures import FALSE_POSITIVE_RATE, KINDS, TOP

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from injection.named import Counted

    from boxes.figures import Figures

IMAGE_FIGURES = ("AUROC", "AP", f"P@{TOP}")


@dataclass(frozen=True, slots=True)
class Run:
    """What all methods reached on one set with errors.

    Attributes:
        figures: Name of each method to its figures.
        counted: "lines", "places" and "dropped": what the probe names, and what is right of it.
        n_images, n_wrong: All training images, and those with an error.
    """

    figures: Mapping[str, Figures]
    counted: Mapping[str, Counted]
    n_images: int
    n_wrong: int


def dataset_tables(runs: Sequence[Run], seeds: Sequence[int]) -> str:
    """All tables of one dataset."""
    counts = {
        "lines": "lines named: altered",
        "places": f"places named: fit a dropped box (IoU ≥ {RIGHT_PLACE_IOU})",
        "dropped": "dropped boxes: have a place that fits",
    }
    wrong = ", ".join(f"{run.n_wrong} of {run.n_images}" for run in runs)
    return "\n".join(
        (
            f"Seeds {', '.join(map(str, seeds))}. AUROC:",
            "",
            methods_table(runs, KINDS, lambda f: f.auroc),
            "Largest F1:",
            "",
            methods_table(runs, KINDS, lambda f: f.max_f1),
            f"Share of the errors that are found where {FALSE_POSITIVE_RATE:.0%} of what is right is found, too:",
            "",
            methods_table(runs, KINDS, lambda f: f.recall),
            f"Images with an error of any kind ({wrong}):",
            "",
            methods_table(runs, IMAGE_FIGURES, lambda f: f.images),
            table(
                ("counted, by seed", "right of all", "share"),
                [counted_row(text, [run.counted[name] for run in runs]) for name, text in counts.items()],
            ),
        )
    )


def methods_table(
    runs: Sequence[Run], columns: Sequence[str], of: Callable[[Figures], Mapping[str, float]]
) -> str:
    """One row a method that has any of these figures."""
    rows = []
    for method in runs[0].figures:
        found = [of(run.figures[method]) for run in runs]
        if any(found):
            rows.append([method, *(cell([f[c] for f in found if c in f]) for c in columns)])
    return table(("method", *columns), rows)


def heading(args: argparse.Namespace) -> str:
    """How and where it was measured, and how to read it."""
    return f"""# Errors in single rows, and what finds them

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("numpy", "torch", "ultralytics")}{cleanlab_version(args.cleanlab_python)}

One row in {1 / args.share:g} has an error, as many of each kind. Drop: the row is taken away. Flip: another class.
Shift: moved and resized, IoU .4 to .7 with what it was. Spawn: class and size of a row, put into any image where no
row is. The kinds are those of arXiv 2303.06999. Warm-up: {args.epochs} epochs, {args.imgsz} px, batch {args.batch},
CPU. All methods ask the model of the same run, about the very images that it learnt from. Cells: median (least–most
over the seeds). What nobody altered counts as right: errors of the set's own makers count against every method.

Rows: those of a kind against all that nobody altered. Drop: dropped boxes against what any method predicts elsewhere
with a confidence of 0.05 or more (0.03 for the probe), on a label or not; a method that says nothing of a place ranks
it last. A method that judges a kind alone is listed as a part (":"): nobody knows the kinds beforehand, so the parts
show what a method could reach, and its first line what it reaches. "probe's" are plain numbers that the probe's score
is made from. What each method does stands at the top of scripts/bench/boxes/field.py; Ultralytics 8.4.190 does not have
its scores yet, so they are computed here by the formula of its pull request.

"""
