"""Time and memory of whole processes, and what they ran on."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "bench" / "results"
SANITIZE = (sys.executable, "-m", "sanitizer")
MEMORY_SAMPLE_S = 0.02
GO_FIRST = ("sh", "-c", 'echo -19 > /proc/self/autogroup; exec "$@"', "sh")
"""Runs a command before all others of a busy machine (Linux; sched(7), autogroup)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process.

    Attributes:
        seconds: Wall time from start to exit.
        cpu_seconds: User and system time of the process and its children.
        peak_mib: Largest resident memory of any single process in it (ru_maxrss).
        status: Exit status.
        stdout: What it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    status: int
    stdout: str


def command_line() -> str:
    """How this script was called, for the results file."""
    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    return " ".join(["python", str(script), *sys.argv[1:]])


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """What commands run in: this checkout, compiled once as an installed package is."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(ROOT), **(extra or {})}


# Linux hands a parent's peak memory on to its child. So commands are started by a process that has hardly any.
LAUNCHER = """
import os, sys, time
start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - start
cpu = usage.ru_utime + usage.ru_stime
os.write(int(sys.argv[1]), f"{seconds} {cpu} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}".encode())
"""


def run(command: Sequence[str], env: Mapping[str, str] | None = None, timeout_s: float = 3600) -> Run:
    """Run a command to its end; stderr goes nowhere. Past the timeout it is killed: status -9 and no memory."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as result:
        with subprocess.Popen(
            (sys.executable, "-I", "-S", "-c", LAUNCHER, str(write_end), *command),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(env),
            pass_fds=[write_end],
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        ) as launcher:
            os.close(write_end)
            try:
                stdout, _ = launcher.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(launcher.pid, signal.SIGKILL)
                return Run(timeout_s, 0, 0, -signal.SIGKILL, "")
        seconds, cpu_seconds, peak_kib, status = result.read().split()
    return Run(float(seconds), float(cpu_seconds), int(peak_kib) / 1024, int(status), stdout)


def peak_of_all_processes_mib(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Largest memory of a command and its workers together, shared pages counted once (PSS, Linux).

    Looking costs time, so this is a run of its own and not a timed one.
    """
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(env)
    ) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_proportional_kib, _family(process.pid))))
            time.sleep(MEMORY_SAMPLE_S)
    return peak / 1024


def _family(pid: int) -> list[int]:
    """The process and all its descendants."""
    try:
        children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(p for child in children for p in _family(child))]


def _proportional_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def median_seconds(runs: Sequence[Run]) -> float:
    """Median wall time."""
    return median(r.seconds for r in runs)


def median_ratio(runs: Sequence[Run], base: Sequence[Run]) -> float:
    """Median over rounds of the time against the base's time in the same round."""
    return median(r.seconds / b.seconds for r, b in zip(runs, base, strict=False))


def machine() -> str:
    """One line on processor, cores, memory and system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x.partition(":")[2].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x]
        model = names[0] if names else model
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    release = ".".join(platform.release().split(".")[:2])
    return f"{model}, {cores} cores, {memory_gib:.0f} GiB, {platform.system()} {release}"


def versions(*packages: str) -> str:
    """Python and the named packages, those that are installed."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def compile_c(source: Path, target: Path, *options: str) -> Path | None:
    """Compile one C file; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-O2", str(source), "-o", str(target), *options], check=True)
    return target


def statuses(runs: Iterable[Run]) -> str:
    """The exit statuses that runs ended with, each once."""
    return "/".join(sorted({str(r.status) for r in runs}))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def publish(text: str, name: str, folder: str | Path = RESULTS) -> None:
    """Print a page of results, and save it as NAME-DATE.md in a folder."""
    print(text)
    target = Path(folder) / f"{name}-{datetime.date.today():%Y-%m-%d}.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8")
