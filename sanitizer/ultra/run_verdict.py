"""Whether Ultralytics would start to train on a dataset, and if not, the exception and the rules that name its cause.

A run stops before its first epoch ends in one of the stages of `RunStage`: while the data.yaml is read, the model is
built, each split is listed and checked, or pictures are read. `facts` hold all that decides it, so a task may bring
facts of its own as `stops`. Source: `BaseTrainer`, `YOLODataset` and `v8_transforms`, version 8.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanitizer.dataset.tables import RunStage
from sanitizer.dataset.tasks.behaviour import NEWEST, Behaviour
from sanitizer.findings.report import Training
from sanitizer.ultra.image_loading import CANNOT_OPEN, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from sanitizer.dataset.tables import Task

_SETS = {"segment": "Segment", "obb": "OBB"}


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """What training meets in one split.

    Attributes:
        name: train or val.
        images: Images that it lists.
        kept: Images that pass the check of images and labels.
        found: Good images that have a label file, even one for which the image is dropped.
        boxed: Kept images with boxes, where the task wants polygons.
        loaded: Channels that the loader makes of kept images, as `loaded_channels` gives them.
    """

    name: str
    images: int
    kept: int
    found: int
    boxed: int = 0
    loaded: Set[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Stop:
    """One reason why a run stops.

    Attributes:
        stage: Where in the run.
        sentence: The exception.
        rules: Codes of the rules whose findings name the cause.
    """

    stage: RunStage
    sentence: str
    rules: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that decides whether a run starts.

    Attributes:
        task: What is trained.
        channels: `channels:` of the data.yaml.
        has_keypoints: The data.yaml has a kpt_shape that can be used.
        splits: train and val, as far as they were read.
        stops: What is known to stop the run before any of it.
        behaviour: What the version of Ultralytics that is to train does.
        is_whole: Everything that decides was looked at; else a run that nothing stops is not known to start.
    """

    task: Task
    channels: int = 3
    has_keypoints: bool = False
    splits: Sequence[SplitFacts] = ()
    stops: Sequence[Stop] = ()
    behaviour: Behaviour = NEWEST
    is_whole: bool = True


def verdict(facts: RunFacts) -> Training:
    """What becomes of a run; the reason that it meets first, where there are several."""
    stops = sorted([*facts.stops, *_stops(facts)], key=lambda stop: stop.stage)
    as_ = name_of(facts.behaviour)
    if not stops:
        return Training(True if facts.is_whole and not _is_unsure(facts) else None, None, as_)
    first = stops[0]
    return Training(False, first.sentence, as_, tuple(first.rules))


def name_of(known: Behaviour) -> str:
    """As in "Ultralytics 8.4.190"."""
    return f"Ultralytics {known.version}"


def _is_unsure(facts: RunFacts) -> bool:
    """Whether a version goes on where later ones stop with a sentence: it may stop later, or train on nothing."""
    known = facts.behaviour
    return any(
        (not split.kept and not known.names_empty_split)
        or (not split.found and split.name == "train" and not known.needs_labels)
        or (bool(split.boxed) and facts.task in _SETS and not known.needs_polygons)
        for split in facts.splits
    )


def _stops(facts: RunFacts) -> Iterator[Stop]:
    if facts.task == "pose" and not facts.has_keypoints and not facts.stops:
        yield Stop(RunStage.MODEL, "KeyError: 'No `kpt_shape` in the data.yaml", ("D001", "K001"))
    for split in facts.splits:
        yield from _stops_of_split(split, facts)
    yield from _stops_of_pictures(facts)


def _stops_of_split(split: SplitFacts, facts: RunFacts) -> Iterator[Stop]:
    stage, known = RunStage.TRAIN if split.name == "train" else RunStage.VAL, facts.behaviour
    if not split.images:
        yield Stop(stage, "FileNotFoundError: … Error loading data from", ("D002",))
    elif not split.kept and not known.names_empty_split:
        return
    elif not split.kept:
        yield Stop(stage, f"RuntimeError: No valid images found (split {split.name})", ())
    elif not split.found and stage is RunStage.TRAIN and known.needs_labels:
        yield Stop(stage, "ValueError: … No labels found in", ("D006",))
    elif split.boxed and facts.task in _SETS and known.needs_polygons:
        words = f"{_SETS[facts.task]} dataset requires equal numbers of boxes and segments"
        yield Stop(stage, f"ValueError: {words}", ("L006",))


def _stops_of_pictures(facts: RunFacts) -> Iterator[Stop]:
    loaded = {channels for split in facts.splits for channels in split.loaded}
    if CANNOT_OPEN in loaded:
        yield Stop(RunStage.BATCH, "FileNotFoundError: Image Not Found", ("I007",))
    known = loaded - {CANNOT_OPEN, UNKNOWN}
    others = sorted(known - {facts.channels})
    if others and len(known) == 1:
        words = f"expected input … to have {facts.channels} channels, but got {others[0]} channels instead"
        yield Stop(RunStage.BATCH, f"RuntimeError: … {words}", ("I007",))
    elif others:
        words = ", ".join(map(str, others))
        sentence = f"ValueError or RuntimeError (images of {words} channels for a model of {facts.channels})"
        yield Stop(RunStage.BATCH, sentence, ("I007",))
