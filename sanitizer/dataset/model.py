"""A dataset as found on disk: which images each split holds, and which label file belongs to each."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from sanitizer.dataset.tables import Chunk, DatasetFault, Task, TaskSpec
from sanitizer.storage.base import LOCAL, Storage
from sanitizer.util.paths import relative_to, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.places.search import Search


class DatasetError(Exception):
    """There is nothing to scan at the given paths; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The image/label pairs of one split, about thirty bytes a pair: names stay in one buffer.

    Attributes:
        name: train, val, test, …; "" for files given one by one.
        image_dirs: Absolute image folders.
        label_dirs: The label folder that belongs to each image folder (same length).
        dir_index: int32 (N,) which folder each pair is in.
        names: File names, os.fsencode()d, one after the other. Image names; label names where has_image is False.
        offsets: int64 (N + 1,) where each name starts in `names`.
        has_image: bool (N,) False for a label without image, which is judged by itself.
        has_label: bool (N,) False where no label file exists.
        odd_labels: Label names by pair number, where a label is not named after its image (possible in archives, and
            with masks of another format).
        states: int64 (N, 4) size in bytes and stamp of image and label as a storage's listing has them, -1 where
            there is no such file or the listing has no such value; None on a disk, where each file is looked at.
        label_suffix: What a label's name has in place of the image's file extension; masks end in .png.
        dir_classes: Class id of each image folder in a classification set, as training numbers it: from the number of
            classes on where training has no such class. None for other tasks.
    """

    name: str
    image_dirs: Sequence[str]
    label_dirs: Sequence[str]
    dir_index: NDArray[np.int32]
    names: bytes
    offsets: NDArray[np.int64]
    has_image: NDArray[np.bool_]
    has_label: NDArray[np.bool_]
    odd_labels: Mapping[int, str] = field(default_factory=dict)
    states: NDArray[np.int64] | None = None
    label_suffix: str = ".txt"
    dir_classes: Sequence[int] | None = None

    @classmethod
    def build(
        cls,
        name: str,
        image_dirs: Sequence[str],
        label_dirs: Sequence[str],
        dir_index: NDArray[np.int32],
        file_names: Sequence[str],
        has_image: NDArray[np.bool_],
        has_label: NDArray[np.bool_],
        odd_labels: Mapping[int, str] | None = None,
    ) -> Split:
        """Pack file names into the buffer; arguments are as the attributes are."""
        buffer = os.fsencode("".join(file_names))
        lengths = list(map(len, file_names))
        if len(buffer) != sum(lengths):  # one byte a character in ASCII names; others are encoded one by one
            lengths = [len(os.fsencode(n)) for n in file_names]
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(
            name, image_dirs, label_dirs, dir_index, buffer, offsets, has_image, has_label, odd_labels or {}
        )

    @classmethod
    def empty(cls, name: str) -> Split:
        """A split without pairs."""
        none = np.zeros(0, np.bool_)
        return cls.build(name, [], [], np.zeros(0, np.int32), [], none, none)

    @classmethod
    def joined(cls, name: str, parts: Sequence[Split]) -> Split:
        """The pairs of these splits one after the other, each folder named once."""
        folders: dict[tuple[str, str], int] = {}
        index, odd, done = [np.zeros(0, np.int32)], dict[int, str](), 0
        for part in parts:
            keys = zip(part.image_dirs, part.label_dirs, strict=True)
            number = np.array([folders.setdefault(key, len(folders)) for key in keys], np.int32)
            index.append(number[part.dir_index])
            odd |= {done + i: label for i, label in part.odd_labels.items()}
            done += len(part)
        lengths = [np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)]
        none = np.zeros(0, np.bool_)
        return cls(
            name,
            [image_dir for image_dir, _ in folders],
            [label_dir for _, label_dir in folders],
            np.concatenate(index),
            b"".join(part.names for part in parts),
            np.cumsum(np.concatenate(lengths)),
            np.concatenate([none, *(part.has_image for part in parts)]),
            np.concatenate([none, *(part.has_label for part in parts)]),
            odd,
        )

    def __len__(self) -> int:
        return len(self.dir_index)

    def file_name(self, i: int) -> str:
        """Name of pair i's image, or of its label where it has no image."""
        return os.fsdecode(self.names[self.offsets[i] : self.offsets[i + 1]])

    def image_path(self, i: int) -> str | None:
        """Absolute path of pair i's image."""
        return f"{self.image_dirs[self.dir_index[i]]}/{self.file_name(i)}" if self.has_image[i] else None

    def expected_label_path(self, i: int) -> str:
        """Absolute path where training looks for pair i's label, whether or not there is a file."""
        return f"{self.label_dirs[self.dir_index[i]]}/{self.label_names(i, i + 1)[0]}"

    def label_path(self, i: int) -> str | None:
        """Absolute path of pair i's label file, None where there is none."""
        return self.expected_label_path(i) if self.has_label[i] else None

    def take(self, pairs: Sequence[int]) -> Split:
        """A split of only these pairs."""
        index = np.asarray(pairs, np.int64)
        taken = Split.build(
            self.name,
            self.image_dirs,
            self.label_dirs,
            self.dir_index[index],
            [self.file_name(i) for i in pairs],
            self.has_image[index],
            self.has_label[index],
            {n: self.odd_labels[i] for n, i in enumerate(pairs) if i in self.odd_labels},
        )
        return replace(
            taken,
            states=None if self.states is None else self.states[index],
            label_suffix=self.label_suffix,
            dir_classes=self.dir_classes,
        )

    def part(self, start: int, stop: int) -> Split:
        """A split of pairs start to stop alone."""
        first = self.offsets[start]
        return replace(
            self,
            dir_index=self.dir_index[start:stop],
            names=self.names[first : self.offsets[stop]],
            offsets=self.offsets[start : stop + 1] - first,
            has_image=self.has_image[start:stop],
            has_label=self.has_label[start:stop],
            odd_labels={i - start: label for i, label in self.odd_labels.items() if start <= i < stop},
            states=None if self.states is None else self.states[start:stop],
        )

    def file_names(self, start: int, stop: int) -> list[str]:
        """Names of pairs start to stop, as `file_name` gives them."""
        ends = (self.offsets[start : stop + 1] - self.offsets[start]).tolist()
        blob = self.names[self.offsets[start] : self.offsets[start] + ends[-1]]
        if blob.isascii():
            text = blob.decode("ascii")
            return [text[a:b] for a, b in itertools.pairwise(ends)]
        return [os.fsdecode(blob[a:b]) for a, b in itertools.pairwise(ends)]

    def label_names(self, start: int, stop: int) -> list[str]:
        """Names that the labels of pairs start to stop have, or would have."""
        if self.odd_labels:
            usual = replace(self, odd_labels={}).label_names(start, stop)
            return [self.odd_labels.get(start + i, name) for i, name in enumerate(usual)]
        return [
            f"{name[: name.rfind('.')]}{self.label_suffix}" if is_image else name
            for name, is_image in zip(
                self.file_names(start, stop), self.has_image[start:stop].tolist(), strict=True
            )
        ]

    def chunk(self, start: int, stop: int) -> Chunk:
        """Pairs start to stop as plain paths."""
        pairs = slice(start, stop)
        folders = self.dir_index[pairs].tolist()
        image_names, label_names = self.file_names(start, stop), self.label_names(start, stop)
        images: list[str | None] = [
            f"{self.image_dirs[d]}/{name}" if exists else None
            for d, name, exists in zip(folders, image_names, self.has_image[pairs].tolist(), strict=True)
        ]
        labels: list[str | None] = [
            f"{self.label_dirs[d]}/{name}" if exists else None
            for d, name, exists in zip(folders, label_names, self.has_label[pairs].tolist(), strict=True)
        ]
        states = None if self.states is None else self.states[pairs]
        classes = None
        if self.dir_classes is not None:
            classes = np.array(self.dir_classes, np.int32)[self.dir_index[pairs]]
        return Chunk(self.name, images, labels, states, classes)


