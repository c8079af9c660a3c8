"""Speed of `sanitize scan --images decode` against Pillow processes, as many, that only decode the same pictures.

    python scripts/bench/decode.py --images 2000 --rounds 5

Pictures are made for it, of 640 by 480 pixels, each with other content. Whole processes, one after the other in each
round, files in memory. Pillow decodes once every pixel, and once as `draft` lets it, which skips fine detail that no
hash needs. Results go to scripts/bench/results/.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from measure import GO_FIRST, RESULTS, SANITIZE, Run, command_line, machine, publish, run, table, versions
from PIL import Image

SIZE_PX = (640, 480)
ONLY_DECODE = """
import os, sys
from multiprocessing import Pool
from PIL import Image

def decode(path, drafted=sys.argv[2] == "draft"):
    with Image.open(path) as image:
        if drafted:
            image.draft("L", (64, 64))
        image.load()

if __name__ == "__main__":
    extensions = (".jpg", ".jpeg", ".png")
    paths = [f"{d}/{n}" for d, _, names in os.walk(sys.argv[1]) for n in names if n.lower().endswith(extensions)]
    with Pool(int(sys.argv[3])) as pool:
        for _ in pool.imap_unordered(decode, sorted(paths), 16):
            pass
    print(len(paths))
"""


def main() -> None:
    """Measure, print the table and save it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", default=str(len(os.sched_getaffinity(0))))
    parser.add_argument("--first", action="store_true", help="go before all other processes (root)")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder), args.images)
        runs = measure(folder, args.rounds, args.jobs, args.first)
    base = runs["Pillow, every pixel"]
    rows = [
        (
            name,
            f"{median(r.seconds for r in done):.2f}",
            f"{median(r.seconds / b.seconds for r, b in zip(done, base, strict=True)):.2f}",
            f"{median(r.cpu_seconds for r in done):.2f}",
            f"{median(r.cpu_seconds / b.cpu_seconds for r, b in zip(done, base, strict=True)):.2f}",
            f"{max(r.peak_mib for r in done):.0f}",
        )
        for name, done in runs.items()
    ]
    header = (
        "process",
        "seconds (median)",
        "÷ Pillow",
        "processor s",
        "÷ Pillow's",
        "peak MiB, largest process",
    )
    publish(
        f"# Decoding {args.images:,} images in {args.jobs} processes\n\n"
        f"`{command_line()}`, {args.rounds} rounds, {datetime.date.today():%Y-%m-%d}\n\n"
        f"{machine()}; {versions('numpy', 'pillow')}; load when done {os.getloadavg()[1]:.1f}\n\n{table(header, rows)}",
        f"decode-{args.images}",
        args.output,
    )


def measure(dataset: str, rounds: int, jobs: str, first: bool) -> dict[str, list[Run]]:
    """Runs of each process."""
    pillow = (sys.executable, "-c", ONLY_DECODE, f"{dataset}/images")
    scan = (*SANITIZE, "scan", dataset, "--no-cache", "--no-progress", "--fail-on", "never", "--quiet")
    commands = {
        "Pillow, every pixel": (*pillow, "all", jobs),
        "Pillow, draft": (*pillow, "draft", jobs),
        "sanitize scan --images decode": (*scan, "--jobs", jobs, "--images", "decode"),
        "sanitize scan --images header": (*scan, "--jobs", jobs, "--images", "header"),
    }
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(-1, rounds):  # the first loads files and programs
        for name, command in commands.items():
            done = run((*GO_FIRST, *command) if first else command)
            if number >= 0:
                runs[name].append(done)
    return runs


def make_pictures(folder: Path, n_images: int) -> None:
    """A dataset of pictures that have nothing in common, with one box each."""
    random = np.random.default_rng(5)
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [thing]\n", "utf-8")
    for number in range(n_images):
        coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8))
        fine = Image.fromarray(random.integers(0, 256, (480, 640, 3), np.uint8))
        picture = Image.blend(coarse.resize(SIZE_PX, Image.Resampling.BICUBIC), fine, 0.1)
        picture.save(folder / f"images/train/{number:06}.jpg", quality=85)
        (folder / f"labels/train/{number:06}.txt").write_text("0 0.5 0.5 0.5 0.5\n", "utf-8")


if __name__ == "__main__":
    main()
