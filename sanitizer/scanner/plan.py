"""What a scan will read, said before any label or image is read: from folder listings and the headers of local shards.

What these do not tell is None: sizes behind a web server, the members of shards that lie elsewhere or are compressed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from sanitizer.archives.finding import find_dataset
from sanitizer.archives.read_ahead import BEHIND_REQUESTS, ON_DISK, Blocks, ReadAhead, open_unbuffered
from sanitizer.images.image_files import FIRST_BLOCK, LAST_BLOCK
from sanitizer.scanner.task import SAMPLE_BYTES, sampled_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.dataset.model import Dataset, Pack
    from sanitizer.dataset.tasks.declared import TaskChoice
    from sanitizer.images.image_files import ImageMode

    Sizes = NDArray[np.int64]

Kind = Literal["loose", "tar", "ndjson", "remote loose", "remote tar", "remote ndjson"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scan will read. None is unknown.

    Attributes:
        data: The path as given.
        kind: How the dataset lies there.
        mode: How images will be looked at.
        images, labels: Number of files or members; lines of an NDJSON count as both.
        packed_files: Number of shards or NDJSON files; 0 for loose files.
        total_bytes: Size of everything that is there.
        read_bytes: Bytes that will be read.
        requests: Files opened where they are loose, reads of an NDJSON; requests for bytes where these lie elsewhere.
            Listings, data.yaml and configuration are not counted.
        exact: No number is an estimate. What needs a second look (odd images, copies, pixels) comes on top.
    """

    data: str
    kind: Kind
    mode: ImageMode
    images: int | None = None
    labels: int | None = None
    packed_files: int = 0
    total_bytes: int | None = None
    read_bytes: int | None = None
    requests: int | None = None
    exact: bool = True


def plan_scan(
    paths: Sequence[str],
    images: ImageMode | Literal["auto"] = "auto",
    splits: Sequence[str] | None = None,
    task: TaskChoice = "auto",
) -> Plan:
    """Count what a scan of these paths will read. Reads no label and no image.

    Args:
        paths, images, splits, task: As for `scan`. Where the task is named, no label is sampled for it.

    Raises:
        DatasetError: Nothing could be read at all.
    """
    from sanitizer.scanner.run import affordable_mode

    dataset = find_dataset(list(paths), splits, task).without_repeats()
    sampled = [] if task != "auto" or dataset.declared_task else list(_sampled_sizes(dataset))
    dataset.storage.drop_listings()
    mode = affordable_mode(dataset)[0] if images == "auto" else images
    n_packed = len({pack.path for pack in dataset.packs})
    plan = Plan(dataset.data, kind_of(dataset), mode, packed_files=n_packed)
    if not dataset.packs:
        return _of_loose_files(plan, dataset, np.array(sampled, np.int64))
    plan = replace(plan, total_bytes=sum({pack.path: pack.size_bytes for pack in dataset.packs}.values()))
    return _of_lines(plan, dataset) if plan.kind.endswith("ndjson") else _of_shards(plan, dataset)


def kind_of(dataset: Dataset) -> Kind:
    """How a dataset lies on the disk or elsewhere."""
    if not dataset.packs:
        return "remote loose" if dataset.storage.remote else "loose"
    if dataset.packs[0].kind == "ndjson":
        return "remote ndjson" if dataset.storage.remote else "ndjson"
    return "remote tar" if dataset.storage.remote else "tar"


def _sampled_sizes(dataset: Dataset) -> Iterator[int]:
    """Bytes of the labels that are looked at to tell the task, before all labels are read."""
    for path in sampled_labels(dataset):
        try:
            yield dataset.storage.size(path)
        except OSError:
            yield 0


def _of_loose_files(plan: Plan, dataset: Dataset, sampled: Sizes) -> Plan:
    images, labels = _sizes(dataset, "images"), _sizes(dataset, "labels")
    plan = replace(plan, images=len(images), labels=len(labels))
    known = bool((images >= 0).all() and (labels >= 0).all())
    if known:
        plan = replace(plan, total_bytes=int(images.sum() + labels.sum()))
    remote = dataset.storage.remote
    if getattr(dataset.storage, "has_folders", False):
        return plan  # how an archive is read depends on how each member is packed
    count = _requests if remote else _opened
    plan = replace(plan, requests=count(images, labels, sampled, plan.mode), exact=known)
    if known:
        of_images = int(_bytes_of_images(images, plan.mode, remote).sum())
        plan = replace(plan, read_bytes=of_images + int(labels.sum()) + _read_twice(sampled, remote))
    return plan


