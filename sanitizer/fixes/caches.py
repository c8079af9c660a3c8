"""Label caches that training left beside labels that are about to change: they go into the journal with the rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sanitizer.fixes.apply import Change

if TYPE_CHECKING:
    from collections.abc import Iterable


def label_caches(root: str, changed: Iterable[str]) -> list[Change]:
    """Caches in the folders of changed labels, and beside them under their name or that of no folder.

    Ultralytics writes labels/train.cache for labels/train, or one cache named after whichever folder comes first.

    Args:
        root: Real root of the dataset.
        changed: Label files, relative to it.
    """
    folders = {os.path.dirname(path) for path in changed}
    found: dict[str, None] = {}
    for folder in sorted(folders):
        parent, name = os.path.split(folder)
        for place in (folder, parent):
            for cache in _caches_in(os.path.join(root, place)):
                stem = cache.removesuffix(".cache")
                of_other = (
                    place == parent and stem != name and os.path.isdir(os.path.join(root, parent, stem))
                )
                if not of_other:
                    found[os.path.join(place, cache).replace(os.sep, "/")] = None
    changes = []
    for path in found:
        with open(os.path.join(root, path), "rb") as file:
            changes.append(Change(path, file.read(), None, derived=True))
    return changes


def _caches_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            e.name for e in entries if e.name.endswith(".cache") and e.is_file(follow_symlinks=False)
        )
