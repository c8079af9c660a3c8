"""Known label errors in real detection sets, and what finds them: loss, gradient norm, cleanlab, scan, probe.

    python scripts/bench/probe_injection.py DATASET… --weights yolov8n.pt --seeds 0,1 --work /tmp/inj

For each set and seed: copy the set, put one kind of error into each of about a quarter of its training images, train
four epochs on it, and score every training image by each method with the trained model. Every step is kept in the
work folder and not done again; remove DATASET-SEED there (or its baselines.json) to repeat it.

cleanlab is no dependency of the project: give `--cleanlab-python` a Python that has it (`pip install cleanlab` in an
environment of its own). Without it, its column says "not run". Needs the probe extra (torch, ultralytics).
"""

from __future__ import annotations

import datetime
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from injection.baselines import baseline_scores, cleanlab_version
from injection.command import probe_parser
from injection.errors import NAMES, UNSEEN_KINDS
from injection.evaluation import LINE_KINDS, UNSEEN, Figures, evaluate
from injection.inject import Injected, inject_once
from injection.probe_adapter import DEFAULT_FDR, ProbeRun, read_probe, run_probe
from injection.rows import InjectionError
from injection.tables import dataset_tables
from injection.training import train
from measure import command_line, machine, publish, versions

if TYPE_CHECKING:
    import argparse

    from injection.scores import Scores


def main() -> None:
    """Run what is not there yet, print the tables and save them."""
    args = arguments()
    os.makedirs(args.work, exist_ok=True)
    parts = []
    for dataset in args.datasets:
        name = os.path.basename(os.path.normpath(dataset))
        figures: dict[str, list[Figures]] = {}
        sets: list[Injected] = []
        for seed in args.seeds:
            injected = prepare(dataset, os.path.join(args.work, f"{name}-{seed}"), seed, args)
            sets.append(injected)
            for method, scores in all_scores(injected, seed, args).items():
                figures.setdefault(method, []).append(evaluate(scores, injected.truth, injected.images))
        complete = {method: f for method, f in figures.items() if len(f) == len(args.seeds)}
        parts.append(f"## {name}\n\n{dataset_tables(complete, counted(sets, args.seeds))}")
    text = heading(args) + "\n".join(parts)
    publish(text, "injection", args.output)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = probe_parser(__doc__, weights="what training starts from", seeds=(0, 1))
    parser.add_argument("--share", type=float, default=0.25, help="of the training images that get an error")
    here = sys.executable if importlib.util.find_spec("cleanlab") else None
    parser.add_argument("--cleanlab-python", default=here, help="a Python that has cleanlab")
    return parser.parse_args()


def prepare(dataset: str, work_dir: str, seed: int, args: argparse.Namespace) -> Injected:
    """The injected and trained set, made where it is not there yet."""
    injected = inject_once(dataset, work_dir, seed, args.share)
    print(f"{work_dir}: training, or trained already", file=sys.stderr)
    train(work_dir, args.weights, seed, args.epochs, args.imgsz, args.batch)
    return injected


def all_scores(injected: Injected, seed: int, args: argparse.Namespace) -> dict[str, Scores]:
    """Method to its scores, without those that cannot run."""
    weights = os.path.join(injected.folder, "last.pt")
    scores = baseline_scores(injected, weights, args.imgsz, args.cleanlab_python)
    print(f"{injected.folder}: probing, or probed already", file=sys.stderr)
    folder = os.path.join(injected.folder, "probe")
    run_probe(injected.data_yaml, ProbeRun(args.weights, args.epochs, args.imgsz, args.batch), seed, folder)
    return scores | read_probe(folder)


def counted(sets: list[Injected], seeds: list[int]) -> str:
    """Sentences on the sizes of a dataset, and on what chance alone would reach."""
    n, altered = len(sets[0].images), len(sets[0].truth)
    of_kind = altered // len(NAMES)
    chance = of_kind / (n - altered + of_kind)
    lines = [f"{sum(s.line_chance(kind) for s in sets) / len(sets):.2f} ({kind})" for kind in LINE_KINDS]
    return (
        f"{n} training images, {altered} of them altered, {of_kind} of each kind, "
        f"seeds {', '.join(map(str, seeds))}. By chance, average precision is {altered / n:.2f} for all and "
        f"{chance:.2f} for one kind, and the first line is an altered one in {' and '.join(lines)}."
    )


def heading(args: argparse.Namespace) -> str:
    """How and where it was measured, and how to read it."""
    return f"""# Label errors put into real sets, and what finds them again

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("numpy", "torch", "ultralytics")}{cleanlab_version(args.cleanlab_python)}

Training: {args.epochs} epochs, {args.imgsz} px, batch {args.batch}, CPU, Ultralytics' default recipe (its last ten
epochs have no mosaic) but for nbs={args.batch} and warmup_epochs=1, so that every batch is a step, and AdamW at 2e-4:
the same for the probe's own warm-up as for the model that the other methods ask. That model is asked about the very
images that it was trained on, without augmentation. cleanlab has its default thresholds, which mean a model that is
sure of itself: its parts look at predictions over 0.5 or 0.95 alone, and there are few of these where four epochs do
not teach a set.

Cells: median (least–most over the seeds). Scan: severest finding of an image (error 3, warning 2, info 1). Average
precision takes equal scores as one step, AUROC counts a tie half. Flagged: what the probe reports, what the scan calls
an error or a warning, and for the others the highest scores, as many as there are altered images. Clean images are
those that were not altered: their makers' own errors count against a method.

"{UNSEEN}" is {", ".join(UNSEEN_KINDS)}: every row of theirs is well formed. A line
that the probe names is right if it was altered, a place if it lies in a box that no row fits any more. Where a set's
makers made errors of their own, the shares that are right are lower bounds. The probe ran with its default,
--fdr {DEFAULT_FDR:g}: it promises that {1 - DEFAULT_FDR:.0%} of the lines are right.

"""


if __name__ == "__main__":
    try:
        main()
    except InjectionError as error:
        sys.exit(str(error))
