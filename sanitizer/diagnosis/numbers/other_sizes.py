"""Coordinates of pictures of another size: pixels of larger ones, or divided by one number for all images. What the
size was, no row tells for sure: such rows are named, and left alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.diagnosis.numbers.boxes import gather, place
from sanitizer.diagnosis.numbers.enough_rows import MOST_AGAINST, almost_all
from sanitizer.diagnosis.numbers.parts import parts_where
from sanitizer.diagnosis.numbers.units import UNITS, is_over_one
from sanitizer.diagnosis.numbers.writing import COORDINATES, SHAPES, Writing
from sanitizer.labels.readings.coordinates import centre, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import SampleFile
    from sanitizer.diagnosis.numbers.parts import Part

SIDES = (2048, 1536, 1280, 1024, 960, 800, 768, 736, 640, 608, 512, 416, 320)
"""Sides that images are resized to, by which people divide where they should divide by the image's own."""
MIN_ROWS = 10
MIN_REACH = 0.9
"""How far the furthest box must reach: by any larger side, boxes would leave their images."""


def writings(files: Sequence[SampleFile], spec: TaskSpec) -> Iterator[Writing]:
    """Rows that are far over 1 in no unit, and normalised ones that one common divisor brings into their images."""
    over_one = [file for file in files if is_over_one(file, spec)]
    yield from parts_where(over_one, partial(_judge_pixels, spec))
    taken = {file.label for file in over_one}
    yield from parts_where([f for f in files if f.label not in taken], partial(_judge_divisor, spec))


def _judge_pixels(spec: TaskSpec, part: Part) -> Writing | None:
    boxes = gather(part.files, spec)
    placed = {unit: place(boxes, centre, divisors) for unit, divisors in UNITS.items()}
    pixels = placed["pixels"]
    n, n_over = len(boxes), int(pixels.is_over_one.sum())
    if n < MIN_ROWS or not almost_all(n_over, n) or not pixels.reach > 1:
        return None
    outside = {unit: n - int(p.fits.sum()) for unit, p in placed.items()}
    return Writing(
        "coordinates-beyond-images",
        "coordinates of pictures of another size",
        part,
        part.files,
        n,
        n_over,
        "are not normalised, and no one unit brings all boxes into their images",
        [
            f"as pixels, {outside['pixels']:,} of {n:,} boxes leave their image, the furthest ends at "
            f"{pixels.reach:.0%} of it: the labels may belong to larger pictures, or be of several tools",
            *(f"as {unit}, {outside[unit]:,} of {n:,} do" for unit in ("percent", "thousandths")),
        ],
        "every such image is left out, as its coordinates are over 1.01",
        "export the labels again as YOLO, from the pictures that they were drawn on",
        COORDINATES | SHAPES,
    )


def _judge_divisor(spec: TaskSpec, part: Part) -> Writing | None:
    boxes = gather(part.files, spec)
    now = place(boxes, centre, whole)
    n, outside = len(boxes), int((~now.fits).sum())
    if int(now.deep.sum()) < MIN_ROWS or not np.isfinite(boxes.size_px).all():
        return None
    for side in SIDES:
        read = place(boxes, centre, lambda size, side=side: (size[0] / side, size[1] / side))
        wrong = n - int(read.fits.sum())
        if not almost_all(n - wrong, n) or wrong > MOST_AGAINST * outside:
            continue
        if not read.reach >= MIN_REACH:
            return None
        return Writing(
            "divided-by-one-side",
            "divided by one side for all images",
            part,
            part.files,
            n,
            n - wrong,
            f"seem to be divided by {side}, in place of the width and height of their own image",
            [
                f"read as they are, {outside:,} of {n:,} boxes leave their image, the furthest ends at "
                f"{now.reach:.0%} of it",
                f"read as pixels divided by {side}, {f'{wrong:,}' if wrong else 'none'} do, and the furthest ends at "
                f"{read.reach:.0%}",
            ],
            "images with a coordinate over 1.01 are left out; of the others, boxes in the wrong place are learned",
            "export the labels again as YOLO, divided by the width and height of each image",
            COORDINATES | SHAPES,
            misfits=boxes.lines_where(~read.fits),
        )
    return None
