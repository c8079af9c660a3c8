"""Scan tar shards of 0.1, 1 and 10 million synthetic samples: files/s and peak memory, each in a fresh process.

    python scripts/bench/scale.py /tmp/scale --sizes 100000 1000000 --output scale.json

Every sample is a label of several boxes and the head and end of a JPEG; one label in a hundred has a flaw, and the
report must name exactly those. Shards are made for each size and deleted after it: 2.6 KB a sample.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from measure import ROOT, environment
from scale_shards import PER_SHARD, SAMPLE_BYTES, write_shards

SAMPLED_EVERY_S = 0.5

# The peak of the process itself, and that of the largest worker. ru_maxrss of the process would be its parent's.
CHILD = """
import json, resource, sys, time
start = time.perf_counter()
from sanitizer.cli import main
status = main(sys.argv[2:])
seconds = time.perf_counter() - start
own_usage, worker_usage = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
workers = worker_usage.ru_maxrss
cpu = sum(usage.ru_utime + usage.ru_stime for usage in (own_usage, worker_usage))
with open("/proc/self/status") as f:
    own = next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))
with open(sys.argv[1], "w") as f:
    json.dump({"status": status, "seconds": seconds, "own_kib": own, "worker_kib": workers, "cpu_seconds": cpu}, f)
"""


def main() -> None:
    """Make, scan and delete the shards of every size; print one line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="scans of each size; the fastest counts")
    parser.add_argument("--flawed", type=float, default=0.01, help="share of labels with a flaw")
    parser.add_argument("--keep", action="store_true", help="leave the shards where they are")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    results = []
    for size in args.sizes:
        folder = args.folder / f"shards-{size}"
        needed, free = size * SAMPLE_BYTES, shutil.disk_usage(_existing(args.folder)).free
        if not folder.exists() and needed > 0.9 * free:
            parser.error(f"{size:,} samples need {needed / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free")
        try:
            results.append(_one_size(folder, size, args))
        finally:
            if not args.keep:
                shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(results[-1]), flush=True)
    _compare(results)
    if args.output:
        args.output.write_text(json.dumps(results, indent=1) + "\n")


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _one_size(folder: Path, size: int, args: argparse.Namespace) -> dict[str, Any]:
    start = time.perf_counter()
    planted = write_shards(folder, size, args.flawed)
    made_s = time.perf_counter() - start
    runs = [_scan(folder, args.jobs) for _ in range(args.repeat)]
    best = min(runs, key=lambda run: run["seconds"])
    for run in runs:
        if run["by_rule"] != dict(planted):
            raise SystemExit(f"{size:,}: planted {dict(planted)}, found {run['by_rule']}")
    return {
        "samples": size,
        "shards": -(-size // PER_SHARD),
        "gigabytes": round(sum(f.stat().st_size for f in folder.glob("*.tar")) / 1e9, 3),
        "made_s": round(made_s, 1),
        "jobs": args.jobs,
        "seconds": round(best["seconds"], 2),
        "samples_per_s": round(size / best["seconds"]),
        "cpu_us_per_sample": round(1e6 * best["cpu_seconds"] / size, 1),
        "main_rss_mib": round(best["own_kib"] / 1024, 1),
        "largest_worker_rss_mib": round(best["worker_kib"] / 1024, 1),
        "total_pss_mib": round(best["pss_kib"] / 1024, 1),
        "findings": sum(planted.values()),
        "all_seconds": [round(run["seconds"], 2) for run in runs],
    }


def _scan(folder: Path, jobs: int) -> dict[str, Any]:
    """One scan in a fresh process; the largest sum of proportional set sizes of it and its workers."""
    measured, report = folder.parent / f"{folder.name}.measured.json", folder.parent / f"{folder.name}.jsonl"
    arguments = ["scan", str(folder), "--jobs", str(jobs), "--images", "header", "--no-cache", "--quiet"]
    arguments += ["--select", "B,C001,L,I,D002,D006,D007,D008,D009", "--format", "jsonl", "--no-progress"]
    command = [sys.executable, "-c", CHILD, str(measured), *arguments]
    pss = 0
    with (
        report.open("wb") as out,
        subprocess.Popen(command, stdout=out, env=environment(None), cwd=ROOT) as child,
    ):
        while child.poll() is None:
            pss = max(pss, _pss_kib(child.pid))
            time.sleep(SAMPLED_EVERY_S)
    by_rule: Counter[str] = Counter()
    with report.open("rb") as lines:
        by_rule.update(rule for line in lines if (rule := json.loads(line).get("rule")))
    result: dict[str, Any] = json.loads(measured.read_text())
    measured.unlink()
    report.unlink()
    return {**result, "pss_kib": pss, "by_rule": dict(sorted(by_rule.items()))}


def _pss_kib(pid: int) -> int:
    """Proportional set size of a process and its children, KiB; 0 where the system does not tell."""
    total = 0
    for member in (pid, *_children(pid)):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _compare(results: list[dict[str, Any]]) -> None:
    """Say how far the sizes are apart: 1.2 is the limit on both."""
    if len(results) < 2:
        return
    for name in (
        "samples_per_s",
        "cpu_us_per_sample",
        "main_rss_mib",
        "largest_worker_rss_mib",
        "total_pss_mib",
    ):
        values = [result[name] for result in results]
        print(
            f"{name}: largest over smallest {max(values) / min(values):.2f}"
            if min(values)
            else f"{name}: unknown"
        )
    print(f"on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
