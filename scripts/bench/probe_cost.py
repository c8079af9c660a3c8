"""What taking a batch's gradient apart costs, against a plain training step of the same batch, and the naive loop.

    python scripts/bench/probe_cost.py --models yolov8n.yaml,yolo11n.yaml --imgsz 320,640 --batch 16

Plain: forward, loss, backward into every weight, BatchNorm frozen. Attribution: norm and share of every image, share of
every label line; it has the batch's gradient too, so in a run that measures it takes the place of the plain step, and
what it costs in addition is the difference. Loop: one backward pass an image for norms and shares alone. Images and
boxes are random. The three run in turn; ratios are medians over the rounds. Peak memory: a process each, less what it
had before its first pass. Needs the probe extra.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import RESULTS, command_line, machine, publish, table, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WAYS = ("plain", "attribution", "loop")
HEADER = (
    "model", "px", "plain step, s", "attribution, times plain", "in addition, times plain", "loop, times plain",
    "peak MiB plain / attribution / loop", "memory, times plain",
)  # fmt: skip


def main() -> None:
    """Measure every combination, print the table and save it."""
    args = arguments()
    if args.peak:
        print(peak_mib(args.peak, args.models[0], args.imgsz[0], args.batch, args.device))
        return
    rows: list[list[str]] = []
    for model in args.models:
        for imgsz in args.imgsz:
            seconds = timed(ways(model, imgsz, args.batch, args.device), args.rounds, args.device)
            ratios = {
                w: statistics.median(a / b for a, b in zip(seconds[w], seconds["plain"], strict=True))
                for w in WAYS
            }
            peaks = {w: peak_of_process(w, model, imgsz, args) for w in WAYS}
            rows.append(
                [
                    model, str(imgsz), f"{statistics.median(seconds['plain']):.2f}", f"{ratios['attribution']:.2f}",
                    f"{ratios['attribution'] - 1:.2f}", f"{ratios['loop']:.2f}",
                    " / ".join(f"{peaks[w]:.0f}" for w in WAYS), f"{peaks['attribution'] / peaks['plain']:.2f}",
                ]
            )  # fmt: skip
            # After each row: a run that is killed keeps what it measured.
            publish(page(rows, args), "probe-cost", args.output)


def page(rows: Sequence[Sequence[str]], args: argparse.Namespace) -> str:
    """The table so far, and how it was measured."""
    return f"""# What attribution costs

`{command_line()}`, {datetime.date.today()}

{machine()}; {versions("torch", "ultralytics")}; device {args.device}, batch {args.batch}, {args.rounds} rounds

{table(HEADER, rows)}"""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=lambda t: t.split(","), default=["yolov8n.yaml"])
    parser.add_argument("--imgsz", type=lambda t: [int(n) for n in t.split(",")], default=[320])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    parser.add_argument("--peak", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


def ways(
    model_name: str, imgsz: int, batch_size: int, device: str, amp: bool = False
) -> dict[str, Callable[[], Any]]:
    """The three ways as functions of nothing, on one model and one batch.

    Args:
        model_name: A model yaml.
        imgsz, batch_size: Of the images.
        device: As PyTorch spells it.
        amp: The plain step runs under autocast, as training does; attribution always is in float32.
    """
    import torch
    from ultralytics.cfg import get_cfg
    from ultralytics.utils import DEFAULT_CFG

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.probe.gradients.attribution import attribute
    from sanitizer.probe.gradients.folding import fold
    from sanitizer.probe.gradients.measure import prepare
    from sanitizer.probe.gradients.outputs import loss_at_outputs, named_outputs
    from sanitizer.ultra.model import build_model

    torch.manual_seed(0)
    model: Any = build_model(model_name, TaskSpec("detect", 5, {i: str(i) for i in range(5)}))
    model.args = get_cfg(DEFAULT_CFG, {"imgsz": imgsz})
    model = prepare(model).to(device)
    criterion = model.init_criterion()
    n_boxes = 8
    centres = torch.rand(batch_size * n_boxes, 2) * 0.6 + 0.2
    sizes = torch.rand(batch_size * n_boxes, 2) * 0.3 + 0.05
    batch = {
        "img": torch.rand(batch_size, 3, imgsz, imgsz),
        "batch_idx": torch.arange(batch_size).repeat_interleave(n_boxes).float(),
        "cls": torch.randint(0, 5, (batch_size * n_boxes, 1)).float(),
        "bboxes": torch.cat([centres, sizes], 1),
    }
    batch = {key: value.to(device) for key, value in batch.items()}

    def plain() -> None:
        model.zero_grad()
        with torch.autocast(torch.device(device).type, torch.float16, enabled=amp):
            loss = criterion(model(batch["img"]), batch)[0].sum()
        loss.backward()

    def loop() -> None:
        preds = model(batch["img"])
        outputs = {k: o for k, o in named_outputs(preds).items() if o.requires_grad}
        d = loss_at_outputs(criterion, preds, batch).gradient
        weights = [p for p in model.parameters() if p.requires_grad]
        parts = []
        for i in range(batch_size):
            parts.append(
                torch.autograd.grad(
                    [o[i] for o in outputs.values()], weights, [d[k][i] for k in outputs],
                    retain_graph=i + 1 < batch_size, allow_unused=True,
                )
            )  # fmt: skip
        flat = torch.stack([torch.cat([g.flatten() for g in p if g is not None]) for p in parts])
        total = flat.sum(0)
        flat.norm(dim=1), flat @ total / (total @ total)

    folded = fold(model)
    return {"plain": plain, "attribution": lambda: attribute(folded, criterion, batch), "loop": loop}


def timed(functions: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one round that does not count."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if device != "cpu":
                torch.cuda.synchronize()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def peak_of_process(way: str, model: str, imgsz: int, args: argparse.Namespace) -> float:
    """Peak memory of one way, MiB, in a process of its own."""
    command = [sys.executable, __file__, "--peak", way, "--models", model, "--imgsz", str(imgsz)]
    command += ["--batch", str(args.batch), "--device", args.device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def peak_mib(way: str, model: str, imgsz: int, batch_size: int, device: str) -> float:
    """Memory that a way needs beyond model and batch, MiB."""
    function = ways(model, imgsz, batch_size, device)[way]
    if device != "cpu":
        return cuda_peak_mib(function)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of importing
    before = status_mib("VmRSS")
    for _ in range(2):
        function()
    return status_mib("VmHWM") - before


def cuda_peak_mib(function: Callable[[], Any]) -> float:
    """Memory of the GPU that a function needs beyond what is there already, MiB."""
    import torch

    torch.cuda.reset_peak_memory_stats()
    allocated = torch.cuda.memory_allocated()
    function()
    return float(torch.cuda.max_memory_allocated() - allocated) / 2**20


def status_mib(key: str) -> float:
    """A figure of this process from Linux, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


if __name__ == "__main__":
    main()
