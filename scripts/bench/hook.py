"""What a commit of three label files costs, and `sanitize --help`, against starting Python alone, and with NumPy.

python scripts/bench/hook.py --rounds 15
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from make_dataset import write_pairs
from measure import (
    GO_FIRST,
    RESULTS,
    SANITIZE,
    Run,
    command_line,
    machine,
    median_seconds,
    publish,
    run,
    statuses,
    table,
    versions,
)

N_FILES = 3


def main() -> None:
    """Measure all commands in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--first", action="store_true", help="go before all other processes (root)")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "python -c 'import numpy'": (sys.executable, "-c", "import numpy"),
            "sanitize --help": (*SANITIZE, "--help"),
            f"sanitize scan, {N_FILES} label files": (*SANITIZE, "scan", *three_labels(Path(folder))),
        }
        for command in commands.values():
            run(command)  # files into the page cache, modules compiled
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                runs[name].append(run((*GO_FIRST, *command) if args.first else command))
    base, with_numpy = (runs[name] for name in list(commands)[:2])
    rows = []
    for name, done in runs.items():
        seconds, cpu = median_seconds(done), median(r.cpu_seconds for r in done)
        rows.append(
            (
                name,
                f"{seconds:.3f}",
                f"{seconds - median_seconds(base):.3f}",
                f"{cpu:.3f}",
                f"{cpu - median(r.cpu_seconds for r in with_numpy):.3f}",
                f"{done[0].peak_mib:.0f}",
                statuses(done),
            )
        )
    header = (
        "command",
        "seconds (median)",
        "over Python alone",
        "processor s (median)",
        "over Python with NumPy",
        "peak MiB",
        "exit",
    )
    publish(
        f"# A commit of {N_FILES} label files\n\n`{command_line()}`, {args.rounds} rounds\n\n"
        f"{machine()}; {versions('numpy')}; load when done {os.getloadavg()[1]:.1f}\n\n{table(header, rows)}",
        "hook",
        args.output,
    )


def three_labels(folder: Path) -> list[str]:
    """A small dataset; the label files that a commit touches."""
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / kind / split).mkdir(parents=True)
    write_pairs(str(folder), N_FILES + 1, 7.3, 0)
    names = [f"class {i}" for i in range(80)]
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n", "utf-8")
    return sorted(map(str, (folder / "labels" / "train").iterdir()))


if __name__ == "__main__":
    main()
