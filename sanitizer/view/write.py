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
import shutil
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.reports.csv_ import BOM, guarded
from sanitizer.ultra.versions import spec_of
from sanitizer.util.escape import encodable
from sanitizer.util.paths import join_path, too_long
from sanitizer.view.files import LabelCopier, LabelCopy, link_image, make_folder_of, write_file
from sanitizer.view.folder import ViewError, checked_folder, replacing_folder
from sanitizer.view.names import ViewNames
from sanitizer.view.pairs import ExcludedImage, ViewPair, ViewPairs, name_in_view
from sanitizer.view.regroup import ViewImage, regroup
from sanitizer.view.yaml_ import view_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.tables import Task
    from sanitizer.fixes.outcomes import CauseOutcome
    from sanitizer.fixes.planning import FixedFile
    from sanitizer.view.scanned import Scanned

_PAIRS_AT_ONCE = 1000


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
    scanned: Scanned | None = None,
) -> View:
    """Write a view of a dataset without the images that training would drop.

    Args:
        dataset: The result of `find_dataset`.
        task: The task that label rows are checked for.
        out: The view's folder. It does not exist yet, or is empty, or is an earlier view, which is replaced.
        changed: Absolute path of a label file (where training looks for it, or with links resolved) to its new bytes.
        exclude: Path of each image to leave out, as findings write it, to the reason.
        regrouped: All copies of one picture go into the split where most of them are.
        scanned: What a scan of this dataset under this task found; None judges each pair here.

    Raises:
        ViewError: The view cannot be written, or not into this folder.
    """
    final_folder = checked_folder(out, dataset)
    try:
        with replacing_folder(final_folder, dataset.yaml_path or dataset.root) as folder:
            pairs = ViewPairs(dataset, spec_of(dataset, task), changed or {}, exclude or {}, scanned)
            return _Writer(dataset, pairs, folder).write(final_folder, regrouped=regrouped)
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else out
        raise ViewError(
            f"{where}: {too_long(where) or error.strerror or error}; no view was written"
        ) from error


@dataclass(slots=True)
class _Writer:
    """Writes one view into a temporary folder, `folder`."""

    dataset: Dataset
    pairs: ViewPairs
    folder: str
    view: View = field(default_factory=lambda: View(""))
    _made: set[str] = field(default_factory=set)

    def write(self, final_folder: str, *, regrouped: bool) -> View:
        """Write the whole view; `final_folder` is the path that the temporary folder will get."""
        view = self.view
        view.folder = final_folder
        copier = LabelCopier(self.folder, len(self.dataset))
        try:
            splits = {
                name_in_view(split): self._write_split(number, split, copier)
                for number, split in enumerate(self.dataset.splits)
            }
        finally:
            copier.end()
        view.excluded = self.pairs.excluded
        if regrouped:
            splits, view.moved = regroup(splits)
        view.images = {name: len(images) for name, images in splits.items()}
        view.boxes = {name: sum(image.boxes for image in images) for name, images in splits.items()}
        lists = {name: f"{name}.txt" for name, images in splits.items() if images}
        texts = {
            list_name: "".join(f"./{image.path}\n" for image in splits[name])
            for name, list_name in lists.items()
        }
        texts["data.yaml"] = view_yaml(self.dataset, final_folder, lists, self.pairs.highest_class)
        texts["excluded.csv"] = _excluded_csv(view.excluded)
        for name, text in texts.items():
            write_file(f"{self.folder}/{name}", text.encode())
        lost = [name for name in ("train", "val") if name not in lists]
        view.notes = [
            f"no image is left in {name}: training needs one, so name other images as `{name}:` in {view.data_yaml}"
            for name in lost
        ]
        return view

    def _write_split(self, number: int, split: Split, copier: LabelCopier) -> list[ViewImage]:
        """Write the images and labels of one split."""
        name = name_in_view(split)
        with_images = np.flatnonzero(split.has_image)
        used = np.unique(split.dir_index[with_images]).tolist()
        numbers = {folder: number for number, folder in enumerate(used)}
        names = ViewNames.of([split.image_dirs[folder] for folder in used])
        images: list[ViewImage] = []
        waiting: deque[list[ViewPair]] = deque()
        for start in range(0, len(split), _PAIRS_AT_ONCE):
            pairs = self.pairs.kept(number, split, start, min(start + _PAIRS_AT_ONCE, len(split)))
            for pair in pairs:
                folder, file_name = numbers[int(split.dir_index[pair.number])], os.path.basename(pair.image)
                pair.line = f"{name}/{names.path_in_view(folder, file_name, pair.label)}"
            copier.copy([LabelCopy(p.label, p.target, p.digest) for p in pairs if p.digest is not None])
            waiting.append(pairs)
            if copier.is_busy:
                images += self._written(split, waiting.popleft(), copier.answer())
        for pairs in waiting:
            images += self._written(split, pairs, copier.answer())
        return images

    def _written(self, split: Split, pairs: list[ViewPair], not_copied: Sequence[int]) -> Iterator[ViewImage]:
        """Write what is not written yet of some pairs: links to images, and the labels that are no plain copies.

        Args:
            split: Their split.
            pairs: Pairs that are kept.
            not_copied: Numbers of those, among the pairs with a digest, whose label is no longer as it was scanned.
        """
        if not_copied:
            copied = [pair for pair in pairs if pair.digest is not None]
            changed = [copied[number] for number in not_copied]
            gone = {pair.number for pair in changed} - {
                pair.number for pair in self.pairs.judged(split, changed)
            }
            pairs = [pair for pair in pairs if pair.number not in gone]
        for pair in pairs:
            image = f"images/{pair.line}"
            make_folder_of(self.folder, image, self._made)
            if pair.rewritten:
                self.view.copied += 1
                shutil.copyfile(pair.image, f"{self.folder}/{image}")
            else:
                link_image(pair.image, f"{self.folder}/{image}")
            if pair.content is not None:
                if pair.content != pair.before:
                    self.view.changed.add(pair.label)
                make_folder_of(self.folder, pair.target, self._made)
                write_file(f"{self.folder}/{pair.target}", pair.content)
            yield ViewImage(image, pair.boxes)


def _excluded_csv(excluded: Sequence[ExcludedImage]) -> str:
    """CSV with the columns split, image, reason, which a spreadsheet opens without running any formula in it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("split", "image", "reason"))
    for e in excluded:
        writer.writerow([guarded(encodable(text)) for text in (e.split, e.image, e.reason)])
    return BOM + out.getvalue()
