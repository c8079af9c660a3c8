"""Where pieces of a dataset are judged. Whatever the engine, results come in the order of the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.engines.local import run_locally
from sanitizer.work import PAIRS_PER_CHUNK, pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sanitizer.work import ChunkResult, Job, Piece


def run_job(job: Job, jobs: int | None, progress: bool) -> Iterator[ChunkResult]:
    """Judge every piece and hand its results over as soon as all before it were: none is kept here."""
    todo = list(pieces(job.dataset, PAIRS_PER_CHUNK[job.mode]))
    cache = job.cache()
    for results in _with_bar(run_locally(job, cache, todo, jobs), todo, progress):
        yield from results
    if cache is not None:
        cache.prune(len(todo))


def _with_bar(
    results: Iterable[list[ChunkResult]], todo: Sequence[Piece], progress: bool
) -> Iterator[list[ChunkResult]]:
    """Pass results through; with a bar on stderr that counts image/label pairs."""
    if not progress:
        yield from results
        return
    from tqdm import tqdm

    total = sum(map(len, todo))
    with tqdm(total=total, unit=" files", unit_scale=True, leave=False, desc="scanning", delay=0.5) as bar:
        for piece, result in zip(todo, results, strict=True):
            bar.update(len(piece))
            yield result
