"""What the page shows of a gradient probe: the warm-up's curve, the images, and thumbnails of those worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.reports.common import plain
from sanitizer.reports.html.probe_record import images_of, steps_of
from sanitizer.reports.html.thumbnails import Thumbnail, Wanted, make_thumbnails
from sanitizer.util.robust import OUTLIER_Z, centre_and_spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.report import Report
    from sanitizer.reports.html.probe_record import Image, Line, Step
    from sanitizer.reports.reach import Reach

MAX_THUMBNAILS = 200
MAX_RANKED = 20
MAX_IMAGES = 10_000
MAX_STEPS = 2_000
NAMED_Z = 2.0
"""A line that departs less from what is usual is no reason for an image's rank (`Judgement.reasons`)."""

NAMED_P = 0.5
"""A line that is less likely wrong is none either."""

_SHARES = ("share", "background_share", "box_loss", "cls_loss", "dfl_loss")


@dataclass(frozen=True, slots=True)
class ProbePart:
    """The probe's part of the page.

    Attributes:
        data: The page's data object `probe`.
        pictures: Files of thumbnails that were written, without their folder.
        notes: Sentences on what is left out.
    """

    data: dict[str, Any]
    pictures: frozenset[str]
    notes: tuple[str, ...]


def probe_part(
    report: Report, spec: TaskSpec, run: str, crops: str, progress: bool, jobs: int | None, reach: Reach
) -> ProbePart | None:
    """The probe's part, thumbnails written to `run`; None for a report without a probe.

    Args:
        report: The report.
        spec: The task that rows are judged by.
        run: Folder for the thumbnails.
        crops: The same folder as seen from the page, POSIX.
        progress: Show a bar on stderr.
        jobs: Worker processes; None takes the cores there are, where it is worth it.
        reach: Which images and labels may be read.
    """
    if report.probe is None:
        return None
    all_steps, all_images = steps_of(report.probe), images_of(report.probe)
    limit = spike_limit([s.grad_norm for s in all_steps])
    spikes = {i for i, s in enumerate(all_steps) if is_spike(s, limit)}
    kept = _kept_steps(len(all_steps), spikes)
    steps, images = [all_steps[i] for i in kept], _kept_images(all_images)
    names = list(dict.fromkeys([i.image for i in images] + [name for s in steps for name in s.images]))
    number = {name: i for i, name in enumerate(names)}
    first = ranked(images)
    shown = _worth_a_thumbnail(images, first, [all_steps[i] for i in sorted(spikes)], number)
    made = make_thumbnails([_wanted(reach, names[n], images, n, run, spec) for n in shown], progress, jobs)
    data = {
        "imgsz": report.probe.get("imgsz") if isinstance(report.probe.get("imgsz"), int) else None,
        "z": OUTLIER_Z,
        "limit": limit,
        "steps": _step_columns(steps, [i in spikes for i in kept], number),
        "images": _image_columns(images),
        "names": plain(names),
        "first": first,
        "thumbnails": {n: _plain_thumbnail(t, crops) for n, t in zip(shown, made, strict=True)},
    }
    notes = _notes(len(all_steps) - len(steps), len(all_images) - len(images))
    return ProbePart(data, frozenset(t.name for t in made if t.name), notes)


def spike_limit(norms: Sequence[float | None]) -> float | None:
    """The gradient norm from which a step is a spike; None where there is too little to tell.

    3.5 robust standard deviations over the median of the logarithms (Iglewicz and Hoaglin 1993), as the probe judges
    images. What is not finite takes no part.
    """
    logs = np.log(np.array([n for n in norms if n is not None and n > 0], np.float64))
    if len(logs) < 3:
        return None
    centre, spread = map(float, centre_and_spread(logs))
    # Where over half of the norms are equal, any other would be an outlier.
    exponent = centre + OUTLIER_Z * spread
    return float(f"{np.exp(exponent):.5g}") if spread > 0 and exponent < 700 else None


def is_spike(step: Step, limit: float | None) -> bool:
    """Whether the step's gradient is over the limit, or not finite."""
    return step.grad_norm is None or (limit is not None and step.grad_norm >= limit)


def is_spiking(image: Image) -> bool:
    """Whether the image's gradient is far over what is usual for its number of boxes, or not finite."""
    return bool(image.not_finite) or (image.numbers["norm_z"] or 0.0) >= OUTLIER_Z


def ranked(images: Sequence[Image]) -> list[int]:
    """Numbers of the images to look at first: those that no step survives, then by score, if there is any reason."""
    order = sorted(range(len(images)), key=lambda n: images[n].not_finite not in ("loss", "gradient"))
    return [n for n in order if images[n].reasons or images[n].not_finite][:MAX_RANKED]


