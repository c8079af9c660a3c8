"""Which pairs of a dataset a view gets: by what the scan found, and by their files where these are to change."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.config import Config
from sanitizer.dataset.tables import Chunk, ChunkTables, RowKind
from sanitizer.fixes.journal.runs import MAX_FILE_BYTES
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import parse_labels
from sanitizer.labels.single_file import small_labels
from sanitizer.rules.engine import RuleSet, run_chunk
from sanitizer.rules.language.pack import load_rules
from sanitizer.storage.read_ahead import map_ahead
from sanitizer.ultra.label_check import verdicts
from sanitizer.util.bounded_read import read_bounded
from sanitizer.util.paths import in_real_folder, real_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.tables import LabelTable, TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.view.scanned import Scanned


@dataclass(frozen=True, slots=True)
class ExcludedImage:
    """An image that is not in the view: its split, its path as findings write it, and the reason."""

    split: str
    image: str
    reason: str


@dataclass(slots=True)
class ViewPair:
    """An image and its label file, on the way into a view.

    Attributes:
        number: Number of the pair in its split.
        image: Absolute path of the image.
        label: Absolute path where training looks for the label file.
        line: Path of the image in the view, below the folder of images.
        digest: Of the label's bytes as they were scanned, 0 if there was no file; None if the label is judged here.
        before: Bytes of a label file that is judged here, in the dataset; None if there is none.
        content: The same in the view.
        rewritten: Training would rewrite the image on disk.
        boxes: Number of label rows.
    """

    number: int
    image: str
    label: str
    line: str = ""
    digest: int | None = None
    before: bytes | None = None
    content: bytes | None = None
    rewritten: bool = False
    boxes: int = 0

    @property
    def target(self) -> str:
        """Path of the label file in the view."""
        return f"labels/{self.line[: self.line.rindex('.')]}.txt"


@dataclass(slots=True)
class ViewPairs:
    """Chooses the pairs of a view.

    Attributes:
        dataset, spec: The dataset, and what rows are judged by.
        changed, exclude, scanned: As for `write_view`.
        excluded: Images that were left out.
        highest_class: Highest class id in the labels of pairs that were judged here, -1 without.
    """

    dataset: Dataset
    spec: TaskSpec
    changed: Mapping[str, bytes]
    exclude: Mapping[str, str]
    scanned: Scanned | None
    excluded: list[ExcludedImage] = field(default_factory=list)
    highest_class: int = -1
    _rules: RuleSet = field(default_factory=lambda: RuleSet.build(load_rules(()), Config()))
    _real_folders: dict[str, str] = field(default_factory=dict)

    def kept(self, number: int, split: Split, start: int, stop: int) -> list[ViewPair]:
        """The pairs start to stop of a split that have an image and are not left out."""
        folders = split.dir_index[start:stop].tolist()
        labels = [
            f"{split.label_dirs[d]}/{name}"
            for d, name in zip(folders, split.label_names(start, stop), strict=True)
        ]
        pairs = []
        for i, image in enumerate(split.chunk(start, stop).images):
            if image is None:
                continue
            relative = self.exclude and (self.dataset.relative(image) or image)
            if relative and relative in self.exclude:
                self._leave_out(split, relative, self.exclude[relative])
            else:
                pairs.append(ViewPair(start + i, image, labels[i]))
        scanned = self.scanned
        facts = scanned.facts(number, split, start, stop) if scanned else None
        if scanned is None or facts is None:
            return list(self.judged(split, pairs))
        as_scanned, others = [], []
        for pair in pairs:
            pair.boxes, digest, pair.rewritten, dropped = facts[pair.number - start]
            if dropped or pair.label in self.changed or digest in scanned.repaired:
                others.append(pair)
            else:
                pair.digest = digest
                as_scanned.append(pair)
        if not others:
            return as_scanned
        return sorted([*as_scanned, *self.judged(split, others)], key=lambda pair: pair.number)

    def judged(self, split: Split, pairs: Sequence[ViewPair]) -> Iterator[ViewPair]:
        """Those of some pairs that training would keep, by what their files are now; the others are left out."""
        readable = []
        for pair, read in zip(pairs, self._labels([pair.label for pair in pairs]), strict=True):
            if isinstance(read, OSError):
                relative = self.dataset.relative(pair.image) or pair.image
                self._leave_out(split, relative, f"its label file cannot be read: {read.strerror}")
                continue
            pair.before, pair.content = read
            readable.append(pair)
        table = read_images([pair.image for pair in readable], "header")
        rows = parse_labels([pair.content for pair in readable], self.spec)
        dropped = verdicts(rows, table, self.spec).dropped
        self._leave_out_dropped(split, [p for p, out in zip(readable, dropped, strict=True) if out])
        self._note_classes(rows, dropped)
        boxes = np.bincount(rows.file[rows.kind != RowKind.FAULTY], minlength=len(readable))
        for pair, out, rewritten, n in zip(readable, dropped, table.rewritten, boxes, strict=True):
            if not out:
                pair.rewritten, pair.boxes, pair.digest = bool(rewritten), int(n), None
                yield pair

    def _labels(self, paths: Sequence[str]) -> Iterator[tuple[bytes | None, bytes | None] | OSError]:
        """(bytes of each label file in the dataset, bytes in the view), None if there is no file; or the error."""
        links = map_ahead(os.path.islink, paths) if self.changed else [False] * len(paths)
        for path, is_link, read in zip(paths, links, small_labels(paths), strict=True):
            try:
                # What is not read so is read alone: it is large, or no file, or cannot be read.
                before = read if isinstance(read, bytes) else _large_label(path)
            except OSError as error:
                yield error
                continue
            after = self.changed.get(path)
            if after is None and before is not None and self.changed:
                real = real_path(path) if is_link else in_real_folder(path, self._real_folders)
                after = self.changed.get(real)
            yield before, before if after is None else after

    def _leave_out_dropped(self, split: Split, pairs: Sequence[ViewPair]) -> None:
        """Leave out pairs that training would drop; the reason is the message of the worst finding about the pair."""
        if not pairs:
            return
        images = [pair.image for pair in pairs]
        chunk = Chunk(split.name, images, [pair.label for pair in pairs])
        labels = parse_labels([pair.content for pair in pairs], self.spec)
        tables = ChunkTables(chunk, labels, read_images(images, "header"))
        found = run_chunk(tables, self.spec, self._rules, self.dataset.root)
        worst: dict[str | None, Finding] = {}
        for finding in sorted(found, key=lambda f: (-f.severity, f.sort_key())):
            worst.setdefault(finding.image, finding)
        for pair in pairs:
            relative = self.dataset.relative(pair.image) or pair.image
            about = worst.get(relative)
            line = f"line {about.line}: " if about and about.line else ""
            why = f"{line}{about.rule} {about.message}" if about else "its label or image cannot be read"
            self._leave_out(split, relative, f"training would drop it: {why}")

    def _leave_out(self, split: Split, image: str, reason: str) -> None:
        self.excluded.append(ExcludedImage(name_in_view(split), image, reason))

    def _note_classes(self, labels: LabelTable, dropped: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        kept = labels.class_id[~dropped[labels.file]]
        if len(kept):
            self.highest_class = max(self.highest_class, int(kept.max()))


def name_in_view(split: Split) -> str:
    """Name of a split in the view: train for the only split of a dataset that is not divided into splits."""
    return split.name or "train"


def _large_label(path: str) -> bytes | None:
    """The bytes of a label file, None if there is no file. Raises OSError."""
    return read_bounded(path, MAX_FILE_BYTES) if os.path.isfile(path) else None
