"""The main job of `sanitize fix`, top to bottom: scan, plan, refuse what must not be touched, journal, apply."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from sanitizer.dataset.images import read_images
from sanitizer.dataset.labels import parse_labels
from sanitizer.dataset.layout import find_dataset
from sanitizer.dataset.tables import Chunk, ChunkTables
from sanitizer.fixes.apply import Change, apply_changes
from sanitizer.fixes.caches import label_caches
from sanitizer.fixes.decisions import read_decisions
from sanitizer.fixes.journal import JournalError, locked, read_runs
from sanitizer.fixes.plan import Source, plan_files
from sanitizer.fixes.policy import Policy
from sanitizer.fixes.repairs import REPAIRS, TEXT_RULE
from sanitizer.fixes.targets import Target, find_targets
from sanitizer.fixes.undo import restore
from sanitizer.rules.engine import RuleSet, run_chunk
from sanitizer.rules.pack import load_rules
from sanitizer.scanning import nearby_config, scan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task, TaskSpec
    from sanitizer.findings import Finding
    from sanitizer.fixes.decisions import Decided
    from sanitizer.fixes.plan import FilePlan
    from sanitizer.fixes.policy import Decision

_FILES_AT_ONCE = 500
_ON_IMAGES = ("I", "D")
"""How codes of rules begin that look at pixels when they may."""


@dataclass(frozen=True, slots=True)
class FixedFile:
    """One label file with its plan. `path` and `new_path` are relative to the root, as the dataset names them."""

    path: str
    new_path: str
    plan: FilePlan


@dataclass(frozen=True, slots=True)
class FixResult:
    """What `fix` did, or would do.

    Attributes:
        root: Absolute folder that paths are relative to.
        files: Those that were changed, or would be.
        refused: Sentences on what was asked for and not done.
        notes: Sentences on what else is worth knowing.
        caches: Label caches set aside.
        repairable: Findings, before, that some repair exists for.
        run: Id in the journal; None where nothing was changed.
    """

    root: str
    files: Sequence[FixedFile]
    refused: Sequence[str]
    notes: Sequence[str]
    caches: Sequence[str]
    repairable: int
    run: str | None = None


def fix(
    *paths: str | os.PathLike[str],
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    splits: Sequence[str] | None = None,
    unsafe: bool = False,
    decisions: str | None = None,
    dry_run: bool = False,
    progress: bool = False,
) -> FixResult:
    """Repair label files in place, journalled under `.sanitize` in the dataset's root.

    Args:
        paths: As for `scan`.
        config: As for `scan`: only findings of its active rules are repaired.
        task: As for `scan`.
        splits: Only these splits.
        unsafe: Also repair what removes or reinterprets boxes.
        decisions: A findings CSV with its column `decision` filled: nothing else is then done.
        dry_run: Plan, and change nothing.
        progress: Show a bar on stderr while scanning.

    Raises:
        DatasetError, ConfigError, PackError: As for `scan`.
        DecisionsError: The sheet cannot be used.
        JournalError: The fix could not be carried out; nothing was changed.
    """
    given = [os.fspath(p) for p in paths]
    root = journal_root(given)
    if dry_run:
        return _fix(given, root, config, task, splits, unsafe, decisions, True, progress)
    with locked(root):
        notes = _take_back_interrupted(root)
        result = _fix(given, root, config, task, splits, unsafe, decisions, False, progress)
    return replace(result, notes=[*notes, *result.notes])


def journal_root(paths: Sequence[str]) -> str:
    """Absolute, real path of the dataset's root, where the journal lies.

    Raises:
        JournalError: Label files were given that no data.yaml belongs to.
    """
    dataset = find_dataset(paths)
    if dataset.files_only and dataset.yaml_path is None:
        raise JournalError(
            "no data.yaml belongs to these files: give the dataset's folder, to hold the journal"
        )
    return os.path.realpath(dataset.root)


def _take_back_interrupted(root: str) -> list[str]:
    """A killed fix is taken back, so that one undo leads to the originals."""
    notes = []
    for run in reversed(read_runs(root)):
        if not run.is_done:
            try:
                restore(run, force=False)
            except JournalError as error:
                raise JournalError(
                    f"an earlier fix (run {run.id}) was interrupted: settle that with `sanitize undo` first ({error})"
                ) from error
            notes.append(f"an earlier fix (run {run.id}) had been interrupted and was taken back first")
    return notes


def _fix(
    paths: Sequence[str],
    root: str,
    config: Config | None,
    task: Task | Literal["auto"],
    splits: Sequence[str] | None,
    unsafe: bool,
    decisions: str | None,
    dry_run: bool,
    progress: bool,
) -> FixResult:
    plan = plan_fix(paths, config, task, splits=splits, unsafe=unsafe, decisions=decisions, progress=progress)
    caches = label_caches(root, [c.path for c in plan.changes])
    result = FixResult(root, plan.files, plan.refused, plan.notes, [c.path for c in caches], plan.repairable)
    if dry_run or not plan.changes:
        return result
    return replace(result, run=apply_changes(root, [*plan.changes, *caches]).id)


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done, before anything is.

    Attributes:
        dataset: The dataset, with the same image in each split that names it.
        task: What rows were judged as.
        files: Label files that are to change.
        changes: The same, as changes on disk, in the same order.
        excluded: Images that a person wants left out, as findings write their paths, to the reason.
        refused, notes, repairable: As in `FixResult`.
    """

    dataset: Dataset
    task: Task
    files: Sequence[FixedFile]
    changes: Sequence[Change]
    excluded: Mapping[str, str]
    refused: Sequence[str]
    notes: Sequence[str]
    repairable: int


