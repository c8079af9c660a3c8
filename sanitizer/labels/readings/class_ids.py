"""Class ids that are counted in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.labels.readings.columns import is_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.labels.readings.reading import Convert, SizePx

COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
"""Ids from 1 to 91 that no object of COCO's detection sets has."""
COCO_IDS = tuple(i for i in range(1, 91) if i not in COCO_GAPS)
"""COCO's category id of each of its 80 classes."""


def renumbered(ids: Mapping[int, int]) -> Convert:
    """Each class id by a table from the written one to the one that training reads."""

    def convert(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
        new = ids.get(int(float(tokens[0]))) if is_id(tokens[0]) else None
        return None if new is None else [str(new), *tokens[1:]]

    return convert


def from_one(tokens: Sequence[str], size_px: SizePx | None, spec: TaskSpec) -> list[str] | None:
    """Ids 1 to nc in place of 0 to nc - 1."""
    if not is_id(tokens[0]) or spec.nc is None or not 1 <= float(tokens[0]) <= spec.nc:
        return None
    return [str(int(float(tokens[0])) - 1), *tokens[1:]]


COCO_FROM_ONE = {written: class_id for class_id, written in enumerate(COCO_IDS)}
COCO_FROM_ZERO = {written - 1: class_id for class_id, written in enumerate(COCO_IDS)}
