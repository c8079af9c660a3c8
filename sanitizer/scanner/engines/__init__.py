"""Where pieces of a dataset are judged. Whatever the engine, results come in the order of the dataset."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from sanitizer.scanner.engines.local import run_locally
from sanitizer.scanner.pieces import mean_length, pieces
from sanitizer.util.bar import bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sanitizer.dataset.model import Dataset
    from sanitizer.scanner.chunks import ChunkResult, Job
    from sanitizer.scanner.engines.agenda import Judged

Engine = Literal["local", "ray"]


def run_job(
    job: Job, jobs: int | None, progress: bool, engine: Engine, add_note: Callable[[str], None]
) -> Iterator[ChunkResult]:
    """Judge every piece and hand its results over as soon as all before it were: none is kept here.

    Args:
        job: The dataset, the rules, and how to read images.
        jobs: Pieces judged at once; None leaves it to the engine.
        progress: Show a bar on stderr.
        engine: "local", or "ray" for a Ray cluster.
        add_note: Given sentences on how it went, for the report's notes.

    Raises:
        EngineError: The engine is not there or cannot do it.
    """
    todo = pieces(job.dataset, mean_length(job.dataset, job.mode))
    if engine == "ray":
        from sanitizer.scanner.engines.ray_ import run_on_ray

        for _, results in _with_bar(run_on_ray(job, todo, jobs, add_note), job.dataset, progress):
            yield from results
        return
    cache = job.cache()
    pieces_of = Counter[str]()
    for piece, results in _with_bar(run_locally(job, cache, todo, jobs, add_note), job.dataset, progress):
        pieces_of[job.dataset.splits[piece.split].name] += 1
        yield from results
    if cache is not None:
        cache.prune(pieces_of)


def _with_bar(judged: Iterable[Judged], dataset: Dataset, progress: bool) -> Iterator[Judged]:
    """Pass results through; with a bar on stderr, which counts image/label pairs where their number is known."""
    if not progress:
        yield from judged
        return
    layout = "{l_bar}{bar}| {elapsed}<{remaining}" if dataset.packs else None
    with bar(total=len(dataset), unit=" files", desc="scanning", bar_format=layout) as shown:
        for piece, results in judged:
            shown.update(len(piece))
            yield piece, results
