"""Lines of an image list that lead to nothing, or to labels that training does not find: what they should be."""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from typing import TYPE_CHECKING, Literal

from sanitizer.dataset.listing import is_image_name
from sanitizer.diagnosis.whereabouts.claims import NEARLY_ALL, Claimed, commands, place, some, word
from sanitizer.diagnosis.whereabouts.stem_rules import common_start
from sanitizer.diagnosis.whereabouts.unpaired import stem_of
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import in_thousands
from sanitizer.util.paths import absolute_path, is_url, join_path, normal_path, posix, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.diagnosis.whereabouts.look import Look

LineFault = Literal["url", "backslashes", "extension", "folder", "no-folder-before-images", "nothing"]
MOST_LINES = 400
"""Lines of one list that are looked at, from its beginning."""
MOST_CHARACTERS = 1 << 20
_TAILS = 8
"""Folders at the front of a line that are tried without."""
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a list that does not lead where it should.

    Attributes:
        number: 1-based.
        text: As written.
        opened: The path that training opens.
        fault: What is wrong.
        meant: Absolute path of the image that is meant; "" where nothing near is like it.
    """

    number: int
    text: str
    opened: str
    fault: LineFault
    meant: str = ""


@dataclass(frozen=True, slots=True)
class FaultyLines:
    """Lines of one list with one fault, of those that were looked at."""

    split: str
    path: str
    lines: Sequence[Line]
    n_faulty: int
    n_seen: int


def list_lines(look: Look) -> Iterator[Hypothesis]:
    """A cause for each fault that nearly all the bad lines of a list share; URLs are told apart from these."""
    search, by_fault = look.evidence.dataset.search, defaultdict[LineFault, list[FaultyLines]](list)
    if search is None or not look.evidence.count("D002", "I001"):
        return
    for split, paths in search.lists.items():
        for path in paths:
            for group in _faults_of(look, split, path):
                by_fault[group.lines[0].fault].append(group)
    for fault, groups in by_fault.items():
        yield _cause(look, fault, groups)


def _faults_of(look: Look, split: str, path: str) -> Iterator[FaultyLines]:
    folders = _Folders(look, path)
    lines = _read(look, path)
    faulty = [found for number, text in lines if (found := folders.judge(number, text)) is not None]
    by_fault: dict[LineFault, list[Line]] = defaultdict(list)
    for line in faulty:
        by_fault[line.fault].append(line)
    urls = by_fault.pop("url", [])
    if urls:
        yield FaultyLines(split, path, urls, len(urls), len(lines))
    by_fault.pop("nothing", None)
    n = len(faulty) - len(urls)
    for of_one in by_fault.values():
        if len(of_one) >= NEARLY_ALL * n:
            yield FaultyLines(split, path, of_one, n, len(lines))


def _read(look: Look, path: str) -> list[tuple[int, str]]:
    """(1-based number, text) of the first lines of a list that name images."""
    try:
        with (
            look.evidence.dataset.storage.open(path) as file,
            TextIOWrapper(file, encoding="utf-8-sig") as text,
        ):
            lines = text.read(MOST_CHARACTERS).splitlines()
    except (OSError, ValueError):
        return []
    named = ((number, line) for number, line in enumerate(lines, 1) if is_image_name(line.strip()))
    return list(islice(named, MOST_LINES))


class _Folders:
    """Looks for the images of the lines of one list."""

    def __init__(self, look: Look, path: str) -> None:
        self._look = look
        self._storage = look.evidence.dataset.storage
        self._folder = os.path.dirname(path)
        self._bases = list(dict.fromkeys([self._folder, *look.roots]))
        self._by_name: Mapping[str, list[str]] | None = None

    def judge(self, number: int, text: str) -> Line | None:
        """What is wrong with a line; None where training finds the image, and its label where others do."""
        text = posix(text.strip())
        if is_url(text):
            return Line(number, text, absolute_path(text), "url")
        opened = f"{self._folder}{text[1:]}" if text.startswith("./") else absolute_path(text)
        if self._storage.lexists(opened):
            if text.startswith(("./", "/")) or not self._look.evidence.count("D002"):
                return None
            beside = text.startswith("images/") and "/images/" not in text
            return Line(number, text, opened, "no-folder-before-images" if beside else "folder", opened)
        for fault, meant in self._tries(text, opened):
            if meant and self._storage.lexists(meant):
                return Line(number, text, opened, fault, meant)
        return Line(number, text, opened, "nothing")

    def _tries(self, text: str, opened: str) -> Iterator[tuple[LineFault, str]]:
        folder, _, name = opened.rpartition("/")
        is_windows = "\\" in text
        if not is_windows and (other := self._other_extension(folder, name)):
            yield "extension", f"{folder}/{other}"
        parts = [p for p in _DRIVE.sub("", text).replace("\\", "/").split("/") if p not in ("", ".", "..")]
        fault: LineFault = "backslashes" if is_windows else "folder"
        for k in range(min(len(parts), _TAILS)):
            yield from ((fault, f"{base}/{'/'.join(parts[k:])}") for base in self._bases)
        if len(parts) > 0 and len(found := self._folders_with(parts[-1])) == 1:
            yield fault, f"{found[0]}/{parts[-1]}"

    def _other_extension(self, folder: str, name: str) -> str | None:
        listed = self._look.folder(folder)
        if listed is None:
            return None
        same = (
            [other for other in listed.images if stem_of(other) == stem_of(name)]
            if listed.n_names < 10_000
            else []
        )
        return same[0] if len(same) == 1 else None

    def _folders_with(self, name: str) -> Sequence[str]:
        """Folders near the dataset with an image of this name."""
        if self._by_name is None:
            self._by_name = by_name = defaultdict[str, list[str]](list)
            for folder in self._look.near:
                for image in folder.images:
                    by_name[image].append(folder.path)
        return self._by_name.get(name, [])


def _cause(look: Look, fault: LineFault, groups: Sequence[FaultyLines]) -> Hypothesis:
    evidence = look.evidence
    claimed = Claimed(evidence, "D002", "I001", "D006", "D007", "D005", "D011")
    for group in groups:
        claimed.add_files([group.path])
        for line in group.lines:
            # A relative line that leads nowhere is told of relative to its list.
            told = normal_path(join_path(os.path.dirname(group.path), line.text))
            claimed.add_files([line.opened, line.meant or line.opened, told])
            if fault != "extension":
                claimed.add_folder(os.path.dirname(line.opened))
                claimed.add_folder(os.path.dirname(told))
        if len(group.lines) >= NEARLY_ALL * group.n_seen:
            claimed.add_split(group.split)
    lists = some(place(evidence, group.path) for group in groups)
    n = sum(len(group.lines) for group in groups)
    numbers = tuple(
        f"{len(group.lines):,} of the {in_thousands(group.n_faulty, 'line')} of {place(evidence, group.path)} "
        f"that training does not read as meant{'' if group.n_seen < MOST_LINES else f', in its first {MOST_LINES}'}."
        for group in groups[:6]
    )
    first = groups[0].lines[0]
    return Hypothesis(
        Cause(
            f"list-{fault}",
            "lines of an image list",
            _sentence(look, fault, n, lists, first),
            numbers,
            _training(fault, n, first.text),
            _way_out(look, fault, groups),
            images=n,
        ),
        claimed,
        advises=True,
    )


def _right(path: str, line: Line) -> str:
    """The line that training would read: relative to its list."""
    inside = posixpath.relpath(line.meant, os.path.dirname(path))
    return line.meant if inside.startswith("../") else f"./{inside}"


def _sentence(look: Look, fault: LineFault, n: int, lists: str, line: Line) -> str:
    lines = f"{in_thousands(n, 'line')} of {lists}"
    if fault == "url":
        what = "is a URL" if n == 1 else "are URLs"
        return f"{lines} {what}, such as {shown(line.text[:80])}: training does not fetch it."
    meant = place(look.evidence, line.meant)
    if fault == "backslashes":
        return (
            f"{lines} {'has' if n == 1 else 'have'} backslashes, which separate folders on Windows only: "
            f"{shown(line.text[:80])} lies here as {meant}."
        )
    if fault == "extension":
        return (
            f"{lines} name{'s' if n == 1 else ''} files with another extension than they have: "
            f"{shown(line.text[:80])} is not there, {meant} is."
        )
    if fault == "no-folder-before-images":
        return (
            f"{lines} begin{'s' if n == 1 else ''} with images/ and no folder before it, such as "
            f"{shown(line.text[:80])}: training replaces /images/ by /labels/ in the line as it is written, and so "
            "looks for the label beside the image."
        )
    if line.text.startswith(("./", "/")):
        return f"{lines} {'leads' if n == 1 else 'lead'} to no file: {shown(line.text[:80])} is not there, {meant} is."
    return (
        f"{lines} {'is' if n == 1 else 'are'} not relative to the list: training takes {shown(line.text[:80])} from "
        f"the folder in which it is started, but the image lies in {place(look.evidence, os.path.dirname(line.meant))}."
    )


def _training(fault: LineFault, n: int, text: str) -> str:
    if fault != "url" and "/" not in text:
        return "Training stops: it takes such a line for a name without a folder, and cannot begin a list with one."
    if fault == "no-folder-before-images":
        return (
            "Training reads the images as background, only when it is started in the right folder; it stops with "
            '"No labels found" where no image of train has a label.'
        )
    if fault == "folder" and not text.startswith(("./", "/")):
        return (
            "Training finds such images only when it is started in the right folder; else it drops each, and stops "
            "where none is left."
        )
    what = "the image" if n == 1 else f"each of these {n:,} images"
    return f"Training drops {what}, and stops where none is left in a split."


def _way_out(look: Look, fault: LineFault, groups: Sequence[FaultyLines]) -> str:
    evidence = look.evidence
    if fault == "url":
        return "Download the picture yourself and list the file, or remove the line."
    edits = []
    for group in groups:
        swap = _swap(group)
        if swap is None:
            first = group.lines[0]
            return (
                f"In {some(place(evidence, g.path) for g in groups)} write `{_right(group.path, first)}` for "
                f"`{shown(first.text)}`, and so on."
            )
        edits.append((swap, word(evidence, group.path)))
    by_swap: dict[str, list[str]] = defaultdict(list)
    for swap, name in edits:
        by_swap[swap].append(name)
    run = commands(evidence, [f"perl -pi -e '{swap}' {' '.join(names)}" for swap, names in by_swap.items()])
    first = groups[0].lines[0]
    return f"Write `{_right(groups[0].path, first)}` for `{shown(first.text)}`, and so in each line: {run}"


def _swap(group: FaultyLines) -> str | None:
    """A substitution in Perl after which every one of these lines is right; None where one rule does not do."""
    swaps = set()
    for line in group.lines:
        right = _right(group.path, line)
        text, before = line.text.replace("\\", "/"), "tr{\\\\}{/}; " if "\\" in line.text else ""
        if line.fault == "extension":
            old, new = text.rpartition(".")[2], right.rpartition(".")[2]
            swaps.add(f"s{{\\.{re.escape(old)}(\\s*)$}}{{.{new}$1}}")
            continue
        common = len(common_start([text[::-1], right[::-1]]))
        k = _folder_border(text, common)
        if text[:k] == right[: len(right) - len(text) + k]:
            swaps.add(before.rstrip("; "))
            continue
        swaps.add(f"{before}s{{^{re.escape(text[:k])}}}{{{right[: len(right) - len(text) + k]}}}")
    swap = swaps.pop() if len(swaps) == 1 else ""
    return (
        swap
        if swap and "'" not in swap and "$" not in swap.replace("$1", "").replace("(\\s*)$", "")
        else None
    )


def _folder_border(text: str, common: int) -> int:
    """Where the end that both share begins with a whole name, counted in `text`."""
    start = len(text) - common
    while start < len(text) and start > 0 and text[start - 1] != "/":
        start += 1
    return start
