"""Writes a clean view of a dataset: a folder that training reads in place of the dataset, which does not change.

    OUT/data.yaml               names and keypoints of the original, without code and contradictions
    OUT/train.txt, val.txt, …   the images of each split
    OUT/images/<split>/…        links to the images; copies of the images that training would rewrite on disk
    OUT/labels/<split>/…        copies of the label files, repaired
    OUT/excluded.csv            images that were left out, with the reason

Training writes its caches beside these labels, and not beside the user's labels.
"""

from __future__ import annotations

import csv
import io
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
from sanitizer.reports.csv_ import BOM, guarded
from sanitizer.rules.engine import RuleSet, run_chunk
from sanitizer.rules.language.pack import load_rules
from sanitizer.storage.read_ahead import map_ahead
from sanitizer.ultra.label_check import verdicts
from sanitizer.ultra.versions import spec_of
from sanitizer.util.bounded_read import read_bounded
from sanitizer.util.escape import encodable
from sanitizer.util.paths import in_real_folder, join_path, real_path, too_long
from sanitizer.view.files import FileWriter, ViewPair, write_file
from sanitizer.view.folder import ViewError, checked_folder, replacing_folder
from sanitizer.view.names import ViewNames
from sanitizer.view.regroup import ViewImage, regroup
from sanitizer.view.yaml_ import view_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.tables import LabelTable, Task, TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.outcomes import CauseOutcome
    from sanitizer.fixes.planning import FixedFile

_PAIRS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ExcludedImage:
    """An image that is not in the view: its split, its path as findings write it, and the reason."""

    split: str
    image: str
    reason: str


@dataclass(slots=True)
class View:
    """A view that was written.

    Attributes:
        folder: Absolute path, links resolved.
        images: Split name to its number of images; an image that a list names twice counts once.
        boxes: Split name to its number of label rows.
        excluded: Images that were left out.
        changed: Label files that are different in the view: absolute paths in the dataset, where training looks for
            the files.
        files: The repairs in these files.
        outcomes: What was done about each cause of findings on label rows.
        copied: Number of images that are copies and not links, because training would rewrite them.
        moved: Number of images that are in another split than in the dataset, beside copies of their picture.
        refused: Sentences on requested repairs that were not made.
        notes: Further sentences for the user.
    """

    folder: str
    images: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)
    excluded: list[ExcludedImage] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    files: Sequence[FixedFile] = ()
    outcomes: Sequence[CauseOutcome] = ()
    copied: int = 0
    moved: int = 0
    refused: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def data_yaml(self) -> str:
        """Absolute path of the view's data.yaml, to train on."""
        return join_path(self.folder, "data.yaml")


def write_view(
    dataset: Dataset,
    task: Task,
    out: str,
    *,
    changed: Mapping[str, bytes] | None = None,
    exclude: Mapping[str, str] | None = None,
    regrouped: bool = False,
) -> View:
    """Write a view of a dataset without the images that training would drop.

    Args:
        dataset: The result of `find_dataset`.
        task: The task that label rows are checked for.
        out: The view's folder. It does not exist yet, or is empty, or is an earlier view, which is replaced.
        changed: Absolute path of a label file (where training looks for it, or with links resolved) to its new bytes.
        exclude: Path of each image to leave out, as findings write it, to the reason.
        regrouped: All copies of one picture go into the split where most of them are.

    Raises:
        ViewError: The view cannot be written, or not into this folder.
    """
    final_folder = checked_folder(out, dataset)
    try:
        with replacing_folder(final_folder, dataset.yaml_path or dataset.root) as folder:
            writer = _Writer(dataset, spec_of(dataset, task), folder, changed or {}, exclude or {})
            return writer.write(final_folder, regrouped=regrouped)
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else out
        raise ViewError(
            f"{where}: {too_long(where) or error.strerror or error}; no view was written"
        ) from error


