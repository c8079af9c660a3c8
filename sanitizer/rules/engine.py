"""Rules on tables: one chunk at a time, then the dataset as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import LABEL_TASKS, FileStatus, RowKind
from sanitizer.dataset.tasks.mask_table import MaskStatus
from sanitizer.images.image_files import image_faults
from sanitizer.rules.assemble import Assembler, of_place
from sanitizer.rules.checks import READER, chunk_check, survey_check
from sanitizer.rules.hits import Hits
from sanitizer.rules.language.columns import FileColumns, RowColumns, WithParams, rows_per_file
from sanitizer.rules.ruleset import RuleSet
from sanitizer.rules.sketch import collect
from sanitizer.rules.survey import ChunkSummary
from sanitizer.ultra.image_loading import UNKNOWN, loaded_channels
from sanitizer.ultra.label_check import verdicts
from sanitizer.ultra.task_check import mapped_ids, task_verdicts
from sanitizer.util.spill import SpillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import (
        ChunkTables,
        DatasetFault,
        Fault,
        ImageTable,
        LabelTable,
        Task,
        TaskSpec,
    )
    from sanitizer.findings.finding import Finding
    from sanitizer.rules.hits import Params
    from sanitizer.rules.language.rule import Rule
    from sanitizer.rules.survey import Survey

__all__ = ["CheckError", "RuleSet", "dataset_findings", "run_chunk", "summarise"]


MANY_ROWS = 1_000_000
"""In a chunk of more rows, which only a giant file makes, columns are not kept from one rule to the next."""


class CheckError(Exception):
    """A rule failed on data that it should have been able to judge: a defect of the rule, not of the data.

    Attributes:
        rule: Its code.
        detail: What went wrong.
        file: First file of the chunk it was judging, or the data.yaml.
    """

    def __init__(self, rule: str, detail: str, file: str) -> None:
        super().__init__(rule, detail, file)
        self.rule, self.detail, self.file = rule, detail, file

    def __str__(self) -> str:
        return (
            f"rule {self.rule} failed in the batch of files that begins with {self.file} "
            f"({self.detail}): --ignore {self.rule} skips the rule"
        )


@np.errstate(
    all="ignore"
)  # numbers beyond reason overflow on the way; a rule never fires on what comes of it
def run_chunk(tables: ChunkTables, spec: TaskSpec, ruleset: RuleSet, root: str) -> list[Finding]:
    """Judge every row and every file of a chunk.

    Args:
        tables: What was read.
        spec: What training would assume of every row.
        ruleset: The rules to run.
        root: Absolute folder that reported paths are relative to.

    Returns:
        Findings in no particular order, without fingerprints. Of one file a rule explains `MAX_PER_FILE` rows
        one by one; one more finding says how many others there are.

    Raises:
        CheckError: A rule failed.
    """
    judge = _Judge(tables, spec, ruleset, root)
    findings: list[Finding] = []
    for code in judge.faults:
        if code not in ruleset.known:
            raise CheckError(code, "a reader reports it, but no pack has such a rule", judge.first_file())
    for rule in ruleset.rules.values():
        if rule.scope in ("row", "file") and spec.task in rule.tasks:
            try:
                findings += judge.findings(rule)
            except Exception as e:
                raise CheckError(rule.code, f"{type(e).__name__}: {e}", judge.first_file()) from e
            if len(judge.rows) > MANY_ROWS:
                judge.rows.clear()
    return findings


class _Judge:
    """One chunk under judgement: its columns, and what has fired so far."""

    def __init__(self, tables: ChunkTables, spec: TaskSpec, ruleset: RuleSet, root: str) -> None:
        self.tables, self.spec, self.ruleset = tables, spec, ruleset
        self.rows = RowColumns(tables, spec, ruleset.imgsz)
        self.files = FileColumns(tables, spec, ruleset.imgsz)
        self.assembler = Assembler(tables, spec, ruleset, root, self.rows, self.files)
        self.faults: dict[str, list[Fault]] = {}
        for fault in (*tables.labels.faults, *image_faults(tables.images, spec.channels)):
            self.faults.setdefault(fault.rule, []).append(fault)
        self._hits: dict[str, Hits] = {}

    def first_file(self) -> str:
        """Where to look when a rule fails."""
        chunk = self.tables.chunk
        return next(
            (p for pair in zip(chunk.labels, chunk.images, strict=True) for p in pair if p), "no file"
        )

    def findings(self, rule: Rule) -> list[Finding]:
        """What one active rule finds."""
        faults = self.assembler.of_faults(rule, self.faults.get(rule.code, ()))
        if rule.check == READER:
            return faults
        return faults + self.assembler.of_hits(rule, self.hits(rule), self.ruleset.params(rule, self.spec))

    def hits(self, rule: Rule) -> Hits:
        """Where a rule fires, the rules it gives way to already taken off."""
        if rule.code not in self._hits:
            yields_to = [self.fired(self.ruleset.rule(code)) for code in rule.unless]
            excluded = np.logical_or.reduce(yields_to) if yields_to else None
            params = self.ruleset.params(rule, self.spec)
            if rule.when is not None:
                self._hits[rule.code] = self._by_expression(rule, params, excluded)
            else:
                assert rule.check is not None
                hits = chunk_check(rule.check, rule.scope)(self.tables, self.spec, params)
                self._hits[rule.code] = hits if excluded is None else hits.where(~excluded[hits.index])
        return self._hits[rule.code]

    def fired(self, rule: Rule) -> NDArray[np.bool_]:
        """bool (R,) or (F,): where a rule fires."""
        mask = np.zeros(len(self.rows if rule.scope == "row" else self.files), np.bool_)
        if self.spec.task not in rule.tasks:
            return mask
        if rule.scope == "file":
            mask[[f.file for f in self.faults.get(rule.code, ())]] = True
        if rule.check != READER:
            mask[self.hits(rule).index] = True
        return mask

    def _by_expression(self, rule: Rule, params: Params, excluded: NDArray[np.bool_] | None) -> Hits:
        columns = self.rows if rule.scope == "row" else self.files
        names = WithParams(columns, params)
        condition = rule.expression("when")
        assert condition is not None
        mask = condition(names, len(columns))
        index = np.flatnonzero(mask if excluded is None else mask & ~excluded)

        def measured(key: str) -> NDArray[np.float64] | None:
            expression = rule.expression(key) if len(index) else None
            return None if expression is None else expression(names, len(columns))[index]

        return Hits(index, measured("value"), measured("threshold"))


def dataset_findings(survey: Survey, ruleset: RuleSet) -> Iterator[Finding]:
    """Faults of the dataset as a whole, one by one: those its layout showed, and those of dataset rules.

    Dataset rules do not run where single files were given: a few files say nothing about the whole.

    Raises:
        CheckError: A rule failed.
        SpillError: What a rule has to keep does not fit on the disk.
    """
    dataset = survey.dataset
    where = dataset.yaml_path or dataset.root
    yield from place_findings(_places(survey, ruleset, where), dataset, ruleset, survey.spec.task)


def place_findings(
    places: Iterable[DatasetFault], dataset: Dataset, ruleset: RuleSet, task: Task
) -> Iterator[Finding]:
    """Findings for faults of the dataset as a whole, as far as their rules are active.

    Raises:
        CheckError: There is no such rule, or its message does not fit.
    """
    where = dataset.yaml_path or dataset.root
    for place in places:
        if place.rule not in ruleset.known:
            raise CheckError(place.rule, "a reader reports it, but no pack has such a rule", where)
        active = ruleset.rules.get(place.rule)
        if active is None or task not in active.tasks:
            continue
        try:
            finding = of_place(active, place, dataset, ruleset)
        except Exception as e:
            raise CheckError(place.rule, f"{type(e).__name__}: {e}", where) from e
        ignored = ruleset.ignored_in((finding.file, finding.label, finding.image))
        if finding.rule not in ignored:
            yield finding


def _places(survey: Survey, ruleset: RuleSet, where: str) -> Iterator[DatasetFault]:
    """What the layout showed, then what each dataset rule finds."""
    dataset = survey.dataset
    yield from dataset.faults
    for rule in ruleset.rules.values():
        runs = rule.scope == "dataset" and rule.check not in (None, READER) and not dataset.files_only
        if runs and survey.spec.task in rule.tasks:
            assert rule.check is not None
            try:
                for place in survey_check(rule.check)(survey, ruleset.params(rule, survey.spec)):
                    if place.rule == rule.code:
                        yield place
            except SpillError:
                raise
            except Exception as e:
                raise CheckError(rule.code, f"{type(e).__name__}: {e}", where) from e


@np.errstate(all="ignore")
def summarise(tables: ChunkTables, spec: TaskSpec) -> ChunkSummary:
    """What is kept of a chunk for the rules over the whole dataset, and for the summary."""
    labels, images = tables.labels, tables.images
    width, height = images.upright_size()
    of_labels = spec.task in LABEL_TASKS
    verdict = verdicts(labels, images, spec) if of_labels else task_verdicts(tables, spec)
    n_rows = rows_per_file(tables).astype(np.int32)
    return ChunkSummary(
        image_digest=images.digest,
        label_digest=labels.digest if tables.masks is None else tables.masks.digest,
        phash=images.phash,
        image_bytes=images.size_bytes,
        decoded=images.decoded,
        width=width,
        height=height,
        n_rows=n_rows,
        dropped=verdict.dropped,
        background=verdict.background,
        rewritten=images.rewritten,
        found=verdict.found,
        boxed=verdict.boxed,
        loaded=_loaded(images, spec),
        class_counts=_class_counts(labels) if of_labels else _counts_of_task(tables, spec),
        shapes=collect(labels, images, spec),
        n_label_files=_n_label_files(tables),
        n_boxes=int(n_rows.sum()),
        label_heads=tables.label_heads,
    )


def _loaded(images: ImageTable, spec: TaskSpec) -> NDArray[np.uint8]:
    """uint8 (F,): channels that the loader makes of each image. That of class folders makes three of any."""
    if spec.task == "classify":
        return np.full(len(images), UNKNOWN, np.uint8)
    return loaded_channels(images, spec.channels)


def _n_label_files(tables: ChunkTables) -> int:
    """Label files, or masks, that are there."""
    if tables.masks is not None:
        return int((tables.masks.status != MaskStatus.MISSING).sum())
    return int((tables.labels.status != FileStatus.MISSING).sum())


def _counts_of_task(tables: ChunkTables, spec: TaskSpec) -> dict[int, int]:
    """Class id to number of images of that folder, or of masks that hold the class."""
    if tables.masks is not None:
        held = tables.masks.counts[:, :-1] > 0
        classes = mapped_ids(spec)[:-1]
        return {c: n for c in range(spec.nc or 0) if (n := int(held[:, classes == c].any(axis=1).sum()))}
    if tables.chunk.classes is None:
        return {}
    unique, counts = np.unique(tables.chunk.classes, return_counts=True)
    return dict(zip(unique.tolist(), counts.tolist(), strict=True))


def _class_counts(labels: LabelTable) -> dict[int, int]:
    """Class id to number of rows that could be read; ids that are no integer are left out."""
    ids = labels.class_id[labels.kind != RowKind.FAULTY]
    ids = ids[np.isfinite(ids) & (ids == np.floor(ids))]
    unique, counts = np.unique(ids, return_counts=True)
    return {int(i): n for i, n in zip(unique.tolist(), counts.tolist(), strict=True)}
