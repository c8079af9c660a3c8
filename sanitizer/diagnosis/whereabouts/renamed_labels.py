"""Labels in the right folder whose names a tool changed."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from typing import TYPE_CHECKING

from sanitizer.diagnosis.whereabouts.claims import (
    NEARLY_ALL,
    Claimed,
    claim_bare,
    commands,
    place,
    some,
    training_of,
    word,
)
from sanitizer.diagnosis.whereabouts.stem_rules import Mapped, StemRule, find_rules
from sanitizer.diagnosis.whereabouts.unpaired import stem_of
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import in_thousands
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.whereabouts.look import Look
    from sanitizer.diagnosis.whereabouts.unpaired import UnpairedFolder

    Renamed = tuple[UnpairedFolder, Sequence[tuple[str, str]]]

_BEFORE_RF = re.compile(r"_[^_]*\.rf\..*$")
_FEW = 3
"""So many pairs are renamed by one command each."""


def renamed_labels(look: Look) -> Iterator[Hypothesis]:
    """A cause for each rule by which labels were named."""
    by_rule: dict[StemRule, list[Renamed]] = defaultdict(list)
    believed: list[Mapped] = []
    for unpaired in sorted(look.unpaired, key=lambda folder: -len(folder.orphans)):
        bare, orphans = [stem_of(name) for name in unpaired.bare], _unread(look, unpaired)
        if not bare or not orphans:
            continue
        mapped = find_rules(bare, orphans, unpaired.paired, believed)
        explained = sum(len(each.pairs) for each in mapped)
        if explained >= NEARLY_ALL * len(orphans):
            for each in mapped:
                by_rule[each.rule].append((unpaired, each.pairs))
            believed += [each for each in mapped if each.rule not in {known.rule for known in believed}]
    for rule, found in by_rule.items():
        yield _cause(look.evidence, rule, found, look.unpaired)
    yield from _other_case(look)


def _unread(look: Look, unpaired: UnpairedFolder) -> list[str]:
    """Stems of labels without image, those too that differ from an image in case only: D006 names these already."""
    orphans = [stem_of(name) for name in unpaired.orphans]
    folder = look.folder(unpaired.label_dir) if unpaired.bare else None
    if folder is None:
        return orphans
    known, bare = {*orphans, *unpaired.paired}, {stem_of(name).lower() for name in unpaired.bare}
    return orphans + [
        stem for name in folder.labels if (stem := stem_of(name)).lower() in bare and stem not in known
    ]


def _cause(
    evidence: Evidence, rule: StemRule, found: Sequence[Renamed], unpaired: Sequence[UnpairedFolder]
) -> Hypothesis:
    claimed = Claimed(evidence, "D006", "D007")
    for folder, pairs in found:
        names = {stem_of(name): name for name in folder.bare}
        claimed.add_files(f"{folder.image_dir}/{names[image]}" for image, _ in pairs)
        claimed.add_files(f"{folder.label_dir}/{label}.txt" for _, label in pairs)
        if len(pairs) >= NEARLY_ALL * len(folder.orphans):
            claimed.add_files([folder.label_dir])
        if len(pairs) >= NEARLY_ALL * folder.n_bare:
            claim_bare(claimed, [folder], unpaired)
    folder, pairs = found[0]
    image, label = pairs[0]
    name = next(name for name in folder.bare if stem_of(name) == image)
    n = sum(len(pairs) for _, pairs in found)
    where = some(place(evidence, folder.label_dir) for folder, _ in found)
    cause = Cause(
        f"renamed-labels-{rule.id}",
        "labels under another name",
        f"{in_thousands(n, 'label')} in {where} {rule.words}: {shown(label)}.txt belongs to {shown(name)}, but "
        f"training looks for {shown(image)}.txt.",
        tuple(
            f"The rule maps {len(pairs):,} of the {max(len(pairs), len(folder.orphans)):,} labels without image in "
            f"{place(evidence, folder.label_dir)} to {len(pairs):,} of the {folder.n_bare:,} images without label, "
            "one to one."
            for folder, pairs in found[:6]
        ),
        training_of(evidence, [folder for folder, _ in found], n),
        _way_out(evidence, rule, found),
        images=n,
    )
    return Hypothesis(cause, claimed, advises=True)


def _way_out(evidence: Evidence, rule: StemRule, found: Sequence[Renamed]) -> str:
    """Commands that name each label after its image."""
    pairs = [(folder, *pair) for folder, pairs in found for pair in pairs]
    moves = [
        f"mv -n {word(evidence, f'{folder.label_dir}/{label}.txt')} {word(evidence, f'{folder.label_dir}/{image}.txt')}"
        for folder, image, label in pairs[:_FEW]
    ]
    if len(pairs) <= _FEW:
        return commands(evidence, moves)
    pattern = _pattern(rule, found)
    if pattern is None:
        first = commands(evidence, moves[:1])[:-1]
        return f"Name each label after its image: {first} and so on for the other {len(pairs) - 1:,}."
    return commands(evidence, [_loop(evidence, folder, pattern) for folder, _ in found])


def _loop(evidence: Evidence, folder: UnpairedFolder, pattern: str) -> str:
    images, labels = word(evidence, folder.image_dir), word(evidence, folder.label_dir)
    return (
        f"for i in {images}/*; do s=${{i##*/}}; s=${{s%.*}}; for f in {labels}/{pattern}.txt; do "
        f'[ -e "$f" ] && mv -n "$f" {labels}/"$s".txt; done; done'
    )


def _pattern(rule: StemRule, found: Sequence[Renamed]) -> str | None:
    """A pattern that fits the label of an image and none of another image; None where none is safe.

    A hash must have one length: `p1*` would take the label of p10, too.
    """
    pairs = [pair for _, pairs in found for pair in pairs]
    if rule.pattern is not None:
        return rule.pattern
    if rule.id == "roboflow-images" and all(label == _BEFORE_RF.sub("", image) for image, label in pairs):
        return '"${s%_*.rf.*}"'
    lengths = {len(label) - len(image) for image, label in pairs}
    unknown = "?" * lengths.pop() if len(lengths) == 1 else ""
    if unknown and all(label.endswith(image) for image, label in pairs):
        return f'{unknown}"$s"'
    if unknown and all(label.startswith(image) for image, label in pairs):
        return f'"$s"{unknown}'
    return None


def _other_case(look: Look) -> Iterator[Hypothesis]:
    """The cause of labels whose file extension is .TXT."""
    evidence = look.evidence
    found: list[tuple[UnpairedFolder, list[str]]] = []
    for unpaired in look.unpaired:
        folder = look.folder(unpaired.label_dir) if unpaired.bare else None
        if folder is not None and folder.misspelt_labels:
            bare = set(map(stem_of, unpaired.bare))
            names = [name for name in folder.misspelt_labels if stem_of(name) in bare]
            if names:
                found.append((unpaired, names))
    n = sum(len(names) for _, names in found)
    if n < 2:
        return
    claimed = Claimed(evidence, "L009", "D006")
    for unpaired, names in found:
        claimed.add_files(f"{unpaired.label_dir}/{name}" for name in names)
        if len(names) >= NEARLY_ALL * unpaired.n_bare:
            claim_bare(claimed, [unpaired], look.unpaired)
    extension = found[0][1][0].rpartition(".")[2]
    where = some(place(evidence, unpaired.label_dir) for unpaired, _ in found)
    loops = [
        f'for f in {word(evidence, unpaired.label_dir)}/*.{shlex.quote(extension)}; do mv -n "$f" "${{f%.*}}.txt"; done'
        for unpaired, _ in found
    ]
    cause = Cause(
        "label-extension",
        "labels with another file extension",
        f"{in_thousands(n, 'label')} in {where} end in .{extension}, but training looks for .txt.",
        (f"Each belongs to an image of the same name, such as {shown(found[0][1][0])}.",),
        training_of(evidence, [unpaired for unpaired, _ in found], n),
        commands(evidence, loops),
        images=n,
    )
    yield Hypothesis(cause, claimed, advises=True)
