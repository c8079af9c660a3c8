"""How much faster `sanitize scan` gets with worker processes, and on Ray: ratios of whole processes in one run.

    python scripts/bench/engines.py DATASET… --images header --jobs 1 2 --rounds 5

Warm page cache, no scan cache. Each round runs every engine once, in turn; reports are compared, too. "Judging" is
what engines do: reading files and running the rules on them, without start, listing of folders and the rules over
the whole dataset. Its processor time is told apart into that of this process, which limits how many workers it can
keep busy, and that of local workers (Ray's belong to Ray). Results go to scripts/bench/results/.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import resource
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from measure import (
    RESULTS,
    SANITIZE,
    Run,
    command_line,
    machine,
    median_ratio,
    median_seconds,
    publish,
    run,
    table,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> None:
    """Measure, print the tables and save them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judge", metavar="ENGINE JOBS", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("datasets", nargs="+", help="data.yaml files or dataset folders")
    parser.add_argument("--images", choices=("header", "decode", "none"), default="header")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], help="numbers of worker processes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    args = parser.parse_args()
    if args.judge:
        print(*judging_s(args.datasets[0], args.images, args.judge[0], int(args.judge[1])))
        return
    engines = {f"local, {n} process{'es' * (n > 1)}": ("local", n) for n in args.jobs}
    if find_spec("ray"):
        engines |= {f"ray, {n} task{'s' * (n > 1)} at a time": ("ray", n) for n in args.jobs}

    text = (
        f"# Engines\n\n`{command_line()}`, {datetime.date.today()}\n\n"
        f"{machine()}; {versions('numpy', 'pillow', 'ray')}; load average before {os.getloadavg()[0]:.1f}\n"
    )
    for dataset in args.datasets:
        text += compare(dataset, args.images, engines, args.rounds)
    publish(text, "engines", args.output)


def compare(dataset: str, images: str, engines: Mapping[str, tuple[str, int]], rounds: int) -> str:
    """One dataset under every engine, as a section of Markdown. SystemExit where two reports differ."""
    whole: dict[str, list[Run]] = {name: [] for name in engines}
    judging: dict[str, list[list[float]]] = {name: [] for name in engines}
    scan = (
        *SANITIZE,
        "scan",
        dataset,
        "--images",
        images,
        "--no-cache",
        "--no-progress",
        "--fail-on",
        "never",
    )
    expected = json.loads(run((*scan, "--format", "json")).stdout)  # and files into the page cache
    for number in range(rounds):
        for name, (engine, jobs) in engines.items():
            done = run((*scan, "--engine", engine, "--jobs", str(jobs), "--format", "json"))
            whole[name].append(done)
            if json.loads(done.stdout)["findings"] != expected["findings"]:
                raise SystemExit(f"{dataset}: {name} has another report")
            judge = (sys.executable, __file__, dataset, "--images", images, "--judge", engine, str(jobs))
            judging[name].append([float(word) for word in run(judge).stdout.split()])
            print(f"{dataset}: round {number + 1}: {name}: {done.seconds:.2f} s", file=sys.stderr)
    whole_base, judging_base = next(iter(whole.values())), next(iter(judging.values()))
    rows = [
        [
            name,
            f"{median_seconds(whole[name]):.2f}",
            f"{1 / median_ratio(whole[name], whole_base):.2f}",
            f"{median(wall for wall, _, _ in judging[name]):.2f}",
            f"{median(b[0] / d[0] for b, d in zip(judging_base, judging[name], strict=True)):.2f}",
            f"{median(here for _, here, _ in judging[name]):.2f}",
            f"{median(d[2] for d in judging[name]):.2f}" if engines[name][0] == "local" else "–",
        ]
        for name in engines
    ]
    header = (
        "engine",
        "whole process, s",
        "times faster",
        "judging, s",
        "times faster",
        "its CPU here, s",
        "in workers, s",
    )
    title = f"{Path(dataset).resolve().parent.name}: {expected['summary']['images']:,} images, {images}"
    return f"\n## {title}\n\n{rounds} rounds\n\n{table(header, rows)}"


def judging_s(dataset: str, images: str, engine: str, jobs: int) -> tuple[float, float, float]:
    """Judge all pieces. Seconds: wall, processor time here, processor time of local workers; Ray's start left out."""
    from sanitizer.archives.finding import find_dataset
    from sanitizer.config import Config
    from sanitizer.rules.engine import RuleSet
    from sanitizer.rules.language.pack import load_rules
    from sanitizer.scanner.chunks import Job
    from sanitizer.scanner.engines import run_job
    from sanitizer.scanner.task import infer_task

    found = find_dataset([dataset]).without_repeats()
    rules = RuleSet.build(load_rules(), Config())
    job = Job(found, found.task_spec(infer_task(found)[0]), rules, images, use_cache=False)  # type: ignore[arg-type]
    if engine == "ray":
        import ray

        with contextlib.redirect_stdout(None):
            ray.init(address="local", include_dashboard=False, log_to_driver=False)
    started, started_cpu = time.perf_counter(), time.process_time()
    for _ in run_job(job, jobs, False, engine, lambda note: None):  # type: ignore[arg-type]
        pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    in_workers = used.ru_utime + used.ru_stime if engine == "local" else float("nan")
    return time.perf_counter() - started, time.process_time() - started_cpu, in_workers


if __name__ == "__main__":
    main()
