"""What a fix does about each cause, and one line on it for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.fixes.repair.by_cause import NEEDS_UNSAFE, NOT_DECIDED, STEP_RULE
from sanitizer.labels.readings import READINGS
from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sanitizer.findings.cause import Cause
    from sanitizer.fixes.repair.plan import FilePlan


@dataclass(slots=True)
class CauseOutcome:
    """What is done about one cause that explains findings on label rows.

    Attributes:
        cause: The cause.
        reads: Whether its reading can be used at all; else its files are left as they are.
        files: Label files all of whose rows are read anew.
        rows: Their rows.
        left: Label files that are left as they are.
        example: The first of them, and why.
        needs_unsafe: Its reading would be used with --unsafe.
    """

    cause: Cause
    reads: bool
    files: int = 0
    rows: int = 0
    left: int = 0
    example: str = ""
    needs_unsafe: bool = False

    @property
    def loses(self) -> str | None:
        """What the rows have no place for any more, such as "the track id"; None where nothing is lost."""
        return READINGS[self.cause.reading].loses if self.files and self.cause.reading else None

    def add(self, label: str, plan: FilePlan, refusal: str | None) -> None:
        """Count what is done about one file.

        Args:
            label: Its path.
            plan: What is to become of it.
            refusal: Why it must not be changed, whatever the plan.
        """
        if not self.reads:
            self.left += 1
            return
        why = refusal if plan.readings else plan.not_read
        if plan.readings and refusal is None:
            self.files += 1
            self.rows += sum(step.rule == STEP_RULE for step in plan.steps) // len(plan.readings)
        elif why == NEEDS_UNSAFE:
            self.needs_unsafe = True
            self.left += 1
        elif why != NOT_DECIDED:
            self.left += 1
            self.example = self.example or (refusal or f"{label}: {why}")


def outcome_lines(outcomes: Iterable[CauseOutcome], would: bool) -> list[str]:
    """One line a cause: what is done about it, what that throws away, and which files are left as they are."""
    return [line for outcome in outcomes if (line := _line(outcome, would))]


def lost_besides_boxes(outcomes: Iterable[CauseOutcome]) -> list[str]:
    """What rows that are read anew have no place for, such as "the confidence of 24 rows"."""
    return [f"{o.loses} of {in_thousands(o.rows, 'row')}" for o in outcomes if o.loses]


def _line(outcome: CauseOutcome, would: bool) -> str | None:
    cause = outcome.cause
    if not outcome.reads:
        what = f"{cause.sentence} {_left(outcome, would)}"
        return f"{cause.id}: {what}: {cause.way_out}" if outcome.left else None
    if outcome.needs_unsafe:
        done = READINGS[cause.reading].done if cause.reading else ""
        return f"{cause.id}: {_left(outcome, would)}; --unsafe reads them anew: each row is {done}"
    parts = []
    if outcome.files and cause.reading:
        be = "would be" if would else "were" if outcome.rows != 1 else "was"
        rows, files = in_thousands(outcome.rows, "row"), in_thousands(outcome.files, "label file")
        parts.append(f"{rows} of {files} {be} {READINGS[cause.reading].done}")
        if outcome.loses:
            parts.append(f"{'would lose' if would else 'lost'} {outcome.loses}")
    if outcome.left:
        parts.append(f"{_left(outcome, would)} ({outcome.example})")
    return f"{cause.id}: {'; '.join(parts)}" if parts else None


def _left(outcome: CauseOutcome, would: bool) -> str:
    one = outcome.left == 1
    be = "would be" if would else "is" if one else "are"
    return f"{in_thousands(outcome.left, 'label file')} {be} left as {'it is' if one else 'they are'}"