def plan_fix(
    paths: Sequence[str],
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    *,
    splits: Sequence[str] | None = None,
    unsafe: bool = False,
    decisions: str | None = None,
    progress: bool = False,
    in_place: bool = True,
) -> Planned:
    """Scan and plan; nothing is changed. Arguments and errors as of `fix`.

    Args:
        in_place: The labels themselves are to be changed, so that those which more than this dataset uses are left
            alone, and no image is left out; False for a copy of the dataset.
    """
    dataset = find_dataset(paths, splits)
    root = os.path.realpath(dataset.root)
    config = config or nearby_config(dataset)
    report = scan(*paths, config=config, task=task, images="header", splits=splits, progress=progress)
    codes = frozenset(RuleSet.build(load_rules(config.packs), config).rules)
    decided: dict[str, Decision] | None = None
    excluded: dict[str, str] = {}
    refused: list[str] = []
    if decisions:
        rows = read_decisions(decisions)
        found = {f.fingerprint: f for f in report.findings}
        if any(row.rule[:1] in _ON_IMAGES and row.fingerprint not in found for row in rows):
            # The sheet may be of a scan that decoded pixels, which this one did not.
            deep = scan(*paths, config=config, task=task, images="decode", splits=splits, progress=progress)
            found |= {f.fingerprint: f for f in deep.findings}
        decided, excluded, refused = _match_decisions(decisions, rows, found, in_place)
    policy = Policy(unsafe, codes, _known(config), decided)
    spec = dataset.task_spec(report.task)  # type: ignore[arg-type]
    wanted = [f for f in report.findings if _concerns(f, decided)]
    targets = find_targets(wanted, dataset.root, root)
    judged_by = RuleSet.build(load_rules(config.packs), replace(config, select=None, ignore=()))
    files, changes = [], []
    n_kept = 0
    for start in range(0, len(targets), _FILES_AT_ONCE):
        batch = targets[start : start + _FILES_AT_ONCE]
        for target, plan in zip(batch, _plans(batch, spec, policy, judged_by, dataset.root), strict=True):
            refused += _unfulfilled(target, plan, policy)
            n_kept += plan.keeps_rows
            if plan.before == plan.after and not target.renamed_to:
                continue
            if target.refusal and in_place:
                refused.append(target.refusal)
                continue
            new_name = target.label[:-4] + ".txt" if target.renamed_to else target.label
            files.append(FixedFile(target.label, new_name, plan))
            changes.append(Change(target.path, plan.before, plan.after, target.renamed_to))
    notes = []
    if in_place:
        changed = {c.path for c in changes}
        notes += [f"{t.label} is a link: its target {t.path} is what changes" for t in targets
                  if t.is_link and t.path in changed]  # fmt: skip
    if n_kept:
        notes.append(
            f"{n_kept:,} label file{'s' * (n_kept != 1)} would have lost every row, and training would then learn that"
            " the image shows nothing: no row of them was removed"
        )
    repairable = sum(1 for f in report.findings if f.rule in REPAIRS or f.rule == TEXT_RULE)
    return Planned(dataset, spec.task, files, changes, excluded, refused, notes, repairable)


