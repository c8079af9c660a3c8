"""Sends many requests at a time, and returns their results in order."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeVar, cast

from sanitizer.storage import retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sanitizer.storage.base import Storage
    from sanitizer.storage.remote import RemoteStorage

BYTES_IN_FLIGHT = 64 << 20
"""The most bytes that are requested ahead of the caller. This bounds memory where images are read whole."""

UNKNOWN_WEIGHT = 1 << 20
"""Assumed bytes of a file of unknown size. So many of the largest allowed files fit into memory."""

T = TypeVar("T")
R = TypeVar("R")


def concurrently(call: Callable[[T], R], items: Iterable[T], weight: Callable[[T], int]) -> Iterator[R]:
    """`call` of every item, in order, `in_flight` at a time while their weights are below `BYTES_IN_FLIGHT`."""
    open_at_once = retries.RETRY_POLICY.in_flight
    abandoned = threading.Event()
    threads = _threads(os.getpid(), open_at_once)
    waiting: deque[tuple[Future[R], int]] = deque()
    total = 0
    try:
        for item in items:
            heavy = weight(item)
            # Twice as many requests wait as are open, so that a slow first one does not hold up the others.
            while waiting and (len(waiting) >= 2 * open_at_once or total + heavy > BYTES_IN_FLIGHT):
                future, done = waiting.popleft()
                total -= done
                yield future.result()
            waiting.append((threads.submit(retries.call_until_abandoned, abandoned, call, item), heavy))
            total += heavy
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        # If the caller stopped early: Python waits for threads at exit, and these may have many tries left.
        abandoned.set()
        for future, _ in waiting:
            future.cancel()


@lru_cache(maxsize=1)
def _threads(_process: int, number: int) -> ThreadPoolExecutor:
    """The threads of this process: threads do not survive a fork."""
    return ThreadPoolExecutor(number, thread_name_prefix="sanitize-fetch")


def first_bytes(storage: Storage, paths: Sequence[str], length: int) -> Iterator[bytes]:
    """The first `length` bytes of each file; b"" for a file that cannot be read. Shorter files are kept in `kept`."""
    remote = cast("RemoteStorage", storage)

    def fetch(path: str) -> bytes:
        try:
            data = remote.fetch(path, 0, length)[0]
        except OSError:
            return b""
        if len(data) < length:
            remote.kept[path] = data
        return data

    return concurrently(fetch, paths, lambda _: length)


def whole_files(
    storage: Storage, paths: Sequence[str | None], limit: int, sizes: Sequence[int] | None = None
) -> Iterator[bytes | OSError | None]:
    """All bytes of each file, up to `limit`, or the error of reading it; None for None. `sizes`: -1 where unknown."""
    sizes = sizes or [-1] * len(paths)
    return concurrently(partial(_whole, storage, limit), list(zip(paths, sizes, strict=True)), label_weight)


def label_weight(item: tuple[str | None, int]) -> int:
    """Bytes that are assumed for a (path, size)."""
    return max(item[1], 1024) if item[1] >= 0 else UNKNOWN_WEIGHT


def _whole(storage: Storage, limit: int, item: tuple[str | None, int]) -> bytes | OSError | None:
    """All bytes of a file, or the error of reading it."""
    path, size = item
    remote = cast("RemoteStorage", storage)
    if path is None:
        return None
    if path in remote.kept:
        return remote.kept.pop(path)
    try:
        return remote.fetch(path, 0, None, size, limit)[0]
    except OSError as error:
        return error
