"""Speed of `sanitize scan` when no file is in memory: against C programs that only read, and Ultralytics' label scan.

    python scripts/bench/make_dataset.py /tmp/coco118k
    python scripts/bench/cold.py /tmp/coco118k --rounds 3 --latency-ms 1

Before each process the page cache is emptied (as root; else only the dataset's files are put out of it, and what the
kernel knows of their names and places stays). Then programs are loaded by a run on a small set, so that only the
dataset is cold. With `--latency-ms`, the same once more with the files in memory, and each open, stat and read delayed
by slow_files.c, as a network does. Results go to scripts/bench/results/.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from measure import (
    GO_FIRST,
    RESULTS,
    SANITIZE,
    Run,
    command_line,
    compile_c,
    machine,
    peak_of_all_processes_mib,
    publish,
    run,
    table,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
DROP_CACHES = "/proc/sys/vm/drop_caches"
THREADS = (1, 4, 16, 64)


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """A command to time, with one that loads its programs.

    Attributes:
        once: It is run in the first round only.
        share: Part of the dataset that it reads.
    """

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    load: tuple[str, ...] = ()
    once: bool = False
    share: float = 1.0


def main() -> None:
    """Measure, print the tables and save them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="folder made by make_dataset.py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-ms", type=float, nargs="*", default=[])
    parser.add_argument("--threads", type=int, nargs="+", default=THREADS, help="of the C reader, cold")
    parser.add_argument("--before", help="folder of another checkout to compare with")
    parser.add_argument("--ultralytics-images", type=int, help="so many with Ultralytics, scaled; 0: none")
    parser.add_argument("--first", action="store_true", help="go before all other processes (root)")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    args = parser.parse_args()
    dataset = os.path.abspath(args.dataset)
    n_images = sum(len(os.listdir(f"{dataset}/images/{split}")) for split in ("train", "val"))
    n_theirs = n_images if args.ultralytics_images is None else args.ultralytics_images

    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(dataset, Path(scratch), args.first, args.before)
        parts = [
            part(
                "Nothing of the dataset in memory",
                bench.measure(bench.line_up(args.threads, n_theirs, n_images), args.rounds, cold=True),
            ),
            part(
                "All in memory",
                bench.measure(bench.line_up([1], 0, n_images), args.rounds, cold=False),
            ),
        ]
        together = bench.memory_mib()
        for ms in args.latency_ms:
            delayed = bench.line_up([64], min(n_theirs, 2000), n_images, latency_us=round(ms * 1000))
            parts.append(part(f"{ms:g} ms for each request", bench.measure(delayed, args.rounds, cold=False)))
    today = f"{datetime.date.today():%Y-%m-%d}"
    text = "\n".join(
        [
            f"# {n_images:,} images that are not in memory\n",
            f"`{command_line()}`, {args.rounds} rounds, {today}\n",
            f"{machine()}; {versions('numpy', 'pillow', 'ultralytics', 'torch')}\n",
            f"Load of the machine when done: {os.getloadavg()[1]:.1f} (five minutes)"
            + ("; measured processes went before all others.\n" if args.first else ".\n"),
            f"All processes of a cold `sanitize scan --no-cache` together: {together:.0f} MiB at most.\n",
            *parts,
        ]
    )
    publish(text, f"cold-{n_images}", args.output)


