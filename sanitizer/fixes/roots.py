"""Where the journal of a dataset lies: in its root folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.dataset.model import DatasetError
from sanitizer.fixes.journal.runs import FOLDER, JournalError
from sanitizer.storage.opening import refuse_remote
from sanitizer.util.paths import join_path, real_path

if TYPE_CHECKING:
    from sanitizer.dataset.model import Dataset


def journal_root(dataset: Dataset) -> str:
    """Absolute, real path of a dataset's root.

    Raises:
        JournalError: The dataset is but some label files that no data.yaml belongs to.
    """
    if dataset.files_only and dataset.yaml_path is None:
        raise JournalError(
            "no data.yaml belongs to these files: give the dataset's folder, to hold the journal"
        )
    return real_path(dataset.root)


def root_with_journal(path: str) -> str:
    """Root of the dataset that holds the journal: where the dataset cannot be made out any more, a folder above.

    Raises:
        JournalError: There is nothing at that path.
    """
    refuse_remote([path])
    if not os.path.exists(path):
        raise JournalError(f"{path} does not exist")
    folder = real_path(path)
    try:
        root = journal_root(find_loose_dataset([path]))
    except (DatasetError, JournalError):
        root = folder
    if os.path.isdir(join_path(root, FOLDER)):
        return root
    while folder != os.path.dirname(folder):
        if os.path.isdir(join_path(folder, FOLDER, "runs")):
            return folder
        folder = os.path.dirname(folder)
    return root