PAIRS_PER_CHUNK = {"none": 4096, "header": 2048, "decode": 64}
"""Pairs in a chunk, by image mode: enough to vectorise, few enough to share among processes and to show progress."""

APPROXIMATE_PAIR_BYTES = 16 * 1024
"""Assumed size of a pair in a packed file. Only decides, before the file is read, whether several processes read it."""


@dataclass(frozen=True, slots=True)
class Pack:
    """One large file that holds many pairs. They are known only after reading it.

    Attributes:
        path: Absolute path.
        kind: "tar", "stream" (a compressed tar, which is always read from start to end) or "ndjson".
        split: Number of the dataset's split that its pairs belong to.
        only: Read only the pairs whose own folders name this split; None reads all pairs.
        size_bytes: Of the file.
        images_beside: Records of an NDJSON need no url, as its `path` names the folder of the images.
    """

    path: str
    kind: Literal["tar", "stream", "ndjson"]
    split: int
    only: str | None
    size_bytes: int
    images_beside: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """The files behind a data.yaml, a folder or single files, as `layout` found them. None has been read yet.

    Attributes:
        root: Absolute folder that reported paths are relative to.
        data: The path as the user gave it, for the report.
        yaml_path: Absolute path of the data.yaml, or None.
        splits: In the order train, val, test, others; a folder named by two splits is in both.
        declared_task: `task:` of the data.yaml, or what its folders and other keys imply; None where the labels decide.
        nc, names, kpt_shape, channels: As `TaskSpec` has them.
        faults: What is wrong with the dataset as a whole (rules D001–D008, D011 and misnamed labels).
        files_only: Single files were given (hook): rules over the whole dataset do not apply.
        packs: Packed files, in the order of their splits. Such splits have no other pairs.
        notes: Sentences on what cannot be checked in packed files.
        storage: Where all paths are.
        unread: Number of packed files that a remote storage could not read, and that are left out.
        label_mapping: As `TaskSpec` has it.
        single_cls: Training takes every class for one (`single_cls=True`), so that no class id is too large.
        n_repeats: Split name to the pairs that `without_repeats` took out of it.
        search: How loose files were found, to explain what is missing; None of files given one by one.
    """

    root: str
    data: str
    yaml_path: str | None
    splits: Sequence[Split]
    declared_task: Task | None
    nc: int | None
    names: Mapping[int, str]
    kpt_shape: tuple[int, int] = (0, 0)
    channels: int = 3
    faults: Sequence[DatasetFault] = field(default_factory=tuple)
    files_only: bool = False
    packs: Sequence[Pack] = ()
    notes: Sequence[str] = ()
    storage: Storage = LOCAL
    unread: int = 0
    label_mapping: Mapping[int, int] = field(default_factory=dict)
    single_cls: bool = False
    n_repeats: Mapping[str, int] = field(default_factory=dict)
    search: Search | None = None

    def __len__(self) -> int:
        """Number of pairs; an estimate for packed files."""
        packed = sum(pack.size_bytes for pack in self.packs) // APPROXIMATE_PAIR_BYTES
        return packed + sum(len(s) for s in self.splits)

    def has_all_stamps(self) -> bool:
        """Whether every file has a stamp, which changes with its content, so that its findings can be cached."""
        return all(
            split.states is None
            or (
                ((split.states[:, 1] >= 0) | ~split.has_image).all()
                and ((split.states[:, 3] >= 0) | ~split.has_label).all()
            )
            for split in self.splits
        )

    def task_spec(self, task: Task) -> TaskSpec:
        """The assumptions that training under `task` makes of every row."""
        return TaskSpec(
            task,
            None if self.single_cls else self.nc,
            self.names,
            self.kpt_shape,
            label_mapping=self.label_mapping,
            channels=self.channels,
            single_cls=self.single_cls,
        )

    def relative(self, path: str | None) -> str | None:
        """POSIX path relative to the root; paths outside it keep their `..` steps."""
        return relative_path(self.root, path)

    def without_repeats(self) -> Dataset:
        """The same dataset with each pair only in the first split that names it, so that every pair is judged once."""
        if len({d for s in self.splits for d in s.image_dirs}) == sum(len(s.image_dirs) for s in self.splits):
            return self
        seen: set[tuple[str, str]] = set()
        splits = []
        for split in self.splits:
            keys = [(split.image_dirs[d], split.file_name(i)) for i, d in enumerate(split.dir_index.tolist())]
            new = [i for i, key in enumerate(keys) if key not in seen]
            seen.update(keys)
            splits.append(split if len(new) == len(split) else split.take(new))
        lost = {old.name: len(old) - len(new) for old, new in zip(self.splits, splits, strict=True)}
        repeats = {name: self.n_repeats.get(name, 0) + n for name, n in lost.items()}
        return replace(self, splits=tuple(splits), n_repeats=repeats)


