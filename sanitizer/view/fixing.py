"""A view with the repairs that `fix` makes: look for interrupted runs, plan, write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sanitizer.fixes.journal.runs import JournalError, interrupted_runs
from sanitizer.fixes.planning import plan_fix
from sanitizer.fixes.roots import journal_root
from sanitizer.labels.label_files import digest_of
from sanitizer.util.paths import join_path, normal_path
from sanitizer.view.folder import ViewError
from sanitizer.view.scanned import Scanned
from sanitizer.view.write import write_view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task
    from sanitizer.view.write import View


def fix_into_view(
    dataset: Dataset,
    out: str,
    *,
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    unsafe: bool = False,
    decisions: str | None = None,
    exclude: Mapping[str, str] | None = None,
    regrouped: bool = False,
    progress: bool = False,
) -> View:
    """Write a view of a dataset, with the same repairs of labels that `fix` makes. The dataset is only read.

    Args:
        dataset: What `find_loose_dataset` found.
        out, regrouped: As for `write_view`.
        config, task, unsafe, decisions, progress: As for `fix`. If a decision drops a finding about a whole image,
            that image is left out.
        exclude: Path of each further image to leave out, as findings write it, to the reason.

    Raises:
        ConfigError, PackError, DecisionsError: As for `fix`.
        JournalError: An earlier fix was interrupted, so that some labels are fixed and some are not.
        ViewError: The view cannot be written, or not into this folder.
    """
    root = journal_root(dataset)
    for run in interrupted_runs(root):
        raise JournalError(f"an earlier fix (run {run.id}) was interrupted: run `sanitize undo` first")
    plan = plan_fix(
        dataset, config, task, unsafe=unsafe, decisions=decisions, progress=progress, in_place=False
    )
    if dataset.files_only:
        raise ViewError("a view is made of a whole dataset: give its data.yaml or its folder")
    changed: dict[str, bytes] = {}
    for file, change in zip(plan.files, plan.changes, strict=True):
        assert change.after is not None
        changed[normal_path(join_path(root, change.path))] = change.after
        changed[normal_path(join_path(dataset.root, file.new_path))] = change.after
    left_out = {**(exclude or {}), **plan.excluded}
    scanned = Scanned(plan.survey, {digest_of(change.before) for change in plan.changes})
    view = write_view(
        dataset, plan.task, out, changed=changed, exclude=left_out, regrouped=regrouped, scanned=scanned
    )
    view.files = [f for f in plan.files if normal_path(join_path(dataset.root, f.new_path)) in view.changed]
    view.outcomes = plan.outcomes
    view.refused = plan.refused
    view.notes = [*plan.notes, *view.notes]
    return view
