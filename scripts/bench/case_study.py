"""What makes a run fail, and what mends it: flawed labels, learning rate and warm-up, clipping, mixed precision.

    python scripts/bench/case_study.py DATASET… --weights yolov8n.pt --seeds 0,1 --work /tmp/case

The story to test: a custom dataset and a NaN loss in epoch 5, because of boxes over 50:1, lr 0.05 and no warm-up; after
cleaning, with lr 0.01, three epochs of warm-up, clipping at 1 and AMP, a smooth loss and a higher mAP. Each of these
is varied on its own, all else equal:

    labels  original; thin: boxes over 50:1 added to a quarter of the training images; dirty: eight kinds of error in a
            quarter of them; cleaned: dirty, repaired by `sanitize fix --unsafe` in a view, without the training images
            whose rows a scan still warns of
    recipe  hot: SGD, lr0 0.05, no warm-up; calm: SGD, lr0 0.01, three epochs of warm-up
    clip    10, as Ultralytics has it, and 1; p90 would be the 90th percentile of the norms so far (10 for 20 steps)
    AMP     off; on a GPU also on

Every run is trained by ClippedTrainer, which at 10 is Ultralytics' own training bit for bit as long as gradients are
finite, and is then judged on the same untouched val split. Runs are kept in the work folder and not done again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from case_outcomes import Case, Outcome, effects, read_logs, table
from injection.errors import KINDS
from injection.inject import copy_split, inject, label_of, read_pages
from measure import RESULTS, command_line, machine, publish, versions

from sanitizer.archives.finding import find_dataset, find_loose_dataset
from sanitizer.findings.finding import Severity
from sanitizer.scanner.run import scan
from sanitizer.view.fixing import fix_into_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

THIN = "aspect over 50"
LABELS = ("original", "thin", "dirty", "cleaned")
RECIPES: dict[str, dict[str, Any]] = {
    "hot": {"optimizer": "SGD", "lr0": 0.05, "warmup_epochs": 0.0},
    "calm": {"optimizer": "SGD", "lr0": 0.01, "warmup_epochs": 3.0},
}


def main() -> None:
    """Run what is not there yet, print the tables and save them."""
    args = arguments()
    os.makedirs(args.work, exist_ok=True)
    parts = []
    for dataset in args.datasets:
        name = os.path.basename(os.path.normpath(dataset))
        found = {}
        for seed in args.seeds:
            sets = prepare(dataset, os.path.join(os.path.abspath(args.work), f"{name}-{seed}"), seed, args)
            for case in cases(args, seed):
                found[case] = run(case, sets, args)
                print(f"{name} {case.name}: {found[case]}", file=sys.stderr, flush=True)
        parts.append(f"## {name}\n\n{counted(dataset, sets, args)}\n\n{table(found)}\n\n{effects(found)}")
        names = "-".join(os.path.basename(os.path.normpath(dataset)) for dataset in args.datasets)
        publish(heading(args) + "\n\n".join(parts) + "\n", f"case-study-{names}", args.output)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("datasets", nargs="+", help="folders with a data.yaml, for detection; only read")
    add("--weights", required=True, help="what training starts from")
    add("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1])
    add("--work", required=True, help="folder for the copies, the views and all that is kept")
    add("--share", type=float, default=0.25, help="of the training images that get an error")
    add("--epochs", type=int, default=10)
    add("--imgsz", type=int, default=160)
    add("--batch", type=int, default=16)
    add("--clips", type=lambda text: text.split(","), default=["10", "1"], help="10, 1, p90")
    add("--recipes", type=lambda text: text.split(","), default=list(RECIPES))
    add("--labels", type=lambda text: text.split(","), default=list(LABELS))
    add("--device", default=None, help="cpu or 0 (default: the first GPU, or the CPU)")
    add("--output", default=str(RESULTS), help="folder for the results")
    return parser.parse_args()


def device(args: argparse.Namespace) -> str:
    """The device as Ultralytics spells it."""
    import torch

    return args.device or ("0" if torch.cuda.is_available() else "cpu")


def cases(args: argparse.Namespace, seed: int) -> list[Case]:
    """All runs of one dataset and seed."""
    amp = (False,) if device(args) == "cpu" else (False, True)
    chosen = product(args.labels, args.recipes, args.clips, amp)
    return [Case(labels, recipe, clip, on, seed) for labels, recipe, clip, on in chosen]


# What is trained on


def prepare(
    dataset: str, folder: str, seed: int, args: argparse.Namespace, wanted: Iterable[str] = LABELS
) -> dict[str, str]:
    """Name of the labels to the data.yaml; made where they are not there yet. "original" is always among them."""
    wanted = dict.fromkeys(("original", *wanted))
    make: dict[str, Callable[[str], str]] = {
        "original": lambda out: altered_copy(dataset, out, seed, 0.0),
        "thin": lambda out: altered_copy(dataset, out, seed, args.share),
        "dirty": lambda out: (inject(dataset, out, seed, args.share), out)[1],
        "cleaned": lambda out: cleaned(os.path.join(folder, "dirty"), out),
    }
    os.makedirs(folder, exist_ok=True)
    for labels in wanted:
        out = os.path.join(folder, labels)
        if not os.path.exists(os.path.join(out, "data.yaml")):
            shutil.rmtree(out, ignore_errors=True)
            make[labels](out)
    return {labels: os.path.join(folder, labels, "data.yaml") for labels in wanted}


def altered_copy(dataset: str, out: str, seed: int, share: float) -> str:
    """A copy of the train and val images, thin boxes added to a share of the former."""
    source = find_dataset([os.path.join(dataset, "data.yaml")])
    assert source.nc is not None
    for split in ("train", "val"):
        copy_split(source, split, out)
    pages = read_pages(out, source.nc)
    thin = {kind.name: kind for kind in KINDS}[THIN]
    possible = [image for image, page in pages.items() if thin.possible(page)]
    chosen = np.random.default_rng(seed).choice(len(possible), int(len(pages) * share), replace=False)
    for i in chosen.tolist():
        new = thin.make(pages[possible[i]], np.random.default_rng((seed, i)))
        label = Path(label_of(os.path.join(out, possible[i])))
        label.write_text("".join(f"{line}\n" for line in new.lines), encoding="utf-8")
    names = json.dumps([source.names[i] for i in range(source.nc)])
    text = f"path: {json.dumps(out)}\ntrain: images/train\nval: images/val\nnames: {names}\n"
    Path(out, "data.yaml").write_text(text, encoding="utf-8")
    return out


def cleaned(dirty: str, out: str) -> str:
    """A view of a flawed set: repaired, and without the training images that a scan still warns of."""
    dataset = find_loose_dataset([os.path.join(dirty, "data.yaml")])
    once = fix_into_view(dataset, f"{out}-repaired", unsafe=True)
    exclude = {
        finding.image: f"{finding.rule} {finding.message}"
        for finding in scan(once.data_yaml, cache=False).findings
        if finding.severity >= Severity.WARNING
        and finding.line
        and finding.image
        and finding.split == "train"
    }
    fix_into_view(dataset, out, unsafe=True, exclude=exclude)
    return out


# One run


def run(case: Case, sets: dict[str, str], args: argparse.Namespace) -> Outcome:
    """Train and judge, or read what an earlier run kept."""
    folder = os.path.join(os.path.dirname(os.path.dirname(sets[case.labels])), "runs", case.name)
    kept = Path(folder, "outcome.json")
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        train(case, sets[case.labels], folder, args)
        judged = {"map50_95": judge(folder, sets["original"], args)}
        kept.write_text(json.dumps(judged), encoding="utf-8")
        shutil.rmtree(os.path.join(folder, "weights"))
    return read_logs(folder, json.loads(kept.read_text(encoding="utf-8"))["map50_95"])


def train(case: Case, data: str, folder: str, args: argparse.Namespace) -> None:
    """One clipped run; one that cannot be saved is an outcome too."""
    from ultralytics.models import YOLO

    from sanitizer.train.trainer import ClippedTrainer, TrainingStoppedError
    from sanitizer.ultra.silence import silent_ultralytics

    percentile = float(case.clip[1:]) if case.clip.startswith("p") else None
    limit = float(case.clip) if percentile is None else 10.0
    trainer = ClippedTrainer.configured(max_grad_norm=limit, adaptive_percentile=percentile)
    settings = {**RECIPES[case.recipe], "epochs": args.epochs, "imgsz": args.imgsz, "batch": args.batch}
    settings |= {"seed": case.seed, "amp": case.amp, "device": device(args), "save_dir": folder}
    settings |= {"workers": 4, "val": False, "plots": False, "close_mosaic": max(1, args.epochs // 4)}
    with silent_ultralytics():
        try:
            YOLO(args.weights).train(trainer=trainer, data=data, **settings)
        except TrainingStoppedError as error:
            print(error, file=sys.stderr)


def judge(folder: str, data: str, args: argparse.Namespace) -> float:
    """mAP50-95 on the val split of the original labels; 0 where a run left no weights."""
    from ultralytics.models import YOLO

    from sanitizer.ultra.silence import silent_ultralytics

    weights = os.path.join(folder, "weights", "last.pt")
    if not os.path.exists(weights):
        return 0.0
    with silent_ultralytics():
        metrics = YOLO(weights).val(
            data=data, imgsz=args.imgsz, batch=args.batch, device=device(args), plots=False, workers=0, verbose=False,
            save_dir=os.path.join(folder, "val"),
        )  # fmt: skip
    return float(metrics.box.map)


# What is said of them


def counted(dataset: str, sets: dict[str, str], args: argparse.Namespace) -> str:
    """Sentences on the sizes of a dataset."""
    sizes = {}
    for labels, data in sets.items():
        splits = {s.name: int(s.has_image.sum()) for s in find_dataset([data]).splits}
        sizes[labels] = splits["train"]
    val = splits["val"]
    name, flawed = os.path.basename(os.path.normpath(dataset)), int(sizes["original"] * args.share)
    return (
        f"{sizes['original']} training images, {flawed} of them with thin boxes or about as many with errors, "
        f"{sizes['cleaned']} left after cleaning; judged on {val} val images with the labels of {name} as published. "
        f"Seeds {', '.join(map(str, args.seeds))}."
    )


def heading(args: argparse.Namespace) -> str:
    """How and where it was measured, and how to read it."""
    return f"""# Case study: labels, learning rate, clipping

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("numpy", "torch", "ultralytics")}

{args.epochs} epochs, {args.imgsz} px, batch {args.batch}, everything else Ultralytics' defaults (nbs=64). What the
words mean stands at the top of scripts/bench/case_study.py. Failed: first step whose gradient was not finite, through
no fault of AMP's loss scale; – is never. Cells: mean (least–most) over the seeds; peaks are the worst of all seeds.

"""


if __name__ == "__main__":
    main()
