"""Labels that were made with another list of classes than the one of data.yaml: in some splits, or in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.chance import at_least_by_chance, expected_share
from sanitizer.util.counting import in_thousands, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.diagnosis.evidence import Evidence

CHANCE = 0.01
"""How likely files with unknown ids may be, at the rate of the other splits, to be called single slips."""
FEWEST_FILES = 3
"""Files with unknown ids that make a list: two may be slips of one afternoon."""


@dataclass(slots=True)
class _Tally:
    """Class ids of the label files of a split that were read.

    Attributes:
        name: Of the split.
        files: Files with rows.
        unknown_files: Those of them with an id that data.yaml does not name.
        rows: Id to number of rows.
    """

    name: str
    files: int = 0
    unknown_files: int = 0
    rows: Counter[int] = field(default_factory=Counter)

    def is_listed(self, nc: int) -> bool:
        """Whether unknown ids are as frequent as classes are, not slips: half as many rows as an even share or more."""
        if self.unknown_files < min(FEWEST_FILES, max(2, self.files)):
            return False
        unknown = sum(n for c, n in self.rows.items() if not 0 <= c < nc)
        return 2 * unknown * len(self.rows) >= sum(self.rows.values())


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes for class ids that data.yaml does not name."""
    nc = evidence.spec.nc
    if not evidence.count("C001") or not nc:
        return
    tallies = _tallies(evidence, nc)
    others = _other_lists(tallies, nc)
    if others:
        yield _of_splits(evidence, nc, others, [t for t in tallies if t not in others])
    elif tallies:
        yield from _of_all(evidence, nc, tallies)


def _tallies(evidence: Evidence, nc: int) -> list[_Tally]:
    tallies: dict[str, _Tally] = {}
    for file in evidence.labels.files:
        ids = [int(row.numbers[0]) for row in file.rows if row.numbers[0].is_integer()]
        if ids:
            tally = tallies.setdefault(file.split, _Tally(file.split))
            tally.files += 1
            tally.unknown_files += any(not 0 <= c < nc for c in ids)
            tally.rows.update(ids)
    return list(tallies.values())


def _other_lists(tallies: Sequence[_Tally], nc: int) -> list[_Tally]:
    """Splits with more files of unknown ids than the cleaner splits let expect."""
    known: list[_Tally] = []
    others: list[_Tally] = []
    for tally in sorted(tallies, key=lambda t: t.unknown_files / t.files):
        p = expected_share(sum(t.unknown_files for t in known), sum(t.files for t in known))
        limit = CHANCE / len(tallies)
        if known and tally.is_listed(nc) and at_least_by_chance(tally.unknown_files, tally.files, p) <= limit:
            others.append(tally)
        else:
            known.append(tally)
    return [t for t in tallies if t in others]


def _of_splits(evidence: Evidence, nc: int, others: Sequence[_Tally], known: Sequence[_Tally]) -> Hypothesis:
    names, rest = joined(t.name for t in others), joined(t.name for t in known)
    verb, they = ("was", "its") if len(others) == 1 else ("were", "their")
    dropped = [s for s in evidence.survey.splits if s.name in {t.name for t in others}]
    counts = " and ".join(f"{s.dropped:,} of {in_thousands(s.images, 'image')} of {s.name}" for s in dropped)
    own = sum((t.rows for t in known), Counter[int]())
    hit = "trains" if any(t.name == "train" for t in others) else "validates"
    splits = frozenset(t.name for t in others)
    cause = Cause(
        "other-class-list",
        "Splits with another class list",
        f"{names} {verb} exported with another class list than {rest}: "
        f"{', '.join(f'the labels of {t.name} use {_ids(t.rows)}' for t in others)}, those of {rest} {_ids(own)}, "
        f"and data.yaml names {_classes(nc)}.",
        (
            f"{_files(evidence, others)} of {names} hold ids that data.yaml does not name.",
            f"{_files(evidence, known)} of {rest} do.",
        ),
        f"Training leaves out {counts}, and {hit} on the rest.",
        f"Export {names} again with the class list of {rest}, or write {they} ids anew by that list."
        + _single_class(nc),
        images=sum(s.dropped for s in dropped),
    )
    return Hypothesis(cause, lambda finding: finding.rule == "C001" and finding.split in splits)


def _of_all(evidence: Evidence, nc: int, tallies: Sequence[_Tally]) -> Iterator[Hypothesis]:
    total = _Tally("", rows=sum((t.rows for t in tallies), Counter()))
    total.files, total.unknown_files = sum(t.files for t in tallies), sum(t.unknown_files for t in tallies)
    unknown = [c for c in total.rows if c >= nc]
    if not unknown or not total.is_listed(nc):
        return
    highest = max(unknown)
    if 2 * len(unknown) < highest - nc + 1:  # a list counts on without large gaps
        return
    cause = Cause(
        "longer-class-list",
        "Labels with a longer class list",
        f"The labels were made with a longer class list than that of data.yaml: they use {_ids(total.rows)}, "
        f"and data.yaml names {_classes(nc)}.",
        (
            f"{_files(evidence, tallies)} hold ids that data.yaml does not name.",
            f"{len(unknown)} of the {in_thousands(highest - nc + 1, 'id')} from {nc} to {highest} are used, each by "
            f"{sum(total.rows[c] for c in unknown) / len(unknown):.0f} rows in the mean.",
        ),
        f"Training leaves out {in_thousands(evidence.dropped, 'image')}.",
        f"Name all {highest + 1} classes in data.yaml, in the order of the tool that wrote the labels."
        + _single_class(nc),
        images=evidence.dropped,
    )
    yield Hypothesis(cause, lambda finding: finding.rule == "C001")


def _single_class(nc: int) -> str:
    return " If every id means that one class, train with `single_cls=True`." if nc == 1 else ""


def _files(evidence: Evidence, tallies: Sequence[_Tally]) -> str:
    files = sum(t.files for t in tallies)
    unknown = sum(t.unknown_files for t in tallies)
    of = "label files" if evidence.labels.of_all else "label files that were looked at"
    return (
        f"{f'{unknown:,}' if unknown else 'None'} of {f'the {files:,}' if not unknown else f'{files:,}'} {of}"
    )


def _ids(rows: Counter[int]) -> str:
    ids = sorted(rows)
    if len(ids) == 1:
        return f"id {ids[0]} only"
    if len(ids) == ids[-1] - ids[0] + 1:
        return f"ids {ids[0]} to {ids[-1]}"
    if len(ids) <= 5:
        return f"ids {joined(map(str, ids))}"
    return f"{len(ids)} ids from {ids[0]} to {ids[-1]}"


def _classes(nc: int) -> str:
    return "one class, 0" if nc == 1 else f"{nc} classes, 0 to {nc - 1}"
