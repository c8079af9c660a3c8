"""The main job of `sanitize fix`, top to bottom: settle what was interrupted, plan, journal, apply."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.fixes.apply import apply_changes
from sanitizer.fixes.caches import label_caches
from sanitizer.fixes.journal.runs import JournalError, interrupted_runs, located, locked
from sanitizer.fixes.planning import plan_fix
from sanitizer.fixes.roots import journal_root
from sanitizer.fixes.undo import restore
from sanitizer.scanner.run import nearby_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task
    from sanitizer.fixes.outcomes import CauseOutcome
    from sanitizer.fixes.planning import FixedFile, Planned


@dataclass(frozen=True, slots=True)
class FixResult:
    """What `fix` did, or would do.

    Attributes:
        root: Absolute folder that paths are relative to, and whose folder `.sanitize` holds the journal.
        files: Label files that were changed, or would be; each with its bytes before and after.
        refused: Sentences on what was asked for and not done.
        notes: Sentences on what else is worth knowing.
        caches: Label caches set aside.
        repairable: Findings, before, that some repair exists for.
        saved: Number of images that training would have dropped, and now keeps.
        still_dropped: Number of images that training drops all the same.
        keep_rows: Label files in which every row is bad, so that none was removed.
        further: Findings that only `unsafe=True` would settle.
        further_boxes_lost: Rows that it would remove for that.
        outcomes: What was done about each cause of findings on label rows, and what it threw away.
        run: Id in the journal, for `undo`; None where nothing was changed.
    """

    root: str
    files: Sequence[FixedFile]
    refused: Sequence[str]
    notes: Sequence[str]
    caches: Sequence[str]
    repairable: int
    saved: int
    still_dropped: int
    keep_rows: int
    further: int
    further_boxes_lost: int
    outcomes: Sequence[CauseOutcome] = ()
    run: str | None = None


def fix(
    *paths: str | os.PathLike[str],
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    splits: Sequence[str] | None = None,
    unsafe: bool = False,
    decisions: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    jobs: int | None = None,
    cache: bool = True,
    progress: bool = False,
    baseline: str | None = None,
) -> FixResult:
    """Repair label files in place, all or none, journalled under `.sanitize` in the dataset's root.

    >>> from sanitizer import fix, undo
    >>> result = fix("data.yaml", dry_run=True)
    >>> [(file.path, file.plan.before, file.plan.after) for file in result.files]
    >>> fix("data.yaml").run
    >>> undo("data.yaml").restored

    Args:
        paths: As for `scan`.
        config: As for `scan`: only findings of its active rules are repaired.
        task: As for `scan`.
        splits: Only these splits.
        unsafe: Also repair what removes boxes, and read rows anew under a cause that holds for the whole dataset.
        decisions: A findings CSV with its column `decision` filled: nothing else is then done.
        dry_run: Plan, and change nothing.
        jobs, cache: As for `scan`.
        progress: Show a bar on stderr while scanning.
        baseline: File of known findings to leave alone; None takes the configuration's.

    Returns:
        What was done: a FixResult.

    Raises:
        DatasetError, ConfigError, PackError: As for `scan`.
        DecisionsError: The sheet cannot be used.
        JournalError: The fix could not be carried out, or somebody else's was interrupted; nothing was changed.
    """
    given = [os.fspath(p) for p in paths]
    dataset = find_loose_dataset(given, splits)
    root = journal_root(dataset)
    config = config or nearby_config(dataset)
    if baseline is not None:
        config = replace(config, baseline=baseline)

    def plan(dataset: Dataset) -> Planned:
        sheet = None if decisions is None else os.fspath(decisions)
        return plan_fix(dataset, config, task, unsafe=unsafe, decisions=sheet, jobs=jobs, cache=cache,
                        progress=progress)  # fmt: skip

    if dry_run:
        return _result(root, plan(dataset), [])
    with locked(root):
        notes = _take_back_interrupted(root)
        planned = plan(find_loose_dataset(given, splits) if notes else dataset)
        try:
            caches, left = label_caches(root, [c.path for c in planned.changes])
        except OSError as error:
            raise JournalError(f"{located(root, error)}: {error.strerror}; nothing was changed") from error
        result = _result(root, planned, [*notes, *left], [c.path for c in caches])
        if not planned.changes:
            return result
        return replace(result, run=apply_changes(root, [*planned.changes, *caches]).id)


def _take_back_interrupted(root: str) -> list[str]:
    """A killed fix is taken back, so that one undo leads to the originals. JournalError where it is somebody else's."""
    notes = []
    for run in interrupted_runs(root):
        try:
            restore(run, force=False)
        except OSError as error:
            raise JournalError(
                f"an earlier fix (run {run.id}) was interrupted, and cannot be taken back now: {located(root, error)}:"
                f" {error.strerror}; its originals are safe in the journal"
            ) from error
        except JournalError as error:
            raise JournalError(
                f"an earlier fix (run {run.id}) was interrupted: settle that with `sanitize undo` first ({error})"
            ) from error
        notes.append(f"an earlier fix (run {run.id}) had been interrupted and was taken back first")
    return notes


def _result(
    root: str, planned: Planned, earlier_notes: Sequence[str], caches: Sequence[str] = ()
) -> FixResult:
    return FixResult(
        root=root,
        files=planned.files,
        refused=planned.refused,
        notes=[*earlier_notes, *planned.notes],
        caches=caches,
        repairable=planned.repairable,
        saved=len(planned.saved),
        still_dropped=planned.still_dropped,
        keep_rows=planned.keep_rows,
        further=planned.further,
        further_boxes_lost=planned.further_boxes_lost,
        outcomes=planned.outcomes,
    )
