"""The main job, top to bottom: find the dataset, read it chunk by chunk, run the rules, report."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Literal

import numpy as np

from sanitizer.dataset.layout import find_dataset
from sanitizer.dataset.task import infer_task
from sanitizer.engines import run_job
from sanitizer.findings import Finding, fingerprinted
from sanitizer.report import Report, SplitCounts, Summary
from sanitizer.rules.engine import RuleSet, run_dataset
from sanitizer.rules.pack import load_rules
from sanitizer.rules.survey import Survey, SurveyBuilder
from sanitizer.work import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.config import Config
    from sanitizer.dataset.images import ImageMode
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task

DECODE_BUDGET_BYTES = 100_000_000
"""`images="auto"` decodes pixels while the image files together are smaller: some seconds on two cores."""


def scan(
    *paths: str | os.PathLike[str],
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    images: ImageMode | Literal["auto"] = "auto",
    splits: Sequence[str] | None = None,
    jobs: int | None = None,
    cache: bool = True,
    progress: bool = False,
    baseline: str | None = None,
) -> Report:
    """Find everything in a dataset that training would drop, misread or choke on. Reads only.

    Args:
        paths: A data.yaml, a dataset folder, or label and image files.
        config: Rules to run and their parameters; None looks for sanitize.yaml or pyproject.toml.
        task: What rows are judged as; "auto" asks the data.yaml, then the labels.
        images: "header" reads sizes and marks of damage, "decode" every pixel (finds near-duplicates and hidden
            damage), "none" no image at all; "auto" decodes small datasets and reads headers of large ones.
        splits: Only these splits.
        jobs: Worker processes; None takes the cores there are, when the dataset is worth it.
        cache: Keep what was found per file state in the user's cache folder, so that a rescan is quick.
        progress: Show a bar on stderr.
        baseline: File of known findings to leave out; None takes the configuration's.

    Returns:
        A Report.

    Raises:
        DatasetError: Nothing could be read at all.
        ConfigError, PackError: The configuration or a rule pack is wrong.
    """
    started = time.perf_counter()
    dataset = find_dataset([os.fspath(p) for p in paths], splits, anywhere=True).without_repeats()
    config = config or nearby_config(dataset)
    dataset.storage.forget()
    ruleset = RuleSet.build(load_rules(config.packs), config)
    notes: list[str] = []
    if task == "auto":
        task, how = infer_task(dataset)
        notes += [how] if how else []
    if dataset.nc is None and dataset.files_only:
        notes.append("no data.yaml above these files: class ids were not checked")
    mode = images
    if mode == "auto":
        mode, why = _affordable_mode(dataset)
        notes += [why] if why else []

    job = Job(dataset, dataset.task_spec(task), ruleset, mode, use_cache=cache)
    notes += ruleset.unknown_classes(job.spec)
    builder, findings, unread = SurveyBuilder(dataset, job.spec), list[Finding](), 0
    for result in run_job(job, jobs, progress):
        builder.add(result.summary)
        findings += result.findings
        unread += result.unread
    survey = builder.finish()
    known = set(getattr(dataset.storage, "failed", ()))
    findings += run_dataset(survey, ruleset)
    not_compared = set(getattr(dataset.storage, "failed", ())) - known
    notes += _remote_notes(job, unread, sorted(not_compared))
    findings = fingerprinted(findings)
    findings, suppressed = _without_known(findings, baseline or config.baseline)
    return Report(
        data=dataset.data,
        root=dataset.storage.url(dataset.root),
        task=task,
        summary=_summary(survey, time.perf_counter() - started),
        findings=findings,
        suppressed=suppressed,
        notes=notes,
        class_counts=dict(survey.class_counts),
        names=dict(dataset.names),
        kpt_shape=dataset.kpt_shape,
        files_only=dataset.files_only,
        dropped=_dropped_images(survey),
        unread=unread + len(not_compared),
    )


def nearby_config(dataset: Dataset) -> Config:
    """The configuration that belongs to a dataset, by where its data.yaml lies."""
    from sanitizer.config import load_config

    folder = os.path.dirname(dataset.yaml_path) if dataset.yaml_path else dataset.root
    return load_config(folder, storage=dataset.storage)


def _remote_notes(job: Job, unread: int, not_compared: Sequence[str]) -> list[str]:
    """What a reader must know of a scan whose files came by requests."""
    storage = job.dataset.storage
    if not storage.remote:
        return []
    notes = []
    if unread:
        files = "1 file" if unread == 1 else f"{unread:,} files"
        notes.append(f"{files} could not be read (L001, I001 name them): nothing else is known of them")
    if not_compared:
        names = ", ".join(filter(None, map(job.dataset.relative, not_compared[:5])))
        more = f" and {len(not_compared) - 5:,} more" if len(not_compared) > 5 else ""
        notes.append(f"could not be read again, so not compared with look-alikes: {names}{more}")
    if job.use_cache and not job.dataset.files_only and not job.dataset.tells_changes():
        notes.append("nothing was kept for a quick rescan: this place does not tell when files change")
    return notes


def _without_known(findings: list[Finding], baseline: str | None) -> tuple[list[Finding], int]:
    """(findings the baseline does not know, number it does)."""
    if baseline is None:
        return findings, 0
    from sanitizer.baseline import apply_baseline

    return apply_baseline(findings, baseline)


def _affordable_mode(dataset: Dataset, sample: int = 64) -> tuple[ImageMode, str | None]:
    """(mode, note): decode where the image files, by a sample of their sizes, fit the budget."""
    if dataset.files_only:
        return "header", None
    n_images = sum(int(s.has_image.sum()) for s in dataset.splits)
    sizes = []
    for split in dataset.splits:
        pairs = np.flatnonzero(split.has_image)
        for i in pairs[:: max(1, n_images // sample)]:
            if split.states is not None:
                sizes.append(max(int(split.states[i, 0]), 0))
                continue
            try:
                sizes.append(os.stat(split.image_path(int(i)) or "").st_size)
            except OSError:
                sizes.append(0)
    total = n_images * sum(sizes) / max(len(sizes), 1)
    if total <= DECODE_BUDGET_BYTES:
        return "decode", None
    return "header", (
        f"only image headers were read ({n_images:,} images, about {total / 1e9:.1f} GB): "
        "add --images decode to look for re-encoded copies and damaged pixels too"
    )


def _dropped_images(survey: Survey) -> frozenset[str]:
    """Paths, relative to the dataset root, of the images that training would leave out."""
    has_image = np.concatenate([np.zeros(0, np.bool_), *(s.has_image for s in survey.dataset.splits)])
    paths = (survey.image_path(i) for i in np.flatnonzero(survey.dropped & has_image).tolist())
    return frozenset(filter(None, map(survey.dataset.relative, paths)))


def _summary(survey: Survey, elapsed_s: float) -> Summary:
    """The survey in numbers, by split and over all."""
    counts = []
    for k, split in enumerate(survey.dataset.splits):
        pairs = slice(int(survey.split_start[k]), int(survey.split_start[k + 1]))
        counts.append(
            SplitCounts(
                split=split.name,
                images=int(split.has_image.sum()),
                labels=int((survey.label_digest[pairs] != 0).sum()),
                boxes=int(survey.n_rows[pairs].sum()),
                dropped=int((survey.dropped[pairs] & split.has_image).sum()),
                background=int((survey.background[pairs] & split.has_image).sum()),
                rewritten=int(survey.rewritten[pairs].sum()),
            )
        )
    return Summary(
        images=sum(c.images for c in counts),
        labels=survey.n_label_files,
        boxes=survey.n_boxes,
        images_dropped_by_training=sum(c.dropped for c in counts),
        images_background=sum(c.background for c in counts),
        images_rewritten=sum(c.rewritten for c in counts),
        splits=counts,
        elapsed_s=round(elapsed_s, 3),
    )
