"""Paths of the data.yaml that lead to nothing, where something near shows what was meant (D002)."""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from typing import TYPE_CHECKING

from sanitizer.diagnosis.whereabouts.claims import Claimed, commands, place, some, word
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import counted
from sanitizer.util.paths import is_inside, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.places.lost_paths import Slip, SlipKind
    from sanitizer.dataset.split_paths import LostPath, ResolvedSplit, SplitPaths
    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.whereabouts.look import Look

_WHY: Mapping[SlipKind, tuple[str, str]] = {
    "quote": ("has a stray quote or comma at its end", "have a stray quote or comma at their end"),
    "blank": ("has a blank at one end", "have a blank at one end"),
    "backslashes": (
        "is written with backslashes, which separate folders on Windows only",
        "are written with backslashes, which separate folders on Windows only",
    ),
    "machine": ("is a path of another machine", "are paths of another machine"),
    "steps": ("begins with a folder too many", "begin with a folder too many"),
    "case": ("is written in other upper and lower case", "are written in other upper and lower case"),
    "name": ("names a folder that is called otherwise here", "name folders that are called otherwise here"),
    "deeper": ("leads past the folder that holds it", "lead past the folder that holds them"),
}
"""What is said of one path, and of several."""


def lost_splits(look: Look) -> Iterator[Hypothesis]:
    """A cause for each way in which paths of splits are wrong, and one for `path:`."""
    evidence, search = look.evidence, look.evidence.dataset.search
    if search is None or search.paths is None or evidence.dataset.yaml_path is None:
        return
    kinds: dict[SlipKind, list[tuple[ResolvedSplit, LostPath, Slip]]] = defaultdict(list)
    for split in search.paths.resolved:
        for lost in split.lost:
            if lost.slip is not None:
                kinds[lost.slip.kind].append((split, lost, lost.slip))
    for kind, found in kinds.items():
        if kind == "archive":
            yield _archive_cause(evidence, found)
        else:
            yield _cause(evidence, search.paths, kind, found)
    yield from _base_cause(evidence, search.paths)


def _cause(
    evidence: Evidence,
    paths: SplitPaths,
    kind: SlipKind,
    found: Sequence[tuple[ResolvedSplit, LostPath, Slip]],
) -> Hypothesis:
    claimed = _claimed(evidence, found)
    written = some(f"`{split.name}: {shown(lost.value)}`" for split, lost, _ in found)
    there = some(place(evidence, slip.path) for _, _, slip in found)
    lie = "lies" if len({slip.path for *_, slip in found}) == 1 else "lie"
    sentence = f"{written} {_WHY[kind][len(found) > 1]}: {there} {lie} here."
    numbers = tuple(
        f"{place(evidence, slip.path)} "
        + ("is a list." if slip.path.endswith(".txt") else f"holds {counted(slip.count, 'image')}.")
        for _, _, slip in found[:6]
    )
    cause = Cause(
        f"lost-path-{kind}",
        "paths in the data.yaml that lead nowhere",
        sentence,
        numbers,
        _training([split for split, *_ in found]),
        _lines(evidence, paths, [(split.name, lost, slip.path) for split, lost, slip in found]),
        images=sum(slip.count for *_, slip in found),
    )
    return Hypothesis(cause, claimed, advises=True)


def _claimed(evidence: Evidence, found: Sequence[tuple[ResolvedSplit, LostPath, Slip]]) -> Claimed:
    claimed = Claimed(evidence, "D002")
    for split, *_ in found:
        if all(lost.slip is not None for lost in split.lost) and not split.found:
            claimed.add_split(split.name)
        else:
            claimed.add_lines(lost.line for owner, lost, _ in found if owner is split)
    return claimed


def _training(splits: Sequence[ResolvedSplit]) -> str:
    needed = [split.name for split in splits if split.name in ("train", "val")]
    if needed:
        return f"Training stops before its first step: it does not find {some(needed)}."
    return f"Training does without {some(split.name for split in splits)}; evaluation on it stops."


