"""Reads a tar shard, or a range of a large one, in chunks of pairs: headers, labels and both ends of each image."""

from __future__ import annotations

import errno
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.archives.member_pairing import (
    MemberPairer,
    Pair,
    images_of,
    is_image_member,
    is_label_member,
    labels_of,
)
from sanitizer.archives.read_ahead import ReadAhead
from sanitizer.archives.stored_images import NOT_READ, not_judged, read_stored, stored_table
from sanitizer.archives.tar.shard_names import folder_split
from sanitizer.archives.tar.unpacking import Unpacked
from sanitizer.archives.tar.walk import Damage, Member, TarWalk
from sanitizer.dataset.left_out import NOTHING, LeftOut
from sanitizer.dataset.model import Split
from sanitizer.dataset.tables import dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util import limits
from sanitizer.util.bounded_read import MIB, too_large
from sanitizer.util.counting import counted
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.archives.read_ahead import Opener
    from sanitizer.archives.stored_images import StoredImage
    from sanitizer.dataset.model import Pack
    from sanitizer.dataset.tables import DatasetFault, ImageTable
    from sanitizer.images.image_files import ImageMode

UNREAD_LABEL = b"not read: left out"
"""Stands for the content of a label that is left out. Compare with `is`: a label may hold the same bytes."""
LABEL_BYTES_PER_CHUNK = 16 * MIB
"""A chunk with more bytes of labels ends early."""
_NAMED_MEMBERS = 1000
"""Members that are not read are named up to this number; the others are counted."""


@dataclass(frozen=True, slots=True)
class PackChunk:
    """Some pairs of a packed file, after reading.

    Attributes:
        pairs: Names and folders of the pairs. In paths, the packed file stands for a folder.
        labels: Bytes of each label, or the error of reading it; None where there is no label.
        images: Facts of each image.
        faults: Faults of the file or of single members (D002, D005–D008, L009).
        left_out: Images and labels that were not read, by the number of their pair.
    """

    pairs: Split
    labels: Sequence[bytes | OSError | None]
    images: ImageTable
    faults: Sequence[DatasetFault]
    left_out: LeftOut = NOTHING
    unread: int = 0
    """1 where the file could not be read to its end."""


