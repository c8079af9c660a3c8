"""Which label rows make the loss or the gradient leap: a search over a row's geometry, on the way that training goes.

    python scripts/bench/leaps.py --tasks segment --out leaps.jsonl
    python scripts/bench/leaps.py --table leaps.jsonl

A made picture of 160 px has four label rows; one of them gets the geometry that is tried, and is compared with a median
row in its place. Paths: `mosaic` (augmentation as it is), `closed` (after close_mosaic), `val` (val's loss; no gradient
there, as validation has none). Rows go through Ultralytics' own dataset, augmentation, collation and criterion; random
numbers are the same for each row, so that only the row differs. First the rows that stories are told of, then random
geometries, then changes of the best of them. What was found is measured again under bfloat16 and float16 autocast.
Weights: fresh, or trained for some steps on the made pictures, or published ones that are named. Needs the probe extra.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from leap_rows import KEYPOINTS, MEDIAN, OTHERS, SIDE, Row, moved, named_rows, paint, row_of, sample_of
from leap_table import LEAP, PATHS, document
from measure import command_line

from sanitizer.dataset.tables import TaskSpec
from sanitizer.ultra.library import DEFAULT_CFG, get_cfg
from sanitizer.ultra.model import build_model
from sanitizer.ultra.probe_dataset import ReadOnlyDataset
from sanitizer.ultra.silence import silent_ultralytics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import nn

ENDINGS = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb"}
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one picture's loss is.

    Attributes:
        items: Name of each part of the loss to its value.
        loss: Their sum, as training backpropagates it.
        norm: Of the gradient; NaN on the path val.
        n_rows: Label rows that reach the loss.
    """

    items: dict[str, float]
    loss: float
    norm: float
    n_rows: int


class Bench:
    """One network on one path: the loss of a picture for any row in the place of the median one."""

    def __init__(
        self, network: nn.Module, pictures: list[str], task: str, path: str, precision: str, draw: int
    ) -> None:
        self.network, self.pictures, self.task, self.path, self.draw = network, pictures, task, path, draw
        self.amp = PRECISIONS[precision]
        self.hyp = settings_of(task, mosaic=1.0 if path == "mosaic" else 0.0)
        built: Any = network
        built.args, built.criterion = self.hyp, None
        self.criterion = built.init_criterion()
        self.weights = [p for p in network.parameters() if p.requires_grad]
        network.train(path != "val")
        batch = self._batch(MEDIAN)
        self.image = batch["img"]
        with torch.set_grad_enabled(path != "val"), self._autocast():
            self.outputs = network(self.image.float() / 255)
        self.median = self._measured(batch)

    def outcome(self, row: Row) -> Outcome | None:
        """Loss and gradient norm with this row; None if augmentation removes the row."""
        batch = self._batch(row)
        assert torch.equal(batch["img"], self.image)
        return None if len(batch["cls"]) < self.median.n_rows else self._measured(batch)

    def _measured(self, batch: dict[str, Any]) -> Outcome:
        """The forward pass is that of all rows, as it does not see labels."""
        with torch.set_grad_enabled(self.path != "val"), self._autocast():
            loss, items = self.criterion(self.outputs, batch)
        norm = float("nan")
        if self.path != "val":
            gradient = torch.autograd.grad(loss.sum(), self.weights, retain_graph=True, allow_unused=True)
            norm = float(torch.stack([g.double().norm() for g in gradient if g is not None]).norm())
        values = {k: float(v) for k, v in items.items()}
        return Outcome(values, float(loss.sum()), norm, len(batch["cls"]))

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=self.amp or torch.bfloat16, enabled=self.amp is not None)

    def _batch(self, row: Row) -> dict[str, Any]:
        samples = [
            sample_of(p, [*OTHERS, row if not i else MEDIAN], self.task) for i, p in enumerate(self.pictures)
        ]
        data = data_of(2)
        augment = self.path != "val"
        dataset = ReadOnlyDataset(
            samples, data=data, task=self.task, imgsz=SIDE, augment=augment, hyp=self.hyp
        )
        dataset.buffer = list(range(len(samples)))
        random.seed(self.draw)
        np.random.seed(self.draw)
        batch: dict[str, Any] = dataset.collate_fn([dataset[0]])
        return batch


