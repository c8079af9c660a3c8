"""What the name of an image says of its source: the picture that it is an altered copy of, the clip that it is from."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple


class Mark(IntEnum):
    """How surely a name says that its image is a copy."""

    NONE = 0
    NUMBERED = 1
    """`photo (2)`: a copy where `photo` exists, too; else one of a series that was renamed at once."""
    COPY = 2


class CopyName(NamedTuple):
    """A stem without what marks its image as a copy."""

    source: str
    mark: Mark


class FrameName(NamedTuple):
    """A stem that ends in a number."""

    clip: str
    number: int


_WAS_FORMAT = re.compile(r"[_-](?:jpe?g|png|bmp|webp|tiff?|heic)$", re.IGNORECASE)
_ALTERED = re.compile(
    r"(.*[^ _.-])[ _.-]{1,3}(?:(?:[hv]|horizontal|vertical)?[ _-]?flip(?:ped)?|aug(?:ment(?:ed|ation)?)?|"
    r"rot(?:ated?)?|copy|mirror(?:ed)?|blur(?:red)?|nois[ey]|brightness|brighter|darker|contrast|jitter|shear|"
    r"dup(?:licate)?)(?:[ _-]?\d{1,3}| \(\d{1,3}\))?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(.+?) ?\(\d{1,3}\)")
_FRAME = re.compile(r"(.*?)(\d{1,15})")
_VIDEO_WORDS = re.compile(
    r"(?:^|[^a-z])(?:frames?|frm|videos?|vid|clip|movie|mp4|avi|mov|mkv)(?:$|[^a-z])", re.IGNORECASE
)
_MARK_BYTES = (
    *(b".rf.", b"aug", b"flip", b"rot", b"copy", b"mirror", b"blur", b"nois"),
    *(b"bright", b"dark", b"contrast", b"jitter", b"shear", b"dup", b"("),
)
"""Every mark has one of these in it, in lower case."""
_MARK_BEGINS = re.compile(
    rb"\.rf\.|\(\d|[ _.-](?:[hv]|horizontal|vertical)?[ _-]?"
    rb"(?:flip|aug|rot|copy|mirror|blur|nois|bright|dark|contrast|jitter|shear|dup)"
)
_GIVEN_BY_SITES = frozenset(
    {
        *(
            "image",
            "images",
            "img",
            "photo",
            "picture",
            "download",
            "downloads",
            "unnamed",
            "untitled",
            "index",
        ),
        *("default", "maxresdefault", "hqdefault", "mqdefault", "sddefault", "hq720", "screenshot", "scan"),
    }
)
"""Names that web sites and tools give to any picture: two of one name have nothing else in common."""


def may_have_marks(names: bytes) -> bool:
    """Whether any of many names, one after the other, has what a mark of copies begins with."""
    names = names.lower()
    letters = names.translate(None, b"0123456789")  # no mark has a digit, and most names are numbers
    return any(mark in letters for mark in _MARK_BYTES) and _MARK_BEGINS.search(names) is not None


def copy_name(stem: str) -> CopyName:
    """The source of an image by its name, and how surely that image is a copy."""
    source = _before_hash(stem)
    mark = Mark.NONE if source is None else Mark.COPY
    source = source or stem
    if _MARK_BEGINS.search(source.lower().encode(errors="surrogateescape")):
        while (match := _ALTERED.fullmatch(source)) is not None:
            source, mark = match[1], Mark.COPY
        if mark is Mark.NONE and (match := _NUMBERED.fullmatch(source)) is not None:
            source, mark = match[1], Mark.NUMBERED
    if mark is not Mark.NONE and source.casefold() in _GIVEN_BY_SITES:
        mark = Mark.NONE
    return CopyName(source, mark)


def _before_hash(stem: str) -> str | None:
    """What Roboflow put `.rf.` and a hash behind, without the file extension that it had; None for other names."""
    source, found, digest = stem.rpartition(".rf.")
    if not (found and source and len(digest) >= 8 and digest.isalnum()):
        return None
    return _WAS_FORMAT.sub("", source)


def frame_name(stem: str, folder: str = "") -> FrameName | None:
    """The clip and the number of a frame; None where nothing names a clip.

    Args:
        stem: Of the image.
        folder: Name of its folder, where folders may be clips.
    """
    match = _FRAME.fullmatch(_before_hash(stem) or stem)
    if match is None or not (match[1] or folder):
        return None
    return FrameName(f"{folder}/{match[1]}" if folder else match[1], int(match[2]))


def says_video(clip: str) -> bool:
    """Whether the name of a clip has a word for videos in it."""
    return _VIDEO_WORDS.search(clip) is not None
