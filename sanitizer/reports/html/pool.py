"""Work shared out to processes, in order and with a bar; a killed worker costs time, not the result."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

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
    several = jobs > 1 and processes.may_start()
    results = _in_processes(function, items, jobs, share) if several else map(function, items)
    return results if bar is None else _with_bar(results, weights, *bar)


def alone_if_large(n_bytes: int) -> AbstractContextManager[object]:
    """In a worker, what takes much memory waits for that of the others: together they take little more than one."""
    return _turn_of(_turns) if _turns and n_bytes > _turns.large_bytes else nullcontext()


LARGE_BYTES = 256 << 20
"""Memory that all workers may take at once without waiting for each other."""
LEAST_LARGE_BYTES = 32 << 20


@dataclass(frozen=True)
class _Turns:
    """What a worker is given: whoever wants more memory than this takes the lock."""

    lock: Any
    large_bytes: int


_turns: _Turns | None = None


LONGEST_WAIT_S = 60
"""A worker that waits longer goes on: the one before it may have been killed with the lock in its hand."""


@contextmanager
def _turn_of(turns: _Turns) -> Iterator[None]:
    taken = turns.lock.acquire(timeout=LONGEST_WAIT_S)
    try:
        yield
    finally:
        if taken:
            turns.lock.release()


def _in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, share: int
) -> Iterator[Result]:
    import multiprocessing

    from sanitizer.scanner.engines.memory import Throttle, memory_left
    from sanitizer.scanner.engines.pool import Pool

    context = multiprocessing.get_context(processes.start_method())
    with processes.no_strange_imports():  # a lock may start a process that looks after it
        lock = context.Lock()
    large_bytes = max(LARGE_BYTES // jobs, LEAST_LARGE_BYTES)
    each = partial(_each, function)
    shares = [items[at : at + share] for at in range(0, len(items), share)]
    pool = Pool(
        partial(_each_in_turn, large_bytes, function),
        lambda some, _: each(some),
        Throttle(jobs, memory_left, _say_nothing),
        _say_nothing,
        lock,
    )
    for _, results in pool.run(shares):
        yield from results


def _each_in_turn(
    large_bytes: int, function: Callable[[Item], Result], items: Sequence[Item]
) -> list[Result]:
    """In a worker: its turns are known before it begins."""
    from sanitizer.scanner.engines.worker import common_lock

    global _turns
    _turns = _Turns(common_lock(), large_bytes)
    return _each(function, items)


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return list(map(function, items))


def _say_nothing(sentence: str) -> None:
    """What memory was like is no matter to a reader of the page."""


def _with_bar(results: Iterable[Result], weights: Sequence[int], about: str, unit: str) -> Iterator[Result]:
    with bar_of(total=sum(weights), unit=unit, desc=about) as shown:
        for weight, result in zip(weights, results, strict=True):
            shown.update(weight)
            yield result
