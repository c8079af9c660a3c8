"""Which label errors make gradients leap, and under which settings: one kind of error at a time against clean labels.

    python scripts/bench/probe_spikes.py ../shared/data/bccd --weights yolov8n.pt --work /tmp/spikes

For each kind of error a quarter of the training images get it; each setting trains the same few epochs on clean and on
altered labels with the same seed, so that step k has the same images in both. Reported, over all steps and seeds: the
median and the largest ratio of gradient norms (altered to clean, before clipping), steps whose log norm lies over 3.5
robust standard deviations above the run's median, and steps that were not finite. AMP needs a GPU. Needs the probe
extra.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
from injection.errors import NAMES
from injection.inject import inject
from measure import RESULTS, command_line, machine, publish, versions

from sanitizer.util.robust import OUTLIER_Z, robust_z

if TYPE_CHECKING:
    from sanitizer.train.clipped_step import StepRecord

CLEAN = "none"
PLAIN = {"optimizer": "SGD", "lr0": 0.01, "warmup_epochs": 1}
SETTINGS: dict[str, tuple[bool, dict[str, object]]] = {
    "trained weights, lr 0.01, warm-up": (True, PLAIN),
    "the same with mosaic": (True, PLAIN | {"mosaic": 1.0, "close_mosaic": 0}),
    "trained weights, lr 0.05, no warm-up": (True, PLAIN | {"lr0": 0.05, "warmup_epochs": 0}),
    "from scratch, lr 0.01, warm-up": (False, PLAIN),
    "from scratch, lr 0.05, no warm-up": (False, PLAIN | {"lr0": 0.05, "warmup_epochs": 0}),
}
"""Name to (whether to start from trained weights, train arguments)."""


def main() -> None:
    """Train every combination, print the table and save it."""
    args = arguments()
    settings = dict(SETTINGS)
    if args.device != "cpu":
        settings = {f"{k}, {'AMP' if amp else 'float32'}": (t, o | {"amp": amp})
                    for k, (t, o) in SETTINGS.items() for amp in (True, False)}  # fmt: skip
    lines = ["| setting | error | median ratio | largest ratio | spikes (clean) | not finite (clean) |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for setting, (trained, overrides) in settings.items():
        model = args.weights if trained else args.yaml
        runs = {
            kind: [norms(folder(args, kind, seed), model, overrides, seed, args) for seed in args.seeds]
            for kind in (CLEAN, *NAMES)
        }
        clean = np.concatenate(runs[CLEAN])
        for kind in NAMES:
            found = np.concatenate(runs[kind])
            with np.errstate(invalid="ignore"):
                ratios = found / clean
            ratios = ratios[np.isfinite(ratios)]
            lines.append(
                f"| {setting} | {kind} | {np.median(ratios):.2f} | {ratios.max():.2f} "
                f"| {spikes(runs[kind])} ({spikes(runs[CLEAN])}) "
                f"| {(~np.isfinite(found)).sum()} ({(~np.isfinite(clean)).sum()}) |"
            )
            print(lines[-1], file=sys.stderr)
    text = f"""# Label errors and gradient norms

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("torch", "ultralytics")}; device {args.device}, {args.imgsz} px, batch {args.batch},
{args.epochs} epochs, seeds {", ".join(map(str, args.seeds))}

A quarter of the training images have the error. Ratio: gradient norm of a step, before clipping at 10, over that of the
same step with clean labels.

{chr(10).join(lines)}
"""
    publish(text, "probe-spikes", args.output)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--yaml", default="yolov8n.yaml", help="the architecture for training from scratch")
    parser.add_argument("--work", required=True)
    parser.add_argument("--seeds", type=lambda t: [int(s) for s in t.split(",")], default=[0, 1])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--imgsz", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    return parser.parse_args()


def folder(args: argparse.Namespace, kind: str, seed: int) -> str:
    """The set with this kind of error, made where it is not there yet."""
    path = os.path.join(args.work, f"{kind.replace(' ', '-')}-{seed}")
    if not os.path.exists(os.path.join(path, "truth.json")):
        os.makedirs(args.work, exist_ok=True)
        inject(args.dataset, path, seed, kinds=() if kind == CLEAN else (kind,))
    return path


def norms(
    data: str, model: str, overrides: dict[str, object], seed: int, args: argparse.Namespace
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Gradient norm of every step of a short training run."""
    import torch

    from sanitizer.archives.finding import find_dataset
    from sanitizer.probe.warm_up import warm_up
    from sanitizer.ultra.model import build_model
    from sanitizer.ultra.samples import read_samples
    from sanitizer.ultra.silence import silent_ultralytics

    dataset = find_dataset([os.path.join(data, "data.yaml")])
    spec = dataset.task_spec("detect")
    torch.manual_seed(seed)
    steps: list[StepRecord] = []
    settings = {
        "imgsz": args.imgsz,
        "batch": args.batch,
        "nbs": args.batch,
        "epochs": args.epochs,
        "workers": 0,
    }
    settings |= {"device": args.device, "seed": seed, **overrides}
    with silent_ultralytics():
        network = build_model(model, spec)
        samples = read_samples(dataset, spec, "train")
        warm_up(network, samples, spec, settings, 10.0, steps.append, lambda _n: True)
    return np.array([s.grad_norm for s in steps])


def spikes(runs: list[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> int:
    """Steps far above the median of their run."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return sum(int((robust_z(np.log(run)) > OUTLIER_Z).sum()) for run in runs)


if __name__ == "__main__":
    main()
