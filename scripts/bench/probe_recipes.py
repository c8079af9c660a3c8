"""How the probe's model should learn in its few epochs: what different train arguments lead to.

    python scripts/bench/probe_recipes.py DATASET… --weights yolov8n.pt --seeds 0 --work /tmp/inj

The sets, the errors put into them and the default's runs are those of probe_injection.py, which may share the work
folder. The first figure of a table needs no truth: the loss of the set's images under the model. Needs the probe extra.
"""

from __future__ import annotations

import datetime
import os
import statistics
import sys
from typing import TYPE_CHECKING

from injection.command import probe_parser
from injection.evaluation import ALL, UNSEEN, evaluate
from injection.inject import Injected, inject_once
from injection.probe_adapter import ProbeRun, read_probe, read_rows, run_probe
from injection.rows import InjectionError
from injection.tables import cell, count_cells
from measure import command_line, machine, publish, table, versions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from injection.named import Counted

RECIPES: dict[str, tuple[str, ...]] = {
    "the probe's own": (),
    "Ultralytics' choice (auto)": ("optimizer=auto",),
    "AdamW, 0.004": ("optimizer=AdamW", "lr0=0.004"),
    "SGD, 0.005": ("optimizer=SGD", "lr0=0.005"),
    "the probe's own, no warm-up": ("warmup_epochs=0",),
    "the probe's own, images as they are": ("scale=0", "translate=0"),
}
"""Name of a recipe to its train arguments."""
LOSSES = ("box_loss", "cls_loss", "dfl_loss")
HEADINGS = ("loss", "unseen, AP", "all with scan, AP", "lines named", "right", "share right")


def main() -> None:
    """Run what is not there yet, print the tables and save them."""
    parser = probe_parser(__doc__, seeds=(0,))
    parser.add_argument("--share", type=float, default=0.25, help="of the training images that get an error")
    parser.add_argument(
        "--recipes", type=lambda text: [*map(int, text.split(","))], default=[*range(len(RECIPES))]
    )
    args = parser.parse_args()
    chosen = [list(RECIPES)[k] for k in args.recipes]
    parts = []
    for dataset in args.datasets:
        name = os.path.basename(os.path.normpath(dataset))
        sets = {
            seed: inject_once(dataset, os.path.join(args.work, f"{name}-{seed}"), seed, args.share)
            for seed in args.seeds
        }
        rows = [
            (recipe, *row_of([figures_of(one, recipe, seed, args) for seed, one in sets.items()]))
            for recipe in chosen
        ]
        parts.append(f"## {name}\n\n{table(('recipe', *HEADINGS), rows)}")
    publish(heading(args, chosen) + "\n".join(parts), "probe-recipes", args.output)


def row_of(figures: Sequence[tuple[float, float, float, Counted]]) -> list[str]:
    """The cells of a recipe, of its figures for each seed."""
    losses, unseen, both, lines = zip(*figures, strict=True)
    return [cell(losses), cell(unseen), cell(both), *count_cells(lines)]


def figures_of(
    one: Injected, recipe: str, seed: int, args: argparse.Namespace
) -> tuple[float, float, float, Counted]:
    """What a recipe led to with one seed: loss, AP of unseen kinds, AP of all with the scan, lines named."""
    arguments = RECIPES[recipe]
    folder = os.path.join(one.folder, "-".join(["probe", *arguments]))
    print(f"{folder}: probing, or probed already", file=sys.stderr)
    run_probe(
        one.data_yaml,
        ProbeRun(args.weights, args.epochs, args.imgsz, args.batch, arguments=arguments),
        seed,
        folder,
    )
    loss = statistics.median(
        sum(float(row[part]) for part in LOSSES) for row in read_rows(os.path.join(folder, "images.csv"))
    )
    scores = read_probe(folder)
    probe = evaluate(scores["probe"], one.truth, one.images)
    both = evaluate(scores["scan + probe"], one.truth, one.images)
    assert probe.named is not None
    return loss, probe.ap[UNSEEN], both.ap[ALL], probe.named.lines


def heading(args: argparse.Namespace, chosen: Sequence[str]) -> str:
    """How and where it was measured, and how to read it."""
    spelled = "; ".join(f"{name}: {' '.join(RECIPES[name]) or 'as it is'}" for name in chosen)
    return f"""# How the probe's model learns

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("numpy", "torch", "ultralytics")}

{args.epochs} epochs, {args.imgsz} px, batch {args.batch}, CPU, seeds {", ".join(map(str, args.seeds))}. {spelled}.

Loss: median over the images, as they are and as labelled, errors among them. AP: average precision of the images with
errors against the others, of the probe alone for kinds that no scan sees, and of scan and probe for all kinds.

"""


if __name__ == "__main__":
    try:
        main()
    except InjectionError as error:
        sys.exit(str(error))
