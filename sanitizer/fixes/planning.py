"""What a fix would do, before anything is done: scan, take in decisions, plan each file, sort out what must not be."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sanitizer.fixes.apply import Change
from sanitizer.fixes.decisions import Review, review
from sanitizer.fixes.judging import Bench
from sanitizer.fixes.repair.plan import plan_files
from sanitizer.fixes.repair.policy import Policy
from sanitizer.fixes.repair.repairs import can_repair
from sanitizer.fixes.targets import find_targets
from sanitizer.rules.engine import RuleSet
from sanitizer.rules.language.pack import load_rules
from sanitizer.scanner.run import nearby_config, scan_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.fixes.repair.plan import FilePlan
    from sanitizer.fixes.targets import Target
    from sanitizer.images.image_files import ImageMode

_FILES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class FixedFile:
    """One label file with its plan. `path` and `new_path` are relative to the root, as the dataset names them."""

    path: str
    new_path: str
    plan: FilePlan


@dataclass(slots=True)
class Planned:
    """What is to be done, before anything is.

    Attributes:
        dataset: The dataset, with the same image in each split that names it.
        task: What rows were judged as.
        repairable: Findings that some repair exists for.
        files: Label files that are to change.
        changes: The same, as changes on disk, in the same order.
        excluded: Images that a person wants left out, as findings write their paths, to the reason.
        refused: Sentences on what was asked for and will not be done.
        notes: Sentences on what else is worth knowing.
        saved: Images that training would drop as the files are, and would keep as they will be, as findings write
            their paths.
        still_dropped: Number of images that training would drop all the same.
        keep_rows: Label files of which no row is removed, as none would be left.
        further: Findings that only --unsafe would settle.
        further_boxes_lost: Rows that it would remove for that.
    """

    dataset: Dataset
    task: Task
    repairable: int = 0
    files: list[FixedFile] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    excluded: Mapping[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    saved: set[str] = field(default_factory=set)
    still_dropped: int = 0
    keep_rows: int = 0
    further: int = 0
    further_boxes_lost: int = 0


def plan_fix(
    dataset: Dataset,
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    *,
    unsafe: bool = False,
    decisions: str | None = None,
    jobs: int | None = None,
    cache: bool = True,
    progress: bool = False,
    in_place: bool = True,
) -> Planned:
    """Scan and plan; nothing is changed. Other arguments, and errors, are those of `fix`.

    Args:
        dataset: What `find_loose_dataset` found.
        in_place: The labels themselves are to be changed, so that those which more than this dataset uses are left
            alone, and no image is left out; False for a copy of the dataset.
    """

    def look(images: ImageMode) -> Report:
        return scan_dataset(dataset, config=config, task=task, images=images, jobs=jobs, cache=cache,
                            progress=progress)  # fmt: skip

    config = config or nearby_config(dataset)
    report = look("header")
    rules = load_rules(config.packs)
    reviewed = review(decisions, report, rules, look, in_place) if decisions else Review()
    codes = frozenset(RuleSet.build(rules, config).rules)
    policy = Policy(unsafe, codes, _known(config), reviewed.decided)
    wanted = [f for f in report.findings if _concerns(f, policy)]
    targets, unreadable = find_targets(wanted, dataset.root, os.path.realpath(dataset.root))
    planned = Planned(
        dataset,
        report.task,  # type: ignore[arg-type]
        repairable=sum(can_repair(f.rule) for f in report.findings),
        excluded=reviewed.excluded,
        refused=[*reviewed.refused, *unreadable],
    )
    # A repair may lead to any finding: all rules judge it, whichever were selected.
    every_rule = RuleSet.build(rules, replace(config, select=None, ignore=()))
    for start in range(0, len(targets), _FILES_AT_ONCE):
        bench = Bench.of(
            targets[start : start + _FILES_AT_ONCE],
            dataset.task_spec(planned.task),
            every_rule,
            dataset.root,
        )
        _plan_some(planned, bench, policy, in_place)
    planned.still_dropped = len(report.dropped - planned.saved)
    _note(planned, targets, in_place)
    return planned


def _known(config: Config) -> frozenset[str]:
    if config.baseline is None:
        return frozenset()
    from sanitizer.findings.baseline import read_baseline

    return read_baseline(config.baseline)


def _concerns(finding: Finding, policy: Policy) -> bool:
    """Whether a finding may lead to a change of its label file."""
    if finding.label is None:
        return False
    if policy.decisions is not None:
        return policy.decisions.get(finding.fingerprint) in ("fix", "drop")
    return can_repair(finding.rule)


def _plan_some(planned: Planned, bench: Bench, policy: Policy, in_place: bool) -> None:
    """Plan for some of the files, and add what comes of it."""
    plans = plan_files(bench.sources(), bench.spec, policy, bench.judge)
    for target, plan in zip(bench.targets, plans, strict=True):
        planned.refused += _unfulfilled(target, plan, policy)
        planned.keep_rows += plan.keeps_rows
        if plan.before == plan.after and not target.renamed_to:
            continue
        if target.refusal and in_place:
            planned.refused.append(target.refusal)
            continue
        new_name = target.label[:-4] + ".txt" if target.renamed_to else target.label
        planned.files.append(FixedFile(target.label, new_name, plan))
        planned.changes.append(Change(target.path, plan.before, plan.after, target.renamed_to))
    before, after = (bench.dropped([getattr(p, state) for p in plans]) for state in ("before", "after"))
    for target, is_saved in zip(bench.targets, before & ~after, strict=True):
        if is_saved and not (target.refusal and in_place):
            planned.saved.update(target.images)
    if not policy.unsafe and policy.decisions is None:
        unsafe = plan_files(bench.sources(), bench.spec, replace(policy, unsafe=True), bench.judge)
        for plan, more in zip(plans, unsafe, strict=True):
            planned.further += max(0, len(more.steps) - len(plan.steps))
            planned.further_boxes_lost += boxes_lost(more) - boxes_lost(plan)


def boxes_lost(plan: FilePlan) -> int:
    """Rows removed that training would have learnt from, had it taken the image: not copies of other rows."""
    return sum(step.loses_box for step in plan.steps)


def _unfulfilled(target: Target, plan: FilePlan, policy: Policy) -> list[str]:
    """Sentences on decisions for this file that came to nothing."""
    if policy.decisions is None:
        return []
    said = [
        f"{target.label}:{f.line or 1}: {f.rule} was to be fixed, but no automatic repair fits this row; left as it is"
        for f in plan.left
    ]
    return said + [
        f"{target.label}:{line}: one decision drops this row and another keeps it; left as it is"
        for line in plan.contradictory
    ]


def _note(planned: Planned, targets: Sequence[Target], in_place: bool) -> None:
    changed = {c.path for c in planned.changes}
    if in_place:
        planned.notes += [
            f"{t.label} is a link: its target {t.path} is what changes"
            for t in targets
            if t.is_link and t.path in changed
        ]
    if planned.keep_rows:
        some = "1 label file" if planned.keep_rows == 1 else f"{planned.keep_rows:,} label files"
        without = ", or train without these images by --view FOLDER" if in_place else ""
        planned.notes.append(
            f"in {some} every row is bad: none was removed, or training would learn that the image shows nothing"
            f" (correct the rows or the data.yaml{without})"
        )
