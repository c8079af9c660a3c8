"""Label caches that training left beside labels that are about to change: they go into the journal with the rest."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from sanitizer.fixes.apply import Change
from sanitizer.fixes.journal.runs import MAX_FILE_BYTES
from sanitizer.fixes.journal.staging import folder_of
from sanitizer.util.folder import open_folder
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Iterable


def label_caches(root: str, changed: Iterable[str]) -> tuple[list[Change], list[str]]:
    """Caches in the folders of changed labels, and beside them under their name or that of no folder.

    Ultralytics writes labels/train.cache for labels/train, or one cache named after whichever folder comes first.

    Args:
        root: Real root of the dataset.
        changed: Label files, relative to it.

    Returns:
        The caches to set aside, and sentences on those that are left where they are.

    Raises:
        OSError: A folder of changed labels is gone, or is a link now.
    """
    found: dict[str, None] = {}
    for folder in sorted({os.path.dirname(path) for path in changed}):
        parent, name = os.path.split(folder)
        for place in (folder, parent):
            for cache in _caches_in(root, place):
                stem = cache.removesuffix(".cache")
                of_other = place == parent and stem != name and os.path.isdir(join_path(root, parent, stem))
                if not of_other:
                    found[join_path(place, cache)] = None
    changes: list[Change] = []
    notes = []
    left = MAX_FILE_BYTES
    for path in found:
        try:
            with folder_of(root, path) as (opened, name):
                content = opened.read(name, left)
        except OSError as error:
            notes.append(
                f"{path} is stale now and stays, as it cannot be set aside ({error.strerror}): remove it"
            )
            continue
        left -= len(content)
        changes.append(Change(path, content, None, derived=True))
    return changes, notes


def _caches_in(root: str, folder: str) -> list[str]:
    with open_folder(root, folder) as opened:
        return sorted(
            name
            for name in opened.names()
            if name.endswith(".cache") and stat.S_ISREG(opened.status(name).st_mode)
        )
