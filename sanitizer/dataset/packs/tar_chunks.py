"""Reads a tar shard, or a range of a large one, in chunks of pairs: headers, labels and both ends of each image."""

from __future__ import annotations

import itertools
import tarfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sanitizer.dataset.left_out import NOTHING, LeftOut
from sanitizer.dataset.model import Split
from sanitizer.dataset.packs.pairing import (
    MemberPairer,
    Pair,
    images_of,
    is_image_member,
    is_label_member,
    labels_of,
)
from sanitizer.dataset.packs.read_ahead import ReadAhead
from sanitizer.dataset.packs.shard_names import folder_split
from sanitizer.dataset.packs.stored_images import NOT_READ, read_stored, stored_table
from sanitizer.dataset.packs.tar_walk import MAX_UNPACKED_BYTES, Damage, Member, TarWalk
from sanitizer.dataset.places import counted, place, shown
from sanitizer.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from sanitizer.dataset.images import ImageMode
    from sanitizer.dataset.model import Pack
    from sanitizer.dataset.packs.read_ahead import Opener
    from sanitizer.dataset.tables import ImageTable, Place

UNREAD_LABEL = b"not read: left out"
"""Stands for the content of a label that is left out; told by identity."""
MOST_LABEL_BYTES = 1 << 26
"""A longer label is no label; it is named and left out."""


@dataclass(frozen=True, slots=True)
class PackChunk:
    """Some pairs of a packed file, read.

    Attributes:
        pairs: Their names and folders; paths go on from the packed file's as if it were a folder.
        labels: Bytes of each label; None where there is none.
        images: Facts of each image.
        faults: What is wrong with the file or with single members (D002, D005–D008, L009).
        left_out: Pairs whose image or label was not read, by number.
    """

    pairs: Split
    labels: Sequence[bytes | None]
    images: ImageTable
    faults: Sequence[Place]
    left_out: LeftOut = NOTHING
    unread: int = 0
    """1 where the file could not be read to its end."""


