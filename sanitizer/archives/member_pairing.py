"""Pairs the images and labels of an archive, one member after the other, in any order.

A sample is defined as in WebDataset: neighbouring members in one folder whose names agree up to the first dot. A member
without partner in its sample is kept until the end of the archive: then an image under images/ gets its label under
labels/, as in training.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sanitizer.dataset.listing import image_folder, is_image_name, label_folder
from sanitizer.dataset.single_files import is_label_name
from sanitizer.dataset.tables import DatasetFault, dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util import limits
from sanitizer.util.bounded_read import as_size
from sanitizer.util.counting import counted
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sanitizer.archives.stored_images import StoredImage


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, its label, or both; names are those inside the archive."""

    image_name: str | None
    image: StoredImage | None
    label_name: str | None
    label: bytes | OSError | None
    """The bytes of the label, or the error of reading them."""


def is_image_member(name: str) -> bool:
    """Whether a member is an image by its name; a hidden file is no image."""
    base = name[name.rfind("/") + 1 :]
    return base[:1] != "." and is_image_name(base)


def is_label_member(name: str) -> bool:
    """Whether a member is a label file by its name, in any case of its file extension."""
    return is_label_name(name[name.rfind("/") + 1 :])


def labels_of(folder: str) -> str:
    """The folder where training looks for the labels of the images in a folder."""
    return label_folder(f"/{folder}")[1:]


def images_of(folder: str) -> str:
    """The inverse of `labels_of`."""
    return image_folder(f"/{folder}")[1:]


def stem_of(name: str) -> str:
    """The name without its file extension, from which training forms the name of the label."""
    return name[: name.rfind(".")]


def sample_key(name: str) -> str:
    """The part of the name that all members of a sample share: folder, and file name up to its first dot."""
    folder = name.rfind("/") + 1
    dot = name.find(".", folder)
    return name if dot < 0 else name[:dot]


