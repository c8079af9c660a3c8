"""Reads which images the user wants to leave out of training: a list, or a CSV file with a column `image`."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.reports.csv_ import text_of
from sanitizer.util.paths import absolute_path, join_path, normal_path, real_path
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Dataset


class ExclusionError(Exception):
    """The file of images cannot be used; the text is a sentence that names file and line."""


def read_exclusions(path: str, dataset: Dataset) -> dict[str, str]:
    """Path of each image to leave out, as findings write it, to the reason.

    A text file names one image per line; blank lines and lines that begin with # are skipped. A .csv file has a column
    `image`; if it also has a column `decision`, only rows with `drop` there count. An image's path is absolute, or
    relative to the dataset's root or to the working directory. A link in a clean view stands for the image it leads to.

    Raises:
        ExclusionError: The file names an image that the dataset does not have, or a .csv has no column `image`.
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        text = file.read().decode("utf-8-sig", "surrogateescape")
    wanted = _csv_images(text, path) if path.lower().endswith(".csv") else _listed_images(text)
    known = _images(dataset)
    by_real_path: dict[str, str] = {}
    excluded: dict[str, str] = {}
    for line, name in wanted:
        image = known.get(name) or known.get(normal_path(join_path(dataset.root, name)))
        image = image or known.get(absolute_path(name))
        if image is None:
            by_real_path = by_real_path or {real_path(p): i for p, i in known.items()}
            image = by_real_path.get(real_path(name))
        if image is None:
            guess = did_you_mean(name, list(known.values())[:10_000])
            raise ExclusionError(f"{path}:{line}: the dataset has no image {name!r}{guess}")
        excluded[image] = f"named in {path}:{line}"
    return excluded


def _images(dataset: Dataset) -> dict[str, str]:
    """Absolute path of each image of the dataset to the path as findings write it."""
    found = {}
    for split in dataset.splits:
        for i in np.flatnonzero(split.has_image).tolist():
            image = split.image_path(i)
            assert image is not None
            found[normal_path(image)] = dataset.relative(image) or image
    return found


def _listed_images(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _csv_images(text: str, path: str) -> Iterator[tuple[int, str]]:
    """(line, image) of the rows that drop a whole image; rows about one line of a label file are skipped."""
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    names = reader.fieldnames or []
    if "image" not in names:
        raise ExclusionError(f"{path}: has no column 'image': name the images in a text file, one a line")
    for row in reader:
        image = text_of(row.get("image") or "")
        decided = "decision" not in names or (row["decision"] or "").strip().lower() == "drop"
        if image and decided and not ("decision" in names and row.get("line")):
            yield reader.line_num, image
