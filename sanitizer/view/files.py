"""The images and labels of a view: written here, or in a process of its own while the next ones are judged."""

from __future__ import annotations

import errno
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sanitizer.scanner.engines.worker import Worker
from sanitizer.util import processes

if TYPE_CHECKING:
    from collections.abc import Sequence

WORTH_A_PROCESS = 8000
"""Pairs: below this, a process costs more than it saves."""
MOST_WAITING = 2
"""Batches that the process has at once."""


class ViewPair(NamedTuple):
    """An image and its label, to be written.

    Attributes:
        image: Absolute path of the image in the dataset.
        target: Path of the image in the view's folder.
        copied: The view gets a copy of the image, not a link to it.
        label: Path of the label in the view's folder.
        content: Bytes of the label; None if there is none.
    """

    image: str
    target: str
    copied: bool
    label: str
    content: bytes | None


class FileWriter:
    """Writes pairs into a folder.

    Args:
        folder: Absolute path of the folder.
        n_pairs: How many pairs there may be.
    """

    def __init__(self, folder: str, n_pairs: int) -> None:
        self._write = partial(write_pairs, folder)
        in_another = n_pairs >= WORTH_A_PROCESS and processes.may_start()
        self._worker = Worker(self._write) if in_another else None
        self._waiting = 0

    def write(self, pairs: Sequence[ViewPair]) -> None:
        """Write pairs now or soon. Raises OSError, also of earlier ones."""
        if self._worker is None:
            self._write(pairs)
            return
        if self._waiting == MOST_WAITING:
            self._wait(self._worker)
        self._worker.request(list(map(tuple, pairs)))  # pickled sooner than with names
        self._waiting += 1

    def finish(self) -> None:
        """Wait until all is written. Raises OSError."""
        while self._worker is not None and self._waiting:
            self._wait(self._worker)

    def end(self) -> None:
        """Write nothing more, whatever was asked for."""
        if self._worker is not None:
            self._worker.end()

    def _wait(self, worker: Worker) -> None:
        self._waiting -= 1
        if worker.answer() is None:
            raise ChildProcessError(errno.ECHILD, "the process that writes the view was ended")


def write_pairs(folder: str, pairs: Sequence[ViewPair]) -> int:
    """Link or copy each image, and write its label; returns how many pairs. Raises OSError."""
    made = set[str]()
    for image, target, copied, label, content in pairs:
        _make_folder_of(folder, target, made)
        if copied:
            shutil.copyfile(image, f"{folder}/{target}")
        else:
            _link(image, f"{folder}/{target}")
        if content is not None:
            _make_folder_of(folder, label, made)
            write_file(f"{folder}/{label}", content)
    return len(pairs)


def write_file(path: str, content: bytes) -> None:
    """Write a new file."""
    with open(path, "wb", buffering=0) as file:
        written = file.write(content)
        while written < len(content):
            written += file.write(content[written:])


def _make_folder_of(folder: str, path: str, made: set[str]) -> None:
    parent = path[: path.rindex("/")]
    if parent not in made:
        os.makedirs(f"{folder}/{parent}", exist_ok=True)
        made.add(parent)


def _link(image: str, target: str) -> None:
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
