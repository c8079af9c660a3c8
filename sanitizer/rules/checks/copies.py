"""Which images of a dataset are copies of an earlier one: by their bytes, or by what they show."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.util.bounded_read import MIB
from sanitizer.util.paths import in_real_folder
from sanitizer.util.spill import ROWS_HELD, Buckets, SpillFile, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.rules.survey import Survey
    from sanitizer.storage.base import Storage
    from sanitizer.util.spill import Column


@dataclass(frozen=True, slots=True)
class Likeness:
    """When two decoded pictures are the same one.

    Measured on four published sets against their own re-encodings (quality 30 to 95, half to double size): copies
    differ by at most 1.0 levels in the mean and 7 at most (larger only when images under 100 px are shrunk
    further), at correlations from .94; the nearest two different pictures by 2.7 and 19.

    Attributes:
        max_hash_distance: Bits of the perceptual hash that may differ for a candidate.
        max_mean_difference, max_difference: Gray levels of 255, between two 32×32 thumbnails.
        min_correlation: Of the two thumbnails: flat pictures have none, and are never called the same.
    """

    max_hash_distance: int = 8
    max_mean_difference: float = 1.5
    max_difference: float = 10.0
    min_correlation: float = 0.9


@dataclass(frozen=True, slots=True)
class Copy:
    """Image `index` shows what image `original`, which comes before it, shows. Both count as in `Survey`.

    Attributes:
        mean_difference: Gray levels between the thumbnails of re-encoded copies; None for equal bytes.
        same_file: Two names of one file on disk (hard or symbolic link).
    """

    index: int
    original: int
    mean_difference: float | None = None
    same_file: bool = False


def find_copies(survey: Survey, limits: Likeness) -> Copies:
    """Every image that is a copy of an earlier one, in order of the dataset.

    Pictures are compared only where pixels were decoded; equal bytes are found without. An image that is listed
    twice under one path is one image and no copy.
    """
    known = survey.answers.get(limits)
    if isinstance(known, Copies):
        return known
    survey.answers[limits] = copies = Copies(len(survey))
    _equal_files(survey, copies)
    _alike(survey, limits, copies)
    return copies


def found_copies(survey: Survey) -> Copies | None:
    """The copies that a rule found; None where no rule looked for any."""
    return next((answer for answer in survey.answers.values() if isinstance(answer, Copies)), None)


_COPY = np.dtype([("original", np.int64), ("mean_difference", np.float64), ("kind", np.uint8)])
_NO_COPY, _EQUAL, _SAME_FILE, _ALIKE, _SAME_PATH = range(5)


class Copies:
    """What is known of every image, in order of the dataset: 17 bytes an image, in a file where they are very many.

    Gives the copies when it is iterated over, and tells their number.
    """

    def __init__(self, n_images: int) -> None:
        self._n_images, self._n_copies = n_images, 0
        self._rows = np.zeros(n_images if n_images <= ROWS_HELD else 0, _COPY)
        self._file = SpillFile("what is known of copies of images") if n_images > ROWS_HELD else None

    def __len__(self) -> int:
        return self._n_copies

    def __iter__(self) -> Iterator[Copy]:
        for part in blocks(self._n_images):
            rows = self._part(part)
            for i in np.flatnonzero((rows["kind"] != _NO_COPY) & (rows["kind"] != _SAME_PATH)).tolist():
                original, mean, kind = rows[i].item()
                yield Copy(
                    part.start + i, original, mean if kind == _ALIKE else None, same_file=kind == _SAME_FILE
                )

    def settled(self, images: slice) -> NDArray[np.bool_]:
        """bool: which of these images are copies, or repeat a path."""
        settled: NDArray[np.bool_] = self._part(images)["kind"] != _NO_COPY
        return settled

    def add(self, copy: Copy) -> None:
        """Keep a copy."""
        kind = _EQUAL if copy.mean_difference is None else _ALIKE
        self._set(
            copy.index, (copy.original, copy.mean_difference or 0.0, _SAME_FILE if copy.same_file else kind)
        )
        self._n_copies += 1

    def add_same_path(self, index: int) -> None:
        """Keep that an image repeats an earlier path."""
        self._set(index, (0, 0.0, _SAME_PATH))

    def _set(self, index: int, row: tuple[int, float, int]) -> None:
        if self._file is None:
            self._rows[index] = row
        else:
            self._file.write_at(index * _COPY.itemsize, np.array(row, _COPY).tobytes())

    def _part(self, images: slice) -> NDArray[Any]:
        if self._file is None:
            return self._rows[images]
        rows = np.zeros(images.stop - images.start, _COPY)
        # Beyond the last image that was written nothing is known of any.
        n_bytes = min(rows.nbytes, max(0, self._file.size - images.start * _COPY.itemsize))
        self._file.read_into(images.start * _COPY.itemsize, rows.view(np.uint8)[:n_bytes])
        return rows


def _equal_files(survey: Survey, copies: Copies) -> None:
    """Note byte-identical copies, and images that repeat an earlier path."""
    folders: dict[str, str] = {}
    packed, storage = _packed_contents(survey), survey.dataset.storage
    for group in _groups(survey.image_digest, survey.image_bytes):
        first_with: dict[bytes, tuple[int, str]] = {}
        seen: set[str] = set()
        for i in group:
            path = survey.image_path(i)
            if survey.packed_files:
                content = packed.get(path)
            else:
                content = _content_hash(path, int(survey.image_bytes[i]), storage)
            if path is None or content is None:
                continue
            real = in_real_folder(path, folders, storage.realpath)
            if real in seen:
                copies.add_same_path(i)
                continue
            seen.add(real)
            first, first_path = first_with.setdefault(content, (i, real))
            if first != i:
                copies.add(Copy(i, first, same_file=_is_link(real, first_path, storage)))


def _groups(digest: Column, size: Column) -> Iterator[list[int]]:
    """Images of equal digest and size, two or more at a time, each group in order."""
    rows = Buckets(
        [("key", np.uint64), ("size", np.int64), ("image", np.int64)], len(digest), "the digests of images"
    )
    for part in blocks(len(digest)):
        known = np.flatnonzero(digest[part])
        rows.add(key=digest[part][known], size=size[part][known], image=part.start + known)
    for bucket in rows:
        yield from _groups_in(bucket)


def _groups_in(rows: NDArray[Any]) -> Iterator[list[int]]:
    """Groups among rows in order of digest and, where it is equal, of the image."""
    # Most digests are those of one image.
    again = rows["key"][1:] == rows["key"][:-1]
    rows = rows[np.append(again, False) | np.insert(again, 0, False)] if len(rows) else rows
    rows = rows[np.lexsort((rows["image"], rows["size"], rows["key"]))]
    changes = (np.diff(rows["key"]) != 0) | (np.diff(rows["size"]) != 0)
    bounds = np.concatenate(([0], np.flatnonzero(changes) + 1, [len(rows)]))
    for first in np.flatnonzero(np.diff(bounds) > 1).tolist():
        yield rows["image"][bounds[first] : bounds[first + 1]].tolist()


def _packed_contents(survey: Survey) -> dict[str | None, bytes]:
    """Hash of every candidate in packed files, by path: each of these files is walked once, whatever it holds."""
    if not survey.packed_files:
        return {}
    groups = _groups(survey.image_digest, survey.image_bytes)
    paths = (path for group in groups for i in group if (path := survey.image_path(i)))
    files = survey.packed_files.contents(paths)
    return {path: blake2b(content, digest_size=16).digest() for path, content in files}


def _content_hash(path: str | None, size: int, storage: Storage) -> bytes | None:
    """Hash of all bytes of a file; None where it can no longer be read, or has another size by now."""
    if path is None:
        return None
    digest, left = blake2b(digest_size=16), size
    try:
        with storage.open(path, size) as file:
            while left >= 0 and (block := file.read(min(left + 1, MIB))):
                digest.update(block)
                left -= len(block)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    return None if left else digest.digest()


def _is_link(path: str, other: str, storage: Storage) -> bool:
    try:
        return storage.samefile(path, other)
    except OSError:
        return False


def _alike(survey: Survey, limits: Likeness, copies: Copies) -> None:
    """Note copies among the decoded images by what they show. Images that are settled already are left out."""
    parts = [np.zeros(0, np.int64)]
    hashes = [np.zeros(0, np.uint64)]
    for part in blocks(len(survey)):
        decoded = survey.decoded[part]
        if decoded.any():
            here = np.flatnonzero(decoded & ~copies.settled(part))
            parts.append(part.start + here)
            hashes.append(survey.phash[part][here])
    index = np.concatenate(parts)
    if len(index) < 2:
        return
    from sanitizer.rules.checks.near_hashes import Originals, near_originals

    thumbnails = _Thumbnails(survey)
    originals = Originals()
    for position, candidates in near_originals(np.concatenate(hashes), limits.max_hash_distance, originals):
        match = _first_alike(thumbnails, int(index[position]), index[candidates].tolist(), limits)
        if match is None:
            originals.add(position)
        else:
            copies.add(match)


_THUMBNAILS_HELD = 32_768


class _Thumbnails:
    """Thumbnails of candidates, decoded once and kept as a kilobyte while they are among the last that were made."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._kept: dict[int, NDArray[np.uint8] | None] = {}

    def of(self, i: int) -> NDArray[np.int16] | None:
        """Gray int16 (1024,), or None where the image can no longer be decoded, or has one gray level only."""
        if i not in self._kept:
            if len(self._kept) >= _THUMBNAILS_HELD:
                del self._kept[next(iter(self._kept))]
            gray = self._read(i)
            self._kept[i] = gray if gray is not None and gray.min() < gray.max() else None
        kept = self._kept[i]
        return None if kept is None else kept.astype(np.int16).ravel()

    def _read(self, i: int) -> NDArray[np.uint8] | None:
        from sanitizer.images.decode import thumbnail

        path, storage = self._survey.image_path(i), self._survey.dataset.storage
        if path is None:
            return None
        if self._survey.packed_files:
            member = self._survey.packed_files.open(path)
            return None if member is None else thumbnail(member)
        try:
            with storage.open(path, int(self._survey.image_bytes[i])) as file:
                return thumbnail(file)
        except (OSError, ValueError):
            return None


def _first_alike(thumbnails: _Thumbnails, i: int, candidates: Sequence[int], limits: Likeness) -> Copy | None:
    """Image i as a copy of the first candidate that it truly equals."""
    mine = thumbnails.of(i)
    if mine is None:
        return None
    for candidate in candidates:
        other = thumbnails.of(candidate)
        if other is None:
            continue
        difference = np.abs(mine - other)
        if difference.max() > limits.max_difference:  # most pairs end here
            continue
        mean = float(difference.mean(dtype=np.float32))
        if mean <= limits.max_mean_difference and np.corrcoef(mine, other)[0, 1] >= limits.min_correlation:
            return Copy(i, candidate, mean_difference=mean)
    return None
