"""Memory and time of what a scan keeps: synthetic chunks of pairs and of findings through survey, log and reports.

python scripts/bench/spill.py [--pairs 100000 1000000] [--findings 100000 1000000] [--formats json csv]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measure import machine, run, table, versions

from sanitizer.dataset.model import Dataset, Split
from sanitizer.dataset.tables import TaskSpec
from sanitizer.findings.finding import Finding, Severity
from sanitizer.findings.findings_log import FindingLog
from sanitizer.findings.report import Report, SplitCounts, Summary
from sanitizer.rules.checks.copies import Likeness, find_copies
from sanitizer.rules.sketch import ShapeSketch
from sanitizer.rules.survey import ChunkSummary, SurveyBuilder
from sanitizer.scanner.run import _dropped_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNK = 2048
FORMATS = ("text", "json", "jsonl", "csv", "parquet", "github", "sarif", "gitlab", "junit", "html")
SPEC = TaskSpec("detect", 2, {0: "ship", 1: "buoy"})
NOTHING = np.zeros(0, np.int64)
EMPTY_SKETCH = ShapeSketch(0, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, np.zeros((0, 2)))


def chunks(n: int) -> Iterator[tuple[ChunkSummary, Split]]:
    """Pairs of one split: a thousandth repeats an earlier digest, a hundredth is dropped by training."""
    random = np.random.default_rng(1)
    for start in range(0, n, CHUNK):
        k = min(CHUNK, n - start)
        digest = random.integers(1, 2**64, k, np.uint64)
        copies = np.flatnonzero(random.random(k) < 0.001)
        digest[copies] = 1 + start // 10 + copies % 2  # of one another, and of those in chunks nearby
        yes, no = np.ones(k, np.bool_), np.zeros(k, np.bool_)
        summary = ChunkSummary(
            image_digest=digest,
            label_digest=digest,
            phash=digest,
            image_bytes=np.full(k, 100_000, np.int64),
            decoded=no,
            width=np.full(k, 640, np.int32),
            height=np.full(k, 480, np.int32),
            n_rows=np.full(k, 7, np.int32),
            dropped=random.random(k) < 0.01,
            background=no,
            rewritten=no,
            found=yes,
            boxed=no,
            loaded=np.full(k, 3, np.uint8),
            class_counts={0: 3 * k, 1: 4 * k},
            shapes=EMPTY_SKETCH,
            n_label_files=k,
            n_boxes=7 * k,
        )
        names = [f"frame_{i:012d}.jpg" for i in range(start, start + k)]
        folder = f"/nowhere/part-{start // 1_000_000:05d}.tar"
        yield summary, Split.build("train", [folder], [folder], np.zeros(k, np.int32), names, yes, yes)


def survey_of(n: int) -> None:
    """Build a survey, look for equal images in it, and list the dropped ones."""
    dataset = Dataset("/nowhere", "/nowhere", None, (), "detect", 2, SPEC.names)
    builder = SurveyBuilder(dataset, SPEC)
    with Stage("survey: build"):
        for summary, pairs in chunks(n):
            builder.add(summary, pairs)
        survey = builder.finish()
    with Stage("survey: equal images"):
        list(find_copies(survey, Likeness()))
    with Stage("survey: dropped images"):
        sum(1 for _ in _dropped_images(survey))


RULES = (
    ("B001", "extreme-aspect-ratio", Severity.WARNING, "box is {n}:1 (900 × 3 px), over the limit of 50:1"),
    ("B007", "duplicate-row", Severity.WARNING, "same row as line {n}"),
    ("C001", "class-out-of-range", Severity.ERROR, "class {n} is not among 0 … 2, ship to quay"),
)


def findings(n: int) -> Iterator[Finding]:
    """Three a file, in a dataset's order: folders come one after the other."""
    random = np.random.default_rng(2)
    numbers = random.random((CHUNK, 4)).tolist()
    for i in range(n):
        code, name, severity, message = RULES[i % 3]
        file = i // 3
        label = f"labels/train/frame_{(file * 7919) % CHUNK + file // CHUNK * CHUNK:012d}.txt"
        x, y, w, h = numbers[i % CHUNK]
        yield Finding(
            code,
            name,
            severity,
            message.format(n=i % 97),
            "train",
            f"images{label[6:-4]}.jpg",
            label,
            i % 11 + 1,
            1,
            i % 3,
            "ship",
            x,
            y,
            w,
            h,
            900.0,
            50.0,
            "Look at the row; delete it or draw the box again.",
            "unsafe",
            label,
        )


def reports_of(n: int, formats: Sequence[str]) -> None:
    """Log findings and write each report."""
    from sanitizer.reports.formats import FORMATS as RENDERED
    from sanitizer.reports.formats import pieces
    from sanitizer.reports.html.build import write_page
    from sanitizer.reports.parquet import write as write_parquet

    log = FindingLog()
    with Stage("findings: log"):
        log.extend(findings(n))
        logged, _, _ = log.finish()
    summary = Summary(
        n // 3, n // 3, n, n // 3, 0, 0, (SplitCounts("train", n // 3, n // 3, n, 0, 0, 0),), 1.0
    )
    report = Report("/nowhere/data.yaml", "/nowhere", "detect", summary, logged, names={0: "ship"})
    report = replace(report, dropped=frozenset())
    folder = Path(os.environ["SPILL_FOLDER"])
    for name in formats:
        with Stage(f"report: {name}"):
            if name in RENDERED:
                with (folder / f"report.{name}").open("wb") as file:
                    file.writelines(piece.encode() for piece in pieces(report, name))
            elif name == "parquet":
                write_parquet(report, str(folder / "report.parquet"))
            else:
                write_page(report, str(folder / "report.html"), str(folder / "report_files"), jobs=1)
        for path in folder.glob(f"report.{name}"):
            path.unlink()


class Stage:
    """Times a block and tells the largest resident memory in it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (proc(5))
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self.start
        status = Path("/proc/self/status").read_text().splitlines()
        peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        print(f"{self.name}\t{seconds}\t{peak_kib / 1024}", flush=True)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="*", default=[100_000, 1_000_000, 4_000_000, 10_000_000])
    parser.add_argument("--findings", type=int, nargs="*", default=[100_000, 1_000_000, 3_000_000])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        for n in args.pairs:
            survey_of(n)
        for n in args.findings:
            reports_of(n, args.formats)
        return
    import tempfile

    rows = []
    for kind in ("pairs", "findings"):
        for n in getattr(args, kind):
            with tempfile.TemporaryDirectory() as folder:
                others = ["--pairs"] if kind == "findings" else ["--findings"]
                asked = [f"--{kind}", str(n), *others, "--formats", *args.formats]
                command = [sys.executable, __file__, "--child", *asked]
                told = run(command, {"SPILL_FOLDER": folder}, timeout_s=7200).stdout
            for line in told.splitlines():
                stage, seconds, peak = line.split("\t")
                rows.append(
                    (
                        stage,
                        f"{n:,}",
                        f"{float(seconds):.1f}",
                        f"{1e6 * float(seconds) / n:.1f}",
                        f"{float(peak):.0f}",
                    )
                )
                print(*rows[-1], file=sys.stderr, flush=True)
    print(f"{machine()}; {versions('numpy', 'pyarrow')}\n")
    print(table(("stage", "pairs or findings", "seconds", "µs each", "peak MiB"), rows), end="")


if __name__ == "__main__":
    main()
