"""Reading all rows of a file anew, by the readings that causes of the whole dataset name: every row, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.diagnosis.numbers.writing import COORDINATES, SHAPES
from sanitizer.findings.finding import Severity
from sanitizer.fixes.repair.document import Step, with_tokens
from sanitizer.fixes.repair.draft import place_of
from sanitizer.fixes.repair.policy import EDGE_RULES, line_and_rule
from sanitizer.labels.readings import READINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.document import Document
    from sanitizer.fixes.repair.policy import Claim, FilePolicy
    from sanitizer.labels.readings import Reading, SizePx

NEEDS_UNSAFE = "it takes --unsafe"
NOT_DECIDED = (
    "all rows of a file are read anew, or none: decide fix for all findings that its cause explains there"
)
STEP_RULE = "cause"
"""Stands in a step in place of a rule where a row was read anew."""


def why_not_read(claim: Claim, policy: FilePolicy) -> str | None:
    """Why the readings of a file must not be used, before any row is looked at; None where they may."""
    if claim.refusal:
        return claim.refusal
    if policy.policy.decisions is not None and not claim.is_decided:
        return NOT_DECIDED
    if policy.policy.decisions is None and not policy.policy.unsafe:
        return NEEDS_UNSAFE
    if policy.known & claim.claimed:
        return "the baseline knows some of its findings"
    return None


def read_anew(
    document: Document, readings: Sequence[str], size_px: SizePx | None, spec: TaskSpec
) -> Document | str:
    """The document with every row written anew; or why that cannot be, a few words."""
    for name in readings:
        read = _read_by(document, READINGS[name], size_px, spec)
        if isinstance(read, str):
            return read
        document = read
    return document if document.has_rows() else "no row would be left"


def _read_by(document: Document, reading: Reading, size_px: SizePx | None, spec: TaskSpec) -> Document | str:
    texts: dict[int, tuple[str, Step]] = {}
    removed: dict[int, Step] = {}
    for i, line in enumerate(document.lines):
        text = line.text.decode()
        if not text.strip():
            continue
        old = text.split()
        new = reading.convert(old, size_px, spec) if len(text.splitlines()) == 1 else None
        if new is None:
            unless = "" if size_px else ", or the size of its image is not certain"
            return f"line {line.origin} is not {reading.says}{unless}"
        if new:
            texts[i] = (_with_columns(text, old, new), Step(STEP_RULE, reading.done))
        else:
            removed[i] = Step(STEP_RULE, "removed: no object in what its tool writes")
    return document.changed(texts, removed)


def _with_columns(text: str, old: Sequence[str], new: Sequence[str]) -> str:
    """The row with new columns; blanks stay as they were where there are as many columns."""
    if len(old) == len(new):
        return with_tokens(text, dict(enumerate(new)))
    lead = text[: len(text) - len(text.lstrip())]
    return lead + " ".join(new)


def why_not_right(
    before: Document, found_before: Sequence[Finding], after: Document, found: Sequence[Finding], claim: Claim
) -> str | None:
    """What the rules say against rows that were read anew; None where they are right.

    What the causes claim must be gone, but for findings on the shape of an object, which may be right in any reading.
    Nothing may be wrong that was not wrong before. Numbers that get another meaning must lie in the image: it is all
    that speaks for the meaning.
    """
    must_go = claim.read_rules - SHAPES | (EDGE_RULES if claim.read_rules & COORDINATES else frozenset())
    was_wrong = {place_of(before, f) for f in found_before if f.severity == Severity.ERROR}
    for finding in found:
        is_new = finding.severity == Severity.ERROR and place_of(after, finding) not in was_wrong
        if finding.rule in must_go or is_new:
            line, _ = line_and_rule(finding)
            at = after.line_at(line)
            where = f" at line {at.origin}" if at else ""
            return f"read so, it has {finding.rule} ({finding.name}){where}"
    return None
