"""The main job, top to bottom: find the dataset, read it chunk by chunk, run the rules, form causes, report."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Literal

import numpy as np

from sanitizer.archives.finding import find_dataset
from sanitizer.findings.findings_log import FindingLog
from sanitizer.findings.report import Report, SplitCounts, Summary
from sanitizer.rules.engine import RuleSet, dataset_findings
from sanitizer.rules.language.pack import load_rules
from sanitizer.rules.survey import PackedFiles, Survey, SurveyBuilder
from sanitizer.scanner.chunks import Job
from sanitizer.scanner.engines import run_job
from sanitizer.scanner.task import infer_task, require_layout
from sanitizer.scanner.training import training_of
from sanitizer.ultra.versions import note_on, spec_of
from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence, Set

    from numpy.typing import NDArray

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset, Split
    from sanitizer.dataset.tables import Task
    from sanitizer.findings.cause import Hypothesis
    from sanitizer.images.image_files import ImageMode
    from sanitizer.scanner.engines import Engine
    from sanitizer.ultra.run_verdict import Stop

DECODE_BUDGET_BYTES = 100_000_000
"""`images="auto"` decodes pixels while the image files together are smaller: some seconds on two cores."""


def scan(
    *paths: str | os.PathLike[str],
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    images: ImageMode | Literal["auto"] = "auto",
    splits: Sequence[str] | None = None,
    jobs: int | None = None,
    engine: Engine = "local",
    cache: bool = True,
    progress: bool = False,
    baseline: str | None = None,
    ultralytics: str | None = None,
) -> Report:
    """Find everything in a dataset that training would drop, misread or choke on. Reads only.

    Args:
        paths: A data.yaml, a dataset folder, label and image files, tar shards, or an .ndjson. But for packed files,
            URLs and .zip archives, too.
        config: Rules to run and their parameters; None looks for sanitize.yaml or pyproject.toml.
        task: What rows are judged as; "auto" asks the data.yaml, then the labels.
        images: "header" reads sizes and marks of damage, "decode" every pixel (finds near-duplicates and hidden
            damage), "none" no image at all; "auto" decodes small datasets and reads headers of large ones.
        splits: Only these splits.
        jobs: Worker processes; None takes the cores there are, when the dataset is worth it. Under "ray", tasks at
            a time; None takes the cores of the cluster.
        engine: Where files are read: "local", or "ray" for a Ray cluster whose nodes see the same paths, or reach
            the same URL.
        cache: Keep what was found per file state in the user's cache folder, so that a rescan is quick.
        progress: Show a bar on stderr.
        baseline: File of known findings to leave out; None takes the configuration's.
        ultralytics: Version of Ultralytics to judge by, such as "8.3.200"; None takes the installed one, or else the
            newest that is known.

    Returns:
        A Report.

    Raises:
        DatasetError: Nothing could be read at all, or the dataset is for a task that is not judged.
        StorageError: A place elsewhere cannot be reached.
        SpillError: What is large does not fit into a temporary file.
        ConfigError, PackError: The configuration or a rule pack is wrong.
        VersionError: `ultralytics` is no version.
        EngineError: Ray is not installed, no cluster answers, or its nodes cannot do the work.
    """
    from sanitizer.ultra.adapter.platform import addresses_of

    started = time.perf_counter()
    return scan_dataset(
        find_dataset(addresses_of([os.fspath(p) for p in paths]), splits, task),
        config=config,
        task=task,
        images=images,
        jobs=jobs,
        engine=engine,
        cache=cache,
        progress=progress,
        baseline=baseline,
        ultralytics=ultralytics,
        started=started,
    )


def scan_dataset(
    dataset: Dataset,
    *,
    config: Config | None = None,
    task: Task | Literal["auto"] = "auto",
    images: ImageMode | Literal["auto"] = "auto",
    jobs: int | None = None,
    engine: Engine = "local",
    cache: bool = True,
    progress: bool = False,
    baseline: str | None = None,
    ultralytics: str | None = None,
    started: float | None = None,
    hand_on: Callable[[Survey], object] | None = None,
) -> Report:
    """`scan` of a dataset that was found already: what it returns and raises, and its other arguments, are the same.

    Args:
        dataset: What `find_dataset` found.
        started: `time.perf_counter()` when the search for the dataset began; None counts no time for it.
        hand_on: Gets the survey, for who goes on with what was found about each pair.
    """
    started = time.perf_counter() if started is None else started
    dataset = dataset.without_repeats()
    config = config or nearby_config(dataset)
    dataset.storage.drop_listings()
    ruleset = RuleSet.build(load_rules(config.packs), config)
    notes = list(dataset.notes)
    if task == "auto":
        task, how = infer_task(dataset)
        notes += [how] if how else []
    else:
        require_layout(dataset, task)
    if dataset.nc is None and dataset.files_only:
        notes.append("no data.yaml above these files: class ids were not checked")
    mode = images
    if mode == "auto":
        mode, why = affordable_mode(dataset)
        notes += [why] if why else []

    keeps, why = _may_keep(dataset) if cache and not dataset.files_only else (False, None)
    notes += [why] if why else []
    spec = ruleset.task_spec(spec_of(dataset, task, ultralytics))
    newer = note_on(spec.behaviour)
    notes += [newer] if newer else []
    job = Job(dataset, spec, ruleset, mode, keeps, _head_strides(dataset))
    notes += ruleset.unknown_classes(job.spec)
    known = _known(baseline or config.baseline)
    builder, log, unread = SurveyBuilder(dataset, job.spec), FindingLog(), dataset.unread
    stops: list[Stop] = []
    for result in run_job(job, jobs, progress, engine, notes.append):
        builder.add(result.summary, result.pairs)
        log.extend(result.findings)
        unread += result.unread
        stops += result.stops
    survey = builder.finish(_packed_files(dataset))
    failed = set(dataset.storage.failed)
    log.extend(dataset_findings(survey, ruleset))
    not_compared = dataset.storage.failed.keys() - failed
    notes += _remote_notes(job, unread, sorted(not_compared))
    hypotheses, failures = _diagnosed(survey, log)
    dataset.storage.drop_listings()  # causes look around, and the next scan is to see what is there then
    findings, suppressed, causes = log.finish(known, hypotheses)
    if hand_on is not None:
        hand_on(survey)
    notes += [*failures, *([log.note] if log.note else [])]
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
        causes=causes,
        unread=unread + len(not_compared),
        training=training_of(survey, mode, stops),
    )


def _head_strides(dataset: Dataset) -> Mapping[str, int]:
    """How many label files of each split one leaves its head of, where reading it again would cost requests."""
    if not dataset.storage.remote:
        return {}
    from sanitizer.labels.heads import head_strides

    return head_strides(dataset.splits)


def _diagnosed(survey: Survey, log: FindingLog) -> tuple[list[Hypothesis], list[str]]:
    """Causes of the findings, and sentences on what failed. A dataset without findings pays for no import."""
    if not log.counts:
        return [], []
    from sanitizer.diagnosis.diagnose import diagnose

    return diagnose(survey, log.counts)


def _may_keep(dataset: Dataset) -> tuple[bool, str | None]:
    """(whether anything may be written for later scans, why not): never inside the dataset."""
    from sanitizer.scanner.cache import cache_root, lies_in  # not worth its time for a handful of files

    root = cache_root()
    if root is None:
        return False, (
            "nothing was kept for a quick rescan: this user has no home folder (HOME, or SANITIZE_CACHE_DIR, names one)"
        )
    if not lies_in(root, dataset):
        return True, None
    return False, (
        f"nothing was kept for a quick rescan: the cache folder {root} lies inside the dataset, where a scan "
        "never writes (SANITIZE_CACHE_DIR names another folder)"
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
        rules = "D002" if job.dataset.packs or job.dataset.unread else "L001, I001"
        files = "1 file" if unread == 1 else f"{unread:,} files"
        notes.append(f"{files} could not be read ({rules} name them): nothing else is known of them")
    if not_compared:
        names = ", ".join(filter(None, map(job.dataset.relative, not_compared[:5])))
        more = f" and {len(not_compared) - 5:,} more" if len(not_compared) > 5 else ""
        notes.append(f"could not be read again, so not compared with look-alikes: {names}{more}")
    if job.use_cache and not job.dataset.files_only and not job.dataset.has_all_stamps():
        notes.append("nothing was kept for a quick rescan: this place does not tell when files change")
    return notes


def _packed_files(dataset: Dataset) -> PackedFiles | None:
    if not dataset.packs:
        return None
    from sanitizer.archives.members import Members

    return Members(dataset)


def _known(baseline: str | None) -> frozenset[str]:
    """Fingerprints of the findings that are to be left out."""
    if baseline is None:
        return frozenset()
    from sanitizer.findings.baseline import read_baseline

    return read_baseline(baseline)


def affordable_mode(dataset: Dataset, sample: int = 64) -> tuple[ImageMode, str | None]:
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
    packed = sum(pack.size_bytes for pack in dataset.packs if pack.kind != "ndjson")
    total = packed + n_images * sum(sizes) / max(len(sizes), 1)
    if total <= DECODE_BUDGET_BYTES:
        return "decode", None
    if dataset.packs:
        return "header", (
            f"only image headers were read ({len(dataset.packs):,} packed files, {packed / 1e9:.1f} GB): "
            "add --images decode to look for re-encoded copies and damaged pixels too"
        )
    return "header", (
        f"only image headers were read ({n_images:,} images, about {total / 1e9:.1f} GB): "
        "add --images decode to look for re-encoded copies and damaged pixels too"
    )


def _dropped_images(survey: Survey) -> Set[str]:
    """Paths, relative to the dataset root, of the images that training would leave out."""
    if not any(split.dropped for split in survey.splits):
        return frozenset()
    from sanitizer.util.name_set import NameSetBuilder

    names = NameSetBuilder("the names of images that training would leave out")
    for split, start in zip(survey.dataset.splits, survey.split_start.tolist(), strict=False):
        for pairs in blocks(len(split)):
            dropped = survey.dropped[start + pairs.start : start + pairs.stop] & split.has_image[pairs]
            for path in _image_paths(split, pairs.start + np.flatnonzero(dropped)):
                name = survey.dataset.relative(path)
                if name:
                    names.add(name)
    return names.finish()


def _image_paths(split: Split, index: NDArray[np.int64]) -> Iterator[str | None]:
    """Image paths of these pairs; where they stand close together, paths are spelled out for whole stretches."""
    for some in np.split(index, np.arange(_STRETCH, len(index), _STRETCH)) if len(index) else ():
        first, stop = int(some[0]), int(some[-1]) + 1
        if stop - first > 16 * len(some):
            yield from map(split.image_path, some.tolist())
        else:
            images = split.chunk(first, stop).images
            yield from (images[i] for i in (some - first).tolist())


_STRETCH = 1024


def _summary(survey: Survey, elapsed_s: float) -> Summary:
    """The survey in numbers, by split and over all."""
    counts = [
        SplitCounts(
            s.name, s.images, s.labels, s.boxes, s.dropped, s.background, s.rewritten,
            len(set(split.dir_classes or ())),
        )
        for s, split in zip(survey.splits, survey.dataset.splits, strict=True)
    ]  # fmt: skip
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
