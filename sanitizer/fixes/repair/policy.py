"""Which findings may be repaired, and how far: by level and rule, by the baseline, or by a person's decisions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sanitizer.findings.finding import fingerprinted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.repairs import Level

Decision = Literal["fix", "drop", "keep"]
Place = tuple[int, str]
"""(1-based line of the file as it was, or 0 for the file as a whole; rule)."""

_WHOLE_FILE = frozenset(("L005",))
"""Rules that name one line but speak of the file: the line moves when rows go."""

_COUNT = re.compile(r"more rows? of this file")


def stands_for_many(finding: Finding) -> bool:
    """Whether this finding only counts further rows, which no line of it names."""
    return bool(_COUNT.search(finding.message))


def place_of(finding: Finding) -> Place:
    """Where a finding stands, in the file that it was found in."""
    return (0 if finding.rule in _WHOLE_FILE else finding.line or 0, finding.rule)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user asked for.

    Attributes:
        unsafe: Repairs that remove or reinterpret boxes are allowed.
        codes: Rules whose findings may be repaired.
        known: Fingerprints that the baseline has put off: left alone.
        decisions: Fingerprint to what a person decided; nothing else is then repaired. None without a review.
    """

    unsafe: bool
    codes: frozenset[str]
    known: frozenset[str] = frozenset()
    decisions: Mapping[str, Decision] | None = None

    def orders(self, findings: Sequence[Finding]) -> Orders:
        """The policy as it applies to one file, given all that is found in it as it stands."""
        decided: dict[Place, Decision] = {}
        put_off: set[Place] = set()
        kept: set[int] = set()
        dropped: set[int] = set()
        for f in fingerprinted(findings):
            if f.fingerprint in self.known:
                put_off.add(place_of(f))
            decision = None if self.decisions is None else self.decisions.get(f.fingerprint)
            if decision is None:
                continue
            decided[place_of(f)] = decision
            if f.line and decision != "fix":
                (kept if decision == "keep" else dropped).add(f.line)
        return Orders(self, decided, put_off, dropped - kept, kept & dropped)


@dataclass(frozen=True, slots=True)
class Orders:
    """What may be done in one file.

    Attributes:
        dropped: Lines that a person wants out.
        contradictory: Lines that one decision wants out and another kept: neither is carried out.
    """

    policy: Policy
    decided: Mapping[Place, Decision]
    put_off: set[Place]
    dropped: set[int] = field(default_factory=set)
    contradictory: set[int] = field(default_factory=set)

    def allows(self, place: Place, level: Level) -> bool:
        """Whether a repair of that level may be tried on a finding at that place."""
        if self.policy.decisions is not None:
            return self.decided.get(place) == "fix"
        if place[1] not in self.policy.codes or place in self.put_off:
            return False
        return level == "safe" or self.policy.unsafe
