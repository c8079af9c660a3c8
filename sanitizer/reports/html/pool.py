"""Work shared out to processes, in order and with a bar; a killed worker costs time, not the result."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sanitizer.util import processes
from sanitizer.util.bar import bar as bar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

Item = TypeVar("Item")
Result = TypeVar("Result")


def share_out(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    share: int,
    weights: Sequence[int],
    bar: tuple[str, str] | None,
) -> Iterator[Result]:
    """`function` of each item, in the order of the items.

    Args:
        function: Can be pickled, as items and results can.
        items: What there is to do.
        jobs: Processes; 1 works in this one.
        share: Items handed to a worker at a time.
        weights: How far the bar moves on for each item.
        bar: (what is done, unit) of a bar on stderr, or None for no bar.
    """
    results = _in_processes(function, items, jobs, share) if jobs > 1 else map(function, items)
    return results if bar is None else _with_bar(results, weights, *bar)


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def alone_if_large(n_bytes: int) -> AbstractContextManager[object]:
    """In a worker, what takes much memory waits for that of the others: together they take little more than one."""
    return _turns.lock if _turns and n_bytes > _turns.large_bytes else nullcontext()


LARGE_BYTES = 256 << 20
"""Memory that all workers may take at once without waiting for each other."""
LEAST_LARGE_BYTES = 32 << 20


@dataclass(frozen=True)
class _Turns:
    """What a worker is given: whoever wants more memory than this takes the lock."""

    lock: AbstractContextManager[object]
    large_bytes: int


_turns: _Turns | None = None


def _take_turns(turns: _Turns) -> None:
    global _turns
    _turns = turns


def _in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, share: int
) -> Iterator[Result]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    with processes.no_strange_imports():
        context = multiprocessing.get_context(processes.start_method())
        turns = _Turns(context.Lock(), max(LARGE_BYTES // jobs, LEAST_LARGE_BYTES))
        # A worker that dies with the lock in its hand ends the others, too: the pool is broken then.
        pool = ProcessPoolExecutor(jobs, context, _take_turns, (turns,))
    done = 0
    try:
        with processes.no_strange_imports():
            results = pool.map(function, items, chunksize=share)
        for result in results:
            done += 1
            yield result
    except BrokenProcessPool:
        # Somebody killed a worker, most likely the system for want of memory: go on alone, an item at a time.
        yield from map(function, items[done:])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _with_bar(results: Iterable[Result], weights: Sequence[int], about: str, unit: str) -> Iterator[Result]:
    with bar_of(total=sum(weights), unit=unit, desc=about) as shown:
        for weight, result in zip(weights, results, strict=True):
            shown.update(weight)
            yield result