@dataclass(slots=True)
class TarReader:
    """Reads one shard.

    Attributes:
        pack: The shard.
        split: Name of its split.
        root: What paths in sentences are relative to.
        mode: How closely to look at images.
        opener: Opens a path for reading, unbuffered.
        pairs_per_chunk: How many pairs are held at once.
        left_out: Images and labels that are not read, by their numbers in the order of the range.
    """

    pack: Pack
    split: str
    root: str
    mode: ImageMode
    opener: Opener
    pairs_per_chunk: int
    left_out: LeftOut = NOTHING
    faults: list[Place] = field(default_factory=list)
    unread: int = 0

    def chunks(self, start: int, stop: int) -> Iterator[PackChunk]:
        """Chunks of the members whose headers are in this byte range, at least one. Never raises for what is in it."""
        pairer: MemberPairer = MemberPairer(self.pack.path, self.root, self.split)
        pending: list[Pair] = []
        label_bytes = 0
        for pair in self._pairs(pairer, start, stop):
            pending.append(pair)
            label_bytes += len(pair.label or b"")
            if len(pending) == self.pairs_per_chunk or label_bytes > MOST_LABEL_BYTES:
                yield self._chunk(pending, pairer)
                pending, label_bytes = [], 0
        if pending or pairer.faults or self.faults:
            yield self._chunk(pending, pairer)

    def _pairs(self, pairer: MemberPairer, start: int, stop: int) -> Iterator[Pair]:
        n_images = n_labels = 0
        try:
            with self.opener(self.pack.path) as file:
                members = (
                    self._streamed(ReadAhead(file))
                    if self.pack.kind == "stream"
                    else self._in(file, start, stop)
                )
                for name, is_image, size, part in members:
                    if self.pack.only is not None and folder_split(name, self.split) != self.pack.only:
                        continue
                    if name.startswith("/") or ".." in name.split("/"):
                        self._report_outside(name)
                    n_images, n_labels = n_images + is_image, n_labels + (not is_image)
                    if is_image:
                        unread = n_images - 1 in self.left_out.images
                        image = NOT_READ if unread else read_stored(size, part, self.mode)
                        yield from pairer.add_image(name, image)
                    elif size <= MOST_LABEL_BYTES:
                        unread = n_labels - 1 in self.left_out.labels
                        yield from pairer.add_label(name, UNREAD_LABEL if unread else part(0, size))
                    else:
                        self._fault(
                            f"its label {shown(name)} has {size:,} bytes and was not read", "Repair it."
                        )
        except OSError as error:
            self._report_unread(error)
        yield from pairer.finish(torn=bool(self.unread))

    def _in(self, file: BinaryIO, start: int, stop: int) -> Iterator[tuple[str, bool, int, _Part]]:
        """(name, whether it is an image, size, reader of a part) of every image and label in a byte range."""
        archive = ReadAhead(file)
        walk = TarWalk(archive, start, min(stop, archive.size))
        for member in walk:
            name = plain_name(member.name)
            is_image = is_image_member(name)
            if is_image or is_label_member(name):
                part = self._part_of(archive, walk, member)
                if part is not None:
                    yield name, is_image, member.size, part
        if not archive.size:
            walk.damage = Damage(0, "it has zero bytes")
        self._report_walk(walk, whole=stop >= archive.size)

    def _part_of(self, archive: ReadAhead, walk: TarWalk, member: Member) -> _Part | None:
        if member.sparse is None:
            return _Part(archive, member.start)
        content = walk.content(member)
        if content is not None:
            return _Part(content)
        if archive.failed is not None:
            raise archive.failed
        self._fault(f"its sparse member {shown(member.name)} cannot be unpacked", "Pack it without holes.")
        return None

    def _streamed(self, file: ReadAhead) -> Iterator[tuple[str, bool, int, _Part]]:
        """The same of a compressed archive, from end to end."""
        try:
            with tarfile.open(fileobj=cast("BinaryIO", file), mode="r|*") as archive:
                for info in archive:
                    name = plain_name(info.name)
                    archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header that it has seen
                    if not info.isreg() or not (is_image_member(name) or is_label_member(name)):
                        continue
                    content = archive.extractfile(info) if info.size <= MAX_UNPACKED_BYTES else None
                    if content is None:
                        self._fault(
                            f"its member {shown(name)} of {info.size:,} bytes was not read", "Repair it."
                        )
                    else:
                        yield name, is_image_member(name), info.size, _Part(content.read())
        except (
            tarfile.TarError,
            EOFError,
            ValueError,
            OverflowError,
            RecursionError,
            OSError,
            zlib.error,
        ) as error:
            if file.failed is not None:
                raise file.failed from None
            if self.pack.path.lower().endswith(".zst") and isinstance(error, tarfile.ReadError):
                self._fault(
                    "is compressed with Zstandard, which this Python does not read", "Decompress it: zstd -d."
                )
                return
            words = " ".join(str(error).split())[:200] or type(error).__name__
            self._fault(f"is damaged ({words}); what follows was not read", "Pack it again.")

    def _report_unread(self, error: OSError) -> None:
        self._fault(f"cannot be read: {error.strerror or type(error).__name__}", "Make it readable.")
        self.unread = 1

    def _report_walk(self, walk: TarWalk, whole: bool) -> None:
        if walk.damage is not None:
            at, reason = walk.damage.offset, walk.damage.reason
            detail = f"is damaged at byte {at:,}: {reason}; what follows was not read"
            self._fault(detail, "Pack it again, or copy it again from where it is whole.")
        elif whole and walk.after_end():
            detail = f"has an end mark at byte {walk.end:,} and more after it, which no usual reader sees"
            self._fault(detail, "Pack it again; two archives do not become one by joining their bytes.")
        if walk.skipped:
            detail = (
                f"holds {counted(walk.skipped, 'member')} that are links, devices or pipes;"
                " they were not read, and WebDataset's reader skips them"
            )
            self._fault(detail, "Pack the files that the links lead to.", Severity.WARNING)

    def _report_outside(self, name: str) -> None:
        path = f"{self.pack.path}/{name}"
        detail = (
            f"the member {shown(name)} of {self._shown()} leads out of the folder that it is unpacked into"
        )
        where: dict[str, Any] = {"image": path} if is_image_member(name) else {"label": path}
        self.faults.append(
            place(
                "D005", detail, "Pack it under a plain relative name.", file=path, split=self.split, **where
            )
        )

    def _fault(self, detail: str, advice: str, severity: Severity = Severity.ERROR) -> None:
        sentence = f"the shard {self._shown()} {detail}"
        self.faults.append(place("D002", sentence, advice, severity, file=self.pack.path, split=self.split))

    def _shown(self) -> str:
        return shown(self.pack.path, self.root)

    def _chunk(self, pairs: Sequence[Pair], pairer: MemberPairer) -> PackChunk:
        faults = [*self.faults, *pairer.faults]
        self.faults, pairer.faults = [], []
        unread, self.unread = self.unread, 0
        return PackChunk(
            as_split(self.split, self.pack.path, pairs),
            [None if pair.label is UNREAD_LABEL else pair.label for pair in pairs],
            stored_table([pair.image for pair in pairs]),
            faults,
            LeftOut(
                frozenset(i for i, pair in enumerate(pairs) if pair.image is NOT_READ),
                frozenset(i for i, pair in enumerate(pairs) if pair.label is UNREAD_LABEL),
            ),
            unread,
        )


