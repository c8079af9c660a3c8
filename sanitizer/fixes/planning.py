"""What a fix would do, before anything is done: scan, take in decisions, plan each file, sort out what must not be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sanitizer.diagnosis.numbers.enough_rows import MOST_MISFITS
from sanitizer.fixes.apply import Change
from sanitizer.fixes.claims import claims_of, is_claimed
from sanitizer.fixes.decisions import Review, review
from sanitizer.fixes.judging import LabelBatch
from sanitizer.fixes.outcomes import CauseOutcome
from sanitizer.fixes.repair.clipping import ROUNDING
from sanitizer.fixes.repair.plan import plan_files
from sanitizer.fixes.repair.policy import EDGE_RULES, Policy
from sanitizer.fixes.repair.repairs import TEXT_RULE, can_repair
from sanitizer.fixes.targets import find_targets
from sanitizer.labels.readings import ROW_BY_ROW
from sanitizer.rules.engine import RuleSet
from sanitizer.rules.language.pack import load_rules
from sanitizer.scanner.run import nearby_config, scan_dataset
from sanitizer.ultra.versions import spec_of
from sanitizer.util.paths import real_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.fixes.claims import Claims
    from sanitizer.fixes.repair.plan import FilePlan
    from sanitizer.fixes.targets import Target
    from sanitizer.images.image_files import ImageMode
    from sanitizer.rules.survey import Survey

_FILES_AT_ONCE = 500


_FEW_IDS = 10
"""So many rows may have wrong ids by a slip in a set of any size."""
_IN_DOUBT = {
    "B003": "too many boxes leave their image by more than rounding to be slips: none was clipped or removed, as the "
    "coordinates may mean something else",
    "C001": "no row was removed for its class id: ids may be counted from 1, or be those of another list of classes",
}
"""What is said where nothing is repaired for a rule."""


@dataclass(frozen=True, slots=True)
class FixedFile:
    """One label file with its plan. `path` and `new_path` are relative to the root, as the dataset names them."""

    path: str
    new_path: str
    plan: FilePlan


@dataclass(slots=True)
class Planned:
    """What is to be done, before anything is. What would become of images is told only for a fix in place.

    Attributes:
        dataset: The dataset, with the same image in each split that names it.
        task: What rows were judged as.
        survey: What the scan found about each pair.
        repairable: Findings that some repair exists for.
        files: Label files that are to change.
        changes: The same, as changes on disk, in the same order.
        excluded: Images that a person wants left out, as findings write their paths, to the reason.
        outcomes: What is done about each cause of findings on label rows.
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
    survey: Survey
    repairable: int = 0
    files: list[FixedFile] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    excluded: Mapping[str, str] = field(default_factory=dict)
    outcomes: list[CauseOutcome] = field(default_factory=list)
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

    surveys: list[Survey] = []

    def look(images: ImageMode) -> Report:
        return scan_dataset(dataset, config=config, task=task, images=images, jobs=jobs, cache=cache,
                            progress=progress, hand_on=surveys.append)  # fmt: skip

    config = config or nearby_config(dataset)
    report = look("header")
    rules = load_rules(config.packs)
    reviewed = review(decisions, report, rules, look, in_place) if decisions else Review()
    codes = frozenset(RuleSet.build(rules, config).rules)
    policy = Policy(unsafe, codes, _known(config), reviewed.decided, _rules_in_doubt(report, dataset.nc))
    claims = claims_of(report, dataset, reviewed.decided)
    images, misnamed = _labels_to_plan(report, claims, policy)
    targets, unreadable = find_targets(images, misnamed, dataset.root, real_path(dataset.root))
    # A repair may lead to any finding: all rules judge it, whichever were selected.
    every_rule = RuleSet.build(rules, replace(config, select=None, ignore=()))
    spec = spec_of(dataset, report.task)  # type: ignore[arg-type]
    withheld: dict[str, str] = {}
    while True:
        planned = Planned(
            dataset,
            spec.task,
            surveys[0],
            repairable=sum(can_repair(f.rule) or is_claimed(f, claims) for f in report.findings),
            excluded=reviewed.excluded,
            outcomes=[
                CauseOutcome(cause, claims.reads(cause))
                for cause in claims.causes.values()
                if cause.reading not in ROW_BY_ROW
            ],
            refused=[*reviewed.refused, *unreadable],
        )
        for start in range(0, len(targets), _FILES_AT_ONCE):
            some = targets[start : start + _FILES_AT_ONCE]
            batch = LabelBatch.read(some, spec, every_rule, dataset.root)
            _plan_some(planned, batch, policy, _Causes(claims, withheld), in_place)
        # A cause that changes files without a finding changes all of them or none.
        halved = [o for o in planned.outcomes if o.cause.whole_splits and o.files and (o.left or unreadable)]
        if not halved:
            break
        withheld |= {
            o.cause.id: f"not all files can be read so: {o.example or unreadable[0]}" for o in halved
        }
    if in_place:
        planned.still_dropped = len(report.dropped - planned.saved)
    _note(planned, targets, in_place)
    if decisions is None:
        planned.notes += [text for rule, text in _IN_DOUBT.items() if rule in policy.in_doubt & codes]
    return planned


