"""What is done to a dataset piece by piece: read one, run the rules on it, keep its findings and a summary.

A worker holds one chunk at a time. Where workers are is the business of `sanitizer.engines`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from sanitizer.dataset.images import read_images
from sanitizer.dataset.labels import read_labels
from sanitizer.dataset.tables import ChunkTables, FileStatus, ImageStatus
from sanitizer.rules.engine import run_chunk, summarise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.cache import ChunkCache
    from sanitizer.dataset.images import ImageMode
    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.remote_storage import RemoteStorage
    from sanitizer.dataset.tables import Chunk, TaskSpec
    from sanitizer.findings import Finding
    from sanitizer.rules.engine import RuleSet
    from sanitizer.rules.survey import ChunkSummary

PAIRS_PER_CHUNK = {"none": 4096, "header": 2048, "decode": 64}
"""Mean chunk length: long enough to vectorise, short enough to share out and to show progress."""


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What is kept of a chunk once it was judged."""

    findings: Sequence[Finding]
    summary: ChunkSummary
    unread: int = 0
    """Files that a remote storage did not hand over, whatever was tried: the result is no judgement on them."""


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
        if not self.use_cache or self.dataset.files_only or not self.dataset.tells_changes():
            return None
        from sanitizer.cache import ChunkCache

        rules = (self.ruleset.digest, repr(self.spec), self.mode)
        return ChunkCache.open(self.dataset.storage.url(self.dataset.yaml_path or self.dataset.root), rules)


@dataclass(frozen=True, slots=True)
class Piece:
    """Pairs start to stop of one split: a chunk before its paths are spelled out."""

    split: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


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


def judge(job: Job, cache: ChunkCache | None, piece: Piece) -> list[ChunkResult]:
    """Read one piece, a chunk at a time, and run the rules on it, or take what the cache knows of it."""
    split = job.dataset.splits[piece.split]
    if cache is None:
        return [_judge_files(job, split.chunk(piece.start, piece.stop))]
    key = cache.key(split, piece.start, piece.stop)
    known = cache.load(key)
    if known is not None:
        return [ChunkResult(*known)]
    result = _judge_files(job, split.chunk(piece.start, piece.stop))
    if result.unread:
        return [result]
    cache.store(key, result.findings, result.summary)
    return [result]


def _judge_files(job: Job, chunk: Chunk) -> ChunkResult:
    if not job.dataset.storage.remote:
        return _judge_local_files(job, chunk)
    from sanitizer.dataset.remote_reading import read_chunk

    tables = read_chunk(cast("RemoteStorage", job.dataset.storage), chunk, job.spec, job.mode)
    unread = int((tables.labels.status == FileStatus.UNREADABLE).sum())
    unread += int((tables.images.status == ImageStatus.UNREADABLE).sum())
    return replace(judge_tables(job, tables), unread=unread)


def _judge_local_files(job: Job, chunk: Chunk) -> ChunkResult:
    labels = read_labels(chunk.labels, job.spec)
    return judge_tables(job, ChunkTables(chunk, labels, read_images(chunk.images, job.mode)))


def judge_tables(job: Job, tables: ChunkTables) -> ChunkResult:
    """Run the rules on a chunk that was read."""
    findings = run_chunk(tables, job.spec, job.ruleset, job.dataset.root)
    return ChunkResult(findings, summarise(tables, job.spec))
