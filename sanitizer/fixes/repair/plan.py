"""From findings and the bytes of label files to the bytes they should have: pure, no file is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.fixes.repair.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.repair.document import Step
    from sanitizer.fixes.repair.policy import Policy

    Judge = Callable[[Sequence[tuple[int, bytes]]], list[list[Finding]]]
    """(number of the file, its bytes) for some files, to the findings of rules on rows and files for each."""


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
        steps: What was done, one step a finding that is settled; the rows behind it are as many, at least.
        removed: Number of rows taken out.
        left: Findings of `after` that were asked to be repaired and could not be.
        contradictory: Lines with decisions that exclude each other.
        keeps_rows: No row was removed, because none would have been left: training would then learn that the image
            shows nothing, which is worse than an image left out.
    """

    before: bytes
    after: bytes
    steps: Sequence[Step] = ()
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
    cases = [
        Case(number, source.content, spec, source.size_px)
        for number, source in enumerate(sources)
        if _is_text(source.content)
    ]
    open_cases = cases
    while open_cases:
        found = judge([(case.number, case.trial.content()) for case in open_cases])
        for case, findings in zip(open_cases, found, strict=True):
            case.step(findings, policy)
        open_cases = [case for case in open_cases if not case.finished]
    plans = [FilePlan(source.content, source.content) for source in sources]
    for case in cases:
        plans[case.number] = _outcome(case)
    return plans


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _outcome(case: Case) -> FilePlan:
    document = case.accepted
    steps = [step for line in (*document.lines, *document.removed) for step in line.steps]
    return FilePlan(
        before=case.content,
        after=document.content(),
        steps=[*document.text_steps, *steps],
        removed=len(document.removed),
        left=case.unsettled(),
        contradictory=sorted(case.policy.contradictory),
        keeps_rows=case.keeps_rows,
    )
