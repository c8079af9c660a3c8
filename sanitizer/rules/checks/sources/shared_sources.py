"""D012: images of two splits that come from one source, by their names and, where pixels were decoded, their looks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import DatasetFault
from sanitizer.rules.checks import dataset_check
from sanitizer.rules.checks.sources import looks
from sanitizer.rules.checks.sources.names import Mark
from sanitizer.rules.checks.sources.tables import (
    copy_names,
    frame_names,
    may_be_series,
    may_hold_copies,
    nearest_frame,
)
from sanitizer.util.counting import in_thousands
from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from sanitizer.rules.checks.sources.tables import CopyNames, FrameNames
    from sanitizer.rules.hits import Params
    from sanitizer.rules.survey import Survey

COPIES_BY_CHANCE = 0.05
"""How likely images whose names say that they are copies may look alike by chance, to be believed."""
NEARER_BY_CHANCE = 1e-3
"""How likely they may be nearer than most other pairs by chance: two limits are tried, so more is asked."""
SERIES_BY_CHANCE = 1e-4
"""The same of images that are only numbered, as still photographs are."""
MOST_COMPARED = 4
"""Images of one source in the other split that one image is compared with."""
MOST_OTHERS = 2000
"""Pairs of other images that are compared with each other."""
FEWEST_FRAMES = 3
"""Frames with a neighbour by their names alone: where a video is cut in two, the last of the one part has one."""
NEAR_STEPS = 2
"""How far a neighbour's number is at most, in usual steps from frame to frame."""


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """Images of a split, each with one of the other split. K images.

    Attributes:
        mine, other: int64 (K,) as `Survey` counts pairs.
        words: What they are to each other.
    """

    mine: NDArray[np.int64]
    other: NDArray[np.int64]
    words: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What two splits have in common.

    Attributes:
        there, here: Names of the splits; `there` is train if one of them is.
        neighbours: Images of `here` that have a neighbour in `there`.
        images: Images of `here` that were looked at.
        copies: Whether some of them are altered copies by their names.
        looks_only: Whether nothing but their looks speaks for it.
    """

    there: str
    here: str
    neighbours: int
    images: int
    copies: bool
    looks_only: bool


def shared_by_splits(survey: Survey) -> tuple[Shared, ...]:
    """What D012 found, if it was asked."""
    found: tuple[Shared, ...] = survey.answers.get(Shared, ())
    return found


@dataset_check("shared-sources")
def shared_sources(survey: Survey, params: Params) -> Iterable[DatasetFault]:
    """D012: one warning for a pair of splits."""
    splits = [i for i, split in enumerate(survey.splits) if split.images]
    if len(splits) < 2:
        return
    splits.sort(key=lambda i: survey.dataset.splits[i].name != "train")
    by_copy = {i: copy_names(survey.dataset.splits[i]) for i in splits} if _copies_in(survey, splits) else {}
    unseen = not any(survey.decoded[part].any() for part in blocks(len(survey)))
    series = [i for i in splits if may_be_series(survey.dataset.splits[i], of_video=unseen)]
    by_frame = {i: frame_names(survey.dataset.splits[i]) for i in series} if len(series) > 1 else {}
    for there, here in combinations(splits, 2):
        copies = frames = None
        if by_copy:
            copies = _copies(survey, (there, by_copy[there]), (here, by_copy[here]))
        if there in by_frame and here in by_frame:
            frames = _frames(survey, (there, by_frame[there]), (here, by_frame[here]))
        some = [neighbours for neighbours in (copies, frames) if neighbours is not None]
        images, looks_only = survey.splits[here].images, not some and not unseen
        if looks_only:
            alike, images = _lookalikes(survey, there, here)
            some = [alike] if alike is not None else []
        if some:
            shared = _shared(
                survey, there, here, some, images, copies=copies is not None, looks_only=looks_only
            )
            survey.answers[Shared] = (*shared_by_splits(survey), shared)
            yield _fault(survey, shared, some)


def _lookalikes(survey: Survey, there: int, here: int) -> tuple[_Neighbours | None, int]:
    """(images that look like one of the other split, whatever their names are; images that were looked at)."""
    from sanitizer.rules.checks.sources.lookalikes import lookalikes

    pairs, seen = lookalikes(survey, there, here)
    if not len(pairs):
        return None, seen
    words = f"{in_thousands(len(pairs), 'image')} that look alike, as frames of one video do"
    return _Neighbours(pairs[:, 0], pairs[:, 1], words), seen


def _copies_in(survey: Survey, splits: list[int]) -> bool:
    return any(may_hold_copies(survey.dataset.splits[i]) for i in splits)


def _shared(
    survey: Survey,
    there: int,
    here: int,
    found: list[_Neighbours],
    images: int,
    copies: bool,
    looks_only: bool,
) -> Shared:
    neighbours = len(np.unique(np.concatenate([some.mine for some in found])))
    names = [survey.dataset.splits[i].name for i in (there, here)]
    return Shared(names[0], names[1], neighbours, images, copies, looks_only)


def _fault(survey: Survey, shared: Shared, found: list[_Neighbours]) -> DatasetFault:
    largest = max(found, key=lambda neighbours: len(neighbours.mine))
    example, other = int(largest.mine[0]), int(largest.other[0])
    image = survey.image_path(example)
    shown = [survey.dataset.relative(survey.image_path(i)) for i in (example, other)]
    detail = (
        f"leak between {shared.there} and {shared.here}: {shared.neighbours:,} of "
        f"{in_thousands(shared.images, 'image')} of {shared.here} have a neighbour in {shared.there}: "
        f"{' and '.join(neighbours.words for neighbours in found)}; such as {shown[0]} and {shown[1]}"
    )
    return DatasetFault(
        "D012",
        file=image,
        image=image,
        label=survey.label_path(example),
        split=shared.here,
        values={"detail": detail, "value": shared.neighbours},
        kind="leak",
        twin=survey.image_path(other),
    )


def _copies(survey: Survey, there: tuple[int, CopyNames], here: tuple[int, CopyNames]) -> _Neighbours | None:
    """Images whose names say that they and images of the other split are copies of one source."""
    theirs, mine = there[1], here[1]
    first = np.searchsorted(theirs.source, mine.source, "left")
    end = np.searchsorted(theirs.source, mine.source, "right")
    pairs = []
    for k in range(MOST_COMPARED):
        m = np.flatnonzero(first + k < end)
        t = first[m] + k
        marks = theirs.mark[t], mine.mark[m]
        lowest, highest = np.minimum(*marks), np.maximum(*marks)
        is_copy = (highest == Mark.COPY) | ((highest == Mark.NUMBERED) & (lowest == Mark.NONE))
        is_copy &= theirs.stem[t] != mine.stem[m]
        pairs.append(np.column_stack([mine.image[m], theirs.image[t]])[is_copy])
    found = np.concatenate(pairs)
    found = found[np.argsort(found[:, 0], kind="stable")] + survey.split_start[[here[0], there[0]]]
    if not len(found):
        return None
    n = len(np.unique(found[:, 0]))
    words = f"{in_thousands(n, 'altered copy')} of one picture"
    both = _decoded(survey, found)
    if not len(both):
        return _firsts(found, f"{words} by their names")
    others = _decoded(survey, _other_pairs(survey, there, here))
    distances = looks.distance(*_hashes(survey, both), mirrored=True)
    usual = looks.distance(*_hashes(survey, others), mirrored=True)
    alike, chance = looks.alike(distances, usual)
    one_each = distances[np.unique(both[:, 0], return_index=True)[1]]
    if chance > COPIES_BY_CHANCE and looks.nearer_on_the_whole(one_each, usual) > NEARER_BY_CHANCE:
        return None
    alike_images = len(np.unique(both[alike, 0]))
    seen = f"{alike_images:,} of which look alike" if alike_images else "more alike than other images"
    return _firsts(found, f"{words} by their names, {seen}")


def _firsts(pairs: NDArray[np.int64], words: str) -> _Neighbours:
    mine, index = np.unique(pairs[:, 0], return_index=True)
    return _Neighbours(mine, pairs[index, 1], words)


def _frames(
    survey: Survey, there: tuple[int, FrameNames], here: tuple[int, FrameNames]
) -> _Neighbours | None:
    """Images that the other split has the next frame of."""
    theirs, mine = there[1], here[1]
    nearest, gap = nearest_frame(theirs, mine)
    known = np.flatnonzero((nearest >= 0) & (gap > 0))
    if not len(known):
        return None
    start = survey.split_start[[here[0], there[0]]]
    pairs = np.column_stack([mine.image[known], theirs.image[nearest[known]]]) + start
    is_decoded = _is_decoded(survey, pairs)
    if 2 * is_decoded.sum() < len(pairs):
        return _frames_by_name(theirs, mine, pairs, gap[known], mine.video[known])
    pairs, known = pairs[is_decoded], known[is_decoded]
    distances = looks.distance(*_hashes(survey, pairs), mirrored=False)
    same_clip = _same_clip_pairs(theirs, mine, nearest, known) + start
    kinds = [_decoded(survey, same_clip)]
    if mine.video[known].all():
        kinds.append(_decoded(survey, _other_clip_pairs(theirs, mine, known) + start))
    best = np.zeros(len(pairs), bool)
    for others in kinds:
        near, chance = looks.alike(distances, looks.distance(*_hashes(survey, others), mirrored=False))
        if chance <= SERIES_BY_CHANCE:
            best |= near
    if not best.any():
        return None
    words = "that look alike and follow one another by their numbers"
    return _firsts(pairs[best], f"{in_thousands(int(best.sum()), 'frame')} {words}")


def _frames_by_name(
    theirs: FrameNames,
    mine: FrameNames,
    pairs: NDArray[np.int64],
    gap: NDArray[np.int64],
    video: NDArray[np.bool_],
) -> _Neighbours | None:
    clip = np.concatenate([theirs.clip, mine.clip])
    number = np.concatenate([theirs.number, mine.number])
    order = np.lexsort((number, clip))
    steps = np.diff(number[order])[np.diff(clip[order]) == 0]
    step = max(1.0, float(np.median(steps))) if len(steps) else 0.0
    near: NDArray[np.bool_] = np.asarray(video & (gap <= NEAR_STEPS * step), bool)
    if near.sum() < FEWEST_FRAMES:
        return None
    return _firsts(pairs[near], f"{in_thousands(int(near.sum()), 'frame')} of one video by their names")


def _same_clip_pairs(
    theirs: FrameNames, mine: FrameNames, nearest: NDArray[np.int64], known: NDArray[np.int64]
) -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    m = known[rng.integers(len(known), size=MOST_OTHERS)]
    first = np.searchsorted(theirs.clip, mine.clip[m], "left")
    end = np.searchsorted(theirs.clip, mine.clip[m], "right")
    t = first + rng.integers(0, end - first)
    far = t != nearest[m]
    return np.unique(np.column_stack([mine.image[m], theirs.image[t]])[far], axis=0)


def _other_clip_pairs(theirs: FrameNames, mine: FrameNames, known: NDArray[np.int64]) -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    m = known[rng.integers(len(known), size=MOST_OTHERS)]
    t = rng.integers(len(theirs.image), size=MOST_OTHERS)
    other = theirs.clip[t] != mine.clip[m]
    return np.unique(np.column_stack([mine.image[m], theirs.image[t]])[other], axis=0)


def _other_pairs(
    survey: Survey, there: tuple[int, CopyNames], here: tuple[int, CopyNames]
) -> NDArray[np.int64]:
    """Pairs of images of both splits that have two sources, taken at random."""
    image = np.concatenate([names.image + survey.split_start[i] for i, names in (there, here)])
    source = np.concatenate([names.source for _, names in (there, here)])
    pairs = np.random.default_rng(0).integers(len(image), size=(MOST_OTHERS, 2))
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    others: NDArray[np.int64] = image[pairs[source[pairs[:, 0]] != source[pairs[:, 1]]]]
    return others


def _is_decoded(survey: Survey, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    flags = np.array([bool(survey.decoded[i]) for i in pairs.ravel().tolist()], bool).reshape(-1, 2)
    both: NDArray[np.bool_] = flags[:, 0] & flags[:, 1]
    return both


def _decoded(survey: Survey, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    return pairs[_is_decoded(survey, pairs)]


def _hashes(survey: Survey, pairs: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    hashes = np.array([int(survey.phash[int(i)]) for i in pairs.ravel().tolist()], np.uint64).reshape(-1, 2)
    return hashes[:, 0], hashes[:, 1]
