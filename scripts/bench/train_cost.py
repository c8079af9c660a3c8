"""What the clipped trainer costs: epochs of it against epochs of Ultralytics' own trainer, same data, seed and order.

    python scripts/bench/train_cost.py ../shared/data/bccd --weights yolov8n.pt --imgsz 160 --epochs 6 --rounds 4

Each round trains a few epochs in a process of its own with each trainer, in turn: Ultralytics'; `ClippedTrainer` with
its defaults; and the same where some steps of every epoch are called spikes, so that their images are attributed.
An epoch lasts from the end of the one before to its own end, checkpoint included; the first one, with the imports of
its first batch, and the last one, which validates, do not count. There are no loader workers, so that processor time
is that of training alone. Without a dataset one is made. Needs the probe extra.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from measure import RESULTS, command_line, environment, machine, publish, table, versions
from small_set import make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.train.spikes import Spike

ULTRALYTICS, CLIPPED, SPIKES = "Ultralytics", "ClippedTrainer", "ClippedTrainer, spikes attributed"
TRAINERS = (ULTRALYTICS, CLIPPED, SPIKES)
MADE_IMAGES, MADE_SIDE_PX = 96, 320
Epoch = tuple[float, float]
"""Wall and processor seconds."""


def main() -> None:
    """Measure, print the table and save it."""
    args = arguments()
    if args.child:
        print(json.dumps(train(args.child, args.data, args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measured(data_yaml(args.dataset, folder), args)
    publish(heading(args) + report(*found, args), "train-cost", args.output)


def measured(data: str, args: argparse.Namespace) -> tuple[dict[str, list[list[Epoch]]], list[list[int]]]:
    """Trainer to the epochs of each round; and of each round, rows of spikes.csv that have a share, and all of them."""
    found: dict[str, list[list[Epoch]]] = {name: [] for name in TRAINERS}
    attributed = []
    for number in range(args.rounds):
        for name in TRAINERS if number % 2 == 0 else TRAINERS[::-1]:
            record = run_child(name, data, args)
            found[name].append(record["epochs"])
            if name == SPIKES:
                attributed.append(record["attributed"])
            print(f"round {number + 1}: {name} {record}", file=sys.stderr)
    return found, attributed


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "dataset", nargs="?", help="folder with a data.yaml, for detection; copied first; default: a made set"
    )
    add("--weights", default="yolov8n.yaml", help="what training starts from (default yolov8n.yaml)")
    add("--epochs", type=int, default=5, help="of a process, 3 or more: the first and the last do not count")
    add("--rounds", type=int, default=4)
    add("--imgsz", type=int, default=160)
    add("--batch", type=int, default=16)
    add("--spike-every", type=int, default=5, help="steps from one forced spike to the next")
    add("--device", default="cpu")
    add("--threads", type=int, default=1, help="of PyTorch; more is noisier beside other jobs")
    add("--output", default=str(RESULTS), help="folder for the results")
    add("--child", choices=TRAINERS, help=argparse.SUPPRESS)
    add("--data", help=argparse.SUPPRESS)
    return parser.parse_args()


def data_yaml(dataset: str | None, folder: str) -> str:
    """The data.yaml of a copy: Ultralytics writes caches beside labels and mends some images."""
    from injection.inject import copy_dataset

    out = os.path.join(folder, "copy")
    if dataset is None:
        return make(out, MADE_IMAGES, MADE_SIDE_PX)
    copy_dataset(dataset, out)
    return os.path.join(out, "data.yaml")


def run_child(trainer: str, data: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train in a process of its own."""
    command = [sys.executable, __file__, "--child", trainer, "--data", data, "--weights", args.weights]
    for name in ("epochs", "imgsz", "batch", "spike_every", "device", "threads"):
        command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    env = environment({"YOLO_VERBOSE": "False", "OMP_NUM_THREADS": str(args.threads)})
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=env, encoding="utf-8")
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


# In the child


def train(trainer: str, data: str, args: argparse.Namespace) -> dict[str, Any]:
    """Wall and processor seconds of every epoch but the first and the last, and the images attributed."""
    from ultralytics.models import YOLO

    from sanitizer.ultra.silence import silent_ultralytics

    ends: list[Epoch] = []
    model: Any = YOLO(args.weights)
    model.add_callback("on_fit_epoch_end", lambda _trainer: ends.append(now(args.device)))
    with tempfile.TemporaryDirectory() as folder, silent_ultralytics():
        model.train(
            trainer=trainer_class(trainer, args.spike_every), data=data, epochs=args.epochs, imgsz=args.imgsz,
            batch=args.batch, nbs=args.batch, seed=0, device=args.device, workers=0, val=False, plots=False,
            amp=args.device != "cpu", project=folder, name="run",
        )  # fmt: skip
        log = Path(folder, "run", "spikes.csv")
        rows = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    shares = [line.split(",")[-3] for line in rows[1:]]
    ends = ends[: args.epochs - 1]
    epochs = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(ends)]
    return {"epochs": epochs, "attributed": [sum(map(bool, shares)), len(shares)]}


def now(device: str) -> Epoch:
    """Wall and processor seconds so far."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def trainer_class(name: str, spike_every: int) -> Any:
    """The trainer to pass to Ultralytics; None for its own."""
    if name == ULTRALYTICS:
        return None
    from sanitizer import ClippedTrainer
    from sanitizer.train.spikes import Spike, SpikeDetector

    if name == CLIPPED:
        return ClippedTrainer

    class Detector(SpikeDetector):
        """Calls every so manieth step a spike."""

        judged = 0

        def judge(self, norm: float) -> Spike | None:
            super().judge(norm)
            self.judged += 1
            return Spike(norm, self.limit) if self.judged % spike_every == 0 else None

    class Spiking(ClippedTrainer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.spikes = Detector()

    return Spiking


# What is said of it


def report(
    found: dict[str, list[list[Epoch]]], attributed: Sequence[Sequence[int]], args: argparse.Namespace
) -> str:
    """The page of results."""
    rows = []
    for name, rounds in found.items():
        cells = [name]
        for part in (1, 0):  # processor time says most beside other jobs
            own, base = ([median(e[part] for e in r) for r in of] for of in (rounds, found[ULTRALYTICS]))
            ratios = [a / b for a, b in zip(own, base, strict=True)]
            cells += [f"{median(own):.2f}", f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"]
        rows.append(cells)
    header = ("trainer", "CPU s an epoch", "times Ultralytics'", "wall s an epoch", "times Ultralytics'")
    right, total = (sum(of[n] for of in attributed) for n in (0, 1))
    return f"""{args.epochs} epochs a process, first and last left out, {args.rounds} rounds in turn, {args.imgsz} px,
batch {args.batch}. Medians of the epochs of a process, then over the rounds; ratios are of the same round (least–most).
Every {args.spike_every}th step was called a spike; {right} of {total} rows of spikes.csv have a share.

{table(header, rows)}"""


def heading(args: argparse.Namespace) -> str:
    """How and where it was measured."""
    return f"""# What the clipped trainer costs

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("torch", "ultralytics")}; device {args.device}, {args.threads} threads; load average \
{os.getloadavg()[0]:.1f}

"""


if __name__ == "__main__":
    main()
