"""Runs fuzz targets one after the other, and says of each how many inputs it tried and what crashed.

    python scripts/fuzz/runner.py [--seconds 20] [--folder .fuzz] [TARGET…]

Exit status: 0 nothing crashed, 1 something did, 2 atheris is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from targets import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
MEMORY_MB = 1024
SECONDS_PER_INPUT = 10
_START_S = 240
"""Time for imports and seeds, on a busy machine, beside the time for fuzzing."""
_BETWEEN = (sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)")
"""A small process between this one and the fuzzer, whose count of its memory begins with what its parent holds."""
_RUNS = re.compile(r"^(?:stat::number_of_executed_units:|#)\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of one target came to.

    Attributes:
        target: Its name.
        runs: Inputs tried.
        crashes: Files that say what crashed, one for each place in the code.
        trouble: Why the run did not go to its end, or "".
    """

    target: str
    runs: int
    crashes: Sequence[Path]
    trouble: str = ""

    @property
    def ok(self) -> bool:
        """Whether every promise was kept for the whole run."""
        return not self.crashes and not self.trouble

    def __str__(self) -> str:
        told = f"{self.target}: {self.runs:,} inputs, {len(self.crashes)} crashes"
        return "\n  ".join([told, *map(str, self.crashes), *filter(None, [self.trouble])])


def has_atheris() -> bool:
    """Whether this interpreter can fuzz."""
    return importlib.util.find_spec("atheris") is not None


def fuzz(target: str, folder: Path, seconds: float, package: str = "targets") -> Outcome:
    """Fuzz one target, a module of `package`, in a process of its own; what it tries and finds is in folder/target."""
    here = folder.absolute() / target
    started = time.time()
    command = [
        *_BETWEEN,
        sys.executable,
        str(HERE / "harness.py"),
        f"{package}.{target}",
        str(here),
        f"-max_total_time={max(1, round(seconds))}",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-rss_limit_mb={MEMORY_MB}",
        "-print_final_stats=1",
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds + _START_S
        )
    except subprocess.TimeoutExpired:
        return Outcome(target, 0, (), "did not end in time")
    output = done.stdout + done.stderr
    runs = max(map(int, _RUNS.findall(output)), default=0)
    crashes = sorted(
        path
        for part in (here / "crashes", here / "stops")
        if part.is_dir()
        for path in part.iterdir()
        if path.suffix != ".bin" and path.stat().st_mtime >= started - 1
    )
    trouble = ""
    if done.returncode or not runs:
        trouble = f"ended with status {done.returncode}: " + "\n  ".join(output.splitlines()[-15:])
    return Outcome(target, runs, crashes, trouble)


def main() -> int:
    """Fuzz what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", metavar="TARGET", nargs="*", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=20, help="for each target (default 20)")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="where inputs are kept")
    args = parser.parse_args()
    if unknown := set(args.targets) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    if not has_atheris():
        print("atheris is not installed: pip install -e '.[fuzz]' (it has wheels for Linux)", file=sys.stderr)
        return 2
    failed = False
    for target in args.targets or NAMES:
        outcome = fuzz(target, args.folder, args.seconds)
        print(outcome, flush=True)
        failed |= not outcome.ok
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
