"""The folder that a view is written into: where it may lie, and how an earlier view gives way to a new one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from sanitizer.util.atomic import stale_names, unused_name
from sanitizer.util.bounded_read import read_bounded
from sanitizer.util.paths import is_inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Dataset

MARK = "view.json"
"""The file that says that a folder is a view, and what in it is ours."""
SCHEMA = 1
_MAX_MARK_BYTES = 1_000_000


class ViewError(Exception):
    """A view cannot be written; the text is a sentence."""


def checked_place(out: str, dataset: Dataset) -> str:
    """Absolute path of the folder, links resolved.

    Raises:
        ViewError: It lies in the dataset's images or labels, or they in it; or it holds what is not ours to replace.
    """
    real = os.path.realpath(out)
    for folder in _folders(dataset):
        if is_inside(real, folder):
            raise ViewError(f"{out}: lies in the dataset's own folder {folder}: choose a place outside of it")
        if is_inside(folder, real):
            raise ViewError(f"{out}: holds the dataset itself ({folder}): choose a new folder for the view")
    if os.path.lexists(real):
        _refuse_strange_content(real, out)
    parent = os.path.dirname(real)
    if not os.path.isdir(parent):
        raise ViewError(f"{out}: there is no folder {parent}: make it first")
    try:
        real.encode()
    except UnicodeEncodeError:
        raise ViewError(
            f"{out}: the path is not UTF-8, so no data.yaml can name it: choose another"
        ) from None
    return real


def _folders(dataset: Dataset) -> set[str]:
    """Real paths of all folders that hold images, labels or the data.yaml of a dataset."""
    paths = {path for split in dataset.splits for path in (*split.image_dirs, *split.label_dirs)}
    folders = {os.path.realpath(path) for path in paths if os.path.isdir(path)}
    # A view may lie beside a data.yaml. In a folder without one, its own would be taken for that of the dataset.
    return folders | {os.path.realpath(dataset.yaml_path or dataset.root)}


def _refuse_strange_content(real: str, out: str) -> None:
    if not os.path.isdir(real):
        raise ViewError(f"{out}: is a file, not a folder")
    names = set(os.listdir(real))
    if not names:
        return
    ours = _written_there(real)
    if ours is None:
        raise ViewError(f"{out}: is not empty, and no earlier view: choose a new folder")
    strange = sorted(names - ours - {MARK})
    if strange:
        raise ViewError(
            f"{out}: the earlier view there now also holds {', '.join(strange[:3])}: move that away first, as the"
            " whole folder is replaced"
        )


def _written_there(folder: str) -> set[str] | None:
    """Names that an earlier view has in its folder; None where it is no view."""
    try:
        mark = json.loads(read_bounded(os.path.join(folder, MARK), _MAX_MARK_BYTES, follow_links=False))
        return set(map(str, mark["holds"])) if mark["tool"] == "sanitize" else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


@contextlib.contextmanager
def built_beside(place: str, origin: str) -> Iterator[str]:
    """A new folder beside `place` that takes its place once everything in it is written.

    Whatever goes wrong, the earlier view stays as it was and nothing is left beside it.

    Args:
        place: Absolute path, links resolved, that `checked_place` has let pass.
        origin: What it is a view of, for those who find it.
    """
    folder, name = os.path.split(place)
    hidden = os.path.join(folder, f".{name}")
    part, old = unused_name(hidden, ".part"), unused_name(hidden, ".old")
    for kind in (".part", ".old"):
        for stale in stale_names(hidden, kind):
            if os.path.isdir(stale) and (kind == ".part" or os.path.lexists(place)):
                shutil.rmtree(stale, ignore_errors=True)
    os.mkdir(part)
    try:
        yield part
        mark = {"schema": SCHEMA, "tool": "sanitize", "view_of": origin, "holds": sorted(os.listdir(part))}
        with open(os.path.join(part, MARK), "w", encoding="ascii") as file:
            json.dump(mark, file, indent=1)
        if os.path.lexists(place):
            os.rename(place, old)
        try:
            os.rename(part, place)
        except OSError:
            if os.path.lexists(old):
                os.rename(old, place)
            raise
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
