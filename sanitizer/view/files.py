"""The files of a view: labels are copied, also in a process of their own while images are linked here."""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sanitizer.labels.label_files import digest_of
from sanitizer.labels.single_file import small_labels
from sanitizer.scanner.engines.worker import Worker
from sanitizer.util import processes

if TYPE_CHECKING:
    from collections.abc import Sequence

WORTH_A_PROCESS = 8000
"""Pairs: below this, a process costs more than it saves."""
MOST_WAITING = 2
"""Batches that the process has at once."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


class LabelCopy(NamedTuple):
    """A label file to be copied into the view, if its bytes are still those that were scanned.

    Attributes:
        label: Absolute path in the dataset, where training looks for it.
        target: Path in the view's folder.
        digest: Of the bytes, as in LabelTable; 0 where there was no file.
    """

    label: str
    target: str
    digest: int


class LabelCopier:
    """Copies batches of labels into a folder, in order.

    Args:
        folder: Absolute path of the folder.
        n_pairs: How many labels there may be.
    """

    def __init__(self, folder: str, n_pairs: int) -> None:
        self._copy = partial(copy_labels, folder)
        in_another = n_pairs >= WORTH_A_PROCESS and processes.may_start()
        self._worker = Worker(self._copy) if in_another else None
        self._answers: deque[list[int]] = deque()
        self._waiting = 0

    @property
    def is_busy(self) -> bool:
        """Whether an answer is to be taken before more is asked for."""
        return self._waiting == (MOST_WAITING if self._worker else 1)

    def copy(self, labels: Sequence[LabelCopy]) -> None:
        """Copy labels now or soon. Raises OSError."""
        if self._worker is None:
            self._answers.append(self._copy(labels))
        else:
            self._worker.request(list(map(tuple, labels)))  # pickled sooner than with names
        self._waiting += 1

    def answer(self) -> list[int]:
        """Numbers of those of the next batch that were not copied, as `copy_labels` tells them. Raises OSError."""
        self._waiting -= 1
        if self._worker is None:
            return self._answers.popleft()
        answer: list[int] | None = self._worker.answer()
        if answer is None:
            raise ChildProcessError(errno.ECHILD, "the process that writes the view was ended")
        return answer

    def end(self) -> None:
        """Copy nothing more, whatever was asked for."""
        if self._worker is not None:
            self._worker.end()


def copy_labels(folder: str, labels: Sequence[LabelCopy]) -> list[int]:
    """Copy label files; returns the numbers of those that are not as they were scanned. Raises OSError."""
    other = []
    made = set[str]()
    contents = small_labels([label for label, _, _ in labels])
    for number, ((_, target, digest), read) in enumerate(zip(labels, contents, strict=True)):
        if isinstance(read, bytes) and digest_of(read) == digest:
            make_folder_of(folder, target, made)
            write_file(f"{folder}/{target}", read)
        elif digest or not isinstance(read, FileNotFoundError):
            other.append(number)
    return other


def write_file(path: str, content: bytes) -> None:
    """Write a new file."""
    file = os.open(path, _NEW_FILE, 0o666)
    try:
        written = os.write(file, content)
        while written < len(content):
            written += os.write(file, content[written:])
    finally:
        os.close(file)


def make_folder_of(folder: str, path: str, made: set[str]) -> None:
    """Make the folder of a path below `folder`, unless it is among those that were made."""
    parent = path[: path.rindex("/")]
    if parent not in made:
        os.makedirs(f"{folder}/{parent}", exist_ok=True)
        made.add(parent)


def link_image(image: str, target: str) -> None:
    """Make a symbolic link to an image; if that is not possible, a hard link; if that is not either, a copy."""
    try:
        os.symlink(image, target)
        return
    except (OSError, NotImplementedError):  # Windows: links need a right that few users have
        pass
    try:
        os.link(image, target)
    except OSError:  # another drive
        shutil.copyfile(image, target)
