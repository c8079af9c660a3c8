"""What the runs of the case study came to: read from their logs, and told in tables."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Case:
    """One run: what it trains on, how, and with which seed."""

    labels: str
    recipe: str
    clip: str
    amp: bool
    seed: int

    @property
    def name(self) -> str:
        return f"{self.labels}-{self.recipe}-clip{self.clip}-amp{self.amp:d}-seed{self.seed}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        steps: Optimizer steps.
        failed_at: First step whose gradient was not finite through no fault of AMP's loss scale; None where none was.
        spikes, skipped, rollbacks: As the run's logs have them.
        clipped: Share of the steps that were clipped.
        median_norm, peak_norm: Of the finite gradient norms.
        first_loss, peak_loss, last_loss: Sum of the loss parts for one image: in the first step, in the worst, and on
            average over the last tenth.
        map50_95: On the untouched val split, with the averaged weights of the last epoch.
    """

    steps: int
    failed_at: int | None
    spikes: int
    skipped: int
    rollbacks: int
    clipped: float
    median_norm: float
    peak_norm: float
    first_loss: float
    peak_loss: float
    last_loss: float
    map50_95: float


def read_logs(folder: str, map50_95: float) -> Outcome:
    """The steps of a run in numbers."""
    rows, spikes = (read_rows(Path(folder, name)) for name in ("grad_norms.csv", "spikes.csv"))
    norms = [n for n in (float(row["grad_norm"]) for row in rows) if math.isfinite(n)]
    losses = [loss_of(row) for row in rows]
    finite = [x for x in losses if math.isfinite(x)]
    failed = [
        int(row["step"])
        for row, loss in zip(rows, losses, strict=True)
        if row["skipped"] == "1" and not (row["amp_scale"] and math.isfinite(loss))
    ]
    tail = finite[-max(1, len(finite) // 10) :]
    return Outcome(
        steps=len(rows),
        failed_at=failed[0] if failed else None,
        spikes=sum(row["spike"] == "1" for row in rows),
        skipped=sum(row["skipped"] == "1" for row in rows),
        rollbacks=len({row["step"] for row in spikes if row["kind"] == "rollback"}),
        clipped=mean(float(row["clip_coefficient"]) < 1 for row in rows) if rows else math.nan,
        median_norm=median(norms) if norms else math.nan,
        peak_norm=max(norms, default=math.nan),
        first_loss=losses[0] if losses else math.nan,
        peak_loss=max(finite, default=math.nan),
        last_loss=mean(tail) if tail else math.nan,
        map50_95=map50_95,
    )


def loss_of(row: dict[str, str]) -> float:
    """Sum of the loss parts for one image."""
    return sum(float(row[name]) for name in ("box_loss", "cls_loss", "dfl_loss"))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, none where there is no file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(found: dict[Case, Outcome]) -> str:
    """A row a combination, figures over the seeds."""
    lines = [
        "| labels | recipe | clip | AMP | failed at step | spikes | rollbacks | clipped | norm: median, peak "
        "| loss: first, peak, last | mAP50-95 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    keys = dict.fromkeys((c.labels, c.recipe, c.clip, c.amp) for c in found)
    for labels, recipe, clip, amp in keys:
        runs = [
            o for c, o in found.items() if (c.labels, c.recipe, c.clip, c.amp) == (labels, recipe, clip, amp)
        ]
        failed = [f"{o.failed_at}" if o.failed_at is not None else "–" for o in runs]
        cells = [
            labels, recipe, clip, "on" if amp else "off",
            ", ".join(failed),
            spread([o.spikes for o in runs], "g"),
            spread([o.rollbacks for o in runs], "g"),
            f"{mean(o.clipped for o in runs):.0%}",
            f"{mean(o.median_norm for o in runs):.0f}, {max(o.peak_norm for o in runs):.0f}",
            f"{mean(o.first_loss for o in runs):.1f}, {max(o.peak_loss for o in runs):.1f}, "
            f"{mean(o.last_loss for o in runs):.2f}",
            spread([o.map50_95 for o in runs], ".3f"),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float], form: str) -> str:
    """Mean, and the least and the most where they differ."""
    if min(values) == max(values):
        return f"{values[0]:{form}}"
    return f"{mean(values):{form if form != 'g' else '.1f'}} ({min(values):{form}}–{max(values):{form}})"


def effects(found: dict[Case, Outcome]) -> str:
    """What each factor changes in mAP50-95, all else equal: mean over all pairs, the least and the most."""
    questions = [
        ("calm recipe instead of hot", "recipe", "hot", "calm", "clip"),
        ("clip at 1 instead of 10", "clip", "10", "1", "recipe"),
        ("clip at the 90th percentile instead of 10", "clip", "10", "p90", "recipe"),
        ("AMP on instead of off", "amp", False, True, "recipe"),
        ("thin boxes added to the original labels", "labels", "original", "thin", "recipe"),
        ("dirty labels instead of the original", "labels", "original", "dirty", "recipe"),
        ("cleaned labels instead of dirty", "labels", "dirty", "cleaned", "recipe"),
    ]
    lines = [
        "| what changes, all else equal | pairs | mAP50-95: mean (least to most) |",
        "| --- | --- | --- |",
    ]
    for text, factor, before, after, other in questions:
        pairs = dict(changes(found, factor, before, after))
        for value in dict.fromkeys(getattr(case, other) for case in pairs):
            of_value = [change for case, change in pairs.items() if getattr(case, other) == value]
            spread_of = f"{mean(of_value):+.3f} ({min(of_value):+.3f} to {max(of_value):+.3f})"
            lines.append(f"| {text}, {other} {value} | {len(of_value)} | {spread_of} |")
    return "\n".join(lines)


def changes(
    found: dict[Case, Outcome], factor: str, before: object, after: object
) -> Iterator[tuple[Case, float]]:
    """(the run before, difference in mAP50-95) for all pairs of runs that differ in this factor alone."""
    for case, outcome in found.items():
        other = found.get(Case(**{**asdict(case), factor: after}))
        if getattr(case, factor) == before and other:
            yield case, other.map50_95 - outcome.map50_95
