"""Time and size of the HTML page of thousands of findings, against Pillow decoding the same images once.

    python scripts/bench/html_report.py /tmp/html10k --findings 10000

Makes the dataset where the folder does not exist, scans it, and then measures in turn: Pillow decodes every flagged
image once to RGB in one process (the base), and the page is written with one worker and with two.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from measure import machine, table, versions

from sanitizer.reports.html.build import write_page
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.findings.report import Report

CLASSES = 20
PICTURES = 24
SIZES_PX = ((640, 480), (480, 640), (1280, 720), (612, 612), (1920, 1080), (500, 375))
FLAWED_ROWS = (
    "{c} {x:.6f} {y:.6f} 0.620000 0.004000",  # a hair line
    "{c} {x:.6f} {y:.6f} 0.001000 0.001000",  # under two pixels
    "{c} {x:.6f} {y:.6f} 0.300000 -0.100000",  # negative height
    "9{c} {x:.6f} {y:.6f} 0.100000 0.200000",  # no such class
)


def main() -> None:
    """Parse arguments, make what is missing, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--findings", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if not os.path.exists(args.folder):
        make_dataset(args.folder, args.findings)
    report = scan(f"{args.folder}/data.yaml", images="header")
    images = sorted({f.image for f in report.findings if f.image})
    print(f"{machine()}; {versions('pillow', 'numpy')}")
    print(f"{len(report.findings):,} findings on {len(images):,} of {report.summary.images:,} images")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(args.folder))) as out:
        steps: dict[str, Callable[[], int]] = {
            "Pillow decodes each image once": lambda: decode_all(report.root, images),
            "page, one worker": lambda: page(report, out, 1),
            "page, two workers": lambda: page(report, out, 2),
        }
        print(times_table(steps, args.rounds))
        crops = [f.stat().st_size for f in Path(out, "crops").glob("*/*.jpg")]
        page_mb = os.path.getsize(f"{out}/index.html") / 1e6
        print(f"page {page_mb:.1f} MB, {len(crops):,} crops {sum(crops) / 1e6:.1f} MB")


def times_table(steps: Mapping[str, Callable[[], int]], rounds: int) -> str:
    """Wall and processor time of each step, and its ratio to the first step of the same round; medians."""
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            before, started = os.times(), time.perf_counter()
            step()
            wall[name].append(time.perf_counter() - started)
            # User and system time, of this process and of its workers, which are gone by now.
            cpu[name].append(sum(os.times()[:4]) - sum(before[:4]))
    first = next(iter(steps))
    rows = [[name, *_against(wall[name], wall[first]), *_against(cpu[name], cpu[first])] for name in steps]
    return table(["what", "wall s", "ratio", "processor s", "ratio"], rows)


def _against(seconds: Sequence[float], base: Sequence[float]) -> tuple[str, str]:
    ratio = median(s / b for s, b in zip(seconds, base, strict=True))
    return f"{median(seconds):.1f}", f"{ratio:.2f}"


def decode_all(root: str, images: list[str]) -> int:
    """Decode to RGB pixels; the number of images."""
    from PIL import Image

    for name in images:
        with Image.open(os.path.join(root, name)) as image:
            image.convert("RGB")
    return len(images)


def page(report: Report, out: str, jobs: int) -> int:
    """Write the page; its size in bytes."""
    return write_page(report, f"{out}/index.html", f"{out}/crops", jobs=jobs).size_bytes


def make_dataset(folder: str, n_findings: int, mean_flaws: float = 2.5) -> None:
    """Images with a few good rows each, and about `mean_flaws` bad ones; the same arguments, the same bytes."""
    random = np.random.default_rng(20_261_124)
    for kind in ("images", "labels"):
        os.makedirs(f"{folder}/{kind}/train")
    with open(f"{folder}/data.yaml", "w", encoding="utf-8") as file:
        file.write("train: images/train\nval: images/train\nnames:\n")
        file.writelines(f"  {i}: class_{i:02}\n" for i in range(CLASSES))
    pictures = [_jpeg(random, SIZES_PX[i % len(SIZES_PX)]) for i in range(PICTURES)]
    number = written = 0
    while written < n_findings:
        n_flawed = min(1 + int(random.poisson(mean_flaws - 1)), n_findings - written)
        rows = [_good_row(random) for _ in range(int(random.integers(3, 12)))]
        rows += [_flawed_row(random) for _ in range(n_flawed)]
        written += n_flawed
        with open(f"{folder}/labels/train/{number:06}.txt", "w", encoding="ascii") as label:
            label.write("\n".join(rows) + "\n")
        with open(f"{folder}/images/train/{number:06}.jpg", "wb") as image:
            image.write(_with_comment(pictures[number % PICTURES], b"%06d" % number))
        number += 1


def _good_row(random: np.random.Generator) -> str:
    w, h = random.uniform(0.05, 0.3, 2)
    x, y = random.uniform(0.2, 0.8, 2)
    return f"{random.integers(CLASSES)} {x:.6f} {y:.6f} {w:.6f} {h:.6f}"


def _flawed_row(random: np.random.Generator) -> str:
    x, y = random.uniform(0.35, 0.65, 2)
    return FLAWED_ROWS[random.integers(len(FLAWED_ROWS))].format(c=random.integers(10), x=x, y=y)


def _jpeg(random: np.random.Generator, size: tuple[int, int]) -> bytes:
    """A picture with shapes at many scales, so that decoding costs what a photograph costs."""
    from PIL import Image

    total = np.zeros((size[1], size[0], 3))
    for cells, strength in ((4, 70), (16, 40), (64, 25), (256, 12)):
        coarse = Image.fromarray(random.integers(0, 255, (cells, cells, 3), np.uint8))
        total += (
            strength / 128 * (np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float64) - 128)
        )
    buffer = io.BytesIO()
    Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """The same picture in a file of its own: identical images would be findings too."""
    return b"".join((jpeg[:2], b"\xff\xfe", (len(comment) + 2).to_bytes(2, "big"), comment, jpeg[2:]))


if __name__ == "__main__":
    main()
