"""Names of many images as columns: the source of a copy, the clip and number of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.rules.checks.sources.names import copy_name, frame_name, may_have_marks, says_video
from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Split

SAMPLE = 200
"""Names of a split that tell whether all are looked at as frames."""
LEAST_SERIES = 0.5
"""Share of names in which a number follows the name of a clip, from which on the names of a split are a series."""


@dataclass(frozen=True, slots=True)
class CopyNames:
    """N images by the source that their names tell.

    Attributes:
        image: int64 (N,) numbers within their split.
        source: int64 (N,) hash of the source.
        stem: int64 (N,) hash of the whole stem.
        mark: int8 (N,) a `Mark`.
    """

    image: NDArray[np.int64]
    source: NDArray[np.int64]
    stem: NDArray[np.int64]
    mark: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class FrameNames:
    """N images whose names end in a number, in order of clip and number.

    Attributes:
        image: int64 (N,) numbers within their split.
        clip: int64 (N,) hash of the clip.
        number: int64 (N,).
        video: bool (N,) the clip's name has a word for videos in it.
    """

    image: NDArray[np.int64]
    clip: NDArray[np.int64]
    number: NDArray[np.int64]
    video: NDArray[np.bool_]


def may_hold_copies(split: Split) -> bool:
    """Whether any name has a mark of copies; as quick as searching a text."""
    return any(
        may_have_marks(bytes(split.names[int(split.offsets[part.start]) : int(split.offsets[part.stop])]))
        for part in blocks(len(split))
    )


def copy_names(split: Split) -> CopyNames:
    """The images of a split by source, ordered by it."""

    def row(i: int, stem: str, folder: str) -> tuple[int, ...]:
        source, mark = copy_name(stem)
        return i, hash(source), hash(stem), int(mark)

    table = _table(split, row)
    table = table[np.argsort(table[:, 1], kind="stable")]
    return CopyNames(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(np.int8))


def may_be_series(split: Split, *, of_video: bool) -> bool:
    """Whether the names of a split, by a sample, are clips with numbers; with `of_video` such as say so."""
    chosen = np.linspace(0, len(split) - 1, min(SAMPLE, len(split))).astype(np.int64).tolist()
    folders = _clip_folders(split)
    found = [frame_name(_stem(split.file_name(i)), folders[int(split.dir_index[i])]) for i in chosen]
    clips = [frame.clip for frame in found if frame is not None]
    return len(clips) >= LEAST_SERIES * len(found) and (not of_video or any(map(says_video, clips)))


def frame_names(split: Split) -> FrameNames:
    """The images of a split that are numbered."""
    video: dict[str, bool] = {}

    def row(i: int, stem: str, folder: str) -> tuple[int, ...] | None:
        frame = frame_name(stem, folder)
        if frame is None:
            return None
        if frame.clip not in video:
            if len(video) >= _CLIPS_KNOWN:
                video.clear()
            video[frame.clip] = says_video(frame.clip)
        return i, hash(frame.clip), frame.number, video[frame.clip]

    table = _table(split, row)
    table = table[np.lexsort((table[:, 2], table[:, 1]))]
    return FrameNames(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(bool))


def nearest_frame(theirs: FrameNames, mine: FrameNames) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(their frame of the same clip with the nearest number, -1 without one; how far the number is) of each frame."""
    nearest, gap = np.full(len(mine.image), -1), np.full(len(mine.image), np.iinfo(np.int64).max)
    if not len(theirs.clip):
        return nearest, gap
    # Complex numbers are ordered by their real part, then by their imaginary one: clip, then number.
    clips = np.unique(np.concatenate([theirs.clip, mine.clip]))
    known, wanted = (np.searchsorted(clips, t.clip) + 1j * t.number for t in (theirs, mine))
    after = np.searchsorted(known, wanted)
    for candidate in (after, after - 1):
        t = np.clip(candidate, 0, len(known) - 1)
        far = np.abs(theirs.number[t] - mine.number)
        better = (theirs.clip[t] == mine.clip) & (far < gap)
        nearest[better], gap[better] = t[better], far[better]
    return nearest, gap


_CLIPS_KNOWN = 10_000


def _table(split: Split, row: Callable[[int, str, str], tuple[int, ...] | None]) -> NDArray[np.int64]:
    """int64 (N, 4): `row(number, stem, name of the folder where folders may be clips)` of the images that have one."""
    folders = _clip_folders(split)
    parts = [np.zeros((0, 4), np.int64)]
    for part in blocks(len(split)):
        names = split.file_names(part.start, part.stop)
        is_image, folder = split.has_image[part].tolist(), split.dir_index[part].tolist()
        rows = [
            found
            for i, name in enumerate(names)
            if is_image[i] and (found := row(part.start + i, _stem(name), folders[folder[i]])) is not None
        ]
        parts.append(np.array(rows, np.int64).reshape(-1, 4))
    return np.concatenate(parts)


def _clip_folders(split: Split) -> list[str]:
    """Names of the image folders; empty where there is only one, which is that of the split."""
    if len(split.image_dirs) == 1:
        return [""]
    return [path.rstrip("/").rpartition("/")[2] for path in split.image_dirs]


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]
