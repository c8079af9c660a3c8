"""Runs Python code in a process of its own, and says how long it took and how much memory it held at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MOST_SECONDS = 10.0
MOST_MB = 1024.0
_ROOT = str(Path(__file__).parent.parent)


_MEASURE = """
import json, resource, sys
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
seconds = sum(u.ru_utime + u.ru_stime for u in usage)
# Not ru_maxrss of this process: that begins with what its parent held when it was made.
own_kb = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([seconds, max(own_kb, usage[1].ru_maxrss) / 1024]), file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    Attributes:
        stdout, stderr: What it wrote.
        seconds: Processor time, its children's with it: a busy machine does not lengthen it.
        peak_mb: Most memory that it held at a time, or that one of its children did.
    """

    stdout: str
    stderr: str
    seconds: float
    peak_mb: float

    def within_limits(self) -> bool:
        """Whether it kept to what every hostile input may cost."""
        return self.seconds < MOST_SECONDS and self.peak_mb < MOST_MB


def run_measured(code: str, *args: object, timeout_s: float = 60.0) -> Measured:
    """Run code that finds its arguments, as text, in sys.argv[1:].

    Raises:
        subprocess.TimeoutExpired: It did not end.
        AssertionError: It ended by an exception.
    """
    watched = f"{code}\n{_MEASURE}"
    env = {**os.environ, "PYTHONPATH": _ROOT, "OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", watched, *map(str, args)],
        capture_output=True, text=True, env=env, timeout=timeout_s, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    stderr, _, used = ran.stderr.rstrip().rpartition("\n")
    return Measured(ran.stdout, stderr, *json.loads(used))


SCAN = """
import contextlib, sys
from sanitizer.cli import main
with contextlib.suppress(SystemExit):
    status = main(["scan", *sys.argv[1:], "--no-cache", "--jobs", "1"])
    print("status", status)
"""
"""Runs `sanitize scan` with the arguments, in one process."""
