"""Write a COCO-sized dataset of real JPEGs and clean labels: what the speed claims are measured on.

    python scripts/bench/make_dataset.py /tmp/coco118k --images 118287 --boxes 7.3

The same arguments give the same bytes, whatever the number of processes.
"""

from __future__ import annotations

import argparse
import io
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import numpy as np

CLASSES = 80
VAL_SHARE = 24  # one image in 24 is for validation, as in COCO
FILES_PER_TASK = 2000
SIZES_PX = ((640, 480), (480, 640), (640, 427), (500, 375), (640, 360), (427, 640), (612, 612), (640, 640))
MOST_NOISE_BYTES = 6000
SMALLEST_SIDE = 0.01


def main() -> None:
    """Parse arguments and write the dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=118287)
    parser.add_argument("--boxes", type=float, default=7.3, help="mean number of boxes an image")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    if os.path.exists(args.folder):
        parser.error(f"{args.folder} exists already")

    for kind in ("images", "labels"):
        for split in ("train", "val"):
            os.makedirs(f"{args.folder}/{kind}/{split}")
    with open(f"{args.folder}/data.yaml", "w", encoding="utf-8") as f:
        f.write("train: images/train\nval: images/val\nnames:\n")
        f.writelines(f"  {i}: class_{i:02}\n" for i in range(CLASSES))
    starts = range(0, args.images, FILES_PER_TASK)
    write = partial(write_pairs, args.folder, args.images, args.boxes)
    with ProcessPoolExecutor(args.jobs) as pool:
        boxes = sum(pool.map(write, starts))
    print(f"{args.images} images, {boxes} boxes in {args.folder}")


def write_pairs(folder: str, n_images: int, mean_boxes: float, start: int) -> int:
    """Write pairs from `start` on, at most `FILES_PER_TASK`; return the number of boxes."""
    random = np.random.default_rng((20_240_117, start))
    total = 0
    for number in range(start, min(start + FILES_PER_TASK, n_images)):
        split = "val" if number % VAL_SHARE == 0 else "train"
        rows = label_rows(random, mean_boxes)
        total += len(rows)
        stem = f"{number:012d}"
        with open(f"{folder}/labels/{split}/{stem}.txt", "w", encoding="ascii") as label:
            label.writelines(rows)
        with open(f"{folder}/images/{split}/{stem}.jpg", "wb") as image:
            image.write(jpeg(number, random))
    return total


def label_rows(random: np.random.Generator, mean_boxes: float) -> list[str]:
    """Rows of one image: many small boxes, few large ones, all inside the image."""
    n = int(random.geometric(1 / mean_boxes))
    classes = np.minimum(random.geometric(0.06, n) - 1, CLASSES - 1)
    sides = np.clip(random.lognormal(-2.2, 0.9, n), SMALLEST_SIDE, 0.9)
    shape = np.exp(random.normal(0, 0.4, n))
    w, h = (np.clip(sides * k, SMALLEST_SIDE, 0.95) for k in (shape, 1 / shape))
    x, y = (s / 2 + random.random(n) * (1 - s) for s in (w, h))
    return [
        f"{c} {a:.6f} {b:.6f} {p:.6f} {q:.6f}\n"
        for c, a, b, p, q in zip(
            classes.tolist(), x.tolist(), y.tolist(), w.tolist(), h.tolist(), strict=True
        )
    ]


def jpeg(number: int, random: np.random.Generator) -> bytes:
    """A JPEG with the headers of a real one, its own comment, and a scan of its own bytes and length."""
    head, frame, scan = jpeg_parts(number % len(SIZES_PX))
    comment = b"%012d" % number
    noise = random.integers(0, 255, int(random.integers(0, MOST_NOISE_BYTES)), np.uint8)  # no 255: no marker
    return b"".join(
        (head, b"\xff\xfe", (len(comment) + 2).to_bytes(2, "big"), comment, frame, noise.tobytes(), scan)
    )


@cache
def jpeg_parts(which: int) -> tuple[bytes, bytes, bytes]:
    """One picture of each size, cut before its frame header (SOF0) and after its scan header (SOS)."""
    from PIL import Image

    w, h = SIZES_PX[which]
    y, x = np.mgrid[0:h, 0:w]
    waves = [127 + 120 * np.sin(x / (20 + 7 * which + 9 * c) + y / (15 + 5 * c)) for c in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(buffer, "JPEG", quality=20)
    content = buffer.getvalue()
    frame = content.index(b"\xff\xc0")
    scan = content.index(b"\xff\xda")
    scan += 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")
    return content[:frame], content[frame:scan], content[scan:]


if __name__ == "__main__":
    main()
