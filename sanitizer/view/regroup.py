"""Splits of a view in which all copies of one picture lie together, by what their names say of their source."""

from __future__ import annotations

from collections import Counter, defaultdict
from posixpath import basename, splitext
from typing import TYPE_CHECKING, NamedTuple

from sanitizer.rules.checks.sources.names import CopyName, Mark, copy_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ViewImage(NamedTuple):
    """An image of a view: its path in the view's folder, and its number of label rows."""

    path: str
    boxes: int


def regroup(splits: Mapping[str, Sequence[ViewImage]]) -> tuple[dict[str, list[ViewImage]], int]:
    """(the splits, with each image where most copies of its picture are, train first; number of images moved)."""
    images = [(name, image) for name in sorted(splits, key=lambda s: s != "train") for image in splits[name]]
    named = [copy_name(splitext(basename(image.path))[0]) for _, image in images]
    homes = _homes([name for name, _ in images], named)
    found: dict[str, list[ViewImage]] = {name: [] for name in splits}
    moved = 0
    for (name, image), source in zip(images, named, strict=True):
        home = homes.get(source.source, name)
        found[home].append(image)
        moved += home != name
    return found, moved


def _homes(splits: Sequence[str], named: Sequence[CopyName]) -> dict[str, str]:
    """Source to the split of most of its images, for sources that have an altered copy. `photo (2)` is one beside
    `photo`; else it is one of a series that was renamed at once."""
    marks: dict[str, set[Mark]] = defaultdict(set)
    where: dict[str, Counter[str]] = defaultdict(Counter)
    for split, (source, mark) in zip(splits, named, strict=True):
        marks[source].add(mark)
        where[source][split] += 1
    return {
        source: where[source].most_common(1)[0][0]
        for source, seen in marks.items()
        if len(where[source]) > 1 and (Mark.COPY in seen or {Mark.NONE, Mark.NUMBERED} <= seen)
    }
