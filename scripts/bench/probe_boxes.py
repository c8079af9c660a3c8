"""Errors in single rows of real detection sets: how well the probe and the methods of the field find them.

    python scripts/bench/probe_boxes.py DATASET… --weights yolov8n.pt --seeds 0,1,2 --work /tmp/boxes

For each set and seed: copy the set, put an error into one training row in five (`injection/box_errors.py`: drop, flip,
shift, spawn), run `sanitize probe` once, and ask the very model of that run for what the other methods need
(`boxes/field.py`). `--share 0.02` leaves enough images without error to rank images. What was made is kept in the work
folder and not made again; remove report.json and places.json in a folder `probe` to judge its measurements once more.

cleanlab is no dependency of the project: give `--cleanlab-python` a Python that has it (`pip install cleanlab` in an
environment of its own). Without it, ObjectLab and CLOD are left out. Needs the probe extra.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
from typing import TYPE_CHECKING

from boxes.field import of_field
from boxes.figures import evaluate, kinds_of
from boxes.probed import keep_places, read_said
from boxes.tables import Run, dataset_tables, heading
from injection.box_errors import inject_rows, read_row_truth
from injection.command import probe_parser
from injection.model_scores import probed_model, view_images
from injection.named import Counted, matched
from injection.probe_adapter import LINE_RULES, PLACE_RULE, ProbeRun, read_findings, run_probe
from injection.rows import InjectionError
from measure import publish

from sanitizer.archives.finding import find_dataset

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Any

    from boxes.figures import Kinds
    from injection.box_errors import RowTruth
    from injection.model_scores import ModelView

SHARE = 0.2
"""Of the training rows, as in arXiv 2211.13993."""


def main() -> None:
    """Run what is not there yet, print the tables and save them."""
    args = arguments()
    os.makedirs(args.work, exist_ok=True)
    parts = []
    for dataset in args.datasets:
        name = os.path.basename(os.path.normpath(dataset))
        runs = [
            one_run(dataset, os.path.join(args.work, f"{name}-{seed}"), seed, args) for seed in args.seeds
        ]
        parts.append(f"## {name}\n\n{dataset_tables(runs, args.seeds)}")
    name = "boxes" if args.share == SHARE else f"boxes-share-{args.share:g}"
    publish(heading(args) + "\n".join(parts), name, args.output)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = probe_parser(__doc__)
    parser.add_argument("--share", type=float, default=SHARE, help="of the training rows that get an error")
    here = sys.executable if importlib.util.find_spec("cleanlab") else None
    parser.add_argument("--cleanlab-python", default=here, help="a Python that has cleanlab")
    return parser.parse_args()


def one_run(dataset: str, folder: str, seed: int, args: argparse.Namespace) -> Run:
    """One set with errors: probed, asked, and counted."""
    if not os.path.exists(os.path.join(folder, "truth.json")):
        inject_rows(dataset, folder, seed, args.share)
    print(f"{folder}: probing, or probed already", file=sys.stderr)
    data_yaml, out = os.path.join(folder, "data.yaml"), os.path.join(folder, "probe")
    run = ProbeRun(args.weights, args.epochs, args.imgsz, args.batch)
    run_probe(data_yaml, run, seed, out)
    keep_places(data_yaml, run, seed, out)
    print(f"{folder}: asking the other methods", file=sys.stderr)
    nc = find_dataset([data_yaml]).nc
    assert nc is not None
    views = kept_views(folder, out, args)
    said = read_said(out) | of_field(views, nc, args.cleanlab_python)
    truth = read_row_truth(folder)
    kinds = kinds_of({v.image: [row.line for row in v.rows] for v in views}, truth)
    return Run(evaluate(said, truth, kinds), counted(out, truth, kinds), len(views), len(truth))


def kept_views(folder: str, probe_dir: str, args: argparse.Namespace) -> list[ModelView]:
    """What the probe's model says of every training image, from views.pickle if it is there."""
    path = os.path.join(folder, "views.pickle")
    if os.path.exists(path):
        with open(path, "rb") as file:
            kept: list[ModelView] = pickle.load(file)  # our own: a work folder is nobody else's
        return kept
    model = probed_model(os.path.join(folder, "data.yaml"), args.weights, probe_dir)
    views = list(view_images(folder, model, args.imgsz))
    with open(path, "wb") as file:
        pickle.dump(views, file)
    return views


def counted(out_dir: str, truth: Mapping[str, RowTruth], kinds: Kinds) -> dict[str, Counted]:
    """What the probe names, and how much of it is right."""
    findings = read_findings(out_dir)
    lines = Counted.of(
        kinds.get((f["image"], f["line"])) is not None for f in findings if f["rule"] in LINE_RULES
    )
    places, dropped = match_dropped([f for f in findings if f["rule"] == PLACE_RULE], truth)
    return {"lines": lines, "places": places, "dropped": dropped}


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


if __name__ == "__main__":
    try:
        main()
    except InjectionError as error:
        sys.exit(str(error))