def _lines(evidence: Evidence, paths: SplitPaths, meant: Sequence[tuple[str, LostPath, str]]) -> str:
    """The lines to write, relative to the folder that training takes them from wherever it is started."""
    yaml = evidence.dataset.yaml_path or ""
    folder, base = os.path.dirname(yaml), paths.training_bases[0]
    keeps_path = paths.declared is None or (
        paths.declared_absolute and all(is_inside(path, base) for *_, path in meant)
    )
    base = base if keeps_path else evidence.dataset.storage.realpath(folder)
    lines = some(f"`{name}: {_yaml_text(posixpath.relpath(path, base))}`" for name, _, path in meant)
    sentence = f"In {place(evidence, yaml)} write {lines}"
    if keeps_path:
        return f"{sentence}."
    return (
        f"{sentence}, and leave `path: {shown(paths.declared or '')}` out: without it paths are taken from the folder "
        "of the yaml, with it from elsewhere."
    )


def _yaml_text(path: str) -> str:
    """The path as a value of the yaml, in quotes where it needs them."""
    plain = path and all(c.isalnum() or c in "/._-" for c in path)
    return path if plain else '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _archive_cause(evidence: Evidence, found: Sequence[tuple[ResolvedSplit, LostPath, Slip]]) -> Hypothesis:
    archives = list(dict.fromkeys(slip.path for *_, slip in found))
    written = some(f"`{split.name}: {shown(lost.value)}`" for split, lost, _ in found)
    names = some(place(evidence, path) for path in archives)
    one = len(found) == 1
    cause = Cause(
        "not-unpacked",
        "an archive that was not unpacked",
        f"{written} {'does' if one else 'do'} not exist, but {names} {'lies' if len(archives) == 1 else 'lie'} there "
        "and may hold what is missing.",
        ("No folder near has a name like that.",),
        _training([split for split, *_ in found]),
        commands(evidence, [_unpacking(evidence, path) for path in archives]),
        images=1,
    )
    return Hypothesis(cause, _claimed(evidence, found), advises=True)


def _unpacking(evidence: Evidence, path: str) -> str:
    name, folder = word(evidence, path), word(evidence, os.path.dirname(path))
    if path.lower().endswith(".zip"):
        return f"unzip -n {name} -d {folder}"
    if path.lower().endswith((".7z", ".rar")):
        return f"7z x {name} -o{folder}"
    return f"tar -xkf {name} -C {folder}"


def _base_cause(evidence: Evidence, paths: SplitPaths) -> Iterator[Hypothesis]:
    """The cause of a `path:` that does not lead to the dataset, while its splits lie beside or below the yaml."""
    names = [split.name for split in paths.resolved if any(each.base for each in split.found)]
    if not names or paths.declared is None:
        return
    yaml = evidence.dataset.yaml_path or ""
    folder = os.path.dirname(yaml)
    base = next(paths.bases[each.base] for split in paths.resolved for each in split.found if each.base)
    base = evidence.dataset.storage.realpath(base)
    here = evidence.dataset.storage.realpath(folder)
    looked = some((shown(path) for path in paths.training_bases), " and then in ")
    where = f"beside {posixpath.basename(yaml)}" if base == here else f"in {shown(base, folder)}"
    claimed = Claimed(evidence, "D002")
    claimed.add_split(None)
    if paths.declared_absolute:
        what = "is a folder of another machine, or gone"
    else:
        what = "is taken from the folder in which training is started, not from the yaml's"
    way_out = (
        f"Leave `path:` out of {place(evidence, yaml)}: then paths are taken from the folder of the yaml."
    )
    if base != here:
        way_out = f"In {place(evidence, yaml)} write `path: {_yaml_text(base)}`."
    cause = Cause(
        "path-leads-elsewhere",
        "`path:` leads elsewhere",
        f"`path: {shown(paths.declared)}` {what}; {some(names)} {'lies' if len(names) == 1 else 'lie'} {where}.",
        (f"Started from here, training looks in {looked}.",),
        "Training stops where that folder does not hold the splits; whether it does depends on where it is started."
        if not paths.declared_absolute
        else "Training stops before its first step: it does not find the splits.",
        way_out,
        images=sum(int(s.has_image.sum()) for s in evidence.dataset.splits if s.name in names),
    )
    yield Hypothesis(cause, claimed, advises=True)
