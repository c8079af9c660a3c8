"""The folder of a view: where a view may be written, and how a new view replaces an earlier one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from sanitizer.util.atomic import once_closed, stale_names, unused_name
from sanitizer.util.bounded_read import read_bounded
from sanitizer.util.paths import is_inside, join_path, real_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.model import Dataset

MARK = "view.json"
"""The file that marks a folder as a view, and lists the names that the view wrote into the folder."""
SCHEMA = 1
_MAX_MARK_BYTES = 1_000_000


class ViewError(Exception):
    """A view cannot be written; the text is a sentence."""


def checked_folder(out: str, dataset: Dataset) -> str:
    """Absolute path of the folder for a view, links resolved.

    Args:
        out: The folder as the user wrote it.
        dataset: The dataset to make a view of.

    Raises:
        ViewError: The folder is inside a folder of the dataset, or contains one; or there are files in it that no
            earlier view wrote; or its parent does not exist; or its path is not UTF-8.
    """
    real = real_path(out)
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
    folders = {real_path(path) for path in paths if os.path.isdir(path)}
    # A view may be in the folder of a data.yaml. But in a dataset folder without a data.yaml, the view's data.yaml
    # would be mistaken for that of the dataset.
    return folders | {real_path(dataset.yaml_path or dataset.root)}


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
    """Names that an earlier view wrote into this folder; None if the folder is not a view."""
    try:
        mark = json.loads(read_bounded(join_path(folder, MARK), _MAX_MARK_BYTES, follow_links=False))
        return set(map(str, mark["holds"])) if mark["tool"] == "sanitize" else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


@contextlib.contextmanager
def replacing_folder(view: str, origin: str) -> Iterator[str]:
    """A temporary folder beside `view`. At the end of the `with` block, it replaces the folder `view`.

    If the block raises, the temporary folder is deleted and an earlier view does not change.

    Args:
        view: The view's folder: a path that `checked_folder` returned.
        origin: The dataset's data.yaml or root, which the mark in the view names.

    Raises:
        OSError: A folder cannot be made or renamed.
    """
    folder, name = os.path.split(view)
    hidden = join_path(folder, f".{name}")
    part, old = unused_name(hidden, ".part"), unused_name(hidden, ".old")
    for kind in (".part", ".old"):
        for stale in stale_names(hidden, kind):
            if os.path.isdir(stale) and (kind == ".part" or os.path.lexists(view)):
                shutil.rmtree(stale, ignore_errors=True)
    os.mkdir(part)
    try:
        yield part
        mark = {"schema": SCHEMA, "tool": "sanitize", "view_of": origin, "holds": sorted(os.listdir(part))}
        with open(join_path(part, MARK), "w", encoding="ascii") as file:
            json.dump(mark, file, indent=1)
        if os.path.lexists(view):
            once_closed(os.rename, view, old)
        try:
            once_closed(os.rename, part, view)
        except OSError:
            if os.path.lexists(old):
                os.rename(old, view)
            raise
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