def data_of(nc: int) -> dict[str, Any]:
    """The data.yaml's content."""
    return {"names": {i: str(i) for i in range(nc)}, "nc": nc, "channels": 3, "kpt_shape": [KEYPOINTS, 3]}


def settings_of(task: str, **changes: Any) -> Any:
    """Ultralytics' train arguments; pixels are left alone, so that each draw differs in geometry only."""
    return get_cfg(DEFAULT_CFG, {"task": task, "imgsz": SIDE, "epochs": 100, **changes})


def main() -> None:
    """Search every combination and keep what was found; or print the table of what was kept."""
    args = arguments()
    if args.table:
        print(document(Path(args.table), args.commands))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, silent_ultralytics(), Path(args.out).open("a") as out:
        pictures = paint(Path(folder))
        for task, name, weights, network in networks(args, pictures):
            for path in args.paths:
                for record in search(network, pictures, task, path, args):
                    line = {"task": task, "head": name, "weights": weights, "path": path, **record}
                    out.write(json.dumps(line) + "\n")
                out.flush()
                print(task, name, weights, path, file=sys.stderr)


def networks(args: argparse.Namespace, pictures: list[str]) -> Iterator[tuple[str, str, str, nn.Module]]:
    """(task, head, weights, network) of every combination."""
    for task in args.tasks:
        for head in filter(None, args.heads):
            name = f"yolo{head}n{ENDINGS[task]}"
            network = network_of(f"{name}.yaml", task)
            yield task, name, "fresh", network
            yield task, name, "trained", trained(network, pictures, task, args.steps)
        for published in args.published:
            if Path(published).stem.endswith(ENDINGS[task]) and ("-" in Path(published).stem) == bool(
                ENDINGS[task]
            ):
                yield task, Path(published).stem, "published", network_of(published, task)


def network_of(model: str, task: Any) -> nn.Module:
    """The network with a head for two classes, always the same where its weights are random."""
    torch.manual_seed(0)
    data = data_of(2)
    return build_model(model, TaskSpec(task, 2, data["names"], (KEYPOINTS, 3) if task == "pose" else (0, 0)))


def trained(network: nn.Module, pictures: list[str], task: str, steps: int) -> nn.Module:
    """The same network after some steps on the made pictures, augmented as after close_mosaic."""
    built: Any = network
    built.args = settings_of(task, mosaic=0.0)
    criterion = built.init_criterion()
    samples = [sample_of(p, [*OTHERS, MEDIAN], task) for p in pictures]
    dataset = ReadOnlyDataset(samples, data=data_of(2), task=task, imgsz=SIDE, augment=True, hyp=built.args)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    random.seed(0)
    np.random.seed(0)
    network.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 10)
        batch = dataset.collate_fn([dataset[i] for i in range(len(dataset))])
        loss = criterion(network(batch["img"].float() / 255), batch)[0].sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimizer.step()
    return network


