"""Where chunks run: in this process, or in a pool of worker processes when there is enough to do.

A worker holds one chunk at a time, so memory does not grow with the dataset beyond the findings and some dozen
bytes an image.
"""

from __future__ import annotations

import os
import sys
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.dataset.images import read_images
from sanitizer.dataset.labels import read_labels
from sanitizer.dataset.tables import ChunkTables
from sanitizer.rules.engine import run_chunk, summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sanitizer.cache import ChunkCache
    from sanitizer.dataset.images import ImageMode
    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.tables import Chunk, TaskSpec
    from sanitizer.findings import Finding
    from sanitizer.rules.engine import RuleSet
    from sanitizer.rules.survey import ChunkSummary

PAIRS_PER_CHUNK = {"none": 4096, "header": 2048, "decode": 64}
"""Mean chunk length: long enough to vectorise, short enough to share out and to show progress."""

PAIRS_WORTH_A_POOL = {"none": 8000, "header": 4000, "decode": 100}
"""Below this, starting processes costs more than it saves."""


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What is kept of a chunk once it was judged."""

    findings: Sequence[Finding]
    summary: ChunkSummary


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker must know to judge any chunk of one dataset."""

    dataset: Dataset
    spec: TaskSpec
    ruleset: RuleSet
    mode: ImageMode
    use_cache: bool = True

    def cache(self) -> ChunkCache | None:
        """The store for this dataset under these rules, or None where caching is off."""
        if not self.use_cache or self.dataset.files_only:
            return None
        from sanitizer.cache import ChunkCache

        rules = (self.ruleset.digest, repr(self.spec), self.mode)
        return ChunkCache.open(self.dataset.yaml_path or self.dataset.root, rules)


@dataclass(frozen=True, slots=True)
class Piece:
    """Pairs start to stop of one split: a chunk before its paths are spelled out."""

    split: int
    start: int
    stop: int


def pieces(dataset: Dataset, mean_length: int) -> Iterator[Piece]:
    """Cut every split where a hash of the file name says so, at most four mean lengths apart.

    Cuts that depend on names rather than on positions stay where they are when files come and go, so that the
    cache of all other chunks stays good.
    """
    for number, split in enumerate(dataset.splits):
        start = 0
        for cut in _cuts(split, mean_length):
            yield Piece(number, start, cut)
            start = cut


def _cuts(split: Split, mean_length: int) -> Iterator[int]:
    names, ends = split.names, split.offsets.tolist()
    start = 0
    for i in range(1, len(split)):
        if i - start >= 4 * mean_length or zlib.crc32(names[ends[i] : ends[i + 1]]) % mean_length == 0:
            yield i
            start = i
    if len(split):
        yield len(split)


def judge(job: Job, cache: ChunkCache | None, piece: Piece) -> ChunkResult:
    """Read one chunk and run the rules on it, or take what the cache knows of it."""
    split = job.dataset.splits[piece.split]
    if cache is None:
        return _judge_files(job, split.chunk(piece.start, piece.stop))
    key = cache.key(split, piece.start, piece.stop)
    known = cache.load(key)
    if known is not None:
        return ChunkResult(*known)
    result = _judge_files(job, split.chunk(piece.start, piece.stop))
    cache.store(key, result.findings, result.summary)
    return result


def _judge_files(job: Job, chunk: Chunk) -> ChunkResult:
    tables = ChunkTables(chunk, read_labels(chunk.labels, job.spec), read_images(chunk.images, job.mode))
    findings = run_chunk(tables, job.spec, job.ruleset, job.dataset.root)
    return ChunkResult(findings, summarise(tables, job.spec))


def run_job(job: Job, jobs: int | None, progress: bool) -> list[ChunkResult]:
    """Judge every chunk; results come in the order of the dataset, whatever process made them."""
    todo = list(pieces(job.dataset, PAIRS_PER_CHUNK[job.mode]))
    n_pairs = len(job.dataset)
    cache = job.cache()
    if jobs is None:
        jobs = _usable_cores() if n_pairs >= PAIRS_WORTH_A_POOL[job.mode] else 1
    jobs = min(jobs, len(todo))
    results = list(
        _with_bar(
            _in_processes(job, cache, todo, jobs) if jobs > 1 else map(partial(judge, job, cache), todo),
            todo,
            progress,
        )
    )
    if cache is not None:
        cache.prune(len(todo))
    return results


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_worker: tuple[Job, ChunkCache | None] | None = None


def _start_worker(job: Job, cache: ChunkCache | None) -> None:
    global _worker
    _worker = (job, cache)


def _judge_in_worker(piece: Piece) -> ChunkResult:
    assert _worker is not None
    return judge(*_worker, piece)


def _in_processes(
    job: Job, cache: ChunkCache | None, todo: Sequence[Piece], jobs: int
) -> Iterator[ChunkResult]:
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


def _with_bar(results: Iterable[ChunkResult], todo: Sequence[Piece], progress: bool) -> Iterator[ChunkResult]:
    """Pass results through; with a bar on stderr that counts image/label pairs."""
    if not progress:
        yield from results
        return
    from tqdm import tqdm

    total = sum(p.stop - p.start for p in todo)
    with tqdm(total=total, unit=" files", unit_scale=True, leave=False, desc="scanning", delay=0.5) as bar:
        for piece, result in zip(todo, results, strict=True):
            bar.update(piece.stop - piece.start)
            yield result
