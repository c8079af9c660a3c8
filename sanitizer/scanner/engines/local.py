"""The engine that needs nothing: this process, or worker processes when there is enough to do."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from sanitizer.scanner.chunks import judge
from sanitizer.scanner.engines.memory import Throttle, memory_left
from sanitizer.storage.read_ahead import TIMED, opening_waits
from sanitizer.util import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sanitizer.dataset.model import Dataset
    from sanitizer.images.image_files import ImageMode
    from sanitizer.scanner.cache import ChunkCache
    from sanitizer.scanner.chunks import Job
    from sanitizer.scanner.engines.agenda import Judged
    from sanitizer.scanner.engines.memory import ReadMemory
    from sanitizer.scanner.pieces import Piece

PAIRS_WORTH_A_POOL = {"none": 8000, "header": 4000, "decode": 1 if sys.platform == "linux" else 100}
"""Below this, starting processes costs more than it saves. Decoders are what crashes, so where a process costs but
milliseconds they never run in ours."""


REMOTE_PAIRS_WORTH_A_POOL = 1000
"""The same where a pair is two or three requests: some milliseconds of a client's work."""


PROCESSES_A_CORE_WAITING = 2
"""Worker processes for each core where to open a file takes waiting: one judges while another's threads wait."""


def run_locally(
    job: Job,
    cache: ChunkCache | None,
    pieces: Iterable[Piece],
    jobs: int | None,
    add_note: Callable[[str], None],
    memory: ReadMemory = memory_left,
) -> Iterator[Judged]:
    """Judge every piece, in order, in `jobs` processes; None takes the cores there are, when it is worth it.

    With `jobs` of 1, and for a few files whose pixels are not decoded, this process does it: nothing is quicker, but
    a file that ends the process reading it then ends the scan.

    Args:
        job: What every worker must know.
        cache: What is known already, or None.
        pieces: Asked for one at a time, as they are needed.
        jobs: Worker processes.
        add_note: Given sentences on how it went, for the report's notes.
        memory: Says how much memory is left.
    """
    jobs = processes_for(job.dataset, job.mode, jobs)
    # multiprocessing is not worth its time for a handful of files.
    if jobs > 1 and processes.may_start():
        from sanitizer.scanner.engines.culprit import judge_alone
        from sanitizer.scanner.engines.pool import Pool

        _load_readers(job.mode)
        return Pool(partial(judge, job, cache), judge_alone, Throttle(jobs, memory, add_note), add_note).run(
            pieces
        )
    return ((piece, judge(job, cache, piece)) for piece in pieces)


def processes_for(dataset: Dataset, mode: ImageMode, jobs: int | None) -> int:
    """How many processes judge a dataset; None: as many as are worth it."""
    if jobs is not None:
        return jobs
    worth = PAIRS_WORTH_A_POOL[mode]
    if dataset.storage.remote:
        worth = min(worth, REMOTE_PAIRS_WORTH_A_POOL)
    if len(dataset) < worth:
        return 1
    return usable_cores() * (PROCESSES_A_CORE_WAITING if _lies_behind_a_network(dataset) else 1)


def _lies_behind_a_network(dataset: Dataset) -> bool:
    """Whether files lie behind a network, though they look like files of this disk."""
    if dataset.storage.remote or dataset.packs:
        return False
    split = max(dataset.splits, key=len)
    middle = len(split) // 2
    return opening_waits([path for path in split.chunk(middle, middle + TIMED).images if path is not None])


def _load_readers(mode: ImageMode) -> None:
    """Import once what every worker would import for itself, some of it at its first image: forked ones have it."""
    if mode == "decode":
        from PIL import Image

        Image.preinit()


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
