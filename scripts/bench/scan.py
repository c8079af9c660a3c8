"""Speed and memory of `sanitize scan`, as ratios in one run: against reading alone, Ultralytics and panlabel.

    python scripts/bench/make_dataset.py /tmp/coco118k
    python scripts/bench/scan.py /tmp/coco118k --rounds 3

Whole processes, one after the other in each round, warm page cache. Results go to scripts/bench/results/.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measure import (
    GO_FIRST,
    RESULTS,
    SANITIZE,
    Run,
    command_line,
    compile_c,
    machine,
    median_ratio,
    median_seconds,
    peak_of_all_processes_mib,
    publish,
    run,
    table,
    versions,
)

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to time. `every_round` is False for one that is too slow to run more than once."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str]
    every_round: bool = True


def main() -> None:
    """Measure, print the table and save it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="folder made by make_dataset.py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--panlabel", default=shutil.which("panlabel"), help="program to compare with")
    parser.add_argument(
        "--ultralytics-images", type=int, help="scan only so many with Ultralytics, and scale"
    )
    parser.add_argument("--first", action="store_true", help="go before all other processes (root)")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    args = parser.parse_args()
    dataset = os.path.abspath(args.dataset)
    n_images = sum(len(os.listdir(f"{dataset}/images/{split}")) for split in ("train", "val"))

    with tempfile.TemporaryDirectory() as scratch:
        contenders, notes = line_up(dataset, n_images, args.panlabel, args.ultralytics_images, Path(scratch))
        fill_caches(contenders)
        runs: dict[str, list[Run]] = {c.name: [] for c in contenders}
        for number in range(args.rounds):
            for contender in contenders:
                if number == 0 or contender.every_round:
                    command = (*GO_FIRST, *contender.command) if args.first else contender.command
                    runs[contender.name].append(run(command, contender.env))
                    print(f"round {number + 1}: {contender.name}: {runs[contender.name][-1].seconds:.2f} s")
        together = {
            c.name: peak_of_all_processes_mib(c.command, c.env)
            for c in contenders
            if c.name.startswith("sanitize")
        }
    scale = n_images / (args.ultralytics_images or n_images)
    text = report(runs, together, n_images, scale, notes)
    publish(text, "scan", args.output)


def line_up(
    dataset: str, n_images: int, panlabel: str | None, ultralytics_images: int | None, scratch: Path
) -> tuple[list[Contender], list[str]]:
    """Everything that can run here, and sentences on what cannot."""
    cache = {"SANITIZE_CACHE_DIR": str(scratch / "cache")}
    scan = (
        *SANITIZE,
        "scan",
        f"{dataset}/data.yaml",
        "--images",
        "header",
        "--no-progress",
        "--fail-on",
        "never",
    )
    contenders, notes = [], []
    floor = compile_c(HERE / "floor.c", scratch / "floor")
    if floor:
        contenders.append(Contender("floor", (str(floor), dataset), {}))
    else:
        notes.append("No C compiler: the floor was not measured.")
    contenders.append(Contender("sanitize scan", (*scan, "--no-cache"), {}))
    contenders.append(Contender("sanitize scan, one process", (*scan, "--no-cache", "--jobs", "1"), {}))
    contenders.append(Contender("sanitize rescan", scan, cache))
    if panlabel:
        contenders.append(
            Contender("panlabel validate", (panlabel, "validate", "--format", "yolo", dataset), {})
        )
    else:
        notes.append("panlabel is not installed: not compared (give --panlabel PROGRAM).")
    if versions("ultralytics").count(","):
        child = str(HERE / "ultralytics_scan.py")
        command = (sys.executable, child, dataset, str(ultralytics_images or n_images))
        contenders.append(Contender("Ultralytics", command, {}, every_round=n_images < 10_000))
    else:
        notes.append("Ultralytics is not installed: not compared.")
    return contenders, notes


def fill_caches(contenders: list[Contender]) -> None:
    """One untimed run each, but for the slowest: files into the page cache, findings into the scan cache."""
    for contender in contenders:
        if contender.every_round:
            run(contender.command, contender.env)


def report(
    runs: dict[str, list[Run]], together: dict[str, float], n_images: int, scale: float, notes: list[str]
) -> str:
    """The results as Markdown."""
    scans = runs["sanitize scan"]
    rows = []
    for name, done in runs.items():
        seconds, factor = median_seconds(done), 1.0
        if name == "Ultralytics":
            factor = scale
            seconds *= scale
        against_floor = f"{factor * median_ratio(done, runs['floor']):.2f}" if "floor" in runs else "–"
        against_scan = f"{factor * median_ratio(done, scans):.2f}"
        memory = f"{max(r.peak_mib for r in done):.0f}"
        all_memory = f"{together[name]:.0f}" if name in together else "–"
        rows.append([name, f"{seconds:.2f}", against_floor, against_scan, memory, all_memory])
    header = (
        "process",
        "seconds (median)",
        "÷ floor",
        "÷ scan",
        "peak MiB, largest process",
        "peak MiB, all",
    )
    if "Ultralytics" in runs:
        alone_s = float(runs["Ultralytics"][0].stdout.split()[-1]) * scale
        share = f"scaled from {n_images / scale:,.0f} images; " if scale != 1 else ""
        notes = [
            *notes,
            f"Ultralytics: {share}its label scan alone, without imports, took {alone_s:.1f} s, "
            f"{alone_s / scans[0].seconds:.1f} times the whole `sanitize scan` process.",
        ]
    return (
        f"# {n_images:,} images, warm page cache\n\n"
        f"`{command_line()}`, {len(scans)} rounds, {datetime.date.today()}\n\n"
        f"{machine()}; {versions('numpy', 'pillow', 'ultralytics', 'torch')}\n\n"
        f"{table(header, rows)}" + "".join(f"\n{note}\n" for note in notes)
    )


if __name__ == "__main__":
    main()
