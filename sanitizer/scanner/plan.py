"""What a scan will cost, said before any label or image is read: from folder listings and archive headers alone.

Of remote shards the starts of a few are read, and of a remote NDJSON its first megabyte: headers are not to be had for
less.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from sanitizer.archives.finding import find_dataset
from sanitizer.images.image_files import FIRST_BLOCK, LAST_BLOCK
from sanitizer.scanner.rates import REFERENCE_MACHINE, START_S, kind_of, rate_of
from sanitizer.scanner.task import SAMPLE_FILES, sampled_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.images.image_files import ImageMode
    from sanitizer.scanner.rates import Kind
    from sanitizer.storage.remote import RemoteStorage

MAX_STATS = 200_000
"""Loose files whose sizes are asked for; of more, an even sample."""
MAX_PLAYED = 8
"""Remote shards whose first members are read; of more, as many spread evenly over the dataset."""
MAX_WALKED_BYTES = 1 << 31
"""Bytes of shards whose headers are walked; of more, whole shards spread evenly over the dataset."""

MAIN_MIB, WORKER_MIB = 60, 50
REMOTE_MIB = 60
"""For each process that reads elsewhere: the client, and what is on its way."""
BYTES_PER_PAIR = 160
"""Memory of the main process for every pair: what rules over the whole dataset need, and its names."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scan will read, and what it should take.

    Attributes:
        data: The path as given.
        kind: How the dataset lies there.
        mode: How images will be looked at.
        images, labels: Number of files or members; lines of an NDJSON count as labels.
        packed_files: Number of shards or NDJSON files; 0 for loose files.
        total_bytes: Size of everything that is there.
        read_bytes: Bytes that will be read.
        requests: Files opened where they are loose; reads of packed files; for all that is elsewhere requests for
            bytes, those that find and sample packed files with them. Listings, data.yaml and configuration are not
            counted. Reads of an archive on this disk count as its requests.
        exact: Nothing was drawn from a sample. What needs a second look (odd images, copies, pixels) comes on top.
        processes: Number of processes that judge.
        seconds: Expected wall time.
        memory_mib: Expected peak of all processes together.
        pairs_per_s: The rate behind it, of one process.
        rate_scans: Number of earlier scans on this machine behind the rate; 0: it is the reference machine's.
    """

    data: str
    kind: Kind
    mode: ImageMode
    images: int
    labels: int
    packed_files: int
    total_bytes: int
    read_bytes: int
    requests: int
    exact: bool
    processes: int
    seconds: float
    memory_mib: int
    pairs_per_s: float
    rate_scans: int

    @property
    def rate_source(self) -> str:
        """Where the rate comes from, in words."""
        if self.rate_scans == 1:
            return "the last such scan on this machine"
        if self.rate_scans:
            return f"the last {self.rate_scans} such scans on this machine"
        if self.kind.startswith("remote"):
            return "an estimate: after a scan it is the rate of this place"
        return f"a reference measured elsewhere: {REFERENCE_MACHINE}"


@dataclass(frozen=True, slots=True)
class _Volume:
    """What there is to read."""

    images: int
    labels: int
    total_bytes: int
    read_bytes: int
    requests: int
    exact: bool = True


def plan_scan(
    paths: Sequence[str],
    images: ImageMode | Literal["auto"] = "auto",
    splits: Sequence[str] | None = None,
    jobs: int | None = None,
    task_known: bool = False,
) -> Plan:
    """Forecast a scan of these paths. Lists folders and walks headers of archives; reads no label and no image.

    Args:
        paths, images, splits, jobs: As for `scan`.
        task_known: The task is named, so no label is sampled for it.

    Raises:
        DatasetError: Nothing could be read at all.
    """
    from sanitizer.scanner.chunks import mean_length
    from sanitizer.scanner.engines.local import processes_for
    from sanitizer.scanner.run import affordable_mode

    dataset = find_dataset(list(paths), splits).without_repeats()
    dataset.storage.drop_listings()
    mode = affordable_mode(dataset)[0] if images == "auto" else images
    kind = kind_of(dataset)
    sampled = not (task_known or dataset.declared_task)
    volume = _VOLUMES[kind](dataset, mode, sampled)
    pairs = max(volume.images, volume.labels)
    shared = len(dataset.packs) or pairs // mean_length(dataset, mode)
    processes = min(processes_for(dataset, mode, jobs), max(1, shared))
    rate = rate_of(kind, mode)
    workers = processes if processes > 1 else 0
    return Plan(
        data=dataset.data,
        kind=kind,
        mode=mode,
        images=volume.images,
        labels=volume.labels,
        packed_files=len({pack.path for pack in dataset.packs}),
        total_bytes=volume.total_bytes,
        read_bytes=volume.read_bytes,
        requests=volume.requests,
        exact=volume.exact,
        processes=processes,
        seconds=START_S + pairs / (rate.pairs_per_s * processes),
        memory_mib=round(
            MAIN_MIB
            + WORKER_MIB * workers
            + REMOTE_MIB * dataset.storage.remote * processes
            + pairs * BYTES_PER_PAIR / (1 << 20)
        ),
        pairs_per_s=rate.pairs_per_s,
        rate_scans=rate.scans,
    )


def _of_loose_files(dataset: Dataset, mode: ImageMode, sampled: bool) -> _Volume:
    images = sum(int(s.has_image.sum()) for s in dataset.splits)
    labels = sum(int(s.has_label.sum()) for s in dataset.splits)
    stride = -(-(images + labels) // MAX_STATS) or 1
    image_sizes, label_sizes = [], []
    for split in dataset.splits:
        image_sizes += _sizes(split.image_path(int(i)) for i in np.flatnonzero(split.has_image)[::stride])
        label_sizes += _sizes(split.label_path(int(i)) for i in np.flatnonzero(split.has_label)[::stride])
    of_image = np.array(image_sizes, np.int64)
    read = _read_of_image(of_image, mode)
    scale = images / max(len(of_image), 1), labels / max(len(label_sizes), 1)
    again = list(sampled_labels(dataset)) if sampled else []
    return _Volume(
        images,
        labels,
        round(of_image.sum() * scale[0] + sum(label_sizes) * scale[1]),
        round(read.sum() * scale[0] + sum(label_sizes) * scale[1] + sum(_sizes(again))),
        labels + len(again) + images * {"none": 0, "header": 1, "decode": 2}[mode],
        exact=stride == 1,
    )


def _sizes(paths: Iterable[str | None]) -> list[int]:
    sizes = []
    for path in paths:
        try:
            sizes.append(os.stat(path or "").st_size)
        except OSError:
            sizes.append(0)
    return sizes


def _read_of_image(sizes: NDArray[np.int64], mode: ImageMode) -> NDArray[np.int64]:
    """int64 (N,): bytes read of images of these sizes."""
    if mode == "none":
        return np.zeros_like(sizes)
    ends = np.where(sizes >= FIRST_BLOCK, FIRST_BLOCK + LAST_BLOCK, sizes)
    return ends + sizes if mode == "decode" else ends


def _of_shards(dataset: Dataset, mode: ImageMode, sampled: bool) -> _Volume:
    from sanitizer.archives.forecast import forecast

    packs = dataset.packs
    total = sum(pack.size_bytes for pack in packs)
    unique = sum({pack.path: pack.size_bytes for pack in packs}.values())
    stride = -(-total // MAX_WALKED_BYTES) or 1
    walked = packs[::stride]
    seen = [forecast(dataset, pack, mode) for pack in walked]
    scale = total / max(sum(pack.size_bytes for pack in walked), 1)
    return _Volume(
        round(sum(f.images for f in seen) * scale),
        round(sum(f.labels for f in seen) * scale),
        unique,
        round(sum(f.bytes_read for f in seen) * scale),
        round(sum(f.requests for f in seen) * scale),
        exact=stride == 1 and all(f.exact for f in seen),
    )


def _of_lines(dataset: Dataset, mode: ImageMode, sampled: bool) -> _Volume:
    """An NDJSON is read once to cut it, and once for every split; its lines were not counted yet: they are now."""
    pack = dataset.packs[0]
    lines, passes = -1, 1 + len(dataset.packs)
    with open(pack.path, "rb") as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
    lines = max(lines, 0)
    return _Volume(
        lines,
        lines,
        pack.size_bytes,
        passes * pack.size_bytes,
        passes * -(-pack.size_bytes // (1 << 18)),
        exact=False,
    )


def _of_remote_files(dataset: Dataset, mode: ImageMode, sampled: bool) -> _Volume:
    from sanitizer.scanner import remote_cost
    from sanitizer.scanner.task import SAMPLE_BYTES

    storage = cast("RemoteStorage", dataset.storage)
    images = sum(int(s.has_image.sum()) for s in dataset.splits)
    labels = sum(int(s.has_label.sum()) for s in dataset.splits)
    stride = -(-(images + labels) // MAX_STATS) or 1
    looked_at = set(sampled_labels(dataset)) if sampled else set()
    of_images, of_labels, again = _Sum(), _Sum(), _Sum()
    for split in dataset.splits:
        states = split.states
        assert states is not None  # a storage's listing has told them
        for i in np.flatnonzero(split.has_image)[::stride].tolist():
            size = int(states[i, 0])
            path = f"{split.image_dirs[split.dir_index[i]]}/{split.file_name(i)}"
            of_images.add(size, *remote_cost.image_cost(storage, path, size, mode))
        for i in np.flatnonzero(split.has_label).tolist() if looked_at else ():
            path = split.expected_label_path(i)
            if path in looked_at:
                again.add(0, *remote_cost.sample_cost(storage, path, int(states[i, 2]), SAMPLE_BYTES))
        for i in np.flatnonzero(split.has_label)[::stride].tolist():
            size = int(states[i, 2])
            of_labels.add(size, *remote_cost.label_cost(storage, split.expected_label_path(i), size))
    scale = images / max(of_images.files, 1), labels / max(of_labels.files, 1)
    return _Volume(
        images,
        labels,
        round(of_images.size * scale[0] + of_labels.size * scale[1]),
        round(of_images.n_bytes * scale[0] + of_labels.n_bytes * scale[1]) + again.n_bytes,
        round(of_images.requests * scale[0] + of_labels.requests * scale[1]) + again.requests,
        exact=stride == 1 and not (of_images.unknown or of_labels.unknown),
    )


@dataclass(slots=True)
class _Sum:
    """Files added up: their sizes, and requests and bytes that they take; `unknown` is the number without size."""

    files: int = 0
    size: int = 0
    requests: int = 0
    n_bytes: int = 0
    unknown: int = 0

    def add(self, size: int, requests: int, n_bytes: int) -> None:
        """Take a file."""
        self.files += 1
        self.size += max(size, 0)
        self.unknown += size < 0
        self.requests += requests
        self.n_bytes += n_bytes


def _of_remote_shards(dataset: Dataset, mode: ImageMode, sampled: bool) -> _Volume:
    from sanitizer.archives.forecast import forecast_remote
    from sanitizer.archives.sampling import labels_of_each

    packs = dataset.packs
    total = sum(pack.size_bytes for pack in packs)
    walked = range(0, len(packs), -(-len(packs) // MAX_PLAYED) or 1)
    labels = labels_of_each(dataset, SAMPLE_FILES) if sampled else {}
    seen = [forecast_remote(dataset, packs[n], mode, labels.get(n, 0)) for n in walked]
    scale = total / max(sum(packs[n].size_bytes for n in walked), 1)
    return _Volume(
        round(sum(f.images for f in seen) * scale),
        round(sum(f.labels for f in seen) * scale),
        sum({pack.path: pack.size_bytes for pack in packs}.values()),
        round(sum(f.bytes_read for f in seen) * scale) + sum(f.sampling_bytes for f in seen),
        round(sum(f.requests for f in seen) * scale) + sum(f.sampling_requests for f in seen),
        exact=len(walked) == len(packs) and all(f.exact for f in seen),
    )


def _of_remote_lines(dataset: Dataset, mode: ImageMode, sampled: bool) -> _Volume:
    """Read for its first record, for the names of its splits, to cut it where it is long, and once for every split."""
    from sanitizer.archives.ndjson_dataset import RANGE_BYTES
    from sanitizer.archives.read_ahead import BEHIND_REQUESTS

    pack = dataset.packs[0]
    size = pack.size_bytes
    start = cast("RemoteStorage", dataset.storage).fetch(pack.path, 0, min(size, 1 << 20), size)[0]
    lines = max(0, round(start.count(b"\n") * size / max(len(start), 1)) - 1)
    passes = 1 + (size > RANGE_BYTES) + len(dataset.packs)
    return _Volume(
        lines,
        lines,
        size,
        passes * size + len(start),
        1 + passes * -(-size // BEHIND_REQUESTS.largest),
        exact=False,
    )


_VOLUMES: dict[str, Callable[[Dataset, ImageMode, bool], _Volume]] = {
    "loose": _of_loose_files,
    "tar": _of_shards,
    "ndjson": _of_lines,
    "remote loose": _of_remote_files,
    "remote tar": _of_remote_shards,
    "remote ndjson": _of_remote_lines,
}
