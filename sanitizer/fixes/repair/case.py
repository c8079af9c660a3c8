"""One label file under repair: tried on a copy, judged by the same rules, and taken back where it does no good.

A repair is good where its finding is gone and none has come that was not there before. It goes on until nothing is
left to repair, so that a second run finds nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.findings.finding import MAX_PER_FILE, Severity
from sanitizer.fixes.repair.document import Document, Step
from sanitizer.fixes.repair.policy import FilePolicy, line_and_rule
from sanitizer.fixes.repair.repairs import (
    MIXED_RULE,
    REINTERPRETING,
    REMOVED,
    REPAIRS,
    TEXT_DONE,
    TEXT_RULE,
)
from sanitizer.fixes.repair.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.document import Line
    from sanitizer.fixes.repair.policy import Policy
    from sanitizer.fixes.repair.repairs import Repair

_ORDER = ("L003", "L002", "L004", "L006", "B011", "B010", "C001", "C002", "B002", "B003", "B004", "B007")
"""Which of a row's findings is settled first: those that decide how the row is read. Others follow by code."""
_ON_SHAPE = ("B001", "B004")
_ON_EDGES = ("B003", "B004")
_DECIDED = Step("decided", "removed, as decided", loses_box=True)

_KeyedPlace = tuple[int, str]
"""(key of the line or 0 for the file, rule)."""

Attempt = tuple[int, str, int]
"""(key of the line or 0 for the file, rule, number of the repair)."""


