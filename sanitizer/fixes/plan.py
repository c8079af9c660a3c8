"""From findings and the bytes of label files to the bytes they should have: pure, no file is touched.

Repairs are tried on a copy and judged by the same rules: one that leads to a finding that was not there is taken
back. It goes on until nothing is left to repair, so that a second run finds nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.findings import Severity
from sanitizer.fixes.document import Document
from sanitizer.fixes.policy import stands_for_many
from sanitizer.fixes.repairs import REMOVED, REPAIRS, TEXT_RULE, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings import Finding
    from sanitizer.fixes.policy import Orders, Place, Policy
    from sanitizer.fixes.repairs import Repair

    Judge = Callable[[Sequence[tuple[int, bytes]]], list[list[Finding]]]
    """(number of the file, its bytes) for some files, to the findings of rules on rows and files for each."""

_MAX_ROUNDS = 20
_ORDER = ("L003", "L002", "L004", "B011", "B010", "C001", "C002", "B002", "B003", "B007")
"""Which of a row's findings is settled first: those that decide how the row is read. Others follow by code."""
_WHOLE_FILE = frozenset(("L005",))
"""Rules that name one line but speak of the file: the line moves when rows go."""

Attempt = tuple[int, str, int]
"""(line of the file as it was, rule, number of the repair)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A label file to plan for: its bytes, and (width, height) of its upright image where known and certain."""

    content: bytes
    size_px: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What is to become of one label file.

    Attributes:
        before, after: Its bytes.
        repaired: (line of the file as it was or 0, rule) of each finding that is settled.
        removed: Number of rows taken out.
        left: Findings of `after` that were asked to be repaired and could not be.
        contradictory: Lines with decisions that exclude each other.
        keeps_rows: No row was removed, because none would have been left: training would then learn that the image
            shows nothing, which is worse than an image left out.
    """

    before: bytes
    after: bytes
    repaired: Sequence[Place] = ()
    removed: int = 0
    left: Sequence[Finding] = ()
    contradictory: Sequence[int] = ()
    keeps_rows: bool = False


def plan_files(sources: Sequence[Source], spec: TaskSpec, policy: Policy, judge: Judge) -> list[FilePlan]:
    """Plan for many files at a time.

    Args:
        sources: The files, all of UTF-8 text; others come back unchanged.
        spec: What training would assume of every row.
        policy: What may be repaired.
        judge: Runs the rules.

    Returns:
        A plan for each file.
    """
    cases = [_Case(number, source, spec) for number, source in enumerate(sources) if _is_text(source.content)]
    open_cases = cases
    while open_cases:
        found = judge([(case.number, case.trial.content()) for case in open_cases])
        for case, findings in zip(open_cases, found, strict=True):
            case.step(findings, policy)
        open_cases = [case for case in open_cases if not case.finished]
    plans = [FilePlan(source.content, source.content) for source in sources]
    for case in cases:
        plans[case.number] = case.plan(sources[case.number].content)
    return plans


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


@dataclass(slots=True)
class _Case:
    """One file under repair: what was accepted so far, what is being tried, what did not work."""

    number: int
    source: Source
    spec: TaskSpec
    accepted: Document = field(init=False)
    trial: Document = field(init=False)
    orders: Orders | None = None
    finished: bool = False
    _found: dict[Place, Severity] | None = None
    _findings: Sequence[Finding] = ()
    _tried: dict[int, Attempt] = field(default_factory=dict)
    _removals: set[Attempt] = field(default_factory=set)
    _banned: set[Attempt] = field(default_factory=set)
    _reread: bool = False
    _keeps_rows: bool = False
    _rounds: int = 0

    def __post_init__(self) -> None:
        self.accepted = Document.parse(self.source.content)
        self.trial = self.accepted.copy()

    def plan(self, before: bytes) -> FilePlan:
        """The outcome."""
        assert self.orders is not None
        document = self.accepted
        places = [(line.origin, code) for line in (*document.lines, *document.removed) for code in line.rules]
        places += [(0, code) for code in document.text_rules]
        left = [f for f in self._findings if self._wanted(f) and not stands_for_many(f)]
        contradictory = sorted(self.orders.contradictory)
        removed = len(document.removed)
        return FilePlan(before, document.content(), places, removed, left, contradictory, self._keeps_rows)

    def _wanted(self, finding: Finding) -> bool:
        assert self.orders is not None
        place = self._place(self.accepted, finding)
        return any(self.orders.allows(place, repair.level) for repair in REPAIRS.get(finding.rule, ()))

    def step(self, findings: Sequence[Finding], policy: Policy) -> None:
        """Take what the rules say of the trial: go on repairing, accept it, or begin again without what failed."""
        if self.orders is None:
            self.orders = policy.orders(findings)
        places = self._places(findings)
        if self._found is None:
            self._found, self._findings = places, findings
        if self._repair(findings):
            return
        new = {p for p in places.keys() - self._found.keys() if not self._tolerated(p, places[p])}
        emptied = not self.trial.has_rows() and self.accepted.has_rows() and not self.orders.dropped
        self._keeps_rows |= emptied
        if new or emptied:
            self._begin_again(self._culprits(new))
            return
        self._rounds += 1
        if self.trial.content() == self.accepted.content() or self._rounds > _MAX_ROUNDS:
            self.finished = True
        self.accepted, self._found, self._findings = self.trial.copy(), places, findings
        self._tried, self._removals, self._banned, self._reread = {}, set(), set(), False

    def _tolerated(self, place: Place, severity: Severity) -> bool:
        """A row that could not be read before may now be doubtful for another reason, but not wrong.

        A file is empty only where a person wants all its rows out.
        """
        assert self.orders is not None
        if place == (0, "L007"):
            return bool(self.orders.dropped)
        return self._reread and severity < Severity.ERROR

    def _culprits(self, new: Iterable[Place]) -> set[Attempt]:
        """Repairs of the lines where something new was found; else all repairs; else all removals."""
        lines = {line for line, _ in new}
        return (
            {attempt for line, attempt in self._tried.items() if line in lines}
            or (set(self._tried.values()) if lines else set())
            or set(self._removals)
        )

    def _begin_again(self, culprits: set[Attempt]) -> None:
        if culprits <= self._banned:  # nothing that could be left undone
            self.finished = True
        self._banned |= culprits
        self.trial = self.accepted.copy()
        self._tried, self._removals, self._reread = {}, set(), False

    def _places(self, findings: Sequence[Finding]) -> dict[Place, Severity]:
        found: dict[Place, Severity] = {}
        for f in findings:
            if not stands_for_many(f):
                place = self._place(self.trial, f)
                found[place] = max(f.severity, found.get(place, f.severity))
        return found

    def _place(self, document: Document, finding: Finding) -> Place:
        """Where a finding would stand in the file as it was."""
        if not finding.line or finding.rule in _WHOLE_FILE or finding.line > len(document.lines):
            return (0, finding.rule)
        return (document.lines[finding.line - 1].origin, finding.rule)

    def _repair(self, findings: Sequence[Finding]) -> bool:
        """Repair what can be, each row once; False where there was nothing to do."""
        assert self.orders is not None
        odd_text = [f for f in findings if f.rule == TEXT_RULE]
        wanted = any(self.orders.allows((f.line or 0, TEXT_RULE), "safe") for f in odd_text)
        if wanted and self.trial.normalise_text(TEXT_RULE):
            return True
        by_line: dict[int, list[str]] = {}
        for f in findings:
            if (
                f.line
                and f.rule in REPAIRS
                and f.severity >= _least_severity(f.rule)
                and not stands_for_many(f)
            ):
                by_line.setdefault(f.line - 1, []).append(f.rule)
        whole_file_in_corners = self._all_rows_have("B010", by_line)
        removed: dict[int, str] = {
            i: "decision" for i, line in enumerate(self.trial.lines) if line.origin in self.orders.dropped
        }
        changed = False
        for index, codes in by_line.items():
            if index in removed:
                continue
            for code in sorted(self._settled_first(index, codes), key=_turn):
                if code == "B010" and not whole_file_in_corners:
                    continue
                text = self._first_that_works(index, code)
                if text is None:
                    continue
                if text == REMOVED:
                    removed[index] = code
                else:
                    self.trial.rewrite(index, text, code)
                changed = True
                break
        self.trial.remove(removed)
        return changed or bool(removed)

    def _settled_first(self, index: int, codes: Sequence[str]) -> set[str]:
        """The row's rules without those on its shape, where its numbers may be corners: clipping would hide that."""
        assert self.orders is not None
        origin = self.trial.lines[index].origin
        if "B010" not in codes or self.orders.decided.get((origin, "B010")) == "keep":
            return set(codes)
        return set(codes) - {"B001", "B004"}

    def _first_that_works(self, index: int, code: str) -> str | None:
        """The row's new text by the first repair that is allowed, applies, and has not failed before."""
        assert self.orders is not None
        line = self.trial.lines[index]
        text = line.text.decode()
        # A row that was read anew once is not read anew again: corners of corners would look like corners, too.
        if len(text.splitlines()) != 1 or (code in line.rules and code in ("B010", "B011")):
            return None
        row = Row(text, text.split(), self.spec, self.source.size_px)
        for number, repair in enumerate(REPAIRS[code]):
            attempt = (line.origin, code, number)
            if attempt in self._banned or not self.orders.allows((line.origin, code), repair.level):
                continue
            new = repair.attempt(row)
            if new == REMOVED and repair.level == "unsafe" and self._keeps_rows:
                continue
            if new is not None and new != text:
                self._note(attempt, repair, new)
                return new
        return None

    def _note(self, attempt: Attempt, repair: Repair, new: str) -> None:
        if new == REMOVED:
            self._tried.pop(attempt[0], None)
            if repair.level == "unsafe":
                self._removals.add(attempt)
        else:
            self._tried[attempt[0]] = attempt
            self._reread |= repair.rereads

    def _all_rows_have(self, code: str, by_line: dict[int, list[str]]) -> bool:
        return all(code in by_line.get(i, ()) for i, line in enumerate(self.trial.lines) if line.is_row())


def _least_severity(code: str) -> Severity:
    """A number that only Python reads is a warning of L003: the row is fine for training, and stays."""
    return Severity.ERROR if code == "L003" else Severity.INFO


def _turn(code: str) -> tuple[int, str]:
    return (_ORDER.index(code) if code in _ORDER else len(_ORDER), code)
