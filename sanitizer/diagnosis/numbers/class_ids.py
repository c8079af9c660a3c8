"""Class ids that count in another way: from 1, or as COCO's categories do. Every row of the dataset is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.diagnosis.numbers.parts import labelled_files
from sanitizer.diagnosis.numbers.writing import as_sentence, fix_command
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.labels.readings.class_ids import COCO_FROM_ONE, COCO_FROM_ZERO
from sanitizer.util.counting import cut_short, in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sanitizer.diagnosis.evidence import Evidence

COCO_CLASSES = 80
COCO_NAMES = {0: "person", 11: "stop sign", 29: "frisbee", 79: "toothbrush"}
"""Names by which COCO's list is known."""
SURE_ROWS = 5
"""Rows of the rarest class: if a class 0 were as frequent, it would be absent by chance once in exp(5) = 148 sets."""
SURE_CHANCE = 0.01
"""Chance that as many class ids as are used would all miss COCO's gaps."""


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes for class ids that data.yaml does not name."""
    counts = evidence.class_rows
    if not counts or evidence.spec.nc is None:
        return
    if evidence.count("C001"):
        yield from _from_one(evidence, counts)
        yield from _coco(evidence, counts)
    if evidence.count("D003"):
        yield from _names_from_one(evidence, counts)


def _from_one(evidence: Evidence, counts: Mapping[int, int]) -> Iterator[Hypothesis]:
    nc = evidence.spec.nc
    assert nc is not None
    if min(counts) != 1 or max(counts) != nc or 2 * len(counts) < nc:
        return
    rows, rarest = in_thousands(sum(counts.values()), "row"), min(counts.values())
    is_sure = len(counts) == nc and rarest >= SURE_ROWS
    yield _hypothesis(
        evidence,
        "ids-from-one",
        "class ids counted from 1",
        f"The class ids of {rows} {'are' if is_sure else 'seem to be'} counted from 1: they go from 1 to "
        f"{nc}, and training counts {nc} class{'es' * (nc > 1)} from 0 to {nc - 1}",
        (
            f"id 0 is never used, and {in_thousands(counts[nc], 'row')} have id {nc}, which does not exist",
            f"{len(counts)} of the ids 1 to {nc} are used, the rarest by {in_thousands(rarest, 'row')}",
            *(() if is_sure else ("against it: few rows; a class may just be missing from data.yaml",)),
        ),
        f"images with id {nc} are left out, and every other row is learned as the class after its own",
        "ids-from-one" if is_sure else None,
        "take 1 from the class id of every row, or, if a class is missing from `names`, add it",
    )


def _coco(evidence: Evidence, counts: Mapping[int, int]) -> Iterator[Hypothesis]:
    spec = evidence.spec
    if spec.nc != COCO_CLASSES or not max(counts) >= COCO_CLASSES:
        return
    is_coco = all(spec.names.get(i, "").casefold() == name for i, name in COCO_NAMES.items())
    for reading, ids in (("coco-ids", COCO_FROM_ONE), ("coco-ids-from-zero", COCO_FROM_ZERO)):
        if not counts.keys() <= ids.keys() or not is_coco:
            continue
        chance = (COCO_CLASSES / max(ids)) ** len(counts)
        is_sure = chance <= SURE_CHANCE
        rows = in_thousands(sum(counts.values()), "row")
        known = (
            "COCO's category ids, 1 to 90 with gaps"
            if reading == "coco-ids"
            else "COCO's category ids less one"
        )
        yield _hypothesis(
            evidence,
            reading,
            "COCO's category ids",
            f"The class ids of {rows} {'are' if is_sure else 'seem to be'} {known}; training counts COCO's 80 "
            "classes from 0 to 79",
            (
                f"ids reach {max(counts)}, and none of the {len(counts)} ids in use is one that COCO leaves out",
                "data.yaml has COCO's 80 names",
                *(() if is_sure else (f"against it: {len(counts)} ids may miss COCO's gaps by chance",)),
            ),
            "images with an id over 79 are left out, and most other rows are learned as another class",
            reading if is_sure else None,
            "convert the ids with `ultralytics.data.converter.coco91_to_coco80_class`",
        )
        return


def _names_from_one(evidence: Evidence, counts: Mapping[int, int]) -> Iterator[Hypothesis]:
    """Names that start at 1 in data.yaml: with the ids of the labels, or against them."""
    names = sorted(evidence.dataset.names)
    if not names or names != list(range(1, len(names) + 1)) or evidence.count("D003") != 1:
        return
    n = len(names)
    if min(counts) >= 1 and max(counts) <= n:
        labels, way_out = (
            "and so are the ids of the labels",
            "number `names` from 0, and take 1 from every class id",
        )
    elif max(counts) < n:
        labels = f"while the ids of the labels go from {min(counts)} to {max(counts)}"
        way_out = "number `names` from 0; the labels are right"
    else:
        return
    cause = Cause(
        "names-from-one",
        "Names counted from 1",
        f"The {n} names of data.yaml are counted from 1, {labels}.",
        (f"Ids in use: {cut_short(sorted(counts), 10)}.",),
        "Training stops: ids of `names` must be 0 to one less than their number.",
        as_sentence(way_out),
        images=labelled_files(evidence),
    )
    yield Hypothesis(cause, lambda finding: finding.rule in ("D003", "C003", "C001"))


def _hypothesis(
    evidence: Evidence,
    cause_id: str,
    name: str,
    sentence: str,
    told: tuple[str, ...],
    training: str,
    reading: str | None,
    way_out: str,
) -> Hypothesis:
    splits = tuple(split.name for split in evidence.dataset.splits) if reading else ()
    cause = Cause(
        cause_id,
        as_sentence(name, ""),
        as_sentence(sentence),
        tuple(map(as_sentence, told)),
        as_sentence(training),
        as_sentence(f"{fix_command(evidence)} writes the class ids of all rows anew" if reading else way_out),
        "unsafe" if reading else None,
        reading,
        splits,
        images=labelled_files(evidence),
    )
    return Hypothesis(cause, lambda finding: finding.rule in ("C001", "C003"))