def _rules_in_doubt(report: Report, nc: int | None) -> frozenset[str]:
    """Rules whose findings something else than slips may explain, without a cause that is sure of it.

    Boxes that leave their image by more than rounding may be written in another layout, where they are many. Ids that
    data.yaml does not name may be those of another list of classes, where they are many, or counted from 1, where each
    is one too high.
    """
    most = MOST_MISFITS * report.summary.boxes
    outside = sum(f.rule in EDGE_RULES and _overhang(f) > ROUNDING for f in report.findings)
    other_ids = [f.class_id for f in report.findings if f.rule == "C001"]
    from_one = bool(other_ids) and all(class_id == nc for class_id in other_ids)
    other_list = len(other_ids) > max(most, _FEW_IDS)
    return frozenset(
        (*(EDGE_RULES if outside > most else ()), *(("C001",) if from_one or other_list else ()))
    )


def _overhang(finding: Finding) -> float:
    """How far the box of a finding leaves the image, in parts of the image."""
    x, y, w, h = (v or 0.0 for v in (finding.x_center, finding.y_center, finding.width, finding.height))
    return max(w / 2 - x, h / 2 - y, x + w / 2 - 1, y + h / 2 - 1)


def _labels_to_plan(
    report: Report, claims: Claims, policy: Policy
) -> tuple[dict[str, dict[str | None, None]], set[str]]:
    """(label that may change to its images, as findings write their paths; labels to be renamed to end in .txt)."""
    images: dict[str, dict[str | None, None]] = {}
    misnamed = set()
    for finding in report.findings:
        if finding.label is None or not _concerns(finding, claims, policy):
            continue
        images.setdefault(finding.label, {})[finding.image] = None
        if finding.rule == TEXT_RULE and not finding.label.endswith(".txt"):
            misnamed.add(finding.label)
    for label, file in claims.files.items():
        images.setdefault(label, {}).update(file.images)
    return images, misnamed


def _known(config: Config) -> frozenset[str]:
    if config.baseline is None:
        return frozenset()
    from sanitizer.findings.baseline import read_baseline

    return read_baseline(config.baseline)


def _concerns(finding: Finding, claims: Claims, policy: Policy) -> bool:
    """Whether a finding may lead to a change of its label file."""
    if policy.decisions is not None:
        return policy.decisions.get(finding.fingerprint) in ("fix", "drop")
    return can_repair(finding.rule) or is_claimed(finding, claims)


@dataclass(frozen=True, slots=True)
class _Causes:
    """What causes say of label files, and the ids of those that are not acted on, each with the reason."""

    claims: Claims
    withheld: Mapping[str, str]


def _plan_some(planned: Planned, batch: LabelBatch, policy: Policy, causes: _Causes, in_place: bool) -> None:
    """Plan for some of the files, and add what comes of it."""
    sources = batch.sources(causes.claims, causes.withheld)
    plans = plan_files(sources, batch.spec, policy, batch.judge)
    for target, plan in zip(batch.targets, plans, strict=True):
        of_file = {cause.id for cause in causes.claims.of(target.label)}
        for outcome in planned.outcomes:
            if outcome.cause.id in of_file:
                outcome.add(target.label, plan, target.refusal if in_place else None)
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
    if not in_place:
        return
    before, after = (batch.dropped([getattr(p, state) for p in plans]) for state in ("before", "after"))
    for target, is_saved in zip(batch.targets, before & ~after, strict=True):
        if is_saved and not target.refusal:
            planned.saved.update(target.images)
    if not policy.unsafe and policy.decisions is None:
        unsafe = plan_files(sources, batch.spec, replace(policy, unsafe=True), batch.judge)
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
        f"{target.label}:{f.line or 1}: {f.rule} was to be fixed, but "
        f"{plan.not_read or 'no automatic repair fits this row'}; left as it is"
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