@dataclass(slots=True)
class MemberPairer:
    """Takes members in the order of the archive and yields pairs.

    Attributes:
        archive: Absolute path of the archive.
        root: Folder that paths in messages are relative to.
        split: Name of the split, for faults.
        faults: D006, D007, D008 and L009.
    """

    archive: str
    root: str
    split: str
    faults: list[DatasetFault] = field(default_factory=list)
    _key: str | None = None
    _images: dict[str, StoredImage] = field(default_factory=dict)
    _labels: dict[str, bytes | OSError] = field(default_factory=dict)
    _waiting_images: dict[str, StoredImage] = field(default_factory=dict)
    _waiting_labels: dict[str, bytes | OSError] = field(default_factory=dict)
    _waiting_bytes: int = 0
    _seen_image: bool = False

    def add_image(self, name: str, image: StoredImage) -> Iterator[Pair]:
        """Add the next member, an image. If it begins a new sample, yield the pairs of the sample before it."""
        yield from self._begin(name)
        self._seen_image = True
        self._refuse_second(name, self._images, self._waiting_images)
        self._images[name] = image

    def add_label(self, name: str, label: bytes | OSError) -> Iterator[Pair]:
        """Add the next member, a label. If it begins a new sample, yield the pairs of the sample before it."""
        yield from self._begin(name)
        self._refuse_second(name, self._labels, self._waiting_labels)
        self._labels[name] = label

    def finish(self, torn: bool = False) -> Iterator[Pair]:
        """The pairs of the members kept so far: images in order of name, then labels without image.

        Where the archive is `torn`, a partner may be in the part that could not be read: members without partner are
        left out.
        """
        yield from self._end_sample()
        labels, used = self._waiting_labels, set[str]()
        first_with: dict[str, str] = {}
        for name, image in sorted(self._waiting_images.items()):
            wanted = next((w for w in _wanted(name) if w in labels), None)
            if wanted is None and torn:
                continue
            if wanted is None:
                used |= self._unlabelled(name)
                yield Pair(name, image, None, None)
                continue
            self._same_stem(first_with, name, wanted)
            used.add(wanted)
            yield Pair(name, image, wanted, labels[wanted])
        orphans = [] if torn else sorted(labels.keys() - used)
        self._report_orphans(orphans)
        for name in orphans:
            yield Pair(None, None, name, labels[name])
        self._waiting_images, self._waiting_labels = {}, {}

    def _begin(self, name: str) -> Iterator[Pair]:
        key = sample_key(name)
        if key != self._key:
            yield from self._end_sample()
            self._key = key

    def _end_sample(self) -> Iterator[Pair]:
        images, labels = self._images, self._labels
        self._images, self._labels = {}, {}
        if len(images) == len(labels) == 1:  # nearly every sample
            ((image_name, image),), ((label_name, label),) = images.items(), labels.items()
            plain = f"{self._key}.txt" == label_name or stem_of(image_name) == self._key
            if label_name.endswith(".txt") and (plain or stem_of(image_name) == label_name[:-4]):
                yield Pair(image_name, image, label_name, label)
                return
        used = set()
        first_with: dict[str, str] = {}
        for name, image in images.items():
            wanted = f"{stem_of(name)}.txt"
            if wanted in labels:
                self._same_stem(first_with, name, wanted)
                used.add(wanted)
                yield Pair(name, image, wanted, labels[wanted])
            else:
                self._waiting_images[name] = image
        for name, label in labels.items():
            if name not in used:
                self._keep_label(name, label)

    def _keep_label(self, name: str, label: bytes | OSError) -> None:
        """Keep a label until the end of the archive; beyond the limit keep an error in its place."""
        if isinstance(label, bytes):
            self._waiting_bytes += len(label)
            if self._waiting_bytes > limits.WAITING_LABEL_BYTES:
                held = as_size(limits.WAITING_LABEL_BYTES)
                label = OSError(errno.ENOMEM, f"labels far from their images take more than {held} here")
        self._waiting_labels[name] = label

    def _same_stem(self, first_with: dict[str, str], name: str, label: str) -> None:
        """D008 for the second image with a label."""
        first = first_with.setdefault(label, name)
        if first == name:
            return
        a, b = (shown(n[n.rfind("/") + 1 :]) for n in (name, first))
        detail = f"{a} and {b} share one label file, {self._show(label)}: training gives both the same boxes"
        advice = "Rename one image and its label, or delete the copy."
        self.faults.append(self._fault_of("D008", detail, advice, image=name, label=label))

    def _refuse_second(self, name: str, *known: Mapping[str, object]) -> None:
        if not any(name in names for names in known):
            return
        detail = (
            f"{self._show(name)} is there twice: WebDataset's reader stops at the second,"
            " unpacking keeps only the last"
        )
        where = {"image": name} if is_image_member(name) else {"label": name}
        self.faults.append(self._fault_of("D008", detail, "Pack it once.", **where))

    def _unlabelled(self, name: str) -> set[str]:
        """Report D006, or L009 where training misses the label only because of its file extension. Returns the names of
        labels that are reported with it."""
        wanted = _wanted(name)[-1]
        base = shown(wanted[wanted.rfind("/") + 1 :])
        hidden = next(
            (n for w in _wanted(name) for e in ("TXT", "Txt") if (n := w[:-3] + e) in self._waiting_labels),
            None,
        )
        if hidden is not None:
            image, found = (shown(n[n.rfind("/") + 1 :]) for n in (name, hidden))
            detail = f"training looks for {base} and does not find {found}: it reads {image} as background"
            self.faults.append(
                DatasetFault(
                    "L009", self._path(hidden), self._path(name), self._path(hidden), self.split,
                    values={"problem": detail, "detail": detail},
                    suggestion=f"Rename the file to {base}.", severity=Severity.WARNING,
                )
            )  # fmt: skip
            return {hidden}
        folder = wanted[: max(wanted.rfind("/"), 0)]
        detail = f"no label file of this name in {self._show(folder)}: training reads the image as background"
        advice = "Label the image; if there really is nothing on it, add an empty label file to say so."
        self.faults.append(self._fault_of("D006", detail, advice, image=name))
        return set()

    def _report_orphans(self, names: list[str]) -> None:
        if names and not self._seen_image:
            detail = f"no image for {counted(len(names), 'label file')} in {self._show('')}"
            detail += ": the rows are judged without image sizes"
            advice = "Put the images beside them to have sizes, aspect ratios and the images checked too."
            self.faults.append(
                dataset_fault("D007", detail, advice, Severity.INFO, file=self.archive, split=self.split)
            )
            return
        for name in names:
            folder = images_of(name[: max(name.rfind("/"), 0)])
            detail = f"no image of this name in {self._show(folder)}: training never reads this file"
            advice = "Restore or rename the image, or delete the label file."
            self.faults.append(self._fault_of("D007", detail, advice, label=name))

    def _fault_of(self, rule: str, detail: str, advice: str, **names: str) -> DatasetFault:
        where: dict[str, Any] = {key: self._path(name) for key, name in names.items()}
        opened = where.get("image") or where.get("label")
        return dataset_fault(rule, detail, advice, file=opened, split=self.split, **where)

    def _path(self, name: str) -> str:
        return f"{self.archive}/{name}" if name else self.archive

    def _show(self, name: str) -> str:
        return shown(self._path(name), self.root)


def _wanted(image_name: str) -> tuple[str, ...]:
    """Names that the label of an image may have. The last is the one that training looks for."""
    folder, _, base = image_name.rpartition("/")
    beside = f"{stem_of(image_name)}.txt"
    apart = labels_of(folder)
    return (beside,) if apart == folder else (beside, f"{apart}/{stem_of(base)}.txt")