@dataclass(slots=True)
class TarReader:
    """Reads one shard.

    Attributes:
        pack: The shard.
        split: Name of its split.
        root: Folder that paths in messages are relative to.
        mode: How closely to look at images.
        opener: Opens a path for reading, unbuffered.
        pairs_per_chunk: Number of pairs in a chunk.
        left_out: Images and labels that must not be read, by their number in the range.
        label_bytes: The largest label that is read.
    """

    pack: Pack
    split: str
    root: str
    mode: ImageMode
    opener: Opener
    pairs_per_chunk: int
    left_out: LeftOut = NOTHING
    label_bytes: int = limits.LABEL_BYTES
    faults: list[DatasetFault] = field(default_factory=list)
    unread: int = 0
    _torn: bool = False
    _n_odd: int = 0

    def chunks(self, start: int, stop: int) -> Iterator[PackChunk]:
        """Chunks of the members whose headers are in this byte range, at least one. Never raises for their content."""
        pairer: MemberPairer = MemberPairer(self.pack.path, self.root, self.split)
        pending: list[Pair] = []
        label_bytes = 0
        for pair in self._pairs(pairer, start, stop):
            pending.append(pair)
            label_bytes += len(pair.label) if isinstance(pair.label, bytes) else 0
            if len(pending) == self.pairs_per_chunk or label_bytes > LABEL_BYTES_PER_CHUNK:
                yield self._chunk(pending, pairer)
                pending, label_bytes = [], 0
        if pending or pairer.faults or self.faults:
            yield self._chunk(pending, pairer)

    def _pairs(self, pairer: MemberPairer, start: int, stop: int) -> Iterator[Pair]:
        n_images = n_labels = 0
        try:
            with self.opener(self.pack.path) as file:
                compressed = self.pack.kind == "stream"
                archive = ReadAhead(file)
                for member in self._streamed(archive) if compressed else self._in(archive, start, stop):
                    name = member.name
                    if self.pack.only is not None and folder_split(name, self.split) != self.pack.only:
                        continue
                    if name.startswith("/") or ".." in name.split("/"):
                        self._report_outside(name)
                    if member.is_image:
                        unread = n_images in self.left_out.images
                        n_images += 1
                        image = NOT_READ if unread else member.image(self.mode)
                        yield from pairer.add_image(name, image)
                    else:
                        unread = n_labels in self.left_out.labels
                        n_labels += 1
                        yield from pairer.add_label(
                            name, UNREAD_LABEL if unread else member.label(self.label_bytes)
                        )
        except OSError as error:
            self._report_unread(error)
        yield from pairer.finish(torn=self._torn or bool(self.unread))

    def _in(self, archive: ReadAhead, start: int, stop: int) -> Iterator[_FoundMember]:
        """Every image and label in a byte range."""
        walk = TarWalk(archive, start, min(stop, archive.size))
        for name, is_image, member in self._wanted(walk):
            if member.sparse is None:
                yield _FoundMember(name, is_image, member.size, _Part(archive, member.start))
            else:
                yield self._whole(name, is_image, member, walk)
        if not archive.size:
            walk.damage = Damage(0, "it has zero bytes")
        elif archive.size < self.pack.size_bytes and walk.damage is None:
            walk.damage = Damage(archive.size, "it became shorter while it was read")
        self._report_walk(walk, whole=stop >= archive.size)

    def _streamed(self, file: ReadAhead) -> Iterator[_FoundMember]:
        """Every image and label in a compressed archive."""
        archive = Unpacked(file)
        walk = TarWalk(archive)
        for name, is_image, member in self._wanted(walk):
            found = self._whole(name, is_image, member, walk)
            # The walk reports an archive that ends inside a member.
            if found.part is not None or not archive.ended:
                yield found
        self._report_walk(walk, whole=True)

    def _wanted(self, walk: TarWalk) -> Iterator[tuple[str, bool, Member]]:
        """(plain name, whether it is an image, member) of images and labels."""
        for member in walk:
            name = plain_name(member.name)
            is_image = is_image_member(name)
            if is_image or is_label_member(name):
                if len(name) > _USUAL_NAME and (problem := _odd_name(name)):
                    self._report_odd(name, problem)
                else:
                    yield name, is_image, member

    def _whole(self, name: str, is_image: bool, member: Member, walk: TarWalk) -> _FoundMember:
        """A member read into memory as a whole, or the error of reading it."""
        limit = limits.IMAGE_BYTES if is_image else self.label_bytes
        if member.size > limit:
            return _FoundMember(name, is_image, member.size, None, too_large(limit, name))
        content = walk.content(member)
        if content is None:
            problem = OSError(errno.EIO, "it is a sparse file, and its map of holes is damaged")
            return _FoundMember(name, is_image, member.size, None, problem)
        return _FoundMember(name, is_image, member.size, _Part(content))

    def _report_odd(self, name: str, problem: str) -> None:
        self._n_odd += 1
        if self._n_odd <= _NAMED_MEMBERS:
            detail = f"has a member {problem}, which was not read: {shown(name[:100])}…"
            self._fault(detail, "Pack it under a shorter name.")

    def _report_unread(self, error: OSError) -> None:
        self._fault(f"cannot be read: {error.strerror or type(error).__name__}", "Make it readable.")
        self.unread = 1

    def _report_walk(self, walk: TarWalk, whole: bool) -> None:
        if self._n_odd > _NAMED_MEMBERS:
            rest = counted(self._n_odd - _NAMED_MEMBERS, "more member")
            self._fault(f"has {rest} with such names, which were not read", "Pack them under shorter names.")
        if walk.damage is not None:
            self._torn = True
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
            dataset_fault(
                "D005", detail, "Pack it under a plain relative name.", file=path, split=self.split, **where
            )
        )

    def _fault(self, detail: str, advice: str, severity: Severity = Severity.ERROR) -> None:
        sentence = f"the shard {self._shown()} {detail}"
        self.faults.append(
            dataset_fault("D002", sentence, advice, severity, file=self.pack.path, split=self.split)
        )

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


@dataclass(slots=True)
class _FoundMember:
    """An image or a label of an archive.

    Attributes:
        name: Its plain name.
        is_image: True for an image, False for a label.
        size: Length in bytes.
        part: Reads ranges of the member; None where the member cannot be read.
        problem: Why it cannot be read.
    """

    name: str
    is_image: bool
    size: int
    part: _Part | None
    problem: OSError | None = None

    def image(self, mode: ImageMode) -> StoredImage:
        """The facts of an image."""
        if self.part is None:
            return not_judged(self.problem or OSError())
        return read_stored(self.size, self.part, mode)

    def label(self, limit: int) -> bytes | OSError:
        """Bytes of a label of up to `limit`, or why it is not read."""
        if self.part is None:
            return self.problem or OSError()
        if self.size > limit:
            return too_large(limit, self.name)
        return self.part(0, self.size)


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


_USUAL_NAME = 100


def _odd_name(name: str) -> str | None:
    """Why a name cannot be the path of a file; None where it can."""
    n_bytes = len(name.encode("utf-8", "surrogateescape"))
    if n_bytes > limits.MEMBER_NAME_BYTES:
        return f"with a name of {n_bytes:,} bytes"
    depth = name.count("/")
    return f"that lies {depth:,} folders deep" if depth > limits.MEMBER_DEPTH else None


def streamed_labels(file: ReadAhead, members: int) -> Iterator[bytes]:
    """Labels among the first members of a compressed archive; ends where it is damaged."""
    walk = TarWalk(Unpacked(file, limits.SAMPLED_BYTES))
    for member in itertools.islice(walk, members):
        if is_label_member(plain_name(member.name)) and member.size <= limits.LABEL_BYTES:
            content = walk.content(member)
            if content is not None:
                yield content
