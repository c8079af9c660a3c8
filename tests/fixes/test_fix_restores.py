"""Datasets whose truth is known, written down in another way: fix restores the truth, or leaves a file alone."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_sets import NAMES, WAYS, kitti, mot, plain, truth, visdrone, write_set

from sanitizer.fixes.fixing import fix

if TYPE_CHECKING:
    from collections.abc import Callable

    from written_sets import Row, Size

UNITS: dict[str, Callable[[Size], tuple[float, float]]] = {
    "percent": lambda size: (100, 100),
    "pixels": lambda size: size,
    "thousandths": lambda size: (1000, 1000),
}
TOOLS: dict[str, Callable[[Row, Size], str]] = {"kitti": kitti, "mot": mot, "visdrone": visdrone}
OTHER_TEXTS = (
    "class-names",
    "comma-separated",
    "decimal-commas",
    "confidence",
    "instance-id",
    "ids-from-one",
)


def corners(row: Row, size: Size, turn: float, divisors: tuple[float, float] = (1, 1)) -> list[float]:
    """Four corners of a box that is turned in its image, in the unit whose full sides are `divisors`."""
    _, x, y, w, h = row
    width, height = size
    cos, sin = math.cos(turn), math.sin(turn)
    found = []
    for along, across in ((-w, -h), (w, -h), (w, h), (-w, h)):
        dx, dy = along * width / 2, across * height / 2
        found += [
            (x + (dx * cos - dy * sin) / width) * divisors[0],
            (y + (dx * sin + dy * cos) / height) * divisors[1],
        ]
    return found


def written(task: str, way: str, row: Row, size: Size, turn: float) -> tuple[str, str]:
    """(the row as it should be, the row in another way)."""
    if task == "detect":
        return plain(row, size), {**WAYS, **TOOLS}[way](row, size)
    divisors = UNITS[way](size) if way in UNITS else (1, 1)
    class_id, x, y, w, h = row
    if task == "pose":
        right = [x, y, w, h, x - w / 4, y, 2, x + w / 4, y + h / 4, 1]
        scaled = [
            v if i in (6, 9) else v * divisors[i % 2 if i < 4 else (i - 4) % 3] for i, v in enumerate(right)
        ]
    else:
        right, scaled = corners(row, size, turn), corners(row, size, turn, divisors)
    true, other = (f"{class_id} " + " ".join(f"{v:.6f}" for v in numbers) for numbers in (right, scaled))
    if way == "angle-degrees":
        other = f"{plain(row, size)} {math.degrees(turn):.5f}"
    elif way == "angle-radians":
        other = f"{plain(row, size)} {turn:.7f}"
    elif way not in UNITS:
        other = {
            "class-names": lambda: true.replace(str(class_id), NAMES[class_id], 1),
            "comma-separated": lambda: true.replace(" ", ","),
            "decimal-commas": lambda: true.replace(".", ","),
            "confidence": lambda: f"{true} {0.25 + x * 0.7:.4f}",
            "instance-id": lambda: true.replace(" ", f" {100 + round(x * 900)} ", 1),
            "ids-from-one": lambda: true.replace(str(class_id), str(class_id + 1), 1),
        }[way]()
    return true, other


CASES = [
    *(("detect", way) for way in (*WAYS, *TOOLS)),
    *((task, way) for task in ("segment", "obb", "pose") for way in (*UNITS, *OTHER_TEXTS)),
    ("obb", "angle-degrees"),
    ("obb", "angle-radians"),
]


ROUNDING = 0.011
"""Clipping an edge that is outside by rounding is safe, and no other way of writing."""


def is_close(text: str, right: str, most: float = 5e-5) -> bool:
    try:
        now, true = (np.array([row.split() for row in t.splitlines()], float) for t in (text, right))
    except ValueError:
        return False
    return now.shape == true.shape and bool(np.abs(now - true).max() < most)


def restores_or_leaves(case: tuple[str, str], seed: int, n_files: int, n_rows: int, spoilt: float) -> None:
    """Spoil some files of a random set as a whole, fix it, and look at every file."""
    task, way = case
    rng = np.random.default_rng(seed)
    true = truth(rng, n_files, n_rows, side=float(rng.uniform(0.05, 0.25)))
    right: list[str] = []
    before: list[str] = []
    for rows, size in zip(true.rows, true.sizes, strict=True):
        pairs = [
            written(task, way, _inside(row, size, task), size, float(rng.uniform(0, 3.1))) for row in rows
        ]
        good, other = ("".join(f"{text}\n" for text in texts) for texts in zip(*pairs, strict=True))
        right.append(good)
        is_spoilt = rng.random() < spoilt
        if way == "ids-from-one":  # a file without id 0 may be counted either way
            is_spoilt |= all(row[0] for row in rows)
        before.append(other if is_spoilt else good)
    with tempfile.TemporaryDirectory() as folder:
        more = {"kpt_shape": [2, 3]} if task == "pose" else {}
        data = write_set(Path(folder), before, true.sizes, task=task, **more)
        changed = {
            file.path: file.plan.after.decode()
            for file in fix(data, unsafe=True, dry_run=True, cache=False).files
        }
    for i, (old, good) in enumerate(zip(before, right, strict=True)):
        new = changed.get(f"labels/{'val' if i % 4 == 3 else 'train'}/{i}.txt", old)
        assert new == old or is_close(new, good) or is_close(new, old, ROUNDING), (case, old, new, good)


def _inside(row: Row, size: Size, task: str) -> Row:
    """The box, moved and made smaller so that it stays in its image when it is turned."""
    if task not in ("segment", "obb"):
        return row
    class_id, x, y, w, h = row
    return class_id, 0.3 + 0.4 * x, 0.3 + 0.4 * y, min(w, 0.3), min(h, 0.3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(CASES),
    st.integers(0, 2**32),
    st.integers(1, 8),
    st.integers(1, 7),
    st.sampled_from([1, 1, 0.5, 0.2]),
)
def test_fix_restores_the_truth_or_leaves_the_file_alone(
    case: tuple[str, str], seed: int, n_files: int, n_rows: int, spoilt: float
) -> None:
    restores_or_leaves(case, seed, n_files, n_rows, spoilt)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(CASES),
    st.integers(0, 2**32),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1, 1, 0.9, 0.5, 0.2, 0.1]),
)
def test_fix_restores_many_sets_or_leaves_them_alone(
    case: tuple[str, str], seed: int, n_files: int, n_rows: int, spoilt: float
) -> None:
    restores_or_leaves(case, seed, n_files, n_rows, spoilt)