@dataclass(slots=True)
class Case:
    """What was accepted so far, what is being tried, and what did not work.

    Attributes:
        number: Of the file, among those planned together.
        content: Its bytes.
        spec: What training would assume of every row.
        size_px: (width, height) of its image where known and certain.
        policy: Which findings may be repaired; set once the file has been judged as it was found.
        accepted, trial: The file with the repairs that are good, and with those being tried.
        finished: There is nothing left to try.
        keeps_rows: No row may be removed any more, because none would be left.
    """

    number: int
    content: bytes
    spec: TaskSpec
    size_px: tuple[int, int] | None
    policy: FilePolicy = field(init=False)
    accepted: Document = field(init=False)
    trial: Document = field(init=False)
    finished: bool = False
    keeps_rows: bool = False
    _found: dict[_KeyedPlace, Severity] | None = None
    _findings: Sequence[Finding] = ()
    _tried: dict[int, list[Attempt]] = field(default_factory=dict)
    _removals: set[Attempt] = field(default_factory=set)
    _banned: set[Attempt] = field(default_factory=set)
    _given_up: set[str] = field(default_factory=set)
    _reread: bool = False
    _rounds: int = 0

    def __post_init__(self) -> None:
        self.accepted = Document.parse(self.content)
        self.trial = self.accepted.copy()

    def unsettled(self) -> list[Finding]:
        """What is found in the outcome although its repair was asked for."""
        return [f for f in self._findings if f.n_more is None and self._was_asked_for(f)]

    def _was_asked_for(self, finding: Finding) -> bool:
        line = self._line(self.accepted, finding)
        key = (line.origin if line else 0, finding.rule)
        return any(self.policy.allows(key, repair.level) for repair in REPAIRS.get(finding.rule, ()))

    def step(self, findings: Sequence[Finding], policy: Policy) -> None:
        """Take what the rules say of the trial: go on repairing, accept it, or begin again without what failed."""
        places = self._places(findings)
        if self._found is None:
            self.policy = policy.for_file(findings)
            self._found, self._findings = places, findings
        if self._repair(findings):
            return
        failed = self._failed(places)
        emptied = not self.trial.has_rows() and self.accepted.has_rows() and not self.policy.dropped
        self.keeps_rows |= emptied
        if failed or emptied:
            self._begin_again(failed or {a for a in self._removals if self._repair_of(a).loses_box})
            return
        self._rounds += 1
        most_rounds = 20 + len(self.accepted.lines) // MAX_PER_FILE  # a rule lists so many rows at a time
        self.finished = self.trial.content() == self.accepted.content() or self._rounds > most_rounds
        self.keeps_rows &= self.finished  # rows that are good now may let others go
        self.accepted, self._found, self._findings = self.trial.copy(), places, findings
        self._tried, self._removals, self._reread = {}, set(), False
        self._banned, self._given_up = set(), set()

    # What came of the trial.

    def _places(self, findings: Sequence[Finding]) -> dict[_KeyedPlace, Severity]:
        found: dict[_KeyedPlace, Severity] = {}
        for f in findings:
            if f.n_more is None:
                line = self._line(self.trial, f)
                place = (line.key if line else 0, f.rule)
                found[place] = max(f.severity, found.get(place, f.severity))
        return found

    @staticmethod
    def _line(document: Document, finding: Finding) -> Line | None:
        """The line that a finding is about; None where it is about the file."""
        number, _ = line_and_rule(finding)
        return document.lines[number - 1] if 0 < number <= len(document.lines) else None

    def _failed(self, places: dict[_KeyedPlace, Severity]) -> set[Attempt]:
        """Repairs that did not settle their finding, or led to another one."""
        assert self._found is not None
        failed = {a for attempts in self._tried.values() for a in attempts if a[:2] in places}
        new = {p for p in places.keys() - self._found.keys() if not self._tolerated(p, places[p])}
        if new:
            at_fault = {self._tried[line][-1] for line, _ in new if line in self._tried}
            every = {attempt for attempts in self._tried.values() for attempt in attempts}
            failed |= at_fault or every or self._removals
        return failed

    def _tolerated(self, place: _KeyedPlace, severity: Severity) -> bool:
        """A row that could not be read before may now be doubtful for another reason, but not wrong.

        Numbers that were given another meaning must make a box within the image: it is all that speaks for the meaning.
        A file is empty only where a person wants all its rows out.
        """
        line, rule = place
        if rule == "L007":
            return bool(self.policy.dropped)
        if rule in _ON_EDGES and self._was_reinterpreted(self._tried.get(line, ())):
            return False
        return self._reread and severity < Severity.ERROR

    @staticmethod
    def _was_reinterpreted(attempts: Iterable[Attempt]) -> bool:
        return any(code in REINTERPRETING for _, code, _ in attempts)

    @staticmethod
    def _repair_of(attempt: Attempt) -> Repair:
        _, code, number = attempt
        return REPAIRS[code][number]

    def _begin_again(self, culprits: set[Attempt]) -> None:
        if culprits <= self._banned:  # nothing that could be left undone
            self.finished = True
        self._banned |= culprits
        self._given_up |= {code for _, code, _ in culprits if code in REINTERPRETING}
        self.trial = self.accepted.copy()
        self._tried, self._removals, self._reread = {}, set(), False

    # The next things to try.

    def _repair(self, findings: Sequence[Finding]) -> bool:
        """Repair what can be, each row once; False where there was nothing to do."""
        return self._repair_text(findings) or self._repair_mixture(findings) or self._repair_rows(findings)

    def _repair_text(self, findings: Sequence[Finding]) -> bool:
        wanted = any(f.rule == TEXT_RULE and self.policy.allows(line_and_rule(f), "safe") for f in findings)
        return wanted and self.trial.normalise_text(Step(TEXT_RULE, TEXT_DONE))

    def _repair_mixture(self, findings: Sequence[Finding]) -> bool:
        """Bring all rows of the file into one kind; a single attempt, so that it is all of them or none."""
        attempt = (0, MIXED_RULE, 0)
        if attempt in self._banned or attempt in self._tried.get(0, ()):
            return False
        if not any(f.rule == MIXED_RULE for f in findings) or not self.policy.allows(
            (0, MIXED_RULE), "unsafe"
        ):
            return False
        for index, line in enumerate(self.trial.lines):
            row = self._row(index)
            for repair in REPAIRS[MIXED_RULE] if row else ():
                assert row is not None
                new = repair.attempt(row)
                if new is not None:
                    self.trial.rewrite(index, new, Step(MIXED_RULE, repair.done))
                    self._tried.setdefault(line.key, []).append(attempt)
                    break
        self._tried.setdefault(0, []).append(attempt)
        self._reread = True
        return True

    def _repair_rows(self, findings: Sequence[Finding]) -> bool:
        by_line = self._rules_by_line(findings)
        whole_file_in_corners = self._all_rows_have("B010", by_line)
        removed = {
            i: _DECIDED for i, line in enumerate(self.trial.lines) if line.origin in self.policy.dropped
        }
        changed = False
        for index, codes in by_line.items():
            if index in removed:
                continue
            for code in sorted(self._settled_first(index, codes), key=_turn):
                if code == "B010" and not whole_file_in_corners:
                    continue
                done = self._first_that_works(index, code)
                if done is None:
                    continue
                text, step = done
                if text == REMOVED:
                    removed[index] = step
                else:
                    self.trial.rewrite(index, text, step)
                changed = True
                break
        self.trial.remove(removed)
        return changed or bool(removed)

    def _rules_by_line(self, findings: Sequence[Finding]) -> dict[int, list[str]]:
        """Index of a line to the rules whose findings there are about that row alone, and can be repaired."""
        by_line: dict[int, list[str]] = {}
        for f in findings:
            line, rule = line_and_rule(f)
            if line and rule in REPAIRS and f.severity >= _least_severity(rule) and f.n_more is None:
                by_line.setdefault(line - 1, []).append(rule)
        return by_line

    def _all_rows_have(self, code: str, by_line: dict[int, list[str]]) -> bool:
        return all(code in by_line.get(i, ()) for i, line in enumerate(self.trial.lines) if line.is_row())

    def _settled_first(self, index: int, codes: Sequence[str]) -> set[str]:
        """The row's rules without those on its shape, where its numbers may be corners: clipping would hide that."""
        origin = self.trial.lines[index].origin
        if "B010" not in codes or self.policy.decided.get((origin, "B010")) == "keep":
            return set(codes)
        return set(codes) - set(_ON_SHAPE)

    def _first_that_works(self, index: int, code: str) -> tuple[str, Step] | None:
        """The row's new text by the first repair that is allowed, applies, and has not failed before."""
        row = self._row(index)
        if row is None:
            return None
        line = self.trial.lines[index]
        steps = {step.rule for step in line.steps}
        # Numbers that got another meaning once do not get a third: corners of corners would look like corners, too.
        if code in self._given_up or (code in steps and code in REINTERPRETING):
            return None
        for number, repair in enumerate(REPAIRS[code]):
            attempt = (line.key, code, number)
            if attempt in self._banned or not self.policy.allows((line.origin, code), repair.level):
                continue
            if code in _ON_EDGES and repair.level == "unsafe" and steps & set(REINTERPRETING):
                continue
            new = repair.attempt(row)
            if repair.loses_box and self.keeps_rows:
                continue
            if new is not None and new != row.text:
                self._note(attempt, repair, new)
                return new, Step(code, repair.done, repair.loses_box)
        return None

    def _row(self, index: int) -> Row | None:
        """The line as a row; None where it is blank, or where Python sees more than one line in it."""
        text = self.trial.lines[index].text.decode()
        if len(text.splitlines()) != 1 or not text.strip():
            return None
        return Row(text, text.split(), self.spec, self.size_px)

    def _note(self, attempt: Attempt, repair: Repair, new: str) -> None:
        if new == REMOVED:
            self._tried.pop(attempt[0], None)
            self._removals.add(attempt)
        else:
            self._tried.setdefault(attempt[0], []).append(attempt)
            self._reread |= repair.rereads


def _least_severity(code: str) -> Severity:
    """A number that only Python reads is a warning of L003, and a polygon in an oriented-box set one of L006: such a
    row is fine for training, and stays."""
    return Severity.ERROR if code in ("L003", "L006") else Severity.INFO


def _turn(code: str) -> tuple[int, str]:
    return (_ORDER.index(code) if code in _ORDER else len(_ORDER), code)
