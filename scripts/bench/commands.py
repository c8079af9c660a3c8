"""Time of the other commands against `sanitize scan` of the same dataset, all files in memory, in turn.

    python scripts/bench/make_dataset.py /tmp/coco118k
    python scripts/bench/commands.py /tmp/coco118k --rounds 3

Labels are copied, and some rows get a small fault that `fix` repairs. No command knows anything of an earlier one.
What is only written is timed apart: the links and copies of a view, or the copies of the labels that a fix changes;
and so is importing Ultralytics and building the model, which is no matter of the dataset's size.
With `--train`, also `preflight --no-probe`, and `train` up to where it hands over to Ultralytics, and up to its first
batch, as Ultralytics alone takes it. Results go to scripts/bench/results/.
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
from statistics import median

from measure import (
    GO_FIRST,
    RESULTS,
    SANITIZE,
    Run,
    command_line,
    machine,
    publish,
    run,
    statuses,
    table,
    versions,
)

HERE = Path(__file__).resolve().parent
FAULT_EVERY = 50
"""One label in so many has a row twice, and one box edge outside by rounding."""
MODEL = "yolov8n.yaml"
WRITE_LABELS = """
import os, sys
source, target = sys.argv[1:]
for split in os.listdir(source):
    os.makedirs(f"{target}/{split}")
    for number, name in enumerate(sorted(os.listdir(f"{source}/{split}"))):
        if number % %d == 0:
            data = open(f"{source}/{split}/{name}", "rb").read()
            for copy in (name, name + ".before"):
                with open(f"{target}/{split}/{copy}", "wb") as file:
                    file.write(data)
                    os.fsync(file.fileno())
"""
WRITE_VIEW = 'cp -r "$1/labels" "$2" && cp -rs "$1"/images/. "$2"/images'


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to time; `less` names what is not counted: contenders that only write, or build the model."""

    name: str
    command: tuple[str, ...]
    less: tuple[str, ...] = ()


