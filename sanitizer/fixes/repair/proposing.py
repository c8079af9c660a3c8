"""What to try next on a label file: from a draft and its findings to a draft with further repairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity
from sanitizer.fixes.repair.document import Step
from sanitizer.fixes.repair.policy import EDGE_RULES, line_and_rule
from sanitizer.fixes.repair.repairs import MIXED_RULE, REMOVED, REPAIRS
from sanitizer.fixes.repair.rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.document import Line
    from sanitizer.fixes.repair.draft import Attempt, Draft
    from sanitizer.fixes.repair.policy import FilePolicy
    from sanitizer.fixes.repair.repairs import Repair

_ORDER = ("L003", "L002", "L004", "L006", "C001", "C002", "B002", "B003", "B004", "B007")
"""Which of a row's findings is settled first: those that decide how the row is read. Others follow by code."""
_MEANS_ANOTHER = ("B010", "B011")
"""Rules on numbers that seem to be corners or pixels: clipping or removing such a row would hide that."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be tried on a file.

    Attributes:
        spec: What training would assume of every row.
        size_px: (width, height) of its image where known and certain.
        policy: Which findings may be repaired.
        failed: Attempts that are not made again.
        keeps_rows: No row may be removed, because none would be left.
        layout_in_doubt: All boxes lie in the image in another layout: what leaves it by more than rounding is left.
    """

    spec: TaskSpec
    size_px: tuple[int, int] | None
    policy: FilePolicy
    failed: frozenset[Attempt] = frozenset()
    keeps_rows: bool = False
    layout_in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class _Done:
    """A repair of one row."""

    attempt: Attempt
    repair: Repair
    text: str

    @property
    def step(self) -> Step:
        _, rule, _ = self.attempt
        return Step(rule, self.repair.done, self.repair.loses_box)


def propose(draft: Draft, findings: Sequence[Finding], scope: Scope) -> Draft | None:
    """The draft with further repairs, one of each row at most; None where there is nothing to do."""
    return _in_one_kind(draft, findings, scope) or _with_repaired_rows(draft, findings, scope)


def _in_one_kind(draft: Draft, findings: Sequence[Finding], scope: Scope) -> Draft | None:
    """Bring all rows of the file into one kind; a single attempt, so that it is all of them or none."""
    attempt: Attempt = (0, MIXED_RULE, 0)
    if attempt in scope.failed or attempt in draft.tried.get(0, ()):
        return None
    is_mixed = any(f.rule == MIXED_RULE for f in findings)
    if not is_mixed or not scope.policy.allows((0, MIXED_RULE), REPAIRS[MIXED_RULE][0]):
        return None
    texts: dict[int, tuple[str, Step]] = {}
    tried = dict(draft.tried)
    for i, line in enumerate(draft.document.lines):
        row = _row(line, scope)
        for repair in REPAIRS[MIXED_RULE] if row else ():
            assert row is not None
            new = repair.attempt(row)
            if new is not None:
                texts[i] = (new, Step(MIXED_RULE, repair.done))
                tried[line.key] = (*tried.get(line.key, ()), attempt)
                break
    tried[0] = (*tried.get(0, ()), attempt)
    return replace(draft, document=draft.document.changed(texts, {}), tried=tried, rereads=True)


def _with_repaired_rows(draft: Draft, findings: Sequence[Finding], scope: Scope) -> Draft | None:
    lines = draft.document.lines
    done = {
        i: first
        for i, rules in _rules_by_index(findings).items()
        if (first := _first_repair(lines[i], rules, scope)) is not None
    }
    if not done:
        return None
    texts = {i: (d.text, d.step) for i, d in done.items() if d.text != REMOVED}
    removed = {i: d.step for i, d in done.items() if d.text == REMOVED}
    tried = dict(draft.tried)
    for i, d in done.items():
        key = lines[i].key
        if d.text == REMOVED:
            tried.pop(key, None)
        else:
            tried[key] = (*tried.get(key, ()), d.attempt)
    return replace(
        draft,
        document=draft.document.changed(texts, removed),
        tried=tried,
        removals=draft.removals | {d.attempt for d in done.values() if d.text == REMOVED},
        rereads=draft.rereads or any(d.repair.rereads for d in done.values() if d.text != REMOVED),
    )


def _rules_by_index(findings: Sequence[Finding]) -> dict[int, list[str]]:
    """Index of a line to the rules whose findings there are about that row alone."""
    by_index: dict[int, list[str]] = {}
    for finding in findings:
        line, rule = line_and_rule(finding)
        if line and finding.n_more is None and finding.severity >= _least_severity(rule):
            by_index.setdefault(line - 1, []).append(rule)
    return by_index


def _first_repair(line: Line, rules: Sequence[str], scope: Scope) -> _Done | None:
    """The first repair of a row that is allowed, applies, and has not failed before."""
    row = _row(line, scope)
    if row is None:
        return None
    is_doubtful = any(
        rule in rules and scope.policy.decided.get((line.origin, rule)) != "keep" for rule in _MEANS_ANOTHER
    )
    for rule in sorted(rules, key=_turn):
        for number, repair in enumerate(REPAIRS.get(rule, ())):
            attempt = (line.key, rule, number)
            if attempt in scope.failed or not scope.policy.allows((line.origin, rule), repair):
                continue
            if scope.layout_in_doubt and rule in EDGE_RULES and repair.level == "unsafe":
                continue
            if (is_doubtful and not repair.fits_any_reading) or (repair.loses_box and scope.keeps_rows):
                continue
            new = repair.attempt(row)
            if new is not None and new != row.text:
                return _Done(attempt, repair, new)
    return None


def _row(line: Line, scope: Scope) -> Row | None:
    """The line as a row; None where it is blank, or where Python sees more than one line in it."""
    text = line.text.decode()
    if len(text.splitlines()) != 1 or not text.strip():
        return None
    return Row(text, text.split(), scope.spec, scope.size_px)


def _least_severity(rule: str) -> Severity:
    """A number that only Python reads is a warning of L003, and a polygon in an oriented-box set one of L006: such a
    row is fine for training, and stays."""
    return Severity.ERROR if rule in ("L003", "L006") else Severity.INFO


def _turn(rule: str) -> tuple[int, str]:
    return (_ORDER.index(rule) if rule in _ORDER else len(_ORDER), rule)
