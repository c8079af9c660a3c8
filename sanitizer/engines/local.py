"""The engine that needs nothing: this process, or a pool of worker processes when there is enough to do."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.work import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.cache import ChunkCache
    from sanitizer.dataset.images import ImageMode
    from sanitizer.work import ChunkResult, Job, Piece

PAIRS_WORTH_A_POOL = {"none": 8000, "header": 4000, "decode": 100}
"""Below this, starting processes costs more than it saves."""


def run_locally(
    job: Job, cache: ChunkCache | None, todo: Sequence[Piece], jobs: int | None
) -> Iterator[list[ChunkResult]]:
    """Judge every piece, in order, in `jobs` processes; None takes the cores there are, when it is worth it."""
    jobs = processes_for(len(job.dataset), job.mode, jobs, len(todo))
    if jobs > 1:
        return _in_processes(job, cache, todo, jobs)
    return map(partial(judge, job, cache), todo)


def processes_for(pairs: int, mode: ImageMode, jobs: int | None, pieces: int) -> int:
    """How many processes judge that many pairs in that many pieces; None: as many as are worth it."""
    if jobs is None:
        jobs = _usable_cores() if pairs >= PAIRS_WORTH_A_POOL[mode] else 1
    return min(jobs, pieces)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_worker: tuple[Job, ChunkCache | None] | None = None


def _start_worker(job: Job, cache: ChunkCache | None) -> None:
    global _worker
    _worker = (job, cache)


def _judge_in_worker(piece: Piece) -> list[ChunkResult]:
    assert _worker is not None
    return judge(*_worker, piece)


def _in_processes(
    job: Job, cache: ChunkCache | None, todo: Sequence[Piece], jobs: int
) -> Iterator[list[ChunkResult]]:
    import multiprocessing  # neither is needed, nor worth its time, for a handful of files
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # A forked worker has the dataset and the rules already; elsewhere they are pickled once.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(job, cache))
    done = 0
    try:
        for result in pool.map(_judge_in_worker, todo):
            done += 1
            yield result
    except BrokenProcessPool:
        # Somebody killed a worker, most likely the system for want of memory: go on alone, a chunk at a time.
        yield from map(partial(judge, job, cache), todo[done:])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
