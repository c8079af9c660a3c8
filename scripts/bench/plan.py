"""Compare what `scan --plan` forecasts with what the scan then takes, dataset by dataset, each in a fresh process.

python scripts/bench/plan.py PATH… --images header --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from statistics import median

from measure import SANITIZE, run


def main() -> None:
    """Print one row a dataset: forecast with reference rates, forecast after one scan, and the scan's median time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--images", default="header")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    heads = ["dataset", "pairs", "forecast, reference rate", "forecast, own rate", "scan"]
    heads += ["MiB forecast, all", "MiB, largest process"]
    print(f"| {' | '.join(heads)} |")
    print(f"|{' --- |' * len(heads)}")
    for path in args.paths:
        with tempfile.TemporaryDirectory() as cache:
            env = {"SANITIZE_CACHE_DIR": cache}
            command = (*SANITIZE, "scan", path, "--images", args.images, "--jobs", args.jobs)
            ask = (*command, "--plan", "--format", "json")
            first = json.loads(run(ask, env).stdout)
            scans = [run((*command, "--quiet"), env)]  # the one whose rate is kept
            second = json.loads(run(ask, env).stdout)
            scans += [run((*command, "--no-cache", "--quiet"), env) for _ in range(args.rounds - 1)]
        own = f"{second['seconds']:.1f} s" if second["rate_scans"] else "too small"
        where = os.path.dirname(path) if path.endswith(".yaml") else path
        print(
            f"| {os.path.basename(where)} ({first['kind']}) "
            f"| {max(first['images'], first['labels']):,} | {first['seconds']:.1f} s | {own} "
            f"| {median(s.seconds for s in scans):.1f} s | {first['memory_mib']} "
            f"| {max(s.peak_mib for s in scans):.0f} |"
        )


if __name__ == "__main__":
    main()
