"""Random datasets, each written as a whole in one way: a fix gives back the truth, or there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from published_sets import PUBLISHED_SETS
from written_sets import NAMES, WAYS, plain, texts, truth, write_set

from sanitizer import scan
from sanitizer.dataset.tables import TaskSpec
from sanitizer.labels.readings import READINGS

if TYPE_CHECKING:
    from pathlib import Path

    from written_sets import Size, Truth

SPEC = TaskSpec("detect", len(NAMES), dict(enumerate(NAMES)))
SETS_OF_SIZES: tuple[tuple[Size, ...], ...] = (
    ((640, 480), (500, 700), (800, 600)),
    ((640, 480),),
    ((1280, 720),),
    ((128, 96), (100, 120)),
)
"""None is square: there, numbers do not tell x and y swapped."""
OF_NUMBERS = {
    *READINGS,
    "percent-coordinates",
    "pixels-coordinates",
    "coordinates-not-normalised",
    "odd-columns",
}
ROUNDING = 2e-3
"""Of the ways that write whole or few decimals."""


def random_truth(rng: np.random.Generator) -> Truth:
    sizes = SETS_OF_SIZES[int(rng.integers(len(SETS_OF_SIZES)))]
    n_files, n_rows = int(rng.integers(1, 16)), int(rng.integers(1, 8))
    return truth(rng, n_files, n_rows, float(rng.choice([0.05, 0.15, 0.3, 0.6])), sizes)


def restores(reading: str, name: str, real: Truth) -> bool:
    """Whether a reading gives the truth for every row that was written in this way."""
    for rows, size in zip(real.rows, real.sizes, strict=True):
        for row in rows:
            read = READINGS[reading].convert(WAYS[name](row, size).split(), size, SPEC)
            right = [float(v) for v in plain(row, size).split()]
            if read is None or not np.allclose([float(v) for v in read], right, atol=ROUNDING):
                return False
    return True


@pytest.mark.thorough
@pytest.mark.parametrize("name", WAYS)
def test_a_fix_gives_back_the_truth_or_there_is_none(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng([14, list(WAYS).index(name)])
    for i in range(3):
        real = random_truth(rng)
        path = write_set(tmp_path / str(i), texts(real.rows, real.sizes, WAYS[name]), real.sizes)
        for cause in scan(path, cache=False).causes:
            assert cause.reading is None or restores(cause.reading, name, real), (i, cause)


@pytest.mark.thorough
def test_sets_that_are_right_have_no_cause(tmp_path: Path) -> None:
    """Also where boxes are drawn a little over the border, and single rows are wrong."""
    rng = np.random.default_rng(15)
    for i in range(20):
        real = random_truth(rng)
        slack = float(rng.choice([0, 0.01, 0.04]))
        labels = []
        for rows, size in zip(real.rows, real.sizes, strict=True):
            drawn = [(c, x + rng.normal(0, slack), y + rng.normal(0, slack), w, h) for c, x, y, w, h in rows]
            labels.append("".join(plain(row, size) + "\n" for row in drawn))
        labels[0] += str(rng.choice(["", "0 1.7 0.5 0.1 0.1\n", "0 0.5 0.5 0.1\n", "9 0.5 0.5 0.1 0.1\n"]))
        assert not scan(write_set(tmp_path / str(i), labels, real.sizes), cache=False).causes, i


@pytest.mark.parametrize("name", PUBLISHED_SETS)
def test_published_sets_are_written_as_training_reads_them(name: str, shared_data: Path) -> None:
    """Their makers trained on them: whatever else is wrong, it is not how numbers are written."""
    folder = shared_data / name
    path = folder / "data.yaml" if (folder / "data.yaml").exists() else folder
    causes = scan(path, images="header", cache=False).causes
    assert not OF_NUMBERS & {cause.id for cause in causes}
