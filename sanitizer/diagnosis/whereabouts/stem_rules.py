"""Rules by which a tool names a label other than its image: found where one rule maps orphans to images one to one."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sanitizer.dataset.listing import FOREIGN_IMAGES, IMAGE_EXTENSIONS
from sanitizer.diagnosis.whereabouts.claims import NEARLY_ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    Key = Callable[[str], str]

_PICTURE = "|".join(sorted(IMAGE_EXTENSIONS | FOREIGN_IMAGES, key=len, reverse=True))
_EXTENSION = re.compile(rf"\.(?:{_PICTURE})$", re.IGNORECASE)
_ROBOFLOW = re.compile(rf"(?:[_.](?:{_PICTURE}))?\.rf\.[0-9a-z]{{6,}}$", re.IGNORECASE)
_HASH = re.compile(r"^[0-9a-f]{6,40}[-_](?=.)|^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}[-_](?=.)")
_HASH_BEHIND = re.compile(r"[-_.][0-9a-f]{6,40}$")
_DIGITS = re.compile(r"\d+")
_KIND_WORDS = {"image", "images", "img", "imgs", "rgb", "color", "leftimg8bit", "photo",
               "label", "labels", "lbl", "lbls", "gt", "ann", "annotation", "annotations", "bbox", "boxes", "mask",
               "seg", "yolo", "txt", "det"}  # fmt: skip
_FEWEST = {"exact": 1, "loose": 2, "affix": 3}
"""Pairs that a rule must have. An exact rule leaves no choice; a loose one drops parts of names, an affix is itself
read off the names, so that two pairs always have one."""


@dataclass(frozen=True, slots=True)
class StemRule:
    """A rule that maps label stems to image stems.

    Attributes:
        id: Of its kind.
        words: What is different about the labels' names.
        pattern: Shell pattern of a label's stem, where "$s" is the stem of its image; None where no pattern says it.
    """

    id: str
    words: str
    pattern: str | None = None


_REPLACED = StemRule("replaced", "write some characters otherwise than their images")


@dataclass(frozen=True, slots=True)
class Mapped:
    """A rule and the (image stem, label stem) pairs that it found, one to one, by keys of both stems."""

    rule: StemRule
    pairs: Sequence[tuple[str, str]]
    of_image: Key
    of_label: Key


def find_rules(
    bare: Sequence[str],
    orphans: Sequence[str],
    paired: AbstractSet[str],
    believed: Sequence[Mapped] = (),
) -> list[Mapped]:
    """The rules that map orphans to images without label, the simplest first; each takes what those before it left.

    Args:
        bare: Stems of images without label.
        orphans: Stems of labels without image.
        paired: Stems of images that have a label: what is usual among them is no mark of a renamed file.
        believed: Rules of other folders of the dataset, for which one pair is enough here.
    """
    images, labels, found = list(dict.fromkeys(bare)), list(dict.fromkeys(orphans)), list[Mapped]()
    for known in believed:
        _take(found, images, labels, known.rule, known.of_image, known.of_label, 1)
    for kind, rule, of_image, of_label in _fixed_rules():
        _take(found, images, labels, rule, of_image, of_label, _FEWEST[kind])
    if len(images) >= _FEWEST["affix"] <= len(labels):
        fewest = max(_FEWEST["affix"], int(NEARLY_ALL * len(labels)))
        for rule, of_image, of_label in _affix_rules(images, labels, paired):
            if _take(found, images, labels, rule, of_image, of_label, fewest):
                break
    return found


def _take(
    found: list[Mapped],
    images: list[str],
    labels: list[str],
    rule: StemRule,
    of_image: Key,
    of_label: Key,
    fewest: int,
) -> bool:
    """Move the pairs of a rule from the names to what was found, where they are enough."""
    pairs = _pairs(images, labels, of_image, of_label)
    if len(pairs) < fewest:
        return False
    if rule == _REPLACED:
        rule = _with_replaced(pairs)
    found.append(Mapped(rule, pairs, of_image, of_label))
    gone_images, gone_labels = {i for i, _ in pairs}, {label for _, label in pairs}
    images[:] = [stem for stem in images if stem not in gone_images]
    labels[:] = [stem for stem in labels if stem not in gone_labels]
    return True


def _pairs(
    images: Sequence[str], labels: Sequence[str], of_image: Key, of_label: Key
) -> list[tuple[str, str]]:
    """(image, label) stems with one key, which no other image and no other label has."""
    image_keys, label_keys = [*map(of_image, images)], [*map(of_label, labels)]
    n_images, n_labels = Counter(image_keys), Counter(label_keys)
    by_key = dict(zip(image_keys, images, strict=True))
    return [
        (by_key[key], label)
        for key, label in zip(label_keys, labels, strict=True)
        if key and n_labels[key] == 1 and n_images[key] == 1
    ]


def _same(stem: str) -> str:
    return stem


def _clean(stem: str) -> str:
    """Letters and digits, everything else as one kind of character; how case is written does not matter."""
    return re.sub(r"[^0-9a-z]", "_", unicodedata.normalize("NFKD", unquote(stem)).casefold())


def _padded(stem: str) -> str:
    return _DIGITS.sub(lambda digits: digits[0].lstrip("0") or "0", _clean(stem))


def _without(pattern: re.Pattern[str], key: Key) -> Key:
    """Key of what is left without a part; "" where the stem has no such part."""

    def left(stem: str) -> str:
        rest, n = pattern.subn("", stem, count=1)
        return key(rest) if n else ""

    return left


def _nfc(stem: str) -> str:
    return unicodedata.normalize("NFC", stem)


def _fixed_rules() -> Iterator[tuple[str, StemRule, Key, Key]]:
    """(kind, rule, key of an image stem, key of a label stem)."""
    case = StemRule("letter-case", "differ from their images in upper and lower case only")
    yield "exact", case, str.casefold, str.casefold
    yield (
        "exact",
        StemRule("unicode", "write accents as other Unicode characters than their images"),
        _nfc,
        _nfc,
    )
    kept = StemRule("extension-kept", "keep the file extension of their image", '"${i##*/}"')
    yield "exact", kept, _same, _without(_EXTENSION, _same)
    kept = StemRule("extension-kept", "keep a file extension of their image")
    yield "exact", kept, str.casefold, _without(_EXTENSION, str.casefold)
    encoded = StemRule("url-encoded", "have characters that are written as in a URL (%20 for a blank)")
    yield "exact", encoded, _same, unquote
    yield (
        "exact",
        StemRule("url-decoded", "have characters that their images write as in a URL (%20)"),
        unquote,
        _same,
    )
    yield "loose", _REPLACED, _clean, _clean
    padded = StemRule("zero-padding", "write numbers with another count of leading zeros")
    yield "loose", padded, _padded, _padded
    rf = StemRule("roboflow-labels", "have the `.rf.` hash of a Roboflow export, their images do not")
    yield "loose", rf, _clean, _without(_ROBOFLOW, _clean)
    rf = StemRule("roboflow-images", "lack the `.rf.` hash of a Roboflow export that their images have")
    yield "loose", rf, _without(_ROBOFLOW, _clean), _clean
    both = StemRule(
        "roboflow-both", "have another `.rf.` hash than their images, as from two Roboflow exports"
    )
    yield "loose", both, _without(_ROBOFLOW, _clean), _without(_ROBOFLOW, _clean)
    hashed = StemRule(
        "hash-prefix", "have a hash in front of the image's name, as annotation tools put it there"
    )
    yield "loose", hashed, _clean, _without(_HASH, _clean)
    hashed = StemRule("hash-of-image", "lack the hash that stands in front of their image's name")
    yield "loose", hashed, _without(_HASH, _clean), _clean
    hashed = StemRule("hash-both", "have another hash in front than their image")
    yield "loose", hashed, _without(_HASH, _clean), _without(_HASH, _clean)
    hashed = StemRule("hash-suffix", "have a hash behind the image's name")
    yield "loose", hashed, _clean, _without(_HASH_BEHIND, _clean)


def _with_replaced(pairs: Sequence[tuple[str, str]]) -> StemRule:
    """`_REPLACED` with the characters that were replaced, where names differ in nothing else."""
    characters: dict[str, None] = {}
    for image, label in pairs:
        if len(image) != len(label):
            return _REPLACED
        for old, new in zip(image, label, strict=True):
            if old != new:
                if new != "_" or not old.isascii():
                    return _REPLACED
                characters[old] = None
    named = " and ".join("a blank" if c == " " else c for c in characters)
    inside = "".join(f"\\{c}" if c in "]\\^-!'\"`$" else c for c in characters)
    return StemRule("replaced", f"have _ where their images have {named}", f'"${{s//[{inside}]/_}}"')


def _affix_rules(
    images: Sequence[str], labels: Sequence[str], paired: AbstractSet[str]
) -> Iterator[tuple[StemRule, Key, Key]]:
    """Rules that take a constant beginning or end off all labels, all images, or a word for one off both."""
    for side, of in (("in front", _prefixes), ("behind", _suffixes)):
        front = side == "in front"
        on_labels, on_images = of(labels), of(images)
        for affix in on_labels:
            if not any(_has(stem, affix, front) for stem in paired):
                pattern = f'{shlex.quote(affix)}"$s"' if front else f'"$s"{shlex.quote(affix)}'
                rule = StemRule(
                    "affix-of-labels",
                    f"have `{affix}` {side} of the image's name".replace("behind of", "behind"),
                    pattern,
                )
                yield rule, _same, _cut(affix, front)
        for affix in on_images:
            if not any(_has(stem, affix, front) for stem in paired):
                pattern = f'"${{s#{shlex.quote(affix)}}}"' if front else f'"${{s%{shlex.quote(affix)}}}"'
                rule = StemRule(
                    "affix-of-images", f"lack the `{affix}` that their images have {side}", pattern
                )
                yield rule, _cut(affix, front), _same
        for of_label in on_labels:
            for of_image in on_images:
                if _is_kind(of_label) and _is_kind(of_image):
                    inner = f'"${{s{"#" if front else "%"}{shlex.quote(of_image)}}}"'
                    pattern = (
                        f"{shlex.quote(of_label)}{inner}" if front else f"{inner}{shlex.quote(of_label)}"
                    )
                    rule = StemRule(
                        "affix-of-both", f"have `{of_label}` where their images have `{of_image}`", pattern
                    )
                    yield rule, _cut(of_image, front), _cut(of_label, front)


def _is_kind(affix: str) -> bool:
    return affix.strip("-_. ").lower() in _KIND_WORDS


def _has(stem: str, affix: str, front: bool) -> bool:
    return stem.startswith(affix) if front else stem.endswith(affix)


def _cut(affix: str, front: bool) -> Key:
    def left(stem: str) -> str:
        if not _has(stem, affix, front):
            return ""
        return stem[len(affix) :] if front else stem[: -len(affix)]

    return left


def common_start(texts: Sequence[str]) -> str:
    """The beginning that all texts share, character by character."""
    first, last = min(texts), max(texts)
    n = next(
        (k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return first[:n]


def _prefixes(stems: Sequence[str]) -> list[str]:
    """Beginnings that all stems share and that end where a word ends, the longest first."""
    common = common_start(stems)
    return [
        common[:k]
        for k in range(len(common), 0, -1)
        if k == len(common) or _is_border(common[k - 1], common[k])
    ]


def _suffixes(stems: Sequence[str]) -> list[str]:
    """Ends that all stems share and that begin where a word begins, the longest first."""
    common = common_start([stem[::-1] for stem in stems])[::-1]
    starts = [0, *(k for k, (a, b) in enumerate(pairwise(common), 1) if _is_border(a, b))]
    return [common[k:] for k in starts if common[k:]]


def _is_border(before: str, after: str) -> bool:
    return not before.isalnum() or not after.isalnum() or before.isdigit() != after.isdigit()
