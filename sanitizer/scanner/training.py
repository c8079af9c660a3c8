"""From the survey of a scan to the facts that decide whether a run on the dataset would start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.findings.report import Training
from sanitizer.ultra.run_verdict import RunFacts, SplitFacts, Stop, name_of, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.images.image_files import ImageMode
    from sanitizer.rules.survey import SplitSums, Survey


def training_of(survey: Survey, mode: ImageMode, more_stops: list[Stop]) -> Training:
    """The verdict on a run.

    Nothing is said of single files, of folders that need a data.yaml and have none, and of shards, on which Ultralytics
    cannot train.

    Args:
        survey: The whole dataset.
        mode: How images were read.
        more_stops: What stops the run that was met while files were read.
    """
    dataset = survey.dataset
    is_packed = any(pack.kind != "ndjson" for pack in dataset.packs)
    needs_yaml = survey.spec.task != "classify"
    if dataset.files_only or (dataset.yaml_path is None and needs_yaml) or is_packed:
        return Training(None, None, name_of(survey.spec.behaviour))
    splits = list(_splits(survey))
    fetches = any(fault.rule == "D004" for fault in dataset.faults) and len(splits) < 2
    is_whole = len(splits) == 2 and (mode != "none" or bool(dataset.packs)) and not dataset.unread
    return verdict(
        RunFacts(
            survey.spec.task,
            survey.spec.channels,
            has_keypoints=survey.spec.kpt_shape != (0, 0),
            splits=splits,
            behaviour=survey.spec.behaviour,
            stops=[*_layout_stops(survey), *more_stops],
            is_whole=is_whole and not fetches,
        )
    )


def _layout_stops(survey: Survey) -> Iterator[Stop]:
    for fault in survey.dataset.faults:
        if fault.stops_with is not None and fault.stops_task in (None, survey.spec.task):
            yield Stop(fault.stops_at, fault.stops_with, (fault.rule,))


def _splits(survey: Survey) -> Iterator[SplitFacts]:
    """train and val, where they were found. The converter of NDJSON makes a val of its own where there is none."""
    sums = {split.name: split for split in survey.splits}
    for name in ("train", "val"):
        if name in sums:
            yield _split_facts(sums[name], sums, survey)
        elif survey.dataset.packs and "train" in sums:
            yield SplitFacts(name, 1, 1, 1)


def _split_facts(split: SplitSums, sums: dict[str, SplitSums], survey: Survey) -> SplitFacts:
    """Images that an earlier split names too were judged there: they count as they do there."""
    shared = survey.dataset.n_repeats.get(split.name, 0)
    earlier = sums.get("train")
    kept_there = bool(earlier and earlier.images > earlier.dropped) if shared else False
    return SplitFacts(
        split.name,
        split.images + shared,
        split.images - split.dropped + shared * kept_there,
        split.found + shared * kept_there,
        split.boxed,
        split.loaded.keys(),
    )
