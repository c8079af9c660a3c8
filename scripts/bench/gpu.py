"""Everything of the probe and the trainer that only a GPU can say, in one script of at most eight minutes.

    python scripts/bench/gpu.py [DATASET] --weights yolov8n.pt
    python scripts/bench/gpu.py --quick        # the smallest run of every part, on a CPU if there is no GPU

Attribution against a training step (`probe_cost.py`): models n and s, batches of 16 and 64, AMP on and off, with the
memory of both. G004 under real autocast: a model that overflows half precision alone, and one that does not. An epoch
of the clipped trainer against Ultralytics' own (`train_cost.py`). The hot recipe of the case study with and without
AMP (`case_study.py`). A part that would begin after the time is over is left out, and the page says so.

It needs nothing but this checkout, PyTorch with CUDA and Ultralytics: no network. Without a dataset one is made.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import case_study
import train_cost
from case_outcomes import Case, Outcome
from case_outcomes import table as table_of_cases
from measure import RESULTS, command_line, machine, publish, table, versions
from probe_cost import cuda_peak_mib, timed, ways
from small_set import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NO_CUDA = (
    "no CUDA device is there: PyTorch {version} sees none. Run this on a machine with a GPU, or try the script with "
    "--quick, which takes the CPU"
)
SECONDS_OF_PART = 60.0
"""A part does not begin with less time left."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is run."""

    models: Sequence[str]
    batches: Sequence[int]
    imgsz: int
    rounds: int
    images: int
    epochs: int


FULL = Size(("yolov8n.yaml", "yolov8s.yaml"), (16, 64), 640, 5, 512, 6)
QUICK = Size(("yolov8n.yaml",), (2,), 64, 1, 8, 3)