def main() -> None:
    """Measure, print the table and save it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="folder made by make_dataset.py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="commands to time, by parts of their names")
    parser.add_argument("--train", action="store_true", help="also train up to its first batch (PyTorch)")
    parser.add_argument("--first", action="store_true", help="go before all other processes (root)")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    args = parser.parse_args()
    dataset = os.path.abspath(args.dataset)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(dataset)) as scratch:
        flawed = flawed_copy(dataset, f"{scratch}/flawed")
        contenders = [c for c in line_up(flawed, args.train) if chosen(c.name, args.only)]
        runs: dict[str, list[Run]] = {c.name: [] for c in contenders}
        for number in range(-1, args.rounds):  # the first loads files and programs
            for contender in contenders:
                done = measured(contender, flawed, scratch, GO_FIRST if args.first else ())
                if number >= 0:
                    runs[contender.name].append(done)
                print(f"{number + 1}: {contender.name}: {done.seconds:.2f} s", file=sys.stderr, flush=True)
        n_images = sum(len(os.listdir(f"{flawed}/images/{split}")) for split in ("train", "val"))
    text = (
        f"# Commands against a scan, {n_images:,} images in memory\n\n"
        f"`{command_line()}`, {args.rounds} rounds, {datetime.date.today():%Y-%m-%d}\n\n"
        f"{machine()}; {versions('numpy', 'pillow', 'ultralytics', 'torch')}; "
        f"load when done {os.getloadavg()[1]:.1f}\n\n{rows_of(contenders, runs)}"
    )
    publish(text, f"commands-{n_images}", args.output)


def chosen(name: str, only: list[str] | None) -> bool:
    """Whether a contender is to be timed; the scan is what others are compared with."""
    return only is None or name == "scan" or any(word in name for word in only)


def line_up(flawed: str, with_train: bool) -> list[Contender]:
    """Everything that is run in turn. OUT stands for a folder that is new each time."""
    data = f"{flawed}/data.yaml"
    scan = ("scan", data, "--images", "header", "--no-progress", "--fail-on", "never")
    model = ("--model", MODEL)
    found = [
        Contender("scan", (*SANITIZE, *scan)),
        Contender("scan --no-cache", (*SANITIZE, *scan, "--no-cache")),
        Contender("fix --diff", (*SANITIZE, "fix", data, "--diff", "--quiet")),
        Contender(
            "only writing: changed labels",
            (sys.executable, "-c", WRITE_LABELS.replace("%d", str(FAULT_EVERY)), f"{flawed}/labels", "OUT"),
        ),
        Contender("fix", (*SANITIZE, "fix", data, "--quiet"), ("only writing: changed labels",)),
        Contender("only writing: view", ("sh", "-c", WRITE_VIEW, "sh", flawed, "OUT")),
        Contender(
            "fix --view", (*SANITIZE, "fix", data, "--view", "OUT", "--quiet"), ("only writing: view",)
        ),
    ]
    if with_train:
        child = (sys.executable, str(HERE / "commands_child.py"))
        found += [
            Contender("only building the model", (*child, "model", MODEL)),
            Contender(
                "preflight --no-probe",
                (*SANITIZE, "preflight", data, *model, "--no-probe", "--quiet"),
                ("only building the model",),
            ),
            Contender(
                "train, until it hands over",
                (*child, "view", data, MODEL, "OUT"),
                ("only building the model", "only writing: view"),
            ),
            Contender("train, to its first batch", (*child, "batch", data, MODEL, "OUT")),
            Contender("Ultralytics, to its first batch", (*child, "theirs", data, MODEL, "OUT")),
        ]
    return found


def flawed_copy(dataset: str, target: str) -> str:
    """The dataset with hard links to its images, and labels of which some have a fault."""
    os.makedirs(target)
    shutil.copyfile(f"{dataset}/data.yaml", f"{target}/data.yaml")
    for split in os.listdir(f"{dataset}/images"):
        os.makedirs(f"{target}/images/{split}")
        for name in os.listdir(f"{dataset}/images/{split}"):
            os.link(f"{dataset}/images/{split}/{name}", f"{target}/images/{split}/{name}")
        os.makedirs(f"{target}/labels/{split}")
        for number, name in enumerate(sorted(os.listdir(f"{dataset}/labels/{split}"))):
            rows = Path(f"{dataset}/labels/{split}/{name}").read_bytes()
            if number % FAULT_EVERY == 0:
                rows += rows.splitlines(keepends=True)[0] + b"0 0.9 0.5 0.204 0.2\n"
            Path(f"{target}/labels/{split}/{name}").write_bytes(rows)
    hour_ago = os.stat(f"{target}/data.yaml").st_mtime - 3600
    for folder, _, names in os.walk(f"{target}/labels"):
        for name in names:
            os.utime(f"{folder}/{name}", (hour_ago, hour_ago))
    return target


def measured(contender: Contender, flawed: str, scratch: str, prefix: tuple[str, ...]) -> Run:
    """One run; what it wrote is taken away after."""
    out, cache = f"{scratch}/out", f"{scratch}/cache"
    if contender.name == "only writing: view":
        os.makedirs(f"{out}/images")
    command = [word.replace("OUT", out) for word in contender.command]
    done = run((*prefix, *command), {"SANITIZE_CACHE_DIR": cache, "YOLO_CONFIG_DIR": scratch})
    if contender.name == "fix":
        run((*SANITIZE, "undo", f"{flawed}/data.yaml"))
        shutil.rmtree(f"{flawed}/.sanitize", ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(f"{out}-dataset", ignore_errors=True)
    for split in os.listdir(f"{flawed}/labels"):
        if split.endswith(".cache"):
            os.unlink(f"{flawed}/labels/{split}")
    shutil.rmtree(cache, ignore_errors=True)
    return done


def rows_of(contenders: list[Contender], runs: dict[str, list[Run]]) -> str:
    """The table: medians, and how many scans it is, less what is only written or built."""
    wall = {name: median(r.seconds for r in done) for name, done in runs.items()}
    cpu = {name: median(r.cpu_seconds for r in done) for name, done in runs.items()}
    rows = []
    for contender in contenders:
        less = [name for name in contender.less if name in runs]
        scans = [
            f"{(seconds[contender.name] - sum(seconds[name] for name in less)) / seconds['scan']:.2f}"
            for seconds in (wall, cpu)
        ]
        done = runs[contender.name]
        rows.append(
            (
                contender.name,
                f"{wall[contender.name]:.2f}",
                f"{cpu[contender.name]:.2f}",
                *scans,
                " + ".join(less) or "-",
                f"{max(r.peak_mib for r in done):.0f}",
                statuses(done),
            )
        )
    header = (
        "command",
        "seconds (median)",
        "processor s",
        "scans",
        "processor s, in scans",
        "not counted in scans",
        "peak MiB, largest process",
        "exit",
    )
    return table(header, rows)


if __name__ == "__main__":
    main()
