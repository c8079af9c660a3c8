"""What the modules of this room share: files without partner, and the folders near the dataset, each listed once."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from sanitizer.dataset.listing import Listing, TooManyFilesError
from sanitizer.dataset.places.neighbours import folders_near
from sanitizer.dataset.single_files import is_label_name
from sanitizer.diagnosis.whereabouts.unpaired import stem_of, unpaired_folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.dataset.listing import ListedFolder
    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.whereabouts.unpaired import UnpairedFolder

_HEAD_BYTES = 4096
_HEADS = 5
"""Files of a folder that are opened to see what all of them are."""


class Look:
    """A look around a dataset. Nothing is listed before it is asked for.

    Attributes:
        evidence: The dataset.
        listing: Knows what was listed to find the dataset.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        search = evidence.dataset.search
        self.listing = search.listing if search is not None else Listing(evidence.dataset.storage)

    @cached_property
    def unpaired(self) -> Sequence[UnpairedFolder]:
        """Folders with images without label or labels without image."""
        return unpaired_folders(self.evidence.dataset)

    @cached_property
    def roots(self) -> Sequence[str]:
        """Folders that are looked around: the dataset's, the yaml's, and the one above where that is images/."""
        dataset = self.evidence.dataset
        roots = [dataset.root]
        if dataset.yaml_path is not None:
            roots.append(os.path.dirname(dataset.yaml_path))
        roots += [os.path.dirname(root) for root in roots if os.path.basename(root) == "images"]
        return list(dict.fromkeys(roots))

    @cached_property
    def near(self) -> Sequence[ListedFolder]:
        """Folders of the dataset and near it, within bounds."""
        return list(folders_near(self.listing, self.roots))

    def folder(self, path: str) -> ListedFolder | None:
        """One folder; None where it cannot be listed."""
        try:
            found = self.listing.folder(path)
        except TooManyFilesError:
            return None
        return None if found.error is not None else found

    @cached_property
    def _orphans(self) -> Mapping[str, frozenset[str]]:
        """Label folder of the dataset to the stems of its labels without image."""
        found: dict[str, frozenset[str]] = {
            label_dir: frozenset() for split in self.evidence.dataset.splits for label_dir in split.label_dirs
        }
        for folder in self.unpaired:
            found[folder.label_dir] |= frozenset(map(stem_of, folder.orphans))
        return found

    def free_labels(self, folder: ListedFolder) -> frozenset[str]:
        """Stems of the labels in a folder that belong to no image of the dataset."""
        if folder.path in self._orphans:
            return self._orphans[folder.path]
        return frozenset(stem_of(name) for name in folder.labels if is_label_name(name))

    def holds_label_rows(self, folder: str, stems: Sequence[str]) -> bool:
        """Whether one of these text files begins with a row of numbers, as captions do not; or all are empty."""
        storage = self.evidence.dataset.storage
        empty = 0
        chosen = a_few(stems)
        for stem in chosen:
            try:
                with storage.open(f"{folder}/{stem}.txt") as file:
                    head = file.read(_HEAD_BYTES).decode("utf-8-sig", "replace").split("\n", 1)[0]
            except OSError:
                continue
            tokens = head.replace(",", " ").split()
            empty += not tokens
            if sum(map(_is_number, tokens)) >= 4:
                return True
        return empty == len(chosen) > 0


def a_few(names: Sequence[str]) -> list[str]:
    """Some names from all over a folder, by their order."""
    return sorted(names)[:: max(1, len(names) // _HEADS)][:_HEADS]


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
