"""Reads what people corrected in the labels of a dataset."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from injection.rows import Box


@dataclass(frozen=True, slots=True)
class Correction:
    """What was corrected in one image.

    Attributes:
        lines: 1-based numbers of the label lines that were removed or moved; of an image that was thrown out, all.
        added: Boxes that were added: centre and size, normalised.
        whole: The image was thrown out.
    """

    lines: frozenset[int]
    added: Sequence[Box] = ()
    whole: bool = False

    def __bool__(self) -> bool:
        return bool(self.lines or self.added or self.whole)


@dataclass(frozen=True, slots=True)
class Corrections:
    """What was corrected in a dataset.

    Attributes:
        of: Name of an image without folder and extension to its correction.
        complete: Whether an image that is not in it was looked at, and is clean; else nobody looked at it.
    """

    of: Mapping[str, Correction]
    complete: bool

    def find(self, image: str) -> Correction | None:
        """The correction of an image path; an empty one for a clean image, None for one that nobody looked at."""
        found = self.of.get(os.path.splitext(os.path.basename(image))[0])
        return Correction(frozenset()) if found is None and self.complete else found


def read_corrections(dataset: str) -> Corrections:
    """Read `DATASET/truth.json`, which names corrected images only, or else `DATASET_reannotated.json`."""
    path = os.path.join(dataset, "truth.json")
    complete = os.path.exists(path)
    if not complete:
        path = f"{os.path.normpath(dataset)}_reannotated.json"
    with open(path, encoding="utf-8") as file:
        return Corrections({name: _correction(record) for name, record in json.load(file).items()}, complete)


def _correction(record: Mapping[str, Any]) -> Correction:
    # Lines are a list, or a mapping with what became of each; boxes have a class name before them, or none.
    corners = [box[1] if isinstance(box[0], str) else box for box in record["added"]]
    return Correction(
        frozenset(int(line) for line in record["lines"]),
        [((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1) for x1, y1, x2, y2 in corners],
        bool(record.get("whole", False)),
    )
