"""Which findings may be repaired, and how far: by level and rule, by the baseline, or by a person's decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sanitizer.findings.finding import fingerprinted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.repairs import Level

Decision = Literal["fix", "drop", "keep"]
LineAndRule = tuple[int, str]
"""(1-based line of the file as it was found, or 0 for the file as a whole; code of the rule)."""


def line_and_rule(finding: Finding) -> LineAndRule:
    """What identifies a finding within its file. One about the file has line 0: the line it names moves with rows."""
    return (0 if finding.about == "file" else finding.line or 0, finding.rule)


@dataclass(frozen=True, slots=True)
class Policy:
    """Which findings the user wants repaired.

    Attributes:
        unsafe: Repairs that remove or reinterpret boxes are allowed.
        codes: Rules whose findings may be repaired.
        known: Fingerprints of the baseline: findings that are left alone.
        decisions: Fingerprint to what a person decided; nothing else is then repaired. None without a review.
    """

    unsafe: bool
    codes: frozenset[str]
    known: frozenset[str] = frozenset()
    decisions: Mapping[str, Decision] | None = None

    def for_file(self, findings: Sequence[Finding]) -> FilePolicy:
        """The policy for one file, given all findings in the file before any repair."""
        decided: dict[LineAndRule, Decision] = {}
        known: set[LineAndRule] = set()
        kept: set[int] = set()
        dropped: set[int] = set()
        for f in fingerprinted(findings):
            if f.fingerprint in self.known:
                known.add(line_and_rule(f))
            decision = None if self.decisions is None else self.decisions.get(f.fingerprint)
            if decision is None:
                continue
            decided[line_and_rule(f)] = decision
            if f.line and decision != "fix":
                (kept if decision == "keep" else dropped).add(f.line)
        return FilePolicy(self, decided, known, dropped - kept, kept & dropped)


@dataclass(frozen=True, slots=True)
class FilePolicy:
    """Which findings of one file may be repaired, and which of its rows are removed.

    Attributes:
        policy: The policy of the run.
        decided: What a person decided on a finding.
        known: Findings of the baseline.
        dropped: Lines that a person wants removed.
        contradictory: Lines that one decision removes and another keeps: neither decision is carried out.
    """

    policy: Policy
    decided: Mapping[LineAndRule, Decision]
    known: set[LineAndRule]
    dropped: set[int] = field(default_factory=set)
    contradictory: set[int] = field(default_factory=set)

    def allows(self, key: LineAndRule, level: Level) -> bool:
        """Whether a repair of that level may be tried on that finding."""
        if self.policy.decisions is not None:
            return self.decided.get(key) == "fix"
        if key[1] not in self.policy.codes or key in self.known:
            return False
        return level == "safe" or self.policy.unsafe
