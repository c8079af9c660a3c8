"""Single files that no tool expects: 20,000 boxes on one image, and 100 MB label files.

python scripts/bench/scan_extremes.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from make_dataset import jpeg
from measure import SANITIZE, machine, run, table, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_BOXES = 20_000
LARGE_BYTES = 100_000_000
TIMEOUT_S = 300


def boxes(x: NDArray[np.float64], y: NDArray[np.float64], w: float, h: float) -> bytes:
    """Rows of class 0 with these centres."""
    return "".join(
        f"0 {a:.6f} {b:.6f} {w:.6f} {h:.6f}\n" for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ).encode()


def scattered() -> bytes:
    """Small boxes anywhere."""
    random = np.random.default_rng(1)
    return boxes(random.uniform(0.05, 0.95, N_BOXES), random.uniform(0.05, 0.95, N_BOXES), 0.02, 0.02)


def grid() -> bytes:
    """Boxes side by side, 200 × 100."""
    x, y = np.meshgrid((np.arange(200) + 0.5) / 200, (np.arange(100) + 0.5) / 100)
    return boxes(x.ravel(), y.ravel(), 0.005, 0.01)


def identical() -> bytes:
    """The same box again and again: two hundred million pairs that overlap fully."""
    return boxes(np.full(N_BOXES, 0.5), np.full(N_BOXES, 0.5), 0.2, 0.2)


def chain() -> bytes:
    """Large boxes, each a hair right of the one before: every pair overlaps, most near the limit of IoU 0.95."""
    steps = np.linspace(0, 0.02, N_BOXES)
    return boxes(0.4 + steps, np.full(N_BOXES, 0.5), 0.4, 0.4)


def cross() -> bytes:
    """Full-width stripes and full-height stripes: they share an extent in one axis, but hardly any area."""
    half = N_BOXES // 2
    centres = (np.arange(half) + 0.5) / half
    across = boxes(np.full(half, 0.5), centres, 0.999, 0.004)
    return across + boxes(centres, np.full(half, 0.5), 0.004, 0.999)


def many_valid() -> bytes:
    """100 MB of good rows, no two alike: places and sizes vary freely."""
    random = np.random.default_rng(2)
    n_rows = LARGE_BYTES // 38
    w, h = random.uniform(0.02, 0.5, (2, n_rows))
    x, y = w / 2 + random.random(n_rows) * (1 - w), h / 2 + random.random(n_rows) * (1 - h)
    columns = (x.tolist(), y.tolist(), w.tolist(), h.tolist())
    return "".join(
        f"0 {a:.6f} {b:.6f} {c:.6f} {d:.6f}\n" for a, b, c, d in zip(*columns, strict=True)
    ).encode()


def repeated() -> bytes:
    """100 MB of the same rows again and again: millions of exact duplicates."""
    block = scattered()
    return block * (LARGE_BYTES // len(block))


def random_bytes() -> bytes:
    """100 MB that are no text."""
    return np.random.default_rng(3).bytes(LARGE_BYTES)


def words() -> bytes:
    """100 MB of rows that hold words."""
    return b"cat dog 0.5 0.5 0.5\n" * (LARGE_BYTES // 20)


def one_line() -> bytes:
    """100 MB of digits without a blank or a line end."""
    return b"1234567890" * (LARGE_BYTES // 10)


def wide_row() -> bytes:
    """One polygon of 100 MB."""
    return b"0" + b" 0.5 0.25" * (LARGE_BYTES // 9) + b"\n"


def zeros() -> bytes:
    """100 MB of NUL bytes."""
    return bytes(LARGE_BYTES)


CASES: tuple[Callable[[], bytes], ...] = (
    *(scattered, grid, identical, chain, cross),
    *(many_valid, repeated, random_bytes, words, one_line, wide_row, zeros),
)


def main() -> None:
    """Scan a dataset of one image for each case and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="comma-separated names of cases")
    args = parser.parse_args()
    chosen = args.only.split(",") if args.only else [case.__name__ for case in CASES]
    rows = []
    for case in CASES:
        if case.__name__ in chosen:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(case, Path(folder)))
                print(" ".join(rows[-1]), flush=True)
    print(f"\n{machine()}; {versions('numpy')}\n")
    print(table(("case", "label MB", "seconds", "peak MiB", "exit", "output lines"), rows))


def measure(case: Callable[[], bytes], folder: Path) -> list[str]:
    """Scan one image with this label file in a process of its own."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [thing]\n", "utf-8")
    (folder / "images" / "big.jpg").write_bytes(jpeg(0, np.random.default_rng(0)))
    label = folder / "labels" / "big.txt"
    label.write_bytes(case())
    size_mb = label.stat().st_size / 1e6
    done = run((*SANITIZE, "scan", str(folder / "data.yaml"), "--no-cache"), timeout_s=TIMEOUT_S)
    return [
        case.__name__.replace("_", " "),
        f"{size_mb:.1f}",
        f"{done.seconds:.2f}",
        f"{done.peak_mib:.0f}",
        str(done.status),
        str(done.stdout.count("\n")),
    ]


if __name__ == "__main__":
    main()