@dataclass(slots=True)
class _Writer:
    """Writes one view into a temporary folder, `folder`."""

    dataset: Dataset
    spec: TaskSpec
    folder: str
    changed: Mapping[str, bytes]
    exclude: Mapping[str, str]
    view: View = field(default_factory=lambda: View(""))
    _rules: RuleSet = field(default_factory=lambda: RuleSet.build(load_rules(()), Config()))
    _highest_class: int = -1
    _real_folders: dict[str, str] = field(default_factory=dict)

    def write(self, final_folder: str, *, regrouped: bool) -> View:
        """Write the whole view; `final_folder` is the path that the temporary folder will get."""
        view = self.view
        view.folder = final_folder
        writer = FileWriter(self.folder, len(self.dataset))
        try:
            splits = {_name_of(split): self._write_split(split, writer) for split in self.dataset.splits}
            writer.finish()
        finally:
            writer.end()
        if regrouped:
            splits, view.moved = regroup(splits)
        view.images = {name: len(images) for name, images in splits.items()}
        view.boxes = {name: sum(image.boxes for image in images) for name, images in splits.items()}
        lists = {name: f"{name}.txt" for name, images in splits.items() if images}
        texts = {
            list_name: "".join(f"./{image.path}\n" for image in splits[name])
            for name, list_name in lists.items()
        }
        texts["data.yaml"] = view_yaml(self.dataset, final_folder, lists, self._highest_class)
        texts["excluded.csv"] = _excluded_csv(view.excluded)
        for name, text in texts.items():
            write_file(f"{self.folder}/{name}", text.encode())
        lost = [name for name in ("train", "val") if name not in lists]
        view.notes = [
            f"no image is left in {name}: training needs one, so name other images as `{name}:` in {view.data_yaml}"
            for name in lost
        ]
        return view

    def _write_split(self, split: Split, writer: FileWriter) -> list[ViewImage]:
        """Write the images and labels of one split."""
        name = _name_of(split)
        with_images = np.flatnonzero(split.has_image)
        used = np.unique(split.dir_index[with_images]).tolist()
        numbers = {folder: number for number, folder in enumerate(used)}
        names = ViewNames.of([split.image_dirs[folder] for folder in used])
        images: list[ViewImage] = []
        for start in range(0, len(split), _PAIRS_AT_ONCE):
            files = []
            for pair in self._kept(split, start, min(start + _PAIRS_AT_ONCE, len(split))):
                folder, file_name = numbers[int(split.dir_index[pair.number])], os.path.basename(pair.image)
                line = names.path_in_view(folder, file_name, pair.label)
                images.append(ViewImage(f"images/{name}/{line}", pair.boxes))
                files.append(self._as_written(pair, name, line))
            writer.write(files)
        return images

    def _kept(self, split: Split, start: int, stop: int) -> Iterator[_Kept]:
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
            relative = self.dataset.relative(image) or image
            if relative in self.exclude:
                self._leave_out(split, relative, self.exclude[relative])
            else:
                pairs.append(_Kept(start + i, image, labels[i]))
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
                pair.rewritten, pair.boxes = bool(rewritten), int(n)
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

    def _leave_out_dropped(self, split: Split, pairs: Sequence[_Kept]) -> None:
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
        self.view.excluded.append(ExcludedImage(_name_of(split), image, reason))

    def _note_classes(self, labels: LabelTable, dropped: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        kept = labels.class_id[~dropped[labels.file]]
        if len(kept):
            self._highest_class = max(self._highest_class, int(kept.max()))

    def _as_written(self, pair: _Kept, split: str, line: str) -> ViewPair:
        """What is written for one pair, whose image is to be at `line` in the split's folder."""
        self.view.copied += pair.rewritten
        if pair.content is not None and pair.content != pair.before:
            self.view.changed.add(pair.label)
        label = f"labels/{split}/{line[: line.rindex('.')]}.txt"
        return ViewPair(pair.image, f"images/{split}/{line}", pair.rewritten, label, pair.content)


@dataclass(slots=True)
class _Kept:
    """An image and its label file, on the way into the view.

    Attributes:
        number: Number of the pair in its split.
        image: Absolute path of the image.
        label: Absolute path where training looks for the label file.
        before: Bytes of the label file in the dataset; None if there is none.
        content: Bytes of the label file in the view; None if there is none.
        rewritten: Training would rewrite the image on disk.
        boxes: Number of label rows.
    """

    number: int
    image: str
    label: str
    before: bytes | None = None
    content: bytes | None = None
    rewritten: bool = False
    boxes: int = 0


def _name_of(split: Split) -> str:
    """Name of a split in the view: train for the only split of a dataset that is not divided into splits."""
    return split.name or "train"


def _large_label(path: str) -> bytes | None:
    """The bytes of a label file, None if there is no file. Raises OSError."""
    return read_bounded(path, MAX_FILE_BYTES) if os.path.isfile(path) else None


def _excluded_csv(excluded: Sequence[ExcludedImage]) -> str:
    """CSV with the columns split, image, reason, which a spreadsheet opens without running any formula in it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("split", "image", "reason"))
    for e in excluded:
        writer.writerow([guarded(encodable(text)) for text in (e.split, e.image, e.reason)])
    return BOM + out.getvalue()