class Bench:
    """Runs processes over one dataset."""

    def __init__(self, dataset: str, scratch: Path, go_first: bool, before: str | None) -> None:
        self._dataset, self._scratch, self._before = dataset, scratch, before
        self._prefix = GO_FIRST if go_first else ()
        self._small = str(scratch / "small")
        run((sys.executable, str(HERE / "make_dataset.py"), self._small, "--images", "5000"))
        self._floor = compile_c(HERE / "cold_floor.c", scratch / "floor", "-pthread")
        self._shim = compile_c(HERE / "slow_files.c", scratch / "slow.so", "-shared", "-fPIC", "-ldl")
        if self._floor is None or self._shim is None:
            raise SystemExit("needs a C compiler")

    def line_up(
        self, threads: Sequence[int], n_theirs: int, n_images: int, latency_us: int = 0
    ) -> list[Contender]:
        """Everything that is run in turn."""
        slow = {"SLOW_FOLDER": self._dataset, "SLOW_US": str(latency_us), "LD_PRELOAD": str(self._shim)}
        # Python is not to import what lies in the current folder, which may be the other checkout.
        env = {"PYTHONSAFEPATH": "1", **(slow if latency_us else {})}
        scan, load = self._scan(self._dataset), self._scan(self._small)
        cache = {"SANITIZE_CACHE_DIR": tempfile.mkdtemp(dir=self._scratch)}
        keeping = tuple(word for word in scan if word != "--no-cache")
        found = [
            Contender(f"C reader, threads: {n}", (str(self._floor), self._dataset, str(n)), env)
            for n in threads
        ]
        found.append(Contender("sanitize scan --no-cache", scan, env, load))
        if self._before and not latency_us:
            here = {**env, "PYTHONPATH": self._before}
            found.append(Contender("before: sanitize scan --no-cache", scan, here, load))
        # The first run keeps what it found; those of all later rounds are rescans.
        found.append(
            Contender("sanitize scan (keeps its findings)", keeping, {**env, **cache}, load, once=True)
        )
        found.append(Contender("sanitize rescan", keeping, {**env, **cache}, load))
        if n_theirs and versions("ultralytics").count(","):
            child = (sys.executable, str(HERE / "ultralytics_scan.py"))
            theirs = (*child, self._dataset, str(n_theirs))
            small = (*child, self._small, "100")
            found.append(Contender("Ultralytics", theirs, env, small, once=True, share=n_theirs / n_images))
        return found

    def _scan(self, dataset: str) -> tuple[str, ...]:
        options = ("--images", "header", "--no-progress", "--fail-on", "never", "--no-cache")
        return (*SANITIZE, "scan", f"{dataset}/data.yaml", *options)

    def measure(self, contenders: Sequence[Contender], rounds: int, cold: bool) -> dict[Contender, list[Run]]:
        """Runs of each contender."""
        runs: dict[Contender, list[Run]] = {c: [] for c in contenders}
        for number in range(rounds):
            for contender in contenders:
                if number and contender.once:
                    continue
                if cold:
                    self._forget_files()
                    if contender.load:
                        run((*self._prefix, *contender.load), {**contender.env, "SLOW_US": "0"})
                elif number == 0 and contender is contenders[0]:
                    run((str(self._floor), self._dataset, "16"))
                done = run((*self._prefix, *contender.command), contender.env)
                runs[contender].append(done)
                print(
                    f"round {number + 1}: {contender.name}: {done.seconds:.2f} s", file=sys.stderr, flush=True
                )
        return runs

    def memory_mib(self) -> float:
        """Largest memory of a cold scan and its workers together, in a run of its own."""
        self._forget_files()
        return peak_of_all_processes_mib(self._scan(self._dataset))

    def _forget_files(self) -> None:
        os.sync()
        if os.access(DROP_CACHES, os.W_OK):
            Path(DROP_CACHES).write_text("3", encoding="ascii")
            return
        for folder, _, names in os.walk(self._dataset):
            for name in names:
                with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def part(title: str, runs: dict[Contender, list[Run]]) -> str:
    """One table: medians, and their ratios to the quickest reader."""
    best = min(median(r.seconds for r in done) for c, done in runs.items() if c.name.startswith("C reader"))
    rows, notes = [], ""
    for contender, done in runs.items():
        taken = [r.seconds for r in done]
        if contender.share != 1:  # what it takes to start is not to be scaled
            taken = [float(r.stdout.split()[-1]) / contender.share for r in done]
        seconds = median(taken)
        rows.append(
            (
                contender.name,
                f"{seconds:.2f}",
                f"{min(taken):.2f}",
                f"{seconds / best:.2f}",
                f"{median(r.cpu_seconds for r in done) / contender.share:.1f}",
                f"{max(r.peak_mib for r in done):.0f}",
            )
        )
        if contender.name == "Ultralytics":
            alone = float(done[0].stdout.split()[-1]) / contender.share
            of = "" if contender.share == 1 else f", scaled from {contender.share:.1%} of the images"
            notes = f"\nUltralytics' label scan alone, without imports: {alone:.1f} s{of}.\n"
    header = (
        "process",
        "seconds (median)",
        "least",
        "÷ best reader",
        "processor s",
        "peak MiB, largest process",
    )
    return f"## {title}\n\n{table(header, rows)}{notes}"


if __name__ == "__main__":
    main()
