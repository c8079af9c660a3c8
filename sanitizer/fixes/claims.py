"""What the causes of a scanned dataset say of each label file: which rows they claim, and how to read them anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.dataset.model import PAIRS_PER_CHUNK
from sanitizer.fixes.repair.policy import CLASS_RULES, NO_CLAIM, Claim, line_and_rule
from sanitizer.labels.readings import ROW_BY_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.cause import Cause
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.fixes.repair.policy import Decision, LineAndRule


@dataclass(slots=True)
class ClaimedFile:
    """What causes say of one label file.

    Attributes:
        images: Its images, as findings write their paths; None for a label without one.
        by_cause: Id of each cause to the findings that it claims here.
        all_decided: A person wants each of these findings repaired or its row removed, and one repaired at least.
    """

    images: dict[str | None, None] = field(default_factory=dict)
    by_cause: dict[str, set[LineAndRule]] = field(default_factory=dict)
    all_decided: bool = True


@dataclass(frozen=True, slots=True)
class Claims:
    """What causes say of all label files.

    Attributes:
        causes: Id to cause, in the order of the report.
        files: Path of each claimed label file, as findings write it.
        rules: Id of each cause to the rules whose findings on rows it claims.
        decided: Causes all of whose findings a person wants repaired.
        no_set: Single files were given: there is no whole dataset that a cause could hold for.
    """

    causes: Mapping[str, Cause]
    files: Mapping[str, ClaimedFile]
    rules: Mapping[str, Set[str]]
    decided: Set[str]
    no_set: bool = False

    def reads(self, cause: Cause) -> bool:
        """Whether rows can be read anew because of a cause."""
        return cause.fix is not None and cause.reading not in (None, *ROW_BY_ROW) and not self.no_set

    def of(self, label: str) -> list[Cause]:
        """Causes that claim a file, in the order of the report."""
        file = self.files.get(label)
        return [cause for cause in self.causes.values() if file and cause.id in file.by_cause]

    def claim(self, label: str, withheld: Mapping[str, str]) -> Claim:
        """What the repair of a file must know.

        Args:
            label: Path of the file.
            withheld: Id of a cause whose reading is not used to the reason.
        """
        causes = self.of(label)
        if not causes:
            return NO_CLAIM
        file = self.files[label]
        reading = [cause for cause in causes if self.reads(cause)]
        read_rules = {rule for cause in reading for _, rule in file.by_cause[cause.id]}
        for cause in reading:  # a file may be written so without a finding of its own
            read_rules |= self.rules.get(cause.id, set()) if cause.whole_splits else set()
        others = [file.by_cause[cause.id] for cause in causes if cause not in reading]
        return Claim(
            readings=tuple(str(cause.reading) for cause in reading),
            read_rules=frozenset(read_rules),
            claimed=frozenset().union(*file.by_cause.values()),
            in_doubt=any(rule not in CLASS_RULES for claimed in others for _, rule in claimed),
            is_decided=all(self._is_decided(cause, file) for cause in reading),
            refusal=next((withheld[cause.id] for cause in reading if cause.id in withheld), None),
        )

    def _is_decided(self, cause: Cause, file: ClaimedFile) -> bool:
        if cause.whole_splits:
            return cause.id in self.decided
        return file.all_decided


def claims_of(report: Report, dataset: Dataset, decisions: Mapping[str, Decision] | None) -> Claims:
    """What the causes of a report say of the dataset's label files."""
    causes = {cause.id: cause for cause in report.causes}
    files: dict[str, ClaimedFile] = {}
    rules: dict[str, set[str]] = {}
    decided: set[str] = set()
    undecided: set[str] = set()
    for finding in report.findings if causes else ():
        if finding.cause not in causes or finding.label is None or finding.line is None:
            continue
        file = files.setdefault(finding.label, ClaimedFile())
        file.images[finding.image] = None
        file.by_cause.setdefault(finding.cause, set()).add(line_and_rule(finding))
        rules.setdefault(finding.cause, set()).add(finding.rule)
        decision = decisions.get(finding.fingerprint) if decisions else None
        file.all_decided &= decision in ("fix", "drop")
        (decided if decision == "fix" else undecided).add(finding.cause)
    claims = Claims(causes, files, rules, decided - undecided, dataset.files_only)
    for cause in causes.values():
        if claims.reads(cause) and cause.whole_splits:
            for label, image in _labels_of(dataset, cause.whole_splits):
                file = files.setdefault(label, ClaimedFile())
                file.images[image] = None
                file.by_cause.setdefault(cause.id, set())
    return claims


def _labels_of(dataset: Dataset, splits: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """(label, image) of all pairs of these splits that have a label, as findings write their paths."""
    for split in dataset.splits:
        for start in range(0, len(split) if split.name in splits else 0, PAIRS_PER_CHUNK["none"]):
            chunk = split.chunk(start, min(start + PAIRS_PER_CHUNK["none"], len(split)))
            for label, image in zip(chunk.labels, chunk.images, strict=True):
                name = dataset.relative(label)
                if name is not None:
                    yield name, dataset.relative(image)


def is_claimed(finding: Finding, claims: Claims) -> bool:
    """Whether a finding is settled by reading its row anew, if at all."""
    cause = claims.causes.get(finding.cause or "")
    return cause is not None and claims.reads(cause)
