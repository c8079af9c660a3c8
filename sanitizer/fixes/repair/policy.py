"""Which findings may be repaired, and how far: by level and rule, by the baseline, or by a person's decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sanitizer.findings.finding import fingerprinted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.repairs import Level, Repair

Decision = Literal["fix", "drop", "keep"]
LineAndRule = tuple[int, str]
"""(1-based line of the file as it was found, or 0 for the file as a whole; code of the rule)."""


def line_and_rule(finding: Finding) -> LineAndRule:
    """What identifies a finding within its file. One about the file has line 0: the line it names moves with rows."""
    return (0 if finding.about == "file" else finding.line or 0, finding.rule)


CLASS_RULES = ("C001", "C002")
"""A cause that claims these says nothing of what the coordinates mean: other repairs of the row go on."""


EDGE_RULES = frozenset({"B003", "B004", "S004"})
"""Rules on what leaves its image."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the causes of a dataset say of one label file.

    Attributes:
        readings: Names of the readings by which all its rows are written anew, in this order.
        read_rules: Rules of the findings that the causes with these readings claim in this file.
        claimed: Findings that any cause claims: they have no repair but the reading of their cause.
        in_doubt: Some cause without a reading claims findings on coordinates or columns.
        is_decided: A person wants the readings used.
        refusal: Why the readings are not to be used; None where they may.
    """

    readings: tuple[str, ...] = ()
    read_rules: frozenset[str] = frozenset()
    claimed: frozenset[LineAndRule] = frozenset()
    in_doubt: bool = False
    is_decided: bool = False
    refusal: str | None = None

    @property
    def is_misread(self) -> bool:
        """Whether the file's columns do not mean what training takes them for, as far as findings tell."""
        return any(rule not in CLASS_RULES for _, rule in self.claimed)


NO_CLAIM = Claim()


@dataclass(frozen=True, slots=True)
class Policy:
    """Which findings the user wants repaired.

    Attributes:
        unsafe: Repairs that remove boxes, and readings that causes name, are allowed.
        codes: Rules whose findings may be repaired.
        known: Fingerprints of the baseline: findings that are left alone.
        decisions: Fingerprint to what a person decided; nothing else is then repaired. None without a review.
        in_doubt: Rules that find more rows of the dataset than slips explain: nothing is repaired for them.
    """

    unsafe: bool
    codes: frozenset[str]
    known: frozenset[str] = frozenset()
    decisions: Mapping[str, Decision] | None = None
    in_doubt: frozenset[str] = frozenset()

    def for_file(self, findings: Sequence[Finding], claim: Claim = NO_CLAIM) -> FilePolicy:
        """The policy for one file, given all findings in the file before any repair, and what causes say of it."""
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
        return FilePolicy(
            self, decided, known, claim.claimed, claim.is_misread, dropped - kept, kept & dropped
        )


@dataclass(frozen=True, slots=True)
class FilePolicy:
    """Which findings of one file may be repaired, and which of its rows are removed.

    Attributes:
        policy: The policy of the run.
        decided: What a person decided on a finding.
        known: Findings of the baseline.
        claimed: Findings that a cause claims.
        is_misread: A cause says that the columns of the file do not mean what training takes them for.
        dropped: Lines that a person wants removed.
        contradictory: Lines that one decision removes and another keeps: neither decision is carried out.
    """

    policy: Policy
    decided: Mapping[LineAndRule, Decision]
    known: set[LineAndRule]
    claimed: frozenset[LineAndRule] = frozenset()
    is_misread: bool = False
    dropped: set[int] = field(default_factory=set)
    contradictory: set[int] = field(default_factory=set)

    def selects(self, key: LineAndRule, level: Level) -> bool:
        """Whether the user wants that finding repaired at that level."""
        if self.policy.decisions is not None:
            return self.decided.get(key) == "fix"
        if key[1] not in self.policy.codes - self.policy.in_doubt or key in self.known:
            return False
        return level == "safe" or self.policy.unsafe

    def allows(self, key: LineAndRule, repair: Repair) -> bool:
        """Whether a repair may be tried on that finding: not where a cause says that something else is wrong."""
        if not repair.fits_any_reading and (self.is_misread or key in self.claimed):
            return False
        return self.selects(key, repair.level)

    def was_decided(self, key: LineAndRule) -> bool:
        """Whether a person wants that finding repaired."""
        return self.policy.decisions is not None and self.decided.get(key) == "fix"
