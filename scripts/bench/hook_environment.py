"""What a commit hook's environment holds and costs, at several revisions: size on disk, and the time of three files.

python scripts/bench/hook_environment.py b34b7bb HEAD --rounds 9 --save

Each revision is installed as pre-commit does it, `pip install .` into an environment of its own. "cold": nothing of
the environment and of Python itself is in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from hook import N_FILES, three_labels
from measure import ROOT, Run, command_line, machine, median_seconds, publish, run, statuses, table, versions

if TYPE_CHECKING:
    from collections.abc import Iterable


def main() -> None:
    """Install all revisions, measure them in turn, print and save the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revisions", nargs="+", help="the first is what the others are compared with")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--save", action="store_true", help="keep the page in scripts/bench/results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        labels = three_labels(Path(folder, "set"))
        empty = Path(folder, "empty")
        subprocess.run((sys.executable, "-m", "venv", str(empty)), check=True)
        environments = {revision: installed(revision, Path(folder)) for revision in args.revisions}
        times: dict[str, dict[str, list[Run]]] = {r: {"warm": [], "cold": []} for r in environments}
        for _ in range(args.rounds):
            for revision, environment in environments.items():
                # Outside of this checkout, which else would be imported.
                command = (
                    str(environment / "bin/python"),
                    "-I",
                    "-m",
                    "sanitizer",
                    "scan",
                    "--no-cache",
                    *labels,
                )
                times[revision]["warm"].append(run(command))
                forget([environment, Path(sysconfig.get_path("stdlib"))])
                times[revision]["cold"].append(run(command))
        text = page(args, environments, size_mib(empty), times)
    if args.save:
        publish(text, "hook-environment")
    else:
        print(text)


def installed(revision: str, folder: Path) -> Path:
    """An environment with the package as a revision of this repository has it."""
    environment, source = folder / f"env-{revision}", folder / f"src-{revision}"
    source.mkdir()
    archive = subprocess.run(("git", "archive", revision), cwd=ROOT, check=True, capture_output=True)
    subprocess.run(("tar", "-x"), cwd=source, input=archive.stdout, check=True)
    subprocess.run((sys.executable, "-m", "venv", str(environment)), check=True)
    subprocess.run((str(environment / "bin/pip"), "install", "--quiet", str(source)), check=True)
    return environment


def forget(folders: Iterable[Path]) -> None:
    """Have the kernel forget the content of all files below these folders."""
    for folder in folders:
        for path, inner, names in os.walk(folder):
            if Path(path) == Path(sysconfig.get_path("stdlib")):
                inner[:] = [name for name in inner if name not in ("site-packages", "test")]
            for name in names:
                with contextlib.suppress(OSError), open(os.path.join(path, name), "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def size_mib(folder: Path) -> float:
    """What `du` says: blocks of all files, each once."""
    blocks = {}
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(path, name))
            blocks[status.st_ino] = status.st_blocks
    return sum(blocks.values()) * 512 / 2**20


def largest(environment: Path, most: int = 6) -> str:
    """The packages that take most, with their MiB."""
    (site,) = environment.glob("lib/python*/site-packages")
    sizes = {p.name: size_mib(p) for p in site.iterdir() if p.is_dir() and not p.name.endswith("-info")}
    sizes.pop("pip", None)
    sizes.pop("setuptools", None)
    ranked = sorted(sizes.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {mib:.0f}" for name, mib in ranked)


def page(
    args: argparse.Namespace,
    environments: dict[str, Path],
    empty_mib: float,
    times: dict[str, dict[str, list[Run]]],
) -> str:
    """The results in Markdown."""
    rows = []
    for revision, environment in environments.items():
        of = times[revision]
        whole = size_mib(environment)
        rows.append(
            [
                revision,
                f"{whole:.0f}",
                f"{whole - empty_mib:.0f}",
                f"{median_seconds(of['warm']):.2f}",
                f"{median(r.cpu_seconds for r in of['warm']):.2f}",
                f"{median_seconds(of['cold']):.2f}",
                f"{of['warm'][0].peak_mib:.0f}",
                statuses(r for runs in of.values() for r in runs),
                largest(environment),
            ]
        )
    head = (
        "revision",
        "environment, MiB",
        "over an empty one",
        "warm, s",
        "warm, CPU s",
        "cold, s",
        "peak MiB",
        "exit",
        "largest, MiB",
    )
    return (
        f"# A hook's environment, and {N_FILES} label files\n\n`{command_line()}`, {args.rounds} rounds in turn, "
        f"medians, {datetime.date.today():%Y-%m-%d}\n\n{machine()}; {versions()}\n\n{table(head, rows)}"
    )


if __name__ == "__main__":
    main()