def refuse_unknown_splits(wanted: Sequence[str] | None, known: Sequence[str], data: str) -> None:
    """DatasetError where `wanted` names a split that does not exist."""
    for name in wanted or ():
        if name not in known:
            has = ", ".join(dict.fromkeys(known)) if any(known) else "none"
            raise DatasetError(f"{shown(data)} has no split {name!r}; its splits: {has}")


def with_states(split: Split, storage: Storage) -> Split:
    """The split with sizes and stamps from the storage's listings, which saves a request for each file."""
    states = np.full((len(split), 4), -1, np.int64)
    by_folder = np.argsort(split.dir_index, kind="stable")
    ends = np.searchsorted(split.dir_index[by_folder], np.arange(len(split.image_dirs) + 1)).tolist()
    for column, folders, exists, names in (
        (0, split.image_dirs, split.has_image, split.file_names(0, len(split))),
        (2, split.label_dirs, split.has_label, split.label_names(0, len(split))),
    ):
        for d, folder in enumerate(folders):
            pairs = [i for i in by_folder[ends[d] : ends[d + 1]].tolist() if exists[i]]
            known = _states_in(folder, storage) if pairs else {}
            for i in pairs:
                states[i, column : column + 2] = known.get(names[i], (-1, -1))
    return replace(split, states=states)


def _states_in(folder: str, storage: Storage) -> Mapping[str, tuple[int, int]]:
    """Size and stamp of each file in a folder, by name; none where there is no such folder."""
    try:
        return {
            entry.name: (entry.size, entry.stamp) for entry in storage.list(folder) if not entry.is_folder
        }
    except OSError:
        return {}


def relative_path(root: str, path: str | None) -> str | None:
    """POSIX path relative to an absolute folder; paths outside it keep their `..` steps."""
    if path is None:
        return None
    if path.startswith(root) and path[len(root) : len(root) + 1] == "/":
        return path[len(root) + 1 :]
    return relative_to(path, root)
