"""Pictures of one source: in two splits, or many times in one."""

from __future__ import annotations

from collections import Counter
from posixpath import basename, splitext
from typing import TYPE_CHECKING

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.finding import Finding

FEWEST_LEAKS = 2
"""Copies across splits that one sentence tells of: a single one is as quickly read by itself."""
FEWEST_COPIES = 5
"""The same within a split, where copies do less harm."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows."""
    if evidence.count("D009", "D012"):
        yield from _across_splits(evidence)
    if evidence.count("D009") >= FEWEST_COPIES:
        yield from _in_splits(evidence)


def _across_splits(evidence: Evidence) -> Iterator[Hypothesis]:
    from sanitizer.rules.checks.copies import found_copies  # a hook never has them loaded
    from sanitizer.rules.checks.sources.shared_sources import shared_by_splits

    survey = evidence.survey
    leaks: Counter[tuple[str, str]] = Counter()
    for copy in found_copies(survey) or ():
        here, there = survey.split_name(copy.index), survey.split_name(copy.original)
        if here != there:
            leaks[there, here] += 1
    shared = shared_by_splits(survey) if evidence.count("D012") else ()
    if not shared and sum(leaks.values()) < FEWEST_LEAKS:
        return
    facts = [
        f"{in_thousands(n, 'image')} of {b} {'is a copy' if n == 1 else 'are copies'} of images of {a}"
        for (a, b), n in leaks.items()
    ]
    facts += [
        f"{s.neighbours:,} of {in_thousands(s.images, 'image')} of {s.here} "
        + (
            f"look like an image of {s.there}, as frames of one video do"
            if s.looks_only
            else f"have a neighbour in {s.there}: an altered copy of the same picture or a frame of the same video"
        )
        for s in shared
    ]
    splits = sorted(
        {name for pair in leaks for name in pair} | {n for s in shared for n in (s.there, s.here)}
    )
    cause = Cause(
        "one-source-in-two-splits",
        "Images of one source in two splits",
        f"Images of one source lie in two splits: {'; '.join(facts)}.",
        (),
        _training(splits),
        "Split again by source: all copies of one picture and all frames of one video go into one split."
        + (_regroup(evidence) if any(s.copies for s in shared) else ""),
    )
    yield Hypothesis(cause, lambda finding: finding.rule in ("D009", "D012") and finding.kind == "leak")


def _regroup(evidence: Evidence) -> str:
    if evidence.dataset.storage.remote or evidence.survey.packed_files is not None:
        return ""  # of which no view is made
    command = f"sanitize fix {evidence.shown_path} --view FOLDER --regroup"
    return f" `{command}` writes such splits for copies, by their names."


def _training(splits: list[str]) -> str:
    if "train" in splits:
        return "Validation and test report what was memorised: their numbers are better than on new images."
    return "The splits do not measure independently of each other."


def _in_splits(evidence: Evidence) -> Iterator[Hypothesis]:
    """Copies that an export made on purpose, as their names tell."""
    from sanitizer.rules.checks.copies import found_copies

    survey, dataset = evidence.survey, evidence.dataset
    sources: dict[str, Counter[str]] = {}
    claimed: set[int] = set()
    for copy in found_copies(survey) or ():
        split = survey.split_name(copy.index)
        image, original = survey.image_path(copy.index), survey.image_path(copy.original)
        if split != survey.split_name(copy.original) or not image or not original:
            continue
        if (source := _source_of_altered(image, original)) is not None:
            sources.setdefault(split, Counter())[source] += 1
            claimed.add(hash(dataset.relative(image)))
    copies = sum(sum(counts.values()) for counts in sources.values())
    if copies < FEWEST_COPIES:
        return
    pictures = sum(map(len, sources.values()))
    most = 1 + max(max(counts.values()) for counts in sources.values())
    cause = Cause(
        "augmented-copies",
        "Altered copies of the same pictures",
        f"{in_thousands(copies, 'image')} of {' and '.join(sources)} are altered copies of "
        f"{in_thousands(pictures, 'other image')}: the export wrote each picture several times.",
        (
            f"Their names say so: without the mark of a copy they are the same; one picture is there {most} times.",
            "Their pixels say so, too: small grey thumbnails of them are the same.",
        ),
        f"Training sees these pictures up to {most} times an epoch, besides what it alters by itself.",
        "Export without augmentation, as training augments by itself, or keep one image of each picture.",
    )

    def claims(finding: Finding) -> bool:
        return finding.rule == "D009" and finding.kind != "leak" and hash(finding.image) in claimed

    yield Hypothesis(cause, claims)


def _source_of_altered(image: str, original: str) -> str | None:
    """What two names share without the mark of a copy; None where they do not tell of one picture."""
    from sanitizer.rules.checks.sources.names import Mark, copy_name

    name, other = (copy_name(splitext(basename(path))[0]) for path in (image, original))
    return name.source if name.source == other.source and max(name.mark, other.mark) == Mark.COPY else None
