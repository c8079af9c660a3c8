"""From findings and the bytes of label files to the bytes they should have: pure, no file is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sanitizer.findings.finding import MAX_PER_FILE
from sanitizer.fixes.repair.by_cause import read_anew, why_not_read, why_not_right
from sanitizer.fixes.repair.document import Document, Step
from sanitizer.fixes.repair.draft import Draft, Judged, failed_attempts, loses_box
from sanitizer.fixes.repair.other_layouts import fits_other_layout
from sanitizer.fixes.repair.policy import NO_CLAIM, line_and_rule
from sanitizer.fixes.repair.proposing import Scope, propose
from sanitizer.fixes.repair.repairs import TEXT_DONE, TEXT_RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.draft import Attempt
    from sanitizer.fixes.repair.policy import Claim, FilePolicy, Policy

    Judge = Callable[[Sequence[tuple[int, bytes]]], list[list[Finding]]]
    """(number of the file, its bytes) for some files, to the findings of rules on rows and files for each."""
    Judging = Generator[bytes, Sequence[Finding], "FilePlan"]
    """Gives bytes to be judged, takes what the rules find in them, and returns the plan."""


_DECIDED = Step("decided", "removed, as decided", loses_box=True)


@dataclass(frozen=True, slots=True)
class Source:
    """A label file to plan for.

    Attributes:
        content: Its bytes.
        size_px: (width, height) of its upright image where known and certain.
        claim: What the causes of the dataset say of it.
    """

    content: bytes
    size_px: tuple[int, int] | None
    claim: Claim = NO_CLAIM


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What is to become of one label file.

    Attributes:
        before, after: Its bytes.
        steps: What was done, one step a finding that is settled; the rows behind it are as many, at least.
        removed: Number of rows taken out.
        left: Findings of `after` that a person wanted repaired and that could not be.
        contradictory: Lines with decisions that exclude each other.
        keeps_rows: No row was removed, because none would have been left: training would then learn that the image
            shows nothing, which is worse than an image left out.
        readings: Those by which all rows were written anew.
        not_read: Why that was not done although a cause names a reading; None where it was, or where there is none.
    """

    before: bytes
    after: bytes
    steps: Sequence[Step] = ()
    removed: int = 0
    left: Sequence[Finding] = ()
    contradictory: Sequence[int] = ()
    keeps_rows: bool = False
    readings: tuple[str, ...] = ()
    not_read: str | None = None


def plan_files(sources: Sequence[Source], spec: TaskSpec, policy: Policy, judge: Judge) -> list[FilePlan]:
    """Plan for many files at a time: each is judged as often as it needs, together with the others.

    Args:
        sources: The files, all of UTF-8 text; others come back unchanged.
        spec: What training would assume of every row.
        policy: What may be repaired.
        judge: Runs the rules.

    Returns:
        A plan for each file.
    """
    plans = [FilePlan(source.content, source.content) for source in sources]
    running = {n: _plan(source, spec, policy) for n, source in enumerate(sources) if _is_text(source.content)}
    to_judge = [(number, next(planning)) for number, planning in running.items()]
    while to_judge:
        judged, to_judge = zip(to_judge, judge(to_judge), strict=True), []
        for (number, _), findings in judged:
            try:
                to_judge.append((number, running[number].send(findings)))
            except StopIteration as finished:
                plans[number] = finished.value
    return plans


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _plan(source: Source, spec: TaskSpec, policy: Policy) -> Judging:
    """Repair one file: its text, then rows that a person wants out, then what columns mean, then row by row."""
    document = Document.parse(source.content)
    file = Judged(document, (yield document.content()))
    file_policy = policy.for_file(file.findings, source.claim)
    file = yield from _as_plain_text(file, file_policy)
    file = yield from _without_dropped_rows(file, file_policy)
    not_read = None
    readings: tuple[str, ...] = ()
    if source.claim.readings:
        read = yield from _by_readings(file, source, spec, file_policy)
        if isinstance(read, str):
            not_read = read
        else:
            file, readings = read, source.claim.readings
            file_policy = replace(file_policy, claimed=frozenset(), is_misread=source.claim.in_doubt)
    in_doubt = file_policy.policy.decisions is None and fits_other_layout(file.document, source.size_px, spec)
    scope = Scope(spec, source.size_px, file_policy, layout_in_doubt=in_doubt)
    file, keeps_rows = yield from _row_by_row(file, scope)
    document = file.document
    steps = [step for line in (*document.lines, *document.removed) for step in line.steps]
    return FilePlan(
        before=source.content,
        after=document.content(),
        steps=[*document.text_steps, *steps],
        removed=len(document.removed),
        left=[f for f in file.findings if f.n_more is None and _was_decided(document, f, file_policy)],
        contradictory=sorted(file_policy.contradictory),
        keeps_rows=keeps_rows,
        readings=readings,
        not_read=not_read,
    )