def _known(config: Config) -> frozenset[str]:
    if config.baseline is None:
        return frozenset()
    from sanitizer.baseline import read_baseline

    return read_baseline(config.baseline)


def _concerns(finding: Finding, decided: dict[str, Decision] | None) -> bool:
    """Whether a finding may lead to a change of its label file."""
    if finding.label is None:
        return False
    if decided is not None:
        return decided.get(finding.fingerprint) in ("fix", "drop")
    return finding.rule in REPAIRS or finding.rule == TEXT_RULE


def _match_decisions(
    path: str, rows: Sequence[Decided], found: Mapping[str, Finding], in_place: bool
) -> tuple[dict[str, Decision], dict[str, str], list[str]]:
    """(fingerprint to decision, image to leave out to the reason, sentences on what cannot be carried out)."""
    decided: dict[str, Decision] = {}
    excluded: dict[str, str] = {}
    refused = []
    for row in rows:
        finding = found.get(row.fingerprint)
        place = f"{path}:{row.line}: {row.decision} {row.rule} at {row.where or 'the dataset'}"
        if finding is None:
            refused.append(f"{place}: no finding of the dataset as it is now matches this row; not applied")
        elif row.decision == "fix" and row.rule not in REPAIRS and row.rule != TEXT_RULE:
            refused.append(f"{place}: {row.rule} has no automatic repair (drop removes the row); not applied")
        elif row.decision != "drop" or (finding.label is not None and finding.line is not None):
            decided[row.fingerprint] = row.decision
        elif finding.image is None:
            refused.append(f"{place}: the finding is about no single row or image; not applied")
        elif in_place:
            refused.append(
                f"{place}: the finding is about a whole image, and images are never deleted; not applied"
                " (--view FOLDER makes a copy of the dataset without it)"
            )
        else:
            excluded[finding.image] = f"decided to drop it: {finding.rule} {finding.message}"
    return decided, excluded, refused


def _unfulfilled(target: Target, plan: FilePlan, policy: Policy) -> list[str]:
    """Sentences on decisions for this file that came to nothing."""
    if policy.decisions is None:
        return []
    said = [
        f"{target.label}:{f.line or 1}: {f.rule} was to be fixed, but no repair leads to a good row; left as it is"
        for f in plan.left
    ]
    return said + [
        f"{target.label}:{line}: one decision drops this row and another keeps it; left as it is"
        for line in plan.contradictory
    ]


def _plans(
    targets: Sequence[Target], spec: TaskSpec, policy: Policy, ruleset: RuleSet, root: str
) -> list[FilePlan]:
    """Plans of some files, judged together."""
    images = [target.image for target in targets]
    table = read_images(images, "header")
    width, height = table.upright_size()
    sources = [
        Source(t.content, (int(w), int(h)) if w > 0 and o < 2 and t.one_image else None)
        for t, w, h, o in zip(targets, width, height, table.orientation, strict=True)
    ]

    def judge(files: Sequence[tuple[int, bytes]]) -> list[list[Finding]]:
        picked = [targets[number] for number, _ in files]
        labels = [os.path.join(root, t.label) for t in picked]
        chunk = Chunk("", [t.image for t in picked], labels)
        numbers = [number for number, _ in files]
        pictures = replace(table, **{f.name: getattr(table, f.name)[numbers] for f in fields(table)})
        tables = ChunkTables(chunk, parse_labels([content for _, content in files], spec), pictures)
        found: dict[str | None, list[Finding]] = {t.label: [] for t in picked}
        for finding in run_chunk(tables, spec, ruleset, root):
            found[finding.label].append(finding)
        return [found[t.label] for t in picked]

    return plan_files(sources, spec, policy, judge)
