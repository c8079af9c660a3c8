"""A label file with repairs that are being tried, and whether they are good. Values and pure functions only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity
from sanitizer.fixes.repair.policy import line_and_rule
from sanitizer.fixes.repair.repairs import REPAIRS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.document import Document
    from sanitizer.fixes.repair.policy import FilePolicy

Place = tuple[int, str]
"""(key of the line or 0 for the file, rule)."""
Attempt = tuple[int, str, int]
"""(key of the line or 0 for the file, rule, number of the repair in `REPAIRS`)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A document, and what the rules find in it."""

    document: Document
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Draft:
    """A document with repairs that are being tried.

    Attributes:
        document: With all these repairs.
        tried: Key of a line (0 for the file) to what was tried on it, in order.
        removals: Attempts that took their line out.
        rereads: Some row was misread before, so that only now rules can judge it.
    """

    document: Document
    tried: Mapping[int, tuple[Attempt, ...]] = field(default_factory=dict)
    removals: frozenset[Attempt] = frozenset()
    rereads: bool = False


def place_of(document: Document, finding: Finding) -> Place:
    """What a finding is about, whichever number its line has by now."""
    number, rule = line_and_rule(finding)
    line = document.line_at(number)
    return (line.key if line else 0, rule)


def loses_box(attempt: Attempt) -> bool:
    """Whether training has one box less by that attempt."""
    _, rule, number = attempt
    return REPAIRS[rule][number].loses_box


def failed_attempts(
    accepted: Judged, draft: Draft, findings: Sequence[Finding], policy: FilePolicy
) -> frozenset[Attempt]:
    """Attempts that did not settle their finding, or led to another one.

    Args:
        accepted: The file before the attempts.
        draft: With them.
        findings: What the rules find in the draft.
        policy: Of the file.
    """
    places = _worst(draft.document, findings)
    every = frozenset(a for attempts in draft.tried.values() for a in attempts)
    failed = {a for a in every if a[:2] in places}
    new = {
        place
        for place in places.keys() - _worst(accepted.document, accepted.findings).keys()
        if not _is_tolerated(place, places[place], draft, policy)
    }
    if new:
        at_fault = {draft.tried[line][-1] for line, _ in new if line in draft.tried}
        failed |= at_fault or every or draft.removals
    return frozenset(failed)


def _worst(document: Document, findings: Sequence[Finding]) -> dict[Place, Severity]:
    """Place to the worst severity found there."""
    found: dict[Place, Severity] = {}
    for finding in findings:
        if finding.n_more is None:
            place = place_of(document, finding)
            found[place] = max(finding.severity, found.get(place, finding.severity))
    return found


def _is_tolerated(place: Place, severity: Severity, draft: Draft, policy: FilePolicy) -> bool:
    """A row that could not be read before may now be doubtful for another reason, but not wrong.

    A file is empty only where a person wants all its rows out.
    """
    _, rule = place
    return bool(policy.dropped) if rule == "L007" else draft.rereads and severity < Severity.ERROR