def carrying(lines: Sequence[Line], by: str) -> Line | None:
    """The line with the highest score, if it is out of the ordinary, or with the largest share, if it has any."""
    known = [line for line in lines if _stands_out(line, by)]
    return max(known, key=lambda line: float(getattr(line, by)), default=None)


def _stands_out(line: Line, by: str) -> bool:
    if by == "score" and line.p is not None:
        return line.p >= NAMED_P and line.score is not None
    return (getattr(line, by) or 0.0) > {"score": NAMED_Z, "share": 0.0}[by]


def _kept_steps(n: int, spikes: set[int]) -> list[int]:
    """Numbers of the steps in the page: all, or every spike and others evenly spread, in order."""
    if n <= MAX_STEPS:
        return list(range(n))
    worst = sorted(spikes)[:MAX_STEPS]
    others = np.setdiff1d(np.arange(n), worst)
    spread = others[np.linspace(0, len(others) - 1, MAX_STEPS - len(worst)).astype(np.int64)]
    return sorted({*worst, *spread.tolist()})


def _kept_images(images: Sequence[Image]) -> list[Image]:
    """The images in the page, the highest score first: spikes stay, and of the others those that rank highest."""
    if len(images) <= MAX_IMAGES:
        return list(images)
    order = sorted(range(len(images)), key=lambda n: not is_spiking(images[n]))
    return [images[n] for n in sorted(order[:MAX_IMAGES])]


def _worth_a_thumbnail(
    images: Sequence[Image], first: Sequence[int], spikes: Sequence[Step], number: dict[str, int]
) -> list[int]:
    """Numbers of the images with a thumbnail: the ranked, spikes, those of spiking steps, then as they rank."""
    alone = sorted(
        (n for n, i in enumerate(images) if is_spiking(i)),
        key=lambda n: -(images[n].numbers["norm_z"] or 0.0),
    )
    of_steps = [number[name] for s in spikes for name in s.images if name in number]
    return list(dict.fromkeys([*first, *alone, *of_steps, *range(len(images))]))[:MAX_THUMBNAILS]


def _wanted(reach: Reach, name: str, images: Sequence[Image], n: int, run: str, spec: TaskSpec) -> Wanted:
    image = reach.path(name)
    if n >= len(images):  # only a step names it: the budget did not reach as far as measuring it
        return Wanted(image, None, (), run, spec)
    measured = images[n]
    label = reach.label_path(measured.label)
    pointed_at = (carrying(measured.lines, "score"), carrying(measured.lines, "share"))
    return Wanted(image, label, [line.line for line in pointed_at if line], run, spec)


def _step_columns(
    steps: Sequence[Step], spikes: Sequence[bool], number: dict[str, int]
) -> dict[str, list[Any]]:
    names = ("step", "loss", "grad_norm", "clip_coefficient", "lr")
    columns: dict[str, list[Any]] = {name: [getattr(s, name) for s in steps] for name in names}
    columns["skipped"] = [int(s.skipped) for s in steps]
    columns["spike"] = [int(spike) for spike in spikes]
    columns["images"] = [[number[name] for name in s.images] for s in steps]
    return columns


def _image_columns(images: Sequence[Image]) -> dict[str, list[Any]]:
    """A column each; the names stand in `names`, in the same order."""
    columns: dict[str, list[Any]] = {
        "label": [plain(i.label) for i in images],
        "boxes": [i.boxes for i in images],
        "spike": [int(is_spiking(i)) for i in images],
        "background": [i.background for i in images],
        "score": [i.score for i in images],
        "reasons": [plain(i.reasons) for i in images],
        "not_finite": [plain(i.not_finite) for i in images],
    }
    for name in ("grad_norm", "norm_z", *_SHARES):
        columns[name] = [i.numbers[name] for i in images]
    for by in ("score", "share"):
        lines = [carrying(i.lines, by) for i in images]
        columns[f"line_by_{by}"] = [line and [line.line, *_number_of(line, by)] for line in lines]
    return columns


def _number_of(line: Line, by: str) -> list[float | None]:
    """Its score or its share; and after a score its probability, where that is known."""
    return [getattr(line, by), *([line.p] if by == "score" and line.p is not None else [])]


def _plain_thumbnail(made: Thumbnail, crops: str) -> dict[str, Any]:
    return {
        "crop": None if made.name is None else f"{crops}/{made.name}",
        "width": made.width_px,
        "height": made.height_px,
        "shapes": made.shapes,
        "others": made.others,
        "about": plain(made.problem),
    }


def _notes(steps: int, images: int) -> tuple[str, ...]:
    notes = []
    if steps:
        notes.append(f"the curve of the probe leaves out {steps:,} ordinary steps of its warm-up")
    if images:
        notes.append(
            f"of the probe, {images:,} unremarkable images are not in the page; the JSON report has them"
        )
    return tuple(notes)