def _as_plain_text(file: Judged, policy: FilePolicy) -> Generator[bytes, Sequence[Finding], Judged]:
    wanted = any(f.rule == TEXT_RULE and policy.selects(line_and_rule(f), "safe") for f in file.findings)
    plain = file.document.as_plain_text(Step(TEXT_RULE, TEXT_DONE)) if wanted else file.document
    if plain is file.document:
        return file
    return Judged(plain, (yield plain.content()))


def _without_dropped_rows(file: Judged, policy: FilePolicy) -> Generator[bytes, Sequence[Finding], Judged]:
    lines = enumerate(file.document.lines)
    dropped = {i: _DECIDED for i, line in lines if line.origin in policy.dropped and line.is_row()}
    if not dropped:
        return file
    left = file.document.changed({}, dropped)
    return Judged(left, (yield left.content()))


def _by_readings(
    file: Judged, source: Source, spec: TaskSpec, policy: FilePolicy
) -> Generator[bytes, Sequence[Finding], Judged | str]:
    """The file with all rows written anew; or why they stay as they are."""
    claim = source.claim
    refusal = why_not_read(claim, policy)
    if refusal:
        return refusal
    read = read_anew(file.document, claim.readings, source.size_px, spec)
    if isinstance(read, str):
        return read
    findings = yield read.content()
    return why_not_right(file.document, file.findings, read, findings, claim) or Judged(read, findings)


def _row_by_row(file: Judged, scope: Scope) -> Generator[bytes, Sequence[Finding], tuple[Judged, bool]]:
    """(the file with all repairs that do good, whether rows stay because none would be left).

    Each round tries repairs until there are no more, and accepts them where each settles its finding and nothing new
    is found. Otherwise it begins again without those that failed. It ends when there is nothing left to repair, so that
    a second run finds nothing to do.
    """
    rounds_left = 20 + len(file.document.lines) // MAX_PER_FILE  # a rule lists so many rows at a time
    while rounds_left:
        draft, findings = Draft(file.document), file.findings
        while (further := propose(draft, findings, scope)) is not None:
            draft = further
            findings = yield draft.document.content()
        if draft.document.content() == file.document.content():
            break
        failed: frozenset[Attempt] = failed_attempts(file, draft, findings, scope.policy)
        is_emptied = not draft.document.has_rows() and file.document.has_rows() and not scope.policy.dropped
        if is_emptied:
            failed = failed or frozenset(filter(loses_box, draft.removals))
            scope = replace(scope, keeps_rows=True)
        if not failed and not is_emptied:
            file = Judged(draft.document, findings)
            scope = replace(
                scope, failed=frozenset(), keeps_rows=False
            )  # rows that are good now may let others go
            rounds_left -= 1
        elif failed <= scope.failed:  # nothing more that could be left undone
            break
        else:
            scope = replace(scope, failed=scope.failed | failed)
    return file, scope.keeps_rows


def _was_decided(document: Document, finding: Finding, policy: FilePolicy) -> bool:
    number, rule = line_and_rule(finding)
    line = document.line_at(number)
    return policy.was_decided((line.origin if line else 0, rule))