class _Part:
    """Reads ranges of one member: `part(start, length)`."""

    __slots__ = ("_at", "_in")

    def __init__(self, within: ReadAhead | bytes, at: int = 0) -> None:
        self._in, self._at = within, at

    def __call__(self, start: int, length: int) -> bytes:
        if isinstance(self._in, bytes):
            return self._in[start : start + length]
        return self._in.view(self._at + start, length)


def plain_name(name: str) -> str:
    """A member's name without the ./ that `tar c .` puts before it."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def as_split(split: str, archive: str, pairs: Sequence[Pair]) -> Split:
    """The names of pairs, as `Split` holds them."""
    folders: dict[tuple[str, str], int] = {}
    index, names, odd = [], [], {}
    for number, pair in enumerate(pairs):
        name = pair.image_name or pair.label_name or ""
        folder, _, base = name.rpartition("/")
        if pair.image_name is None:
            key = (images_of(folder), folder)
        elif pair.label_name is None:
            key = (folder, labels_of(folder))
        else:
            label_folder, _, label = pair.label_name.rpartition("/")
            key = (folder, label_folder)
            if label != f"{base[: base.rfind('.')]}.txt":
                odd[number] = label
        index.append(folders.setdefault(key, len(folders)))
        names.append(base)
    return Split.build(
        split,
        [_joined(archive, folder) for folder, _ in folders],
        [_joined(archive, folder) for _, folder in folders],
        np.array(index, np.int32),
        names,
        np.array([pair.image_name is not None for pair in pairs], np.bool_),
        np.array([pair.label_name is not None for pair in pairs], np.bool_),
        odd,
    )


def _joined(archive: str, folder: str) -> str:
    return f"{archive}/{folder}" if folder else archive


def streamed_labels(file: ReadAhead, members: int) -> Iterator[bytes]:
    """Labels among the first members of a compressed archive; ends where it is damaged."""
    try:
        with tarfile.open(fileobj=cast("BinaryIO", file), mode="r|*") as archive:
            for info in itertools.islice(archive, members):
                if info.isreg() and is_label_member(plain_name(info.name)) and info.size <= MOST_LABEL_BYTES:
                    content = archive.extractfile(info)
                    if content is not None:
                        yield content.read()
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, OSError, zlib.error):
        return
