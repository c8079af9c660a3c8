"""What is done to a dataset piece by piece: read one, run the rules on it, keep its findings and a summary.

A worker holds one chunk at a time. Where workers are is the business of `sanitizer.scanner.engines`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from sanitizer.dataset.tables import ChunkTables, FileStatus, ImageStatus
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import TooMuchAtOnceError, parse_arriving, read_labels
from sanitizer.rules.engine import place_findings, run_chunk, summarise
from sanitizer.scanner.pieces import PackPiece
from sanitizer.ultra.run_verdict import Stop
from sanitizer.util import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.left_out import LeftOut
    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.tables import Chunk, TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.images.image_files import ImageMode
    from sanitizer.rules.engine import RuleSet
    from sanitizer.rules.survey import ChunkSummary
    from sanitizer.scanner.cache import ChunkCache
    from sanitizer.scanner.file_states import SeenStates
    from sanitizer.scanner.pieces import Piece
    from sanitizer.storage.remote import RemoteStorage


@dataclass(frozen=True, slots=True, eq=False)
class ChunkResult:
    """What is kept of a chunk once it was judged."""

    findings: Sequence[Finding]
    summary: ChunkSummary
    pairs: Split | None = None
    """Names of the chunk's pairs, where the dataset did not know them before: it was read from a packed file."""
    unread: int = 0
    """Files that a remote storage did not hand over, whatever was tried: the result is no judgement on them."""
    stops: Sequence[Stop] = ()
    """What would stop training, where it is known of a packed file only after reading."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Everything a worker must know to judge any chunk of one dataset.

    Attributes:
        head_strides: Split name to how many of its label files one leaves its head of (`sanitizer.labels.heads`); empty
            on a disk.
    """

    dataset: Dataset
    spec: TaskSpec
    ruleset: RuleSet
    mode: ImageMode
    use_cache: bool = True
    head_strides: Mapping[str, int] = field(default_factory=dict)

    def cache(self) -> ChunkCache | None:
        """The store for this dataset under these rules, or None where caching is off."""
        if not self.use_cache or self.dataset.files_only or not self.dataset.has_all_stamps():
            return None
        from sanitizer.scanner.cache import ChunkCache

        root = self.dataset.storage.url(self.dataset.root)
        yaml_path = self.dataset.yaml_path
        name = self.dataset.storage.url(yaml_path) if yaml_path else root
        depends_on = (root, self.ruleset.digest, repr(self.spec), self.mode)
        return ChunkCache.open(name, depends_on, frozenset(self.ruleset.rules))


def judge(
    job: Job, cache: ChunkCache | None, piece: Piece, left_out: LeftOut | None = None
) -> list[ChunkResult]:
    """Read one piece, a chunk at a time, and run the rules on it, or take what the cache knows of it.

    Files that are `left_out` are not read: findings name them. Memory may have been short for them today, so the
    cache does not come to know of it.
    """
    if isinstance(piece, PackPiece):
        return list(_judge_packed(job, piece, left_out))
    split = job.dataset.splits[piece.split]
    if left_out:
        return [_judge_rest(job, split.chunk(piece.start, piece.stop), left_out)]
    if _is_heavy(split, piece, job.spec.max_label_bytes):
        return [result for half in piece.halves() for result in judge(job, cache, half)]
    if cache is None:
        return _judge_files(job, split, piece.start, piece.stop)
    pairs, key, seen = (split, piece.start, piece.stop), None, None
    if _reads_every_file(job) and not cache.has_entry(*pairs):
        from sanitizer.scanner.file_states import SeenStates

        seen = SeenStates()
    else:
        key = cache.key(*pairs)
        known = cache.load(key)
        if known is not None:
            return [ChunkResult(*known)]
    results = _judge_files(job, *pairs, seen)
    if len(results) == 1 and not results[0].unread:
        cache.store(key or cache.key(*pairs, seen), results[0].findings, results[0].summary)
    return results


def _reads_every_file(job: Job) -> bool:
    """Whether each image and label of a chunk is opened once by `read_images` and `read_labels`."""
    return not job.dataset.storage.remote and job.mode != "none" and job.spec.task != "semantic"


def _is_heavy(split: Split, piece: Piece, most_of_one: int) -> bool:
    """Whether its labels, of which a listing tells the sizes, are too many bytes to be judged at once."""
    if split.states is None or len(piece) < 2:
        return False
    sizes = split.states[piece.start : piece.stop, 2]
    return int(sizes[sizes <= most_of_one].sum()) > limits.CHUNK_LABEL_BYTES


