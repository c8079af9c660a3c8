"""Which images of a dataset are copies of an earlier one: by their bytes, or by what they show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.storage import Storage
    from sanitizer.rules.survey import Survey


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


_LAST: list[tuple[Survey, Likeness, Sequence[Copy]]] = []
"""The one latest answer: two rules ask the same question of the same survey."""


def find_copies(survey: Survey, limits: Likeness) -> Sequence[Copy]:
    """Every image that is a copy of an earlier one, in order of the dataset.

    Pictures are compared only where pixels were decoded; equal bytes are found without. An image that is listed
    twice under one path is one image and no copy.
    """
    if _LAST and _LAST[0][0] is survey and _LAST[0][1] == limits:
        return _LAST[0][2]
    equal, same_path = _equal_files(survey)
    settled = {c.index for c in equal} | same_path
    copies = sorted(equal + _alike(survey, limits, settled), key=lambda c: c.index)
    _LAST[:] = [(survey, limits, copies)]
    return copies


def _equal_files(survey: Survey) -> tuple[list[Copy], set[int]]:
    """(byte-identical copies, images that repeat an earlier path)."""
    copies: list[Copy] = []
    same_path: set[int] = set()
    folders: dict[str, str] = {}
    for group in _groups(survey.image_digest, survey.image_bytes):
        first_with: dict[bytes, list[tuple[int, str]]] = {}
        for i in group:
            path = survey.image_path(i)
            content = _content_hash(path, int(survey.image_bytes[i]), survey.dataset.storage)
            if path is None or content is None:
                continue
            earlier = first_with.setdefault(content, [])
            real = _real_path(path, folders, survey.dataset.storage)
            if any(real == other for _, other in earlier):
                same_path.add(i)
                continue
            if earlier:
                copies.append(
                    Copy(i, earlier[0][0], same_file=_is_link(real, earlier[0][1], survey.dataset.storage))
                )
            earlier.append((i, real))
    return copies, same_path


def _groups(digest: NDArray[np.uint64], size: NDArray[np.int64]) -> Iterator[list[int]]:
    """Images of equal digest and size, two or more at a time, each group in order."""
    order = np.lexsort((size, digest))
    order = order[digest[order] != 0]
    if not len(order):
        return
    changes = (np.diff(digest[order]) != 0) | (np.diff(size[order]) != 0)
    bounds = np.concatenate(([0], np.flatnonzero(changes) + 1, [len(order)]))
    shared = np.flatnonzero(np.diff(bounds) > 1)
    for start, stop in zip(bounds[shared].tolist(), bounds[shared + 1].tolist(), strict=True):
        yield sorted(order[start:stop].tolist())


def _content_hash(path: str | None, size: int, storage: Storage) -> bytes | None:
    """Hash of all bytes of a file; None where it can no longer be read."""
    if path is None:
        return None
    digest = blake2b(digest_size=16)
    try:
        with storage.open(path, size) as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return None
    return digest.digest()


def _real_path(path: str, folders: dict[str, str], storage: Storage) -> str:
    """The path with links in its folder resolved, so that one folder under two names is one folder."""
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = storage.realpath(folder)
    return os.path.join(folders[folder], name)


def _is_link(path: str, other: str, storage: Storage) -> bool:
    try:
        return storage.samefile(path, other)
    except OSError:
        return False


def _alike(survey: Survey, limits: Likeness, settled: set[int]) -> list[Copy]:
    """Copies among the decoded images by what they show. Images in `settled` are left out."""
    index = np.array([i for i in np.flatnonzero(survey.decoded).tolist() if i not in settled], np.int64)
    hashes = survey.phash[index]
    thumbnails = _Thumbnails(survey)
    is_original = np.ones(len(index), np.bool_)
    copies: list[Copy] = []
    for position in _with_near_hash(hashes, limits.max_hash_distance):
        # Compared with earlier originals only, nearest hash first.
        distance = hamming(hashes[:position], hashes[position])
        near = np.flatnonzero(is_original[:position] & (distance <= limits.max_hash_distance))
        near = near[np.argsort(distance[near], kind="stable")][:_MOST_CANDIDATES]
        match = _first_alike(thumbnails, int(index[position]), index[near].tolist(), limits)
        if match is not None:
            is_original[position] = False
            copies.append(match)
    return copies


_MOST_CANDIDATES = 256
"""Images with near hashes that one image is compared with: bounds the work on a set of look-alikes."""

_BLOCK = 128


def _with_near_hash(hashes: NDArray[np.uint64], max_distance: int) -> Iterator[int]:
    """Positions whose hash is within max_distance bits of that of an earlier position."""
    for start in range(0, len(hashes), _BLOCK):
        stop = min(start + _BLOCK, len(hashes))
        distance = hamming(hashes[None, :stop], hashes[start:stop, None])
        earlier = np.arange(stop)[None, :] < np.arange(start, stop)[:, None]
        yield from (start + np.flatnonzero(((distance <= max_distance) & earlier).any(axis=1))).tolist()


def hamming(a: NDArray[np.uint64], b: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint8]:
    """Number of bits that differ, by NumPy's rules of broadcasting."""
    different = np.bitwise_xor(a, b)
    if hasattr(np, "bitwise_count"):
        bits: NDArray[np.uint8] = np.bitwise_count(different)
        return bits
    in_bytes = np.ascontiguousarray(different).view(np.uint8).reshape(*different.shape, 8)
    counted: NDArray[np.uint8] = _BITS_OF_BYTE[in_bytes].sum(axis=-1, dtype=np.uint8)
    return counted


_BITS_OF_BYTE = np.array([n.bit_count() for n in range(256)], np.uint8)


class _Thumbnails:
    """Thumbnails of candidates, each decoded once and kept as a kilobyte."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._kept: dict[int, NDArray[np.uint8] | None] = {}

    def of(self, i: int) -> NDArray[np.float32] | None:
        """Gray float32 (1024,), or None where the image can no longer be decoded."""
        if i not in self._kept:
            self._kept[i] = self._read(i)
        kept = self._kept[i]
        return None if kept is None else kept.astype(np.float32).ravel()

    def _read(self, i: int) -> NDArray[np.uint8] | None:
        from sanitizer.dataset.image_decode import thumbnail

        path, storage = self._survey.image_path(i), self._survey.dataset.storage
        if path is None or not storage.remote:
            return None if path is None else thumbnail(path)
        try:
            with storage.open(path, int(self._survey.image_bytes[i])) as file:
                return thumbnail(file)
        except OSError:
            return None


def _first_alike(thumbnails: _Thumbnails, i: int, candidates: Sequence[int], limits: Likeness) -> Copy | None:
    """Image i as a copy of the first candidate that it truly equals."""
    mine = thumbnails.of(i)
    if mine is None or not mine.std():
        return None
    for candidate in candidates:
        other = thumbnails.of(candidate)
        if other is None or not other.std():
            continue
        difference = np.abs(mine - other)
        mean = float(difference.mean())
        if (
            mean <= limits.max_mean_difference
            and difference.max() <= limits.max_difference
            and np.corrcoef(mine, other)[0, 1] >= limits.min_correlation
        ):
            return Copy(i, candidate, mean_difference=mean)
    return None