def _sizes(dataset: Dataset, kind: Literal["images", "labels"]) -> Sizes:
    """int64 (N,): bytes of the dataset's images or labels; -1 where a listing does not tell."""
    sizes: list[int] = []
    for split in dataset.splits:
        there, path = (
            (split.has_image, split.image_path) if kind == "images" else (split.has_label, split.label_path)
        )
        if split.states is not None:
            sizes += split.states[there, 0 if kind == "images" else 2].tolist()
            continue
        for pair in np.flatnonzero(there).tolist():
            try:
                sizes.append(os.stat(path(pair) or "").st_size)
            except OSError:
                sizes.append(0)
    return np.array(sizes, np.int64)


def _opened(images: Sizes, labels: Sizes, sampled: Sizes, mode: ImageMode) -> int:
    """How many times files of the disk are opened."""
    return len(labels) + len(sampled) + len(images) * {"none": 0, "header": 1, "decode": 2}[mode]


def _requests(images: Sizes, labels: Sizes, sampled: Sizes, mode: ImageMode) -> int:
    """How many requests loose files elsewhere take. One of unknown size takes its first and its last bytes."""
    from sanitizer.scanner.remote_reading import WHOLE_BYTES

    whole = (images >= 0) & (images <= WHOLE_BYTES) if mode == "header" else np.ones(len(images), np.bool_)
    of_images = 0 if mode == "none" else np.count_nonzero(images) + np.count_nonzero(~whole)
    again = (sampled == 0) | (sampled >= SAMPLE_BYTES)  # what was fetched whole is kept
    return int(np.count_nonzero(labels) + of_images + np.count_nonzero(again))


def _bytes_of_images(sizes: Sizes, mode: ImageMode, remote: bool) -> Sizes:
    """int64 (N,): bytes read of images of these sizes."""
    from sanitizer.scanner.remote_reading import HEAD_BYTES, WHOLE_BYTES

    if mode == "none":
        return np.zeros_like(sizes)
    if remote:
        return sizes if mode == "decode" else np.where(sizes <= WHOLE_BYTES, sizes, HEAD_BYTES + LAST_BLOCK)
    ends = np.where(sizes >= FIRST_BLOCK, FIRST_BLOCK + LAST_BLOCK, sizes)
    return ends + sizes if mode == "decode" else ends


def _read_twice(sampled: Sizes, remote: bool) -> int:
    """Bytes of sampled labels that are read again."""
    heads = np.minimum(sampled, SAMPLE_BYTES)
    return int(heads[sampled >= SAMPLE_BYTES].sum() if remote else heads.sum())


def _of_shards(plan: Plan, dataset: Dataset) -> Plan:
    if dataset.storage.remote or any(pack.kind == "stream" for pack in dataset.packs):
        return plan
    counts = [count_members(dataset, pack) for pack in dataset.packs]
    return replace(plan, images=sum(n for n, _ in counts), labels=sum(n for _, n in counts))


def count_members(dataset: Dataset, pack: Pack, opener: Opener = open_unbuffered) -> tuple[int, int]:
    """(images, labels) of a shard, by its headers. Damage ends the count: the scan will report it."""
    from sanitizer.archives.member_pairing import is_image_member, is_label_member
    from sanitizer.archives.tar.chunks import plain_name
    from sanitizer.archives.tar.shard_names import folder_split
    from sanitizer.archives.tar.walk import BLOCK, TarWalk

    split = dataset.splits[pack.split].name
    images = labels = 0
    try:
        with opener(pack.path) as file:
            for member in TarWalk(ReadAhead(file, Blocks(BLOCK, BLOCK))):
                name = plain_name(member.name)
                if pack.only is None or folder_split(name, split) == pack.only:
                    images += is_image_member(name)
                    labels += is_label_member(name)
    except OSError:
        pass
    return images, labels


def _of_lines(plan: Plan, dataset: Dataset) -> Plan:
    """An NDJSON is read to find its splits, to cut it, and once for every split; elsewhere its lines are unknown."""
    size = dataset.packs[0].size_bytes
    plan = replace(plan, exact=False)
    if dataset.storage.remote:
        from sanitizer.archives.ndjson_dataset import RANGE_BYTES

        passes = 1 + (size > RANGE_BYTES) + len(dataset.packs)
        requests = 1 + passes * -(-size // BEHIND_REQUESTS.largest)
        return replace(plan, read_bytes=passes * size, requests=requests)
    lines, passes = -1, 1 + len(dataset.packs)
    with open(dataset.packs[0].path, "rb") as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
    lines = max(lines, 0)
    requests = passes * -(-size // ON_DISK.largest)
    return replace(plan, images=lines, labels=lines, read_bytes=passes * size, requests=requests)
