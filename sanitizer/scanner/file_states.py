"""The states of files on the disk: what a cache entry is good for. Asked for, or noted while files are read.

A state is the modification time in ns, and the sum of change time and size; -1 for no file. The change time moves with
all that findings depend on: content, rights, kind of file. Nobody can set it. (Windows has none: there it is the size
that counts.)
"""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sanitizer.storage.read_ahead import map_ahead, open_and_read, read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Split

R = TypeVar("R")


class SeenStates:
    """The states that the files of some pairs had just before they were read.

    To note a state while a file is open costs no request more where files lie behind a network, and little elsewhere.

    Attributes:
        started_s: `time.time()` before the first of them was read.
    """

    def __init__(self) -> None:
        self.started_s = time.time()
        self._images: array[int] = array("q")
        self._labels: array[int] = array("q")

    def images(
        self, paths: Sequence[str], read: Callable[[int], R], announce: Callable[[int], object]
    ) -> Iterator[R | OSError | ValueError]:
        """`read_ahead` of the images: it notes their states."""
        return _noted(self._images, paths, read, announce)

    def labels(
        self, paths: Sequence[str], read: Callable[[int], R], announce: Callable[[int], object]
    ) -> Iterator[R | OSError | ValueError]:
        """`read_ahead` of the labels: it notes their states."""
        return _noted(self._labels, paths, read, announce)

    def of(self, split: Split, start: int, stop: int) -> NDArray[np.int64]:
        """The same as `states_on_disk`, of pairs that were all read once."""
        states = np.full((stop - start, 4), -1, np.int64)
        states[split.has_image[start:stop], :2] = np.array(self._images).reshape(-1, 2)
        states[split.has_label[start:stop], 2:] = np.array(self._labels).reshape(-1, 2)
        return states


def _noted(
    states: array[int],
    paths: Sequence[str],
    read: Callable[[int], R],
    announce: Callable[[int], object],
) -> Iterator[R | OSError | ValueError]:
    def note_and_read(file: int) -> tuple[tuple[int, int], R]:
        return _state(os.fstat(file)), read(file)

    for path, noted in zip(paths, read_ahead(paths, note_and_read, announce), strict=True):
        if isinstance(noted, Exception):  # of what cannot be read, too, the state is older than the answer
            states.extend(_odd_state(path))
            yield open_and_read(path, read)
        else:
            states.extend(noted[0])
            yield noted[1]


def states_on_disk(split: Split, start: int, stop: int) -> NDArray[np.int64]:
    """int64 (stop - start, 4): the states of image and label of each pair from start to stop, asked for now."""
    pairs = slice(start, stop)
    dirs, folders = np.unique(split.dir_index[pairs], return_inverse=True)
    has_image, has_label = split.has_image[pairs], split.has_label[pairs]
    image_names, label_names = split.file_names(start, stop), split.label_names(start, stop)
    states = np.empty((stop - start, 4), np.int64)
    by_folder = np.argsort(folders, kind="stable")
    ends = np.searchsorted(folders[by_folder], np.arange(len(dirs) + 1))
    for n, d in enumerate(dirs.tolist()):
        here = by_folder[ends[n] : ends[n + 1]]
        images, labels = ([names[i] for i in here.tolist()] for names in (image_names, label_names))
        states[here, :2] = _states(split.image_dirs[d], images, has_image[here])
        states[here, 2:] = _states(split.label_dirs[d], labels, has_label[here])
    return states


def newest_mtime_s(states: NDArray[np.int64]) -> float:
    """When the last of these files was modified, in seconds since 1970; 0 where there is none."""
    return float(states[:, [0, 2]].max(initial=0)) / 1e9


def _states(folder: str, names: Sequence[str], exists: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 (N, 2): the state of each name."""
    result = np.full((len(names), 2), -1, np.int64)
    if not exists.all():
        at = np.flatnonzero(exists)
        if len(at):
            result[at] = _states(folder, [names[i] for i in at.tolist()], exists[at])
        return result
    with _stat_in(folder) as stat:
        try:
            result[:] = [(s.st_mtime_ns, s.st_ctime_ns + s.st_size) for s in map_ahead(stat, names)]
        except (OSError, ValueError):  # one of them is gone or odd: find out which
            result[:] = list(map_ahead(_odd_state, [f"{folder}/{name}" for name in names]))
    return result


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_ctime_ns + status.st_size


def _odd_state(path: str) -> tuple[int, int]:
    """The state of any path; of a link that leads nowhere, the state of the link: findings say where it leads."""
    with contextlib.suppress(OSError, ValueError):
        return _state(os.stat(path))
    with contextlib.suppress(OSError, ValueError):
        return -1, os.lstat(path).st_ctime_ns
    return -1, -1


@contextlib.contextmanager
def _stat_in(path: str) -> Iterator[Callable[[str], os.stat_result]]:
    """A function that stats names in a folder: relative to it, so that its path is walked only once."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        yield lambda name: os.stat(f"{path}/{name}")
        return
    try:
        yield lambda name: os.stat(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
