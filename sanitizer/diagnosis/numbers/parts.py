"""Parts of a dataset that were written by one tool: all label files, a split, a folder."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.label_sample import SampleFile, SampleRow

T = TypeVar("T")
Row = tuple["SampleFile", "SampleRow"]
"""A row with its file."""
MIN_ROWS = 2
"""One row may be a slip of its own."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some label files of a dataset.

    Attributes:
        files: Those that were read.
        split: Name of the only split they are in; None for any.
        folder: The only folder they are in, relative to the dataset root; None for any.
    """

    files: Sequence[SampleFile]
    split: str | None = None
    folder: str | None = None

    def named(self) -> str:
        """Reads on after "rows": "" or " of val" or " in labels/site2"."""
        if self.folder is not None:
            return f" in {self.folder or 'the dataset root'}"
        return f" of {self.split}" if self.split is not None else ""

    def holds(self, split: str | None, label: str) -> bool:
        """Whether a label file is of this part, read or not."""
        if self.split is not None and split != self.split:
            return False
        return self.folder is None or posixpath.dirname(label) == self.folder


def parts_where(files: Sequence[SampleFile], judge: Callable[[Part], T | None]) -> Iterator[T]:
    """What `judge` finds in the largest parts of these files for which it finds something: all, splits, folders."""
    whole = Part(files)
    if not files:
        return
    if (found := judge(whole)) is not None:
        yield found
        return
    splits = _grouped(files, lambda file: file.split)
    for split, of_split in splits.items():
        found = judge(Part(of_split, split)) if len(splits) > 1 else None
        if found is not None:
            yield found
            continue
        folders = _grouped(of_split, lambda file: posixpath.dirname(file.label))
        for folder, of_folder in folders.items() if len(folders) > 1 else ():
            if (found := judge(Part(of_folder, split, folder))) is not None:
                yield found


def parts_with_rows(
    files: Sequence[SampleFile],
    is_of_kind: Callable[[SampleRow], bool],
    judge: Callable[[Part, list[Row], int], T | None],
) -> Iterator[T]:
    """What `judge` finds in the largest parts of the files that have a row of some kind.

    Args:
        files: Files that may have such rows.
        is_of_kind: Whether a row is one.
        judge: Takes a part, its rows of the kind (at least `MIN_ROWS`), and how many rows it has in all.
    """

    def judge_part(part: Part) -> T | None:
        rows = [(file, row) for file in part.files for row in file.rows if is_of_kind(row)]
        return (
            judge(part, rows, sum(len(file.rows) for file in part.files)) if len(rows) >= MIN_ROWS else None
        )

    yield from parts_where([file for file in files if any(map(is_of_kind, file.rows))], judge_part)


def _grouped(files: Sequence[SampleFile], key: Callable[[SampleFile], str]) -> dict[str, list[SampleFile]]:
    groups: dict[str, list[SampleFile]] = {}
    for file in files:
        groups.setdefault(key(file), []).append(file)
    return groups


def labelled_files(evidence: Evidence, split: str | None = None) -> int:
    """Number of label files of a split or of all, read or not."""
    return sum(sums.labels for sums in evidence.survey.splits if split in (None, sums.name))