def search(
    network: nn.Module, pictures: list[str], task: str, path: str, args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Records of the named rows, then of the worst that were found by chance and by changing those."""
    draws = range(1 if path == "val" else args.draws)

    @functools.cache
    def benches(precision: str) -> list[Bench]:
        return [Bench(network, pictures, task, path, precision, d) for d in draws]

    plain = benches("float32")
    cheap = 6 if path == "val" else 1  # without a backward pass more can be tried
    rng = np.random.default_rng(1)

    def record(kind: str, row: Row, often: float) -> dict[str, Any]:
        precisions = PRECISIONS if score(row, plain) > LEAP else ("float32",)
        at = {p: worst(row, benches(p)) for p in precisions}
        return {"kind": kind, "words": row.words(task), "row": asdict(row), "often": often, **at}

    for kind, row in named_rows(task).items():
        places = [row, *(moved(row, *u) for u in rng.random((args.places * cheap - 1, 3)))]
        scores = [score(place, plain) for place in places]
        yield record(kind, places[int(np.argmax(scores))], float(np.mean(np.array(scores) > LEAP)))
    tried = [(score(row_of(u, task), plain), u) for u in rng.random((args.random * cheap, 7))]
    often = float(np.mean([factor > LEAP for factor, _ in tried]))
    for _ in range(2):
        tried.sort(key=lambda pair: -pair[0])
        found = climb(tried, lambda u: score(row_of(u, task), plain), args.guided * cheap // 2, rng)
        tried = tried[1:]  # the second climb starts elsewhere
        yield record("found", row_of(found, task), often)


def climb(
    tried: list[tuple[float, NDArray[np.float64]]],
    score_of: Callable[[NDArray[np.float64]], float],
    steps: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The best point that a climb from the best tried one reaches, with steps that shrink where nothing is gained."""
    best, at = tried[0]
    width = 0.15
    for _ in range(steps):
        other = np.clip(at + rng.normal(0, width, len(at)) * (rng.random(len(at)) < 0.5), 0, 1)
        reached = score_of(other)
        width = max(width * (1.2 if reached > best else 0.93), 0.005)
        if reached > best:
            best, at = reached, other
    return at


def score(row: Row, benches: list[Bench]) -> float:
    """What the search raises: the factor of the gradient's norm; on the path val that of the loss."""
    w = worst(row, benches)
    if not w["reached"]:
        return 0.0
    factor = w["loss"] if benches[0].path == "val" else w["norm"]
    return factor if np.isfinite(factor) else 1e9


def worst(row: Row, benches: list[Bench]) -> dict[str, Any]:
    """Factors of the draw in which this row raises the gradient most, or the loss on the path val."""
    outcomes = [(bench.outcome(row), bench.median) for bench in benches]
    reached = [factors(got, median) for got, median in outcomes if got]
    if not reached:
        return {"reached": 0.0}
    key = "loss" if benches[0].path == "val" else "norm"
    most = max(reached, key=lambda f: f[key] if np.isfinite(f[key]) else np.inf)
    return {**most, "reached": len(reached) / len(benches)}


def factors(got: Outcome, median: Outcome) -> dict[str, Any]:
    """How much more the loss, its parts and the gradient are than with the median row."""
    parts = {k: v / max(median.items[k], 1e-3) for k, v in got.items.items()}
    heavy = [k for k, v in got.items.items() if not v <= 0.05 * median.loss] or list(parts)  # NaN is heavy
    part = max(heavy, key=lambda k: parts[k] if np.isfinite(parts[k]) else np.inf)
    return {
        "loss": got.loss / median.loss, "norm": got.norm / median.norm, "part": part, "part_factor": parts[part],
        "before": [median.loss, median.norm], "after": [got.loss, got.norm],
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=lambda s: s.split(","), default=list(ENDINGS))
    parser.add_argument("--heads", type=lambda s: s.split(","), default=["v8", "11", "26"])
    parser.add_argument("--paths", type=lambda s: s.split(","), default=list(PATHS))
    parser.add_argument("--published", type=lambda s: s.split(","), default=[], metavar="FILE.pt,…")
    parser.add_argument("--steps", type=int, default=60, help="training steps of the trained weights")
    parser.add_argument("--draws", type=int, default=2, help="draws of the augmentation for each row")
    parser.add_argument("--places", type=int, default=6, help="places that each named row is tried at")
    parser.add_argument("--random", type=int, default=60, help="random rows")
    parser.add_argument("--guided", type=int, default=60, help="rows of the climbs")
    parser.add_argument("--out", default=os.devnull, help="file that records are added to, JSON a line")
    parser.add_argument("--table", metavar="FILE", help="print the document of these records")
    parser.add_argument(
        "--commands", nargs="*", default=[f"`{command_line()}`"], help="lines on how it was made"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
