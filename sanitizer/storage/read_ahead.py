"""Reads many files in order: one by one from memory, ahead of the caller where a disk or a network is waited for.

A file in the page cache takes some microseconds of a processor, which nothing here makes quicker. Of any other file
most of the time is waiting. So the first files of a stretch are timed. Where only their content is waited for, files
are opened ahead and the kernel is told that they will be read: it has the disk read many at once, and no thread waits.
Where opening is waited for, as over a network, threads open and read.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeVar

from sanitizer.util.bounded_read import OPEN_FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")


class ReadAhead(Protocol):
    """`read_ahead`, or a function that does something more with each file and returns the same."""

    def __call__(
        self, paths: Sequence[str], read: Callable[[int], R], announce: Callable[[int], object]
    ) -> Iterator[R | OSError | ValueError]:
        """As `read_ahead`."""
        ...


SLOW_S = 30e-6
"""Seconds that one step takes where it waits. From the page cache each takes a few microseconds."""
TIMED, NOT_TIMED = 8, 248
"""How many items of a stretch are timed, and how many follow that are not where those were quick."""
FEWEST_TIMED, LONGEST_TIMING_S = 3, 2e-3
"""After so many items no further one is timed where they took so long."""
THREADED = 1024
"""Items that threads work on before others are timed: on a busy disk an open may wait though most would not."""
OPEN_AT_ONCE = 64
"""Files that are open while the kernel reads them."""
BUSY_S = 50e-6
"""Seconds of a processor for an item and for handing it over: more threads than waiting divided by this wait for it."""
MOST_THREADS = 64
ITEMS_OF_THREAD = 4
"""Items that a thread takes at once."""
CAN_ANNOUNCE = hasattr(os, "posix_fadvise")


def read_ahead(
    paths: Sequence[str], read: Callable[[int], R], announce: Callable[[int], object]
) -> Iterator[R | OSError | ValueError]:
    """What `read` returns for each file, in order, or the error in its place where it cannot be opened or read.

    Args:
        paths: The files.
        read: Reads from an open file, in any thread. What it returns is held for some hundred files at a time.
        announce: Tells by `will_need` what `read` will ask for. Called only where that alone is waited for.
    """
    done = 0
    while done < len(paths):
        opening, reading = _Times(), _Times()
        for path in paths[done : done + TIMED]:
            started = _waited_s()
            file = _open(path)
            opened = _waited_s()
            result = _read(file, read)
            opening.add(opened - started)
            reading.add(_waited_s() - opened)
            done += 1
            yield result
            if opening.enough or reading.enough:
                break
        if opening.slow or (reading.slow and not CAN_ANNOUNCE):
            some, wait_s = paths[done : done + THREADED], opening.usual_s + reading.usual_s
            yield from _in_threads(lambda path: open_and_read(path, read), some, wait_s)
            done += THREADED
            continue
        if reading.slow:
            yield from _announced(paths[done:], read, announce)
            return
        for path in paths[done : done + NOT_TIMED]:
            yield open_and_read(path, read)
        done += NOT_TIMED


def map_ahead(call: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`map(call, items)`, by threads while a call waits: for small calls such as `os.stat`."""
    done = 0
    while done < len(items):
        times = _Times()
        for item in items[done : done + TIMED]:
            started = _waited_s()
            result = call(item)
            times.add(_waited_s() - started)
            done += 1
            yield result
            if times.enough:
                break
        if times.slow:
            yield from _in_threads(call, items[done : done + THREADED], times.usual_s)
            done += THREADED
            continue
        yield from map(call, items[done : done + NOT_TIMED])
        done += NOT_TIMED


def opening_waits(paths: Sequence[str]) -> bool:
    """Whether to open files takes waiting, as over a network. Opens and closes some of them: neighbours in a folder."""
    times = _Times()
    for path in paths[:TIMED]:
        started = _waited_s()
        _read(_open(path), int)
        times.add(_waited_s() - started)
    return bool(paths) and times.slow


def will_need(file: int, start: int, length: int) -> None:
    """Have the kernel read a part of an open file, without waiting for it; nothing where the system cannot."""
    if CAN_ANNOUNCE:
        os.posix_fadvise(file, start, length, os.POSIX_FADV_WILLNEED)


def _waited_s() -> float:
    """A clock that stands still while this thread computes: in memory, too, some calls take a while."""
    return time.perf_counter() - time.thread_time()


class _Times:
    """Seconds that some items waited."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def enough(self) -> bool:
        return len(self._seconds) >= FEWEST_TIMED and sum(self._seconds) > LONGEST_TIMING_S

    @property
    def usual_s(self) -> float:
        """Three quarters of the items took this long or longer: the others may have been held up by chance."""
        return sorted(self._seconds)[len(self._seconds) // 4]

    @property
    def slow(self) -> bool:
        return self.usual_s > SLOW_S


def open_and_read(path: str, read: Callable[[int], R]) -> R | OSError | ValueError:
    """What `read` returns for one file, or the error in its place. The hot path where all is in memory."""
    try:
        file = os.open(path, OPEN_FLAGS)
        try:
            return read(file)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return error


def _open(path: str) -> int | OSError | ValueError:
    try:
        return os.open(path, OPEN_FLAGS)
    except (OSError, ValueError) as error:
        return error


def _read(file: int | OSError | ValueError, read: Callable[[int], R]) -> R | OSError | ValueError:
    """Read from an open file and close it. An error of opening it is passed on."""
    if not isinstance(file, int):
        return file
    try:
        return read(file)
    except (OSError, ValueError) as error:
        return error
    finally:
        os.close(file)


def _announced(
    paths: Sequence[str], read: Callable[[int], R], announce: Callable[[int], object]
) -> Iterator[R | OSError | ValueError]:
    """Files that are read while the kernel fetches those after them."""
    files: deque[int | OSError | ValueError] = deque()
    try:
        for path in paths:
            if len(files) == OPEN_AT_ONCE:
                yield _read(files.popleft(), read)
            file = _open(path)
            files.append(file)
            if isinstance(file, int):
                # A pipe, or a file system that takes no advice: reading tells.
                with contextlib.suppress(OSError):
                    announce(file)
        while files:
            yield _read(files.popleft(), read)
    finally:
        for left in files:
            if isinstance(left, int):
                os.close(left)


def _in_threads(call: Callable[[T], R], items: Sequence[T], wait_s: float) -> Iterator[R]:
    """`map(call, items)` by as many threads as an item of `wait_s` seconds is worth."""
    if not items:
        return
    from concurrent.futures import ThreadPoolExecutor  # not worth its time for a handful of files

    n_threads = min(MOST_THREADS, max(2, round(wait_s / BUSY_S)), max(1, len(items)))
    waiting: deque[Future[list[R]]] = deque()
    with ThreadPoolExecutor(n_threads, thread_name_prefix="read ahead") as threads:
        try:
            for start in range(0, len(items), ITEMS_OF_THREAD):
                if len(waiting) == 2 * n_threads:
                    yield from waiting.popleft().result()
                waiting.append(threads.submit(_call_all, call, items[start : start + ITEMS_OF_THREAD]))
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _call_all(call: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return list(map(call, items))