def main() -> None:
    """Run the parts, print the page and save it after each."""
    args = arguments()
    import torch

    if not torch.cuda.is_available() and not args.quick:
        sys.exit(NO_CUDA.format(version=torch.__version__))
    device = "0" if torch.cuda.is_available() else "cpu"
    size = QUICK if args.quick else FULL
    deadline = time.perf_counter() + args.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        data = args.dataset or os.path.dirname(
            make(os.path.join(folder, "set"), size.images, 2 * size.imgsz // 3)
        )
        parts: dict[str, Callable[[], str]] = {
            "Attribution against a training step": lambda: attribution(size, device, deadline),
            "G004 under autocast": lambda: overflow(data, size, device),
            "Epochs of the clipped trainer": lambda: epochs(data, args.weights, size, device),
            "The hot recipe": lambda: hot_recipe(data, args.weights, size, device, folder, deadline),
        }
        text = heading(device)
        for title, part in parts.items():
            left = deadline - time.perf_counter()
            said = (
                part()
                if args.quick or left > SECONDS_OF_PART
                else f"Left out: {max(left, 0):.0f} s were left.\n"
            )
            text += f"\n## {title}\n\n{said}"
            publish(text, "gpu", args.output)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dataset", nargs="?", help="folder with a data.yaml, for detection; only read (default: a made set)")
    add("--weights", default="yolov8n.yaml", help="what training starts from (default yolov8n.yaml)")
    add("--minutes", type=float, default=8.0, help="after which no part begins (default 8)")
    add("--quick", action="store_true", help="the smallest run of every part, on a CPU if there is no GPU")
    add("--output", default=str(RESULTS), help="folder for the results")
    return parser.parse_args()


def heading(device: str) -> str:
    """How and where it was measured."""
    import torch

    name = "CPU" if device == "cpu" else torch.cuda.get_device_name(0)
    return f"""# The probe and the trainer on a GPU

`{command_line()}`, {datetime.date.today()}

{name}; {machine()}; {versions("torch", "ultralytics")}
"""


# Attribution


def attribution(size: Size, device: str, deadline: float) -> str:
    """Seconds and memory of attribution, as a table against the plain step of the same batch."""
    header = ("model", "batch", "AMP", "step, s", "attribution, times step", "step MiB", "attribution MiB")
    rows = []
    for model in size.models:
        for batch in size.batches:
            for amp in (True, False):
                if time.perf_counter() < deadline - SECONDS_OF_PART or size is QUICK:
                    rows.append(
                        [model, str(batch), "on" if amp else "off", *costs(model, size, batch, device, amp)]
                    )
    return (
        f"{size.imgsz} px, {size.rounds} rounds. Attribution itself is in float32.\n\n{table(header, rows)}"
    )


def costs(model: str, size: Size, batch: int, device: str, amp: bool) -> Iterator[str]:
    """The last four cells of a row."""
    spelled = "cpu" if device == "cpu" else f"cuda:{device}"
    both = ways(model, size.imgsz, batch, spelled, amp)
    both.pop("loop")
    seconds = timed(both, size.rounds, spelled)
    yield f"{median(seconds['plain']):.3f}"
    pairs = zip(seconds["attribution"], seconds["plain"], strict=True)
    yield f"{median(a / b for a, b in pairs):.2f}"
    for function in both.values():
        yield "–" if device == "cpu" else f"{cuda_peak_mib(function):,.0f}"


# G004


def overflow(data: str, size: Size, device: str) -> str:
    """How many images are named by G004 with a sound model, and with one that half precision alone cannot compute."""
    import torch

    from sanitizer.archives.finding import find_dataset
    from sanitizer.probe.measuring_pass import MeasurerSettings
    from sanitizer.ultra.model import build_model
    from sanitizer.ultra.samples import read_samples
    from sanitizer.ultra.silence import silent_ultralytics

    dataset = find_dataset([os.path.join(data, "data.yaml")])
    spec = dataset.task_spec("detect")
    batch = size.batches[0]
    rows = []
    with silent_ultralytics():
        samples = read_samples(dataset, spec, "train")[:batch]
        for overflows in (False, True):
            torch.manual_seed(0)
            model: Any = build_model(size.models[0], spec)
            if overflows:
                overflow_half(model)
            settings = MeasurerSettings(samples, spec, {"imgsz": size.imgsz, "batch": batch, "workers": 0})
            measurer = settings.measurer(model, torch.device("cpu" if device == "cpu" else f"cuda:{device}"))
            measurer.amp_type = torch.float16  # on a GPU it is so already
            found = measurer.measure(range(len(samples)))
            low, wrong = sum(m.amp_only for m in found), sum(bool(m.not_finite) for m in found)
            rows.append(["overflows float16" if overflows else "sound", f"{low} of {len(found)}", str(wrong)])
    return table(("model", "images with G004", "not finite in float32"), rows)


def overflow_half(model: Any) -> None:
    """The same function, but numbers over 65504, where half precision ends, lie between the first two layers."""
    import torch

    with torch.no_grad():
        model.model[0].bn.weight *= 1e8
        model.model[0].bn.bias *= 1e8
        model.model[1].conv.weight *= 1e-8


# Training


def epochs(data: str, weights: str, size: Size, device: str) -> str:
    """The table of train_cost.py, with AMP where there is a GPU."""
    quick = size is QUICK
    args = argparse.Namespace(
        weights=weights, epochs=size.epochs, rounds=1 if quick else 2, imgsz=size.imgsz, batch=size.batches[0],
        spike_every=5, device=device, threads=1 if quick else 8,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        return train_cost.report(*train_cost.measured(train_cost.data_yaml(data, folder), args), args)


def hot_recipe(data: str, weights: str, size: Size, device: str, folder: str, deadline: float) -> str:
    """The table of the case study, for the runs that the time allows."""
    args = argparse.Namespace(
        weights=weights, share=0.25, epochs=size.epochs, imgsz=size.imgsz // 2, batch=size.batches[0],
        clips=["10", "1"], recipes=["hot"], labels=["original", "thin"], device=device,
    )  # fmt: skip
    if size is QUICK:
        args.clips, args.labels, args.imgsz = ["10"], ["thin"], size.imgsz
    work = os.path.join(folder, "case-0")
    sets = case_study.prepare(data, work, 0, args, args.labels)
    found: dict[Case, Outcome] = {}
    for case in case_study.cases(args, 0):
        if not found or time.perf_counter() < deadline - SECONDS_OF_PART:
            found[case] = case_study.run(case, sets, args)
    return f"{args.epochs} epochs, {args.imgsz} px, batch {args.batch}, seed 0.\n\n{table_of_cases(found)}\n"


if __name__ == "__main__":
    main()