MOST_TABLE_BYTES = 192 << 20
"""A chunk whose label table would be larger is judged in parts: a handful of labels of some megabytes each, or
links to one of them, would fill the memory."""


def _judge_files(
    job: Job, split: Split, start: int, stop: int, seen: SeenStates | None = None
) -> list[ChunkResult]:
    """Read pairs start to stop of a split and run the rules on them, in parts where their labels are large.

    `seen` notes the states of files; where there are several parts, they are of no use.
    """
    results = []
    while start < stop:
        end = stop
        while True:
            try:
                results.append(_judge_chunk(job, split.chunk(start, end), seen))
                break
            except TooMuchAtOnceError as error:
                end = start + error.n_fit
        start = end
    return results


def _judge_chunk(job: Job, chunk: Chunk, seen: SeenStates | None) -> ChunkResult:
    tables = _read(job, chunk, replace(job.spec, max_table_bytes=MOST_TABLE_BYTES), seen)
    unread = 0
    if job.dataset.storage.remote:
        unread = int((tables.labels.status == FileStatus.UNREADABLE).sum())
        unread += int((tables.images.status == ImageStatus.UNREADABLE).sum())
    return replace(judge_tables(job, tables), unread=unread)


def _judge_rest(job: Job, chunk: Chunk, left_out: LeftOut) -> ChunkResult:
    from sanitizer.dataset.left_out import named, without

    return judge_tables(job, named(_read(job, without(chunk, left_out), job.spec), chunk, left_out))


def _read(job: Job, chunk: Chunk, spec: TaskSpec, seen: SeenStates | None = None) -> ChunkTables:
    if job.dataset.storage.remote:
        from sanitizer.scanner.remote_reading import read_chunk

        stride = job.head_strides.get(chunk.split, 0)
        return read_chunk(cast("RemoteStorage", job.dataset.storage), chunk, job.spec, job.mode, stride)
    if spec.task == "semantic":
        from sanitizer.images.masks import read_masks

        no_labels = read_labels([None] * len(chunk), spec)
        return ChunkTables(chunk, no_labels, read_images(chunk.images, job.mode), read_masks(chunk.labels))
    if seen is not None:
        labels = read_labels(chunk.labels, spec, seen.labels)
        return ChunkTables(chunk, labels, read_images(chunk.images, job.mode, seen.images))
    return ChunkTables(chunk, read_labels(chunk.labels, spec), read_images(chunk.images, job.mode))


def _judge_packed(job: Job, piece: PackPiece, left_out: LeftOut | None) -> Iterator[ChunkResult]:
    """Read a range of a packed file; only one chunk of it is held at a time, beside what was found.

    What is `left_out` goes by the numbers of images, and of labels, in the order of the file.
    """
    from sanitizer.archives.reading import pack_chunks, row_spec

    pack = job.dataset.packs[piece.pack]
    spec = row_spec(pack, job.spec)
    part = (piece.start, piece.stop, piece.first_line)
    for read in pack_chunks(
        job.dataset, piece.pack, part, job.mode, left_out, label_bytes=job.spec.max_label_bytes
    ):
        chunk = read.pairs.chunk(0, len(read.pairs))
        labels = parse_arriving(read.labels, len(read.labels), spec)
        tables = ChunkTables(chunk, labels, read.images)
        if left_out:
            from sanitizer.dataset.left_out import named

            tables = named(tables, chunk, read.left_out)
        findings = run_chunk(tables, spec, job.ruleset, job.dataset.root)
        findings += place_findings(read.faults, job.dataset, job.ruleset, job.spec.task)
        unread = read.unread if job.dataset.storage.remote else 0
        stops = [
            Stop(fault.stops_at, fault.stops_with, (fault.rule,)) for fault in read.faults if fault.stops_with
        ]
        yield ChunkResult(findings, summarise(tables, spec), read.pairs, unread=unread, stops=stops[:1])


def judge_tables(job: Job, tables: ChunkTables) -> ChunkResult:
    """Run the rules on a chunk that was read."""
    findings = run_chunk(tables, job.spec, job.ruleset, job.dataset.root)
    return ChunkResult(findings, summarise(tables, job.spec))
