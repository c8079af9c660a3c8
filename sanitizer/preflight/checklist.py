"""The preflight on one screen, read like a pilot's checklist: verdict, areas, what matters most, what the run does."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sanitizer.findings.finding import Severity
from sanitizer.preflight.concerns import Concern, concerns, named
from sanitizer.preflight.correction import train_command
from sanitizer.reports.common import grave_counts, rules_of
from sanitizer.reports.text.summary import consequences
from sanitizer.reports.text.summary_counts import SummaryCounts
from sanitizer.util.counting import in_thousands
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.findings.finding import About, Finding
    from sanitizer.preflight.flight import Preflight
    from sanitizer.rules.recipe_facts import RecipeFacts

    Paint = Callable[[str, str], str]

WIDTH = 110
THINGS_SHOWN = 3
AREAS: Mapping[About, str] = {
    "row": "labels",
    "file": "labels",
    "image": "images",
    "dataset": "dataset",
    "recipe": "recipe",
    "gradient": "gradients",
}
"""What a finding is about, to the area that it is listed under."""

_MARKS = {Severity.ERROR: ("✗", "31"), Severity.WARNING: ("!", "33"), None: ("✓", "32")}
_NOT_LOOKED_AT = ("–", "2")


@dataclass(frozen=True, slots=True)
class Line:
    """One area of the checklist: its name, mark, the colour of the mark, and what is said."""

    area: str
    mark: str
    colour: str
    text: str


def is_go(flight: Preflight, fail_on: Severity | None) -> bool:
    """Whether the run may start: nothing at or above a severity, an error where none is named."""
    return not (
        flight.report.would_stop or flight.report.count(Severity.ERROR if fail_on is None else fail_on)
    )


def area_lines(flight: Preflight) -> list[Line]:
    """A line for each area."""
    of_area: dict[str, list[Finding]] = {area: [] for area in AREAS.values()}
    for finding in flight.report.findings:
        of_area[AREAS[finding.about]].append(finding)
    looked_at = {
        "labels": in_thousands(flight.report.summary.boxes, "box")
        + " in "
        + in_thousands(flight.report.summary.labels, "file"),
        "images": in_thousands(flight.report.summary.images, "image"),
        "dataset": ", ".join(f"{s.split} {s.images:,}" for s in flight.report.summary.splits) or "no split",
        "recipe": recipe_words(flight.recipe.resolved()),
        "gradients": _gradient_words(flight),
    }
    return [_line(area, looked_at[area], findings, flight) for area, findings in of_area.items()]


def _line(area: str, looked_at: str, findings: Sequence[Finding], flight: Preflight) -> Line:
    serious = [f for f in findings if f.severity >= Severity.WARNING]
    mark, colour = _MARKS[max((f.severity for f in serious), default=None)]
    if area == "gradients" and not flight.probed:
        mark, colour = _NOT_LOOKED_AT
    notes = len(findings) - len(serious)
    said = [named(serious)] if serious else []
    said += [in_thousands(notes, "note")] if notes else []
    return Line(area, mark, colour, f"{looked_at}: {', '.join(said)}" if said else looked_at)


def recipe_words(facts: RecipeFacts) -> str:
    """The recipe in force, in a line."""
    warm_up = f"{facts.warmup_epochs:g} epochs of warm-up" if facts.warmup_epochs > 0 else "no warm-up"
    limit = f"clipped at {facts.max_grad_norm:g}" + ("" if facts.is_clip_set else " (auto)")
    clip = "adaptive clipping" if facts.is_clip_adaptive else limit
    batch = "batch by memory" if math.isnan(facts.batch) else f"batch {facts.batch:g}"
    epochs = "" if math.isnan(facts.epochs) else f", {facts.epochs:g} epochs"
    chosen = " (auto)" if facts.is_auto else ""
    rate = f"{facts.optimizer}{chosen} at lr0 {facts.lr0:g}"
    return f"{rate}, {warm_up}, {clip}, {batch}, {facts.imgsz:g} px{epochs}"


def _gradient_words(flight: Preflight) -> str:
    if flight.probed is None:
        return f"not probed: {flight.not_probed}"
    probed = flight.probed
    norms = sorted(s.grad_norm for s in probed.steps if math.isfinite(s.grad_norm))
    median = f" (median norm {norms[len(norms) // 2]:.3g})" if norms else ""
    learnt = f" after {in_thousands(len(probed.steps), 'step')}{median}"
    return (
        f"{len(probed.measured):,} of {in_thousands(len(probed.samples), 'training image')} measured{learnt}"
    )


def run_words(flight: Preflight) -> list[str]:
    """What the run would do, as it was asked for."""
    facts, summary = flight.recipe.resolved(), flight.report.summary
    kept = {s.split: s.images - s.dropped for s in summary.splits}
    train = facts.n_images if not math.isnan(facts.n_images) else kept.get("train", 0)
    steps = "" if math.isnan(facts.steps) else f"about {max(facts.steps, 1):,.0f} optimizer steps"
    val = f"validate on {kept.get('val', 0):,}"
    line = f"train on {in_thousands(int(train), 'image')} and {val}; {steps or 'batch by memory'} on {facts.device}"
    counts = SummaryCounts(flight.report, rules_of(flight.report))
    if flight.report.would_stop:
        return [text for text, _ in consequences(flight.report, counts)]
    return [line, *(text for text, _ in consequences(flight.report, counts))]


def checklist(flight: Preflight, fail_on: Severity | None, paint: Paint) -> str:
    """The whole screen. `paint(text, sgr)` colours a text, or returns it as it is."""
    ranked = concerns(flight)
    lines = [headline(flight, fail_on, paint), ""]
    for line in area_lines(flight):
        mark = paint(line.mark, f"1;{line.colour}")
        lines += _wrapped(f"  {mark} ", f"{line.area:<10} ", legible(line.text))
    lines += ["", *_things(ranked, paint)]
    lines += ["", "The run would", *(f"  • {legible(text)}" for text in run_words(flight))]
    corrected = flight.recipe.corrected()
    command = train_command(flight.report.data, flight.model, corrected)
    lead = "Start it with" if is_go(flight, fail_on) else "Once that is settled"
    lead = "Corrected" if corrected != dict(flight.recipe.overrides) else lead
    lines += ["", f"{lead}: {paint(legible(command), '1')}"]
    return "".join(f"{line}\n" for line in lines)


def headline(flight: Preflight, fail_on: Severity | None, paint: Paint) -> str:
    """GO or NO-GO, of what, and by how many findings."""
    go = is_go(flight, fail_on)
    verdict = paint("GO", "1;32") if go else paint("NO-GO", "1;31")
    what = f"{legible(flight.report.data)} with {legible(flight.model)}"
    return f"{verdict}  {what}: {grave_counts(flight.report)} ({_seconds(flight)})"


def _seconds(flight: Preflight) -> str:
    return f"{flight.report.summary.elapsed_s:.0f} s"


def _things(ranked: Sequence[Concern], paint: Paint) -> list[str]:
    if not ranked:
        return ["Nothing that matters was found."]
    lines = ["What matters most"]
    for number, concern in enumerate(ranked[:THINGS_SHOWN], 1):
        lines += _wrapped(f"  {number} ", "", legible(concern.what))
        arrow = paint("→", "1")
        lines += _wrapped(f"    {arrow} ", "", legible(concern.settle))
    more = len(ranked) - THINGS_SHOWN
    if more > 0:
        lines.append(
            f"    and {in_thousands(more, 'lesser thing')}: --output preflight.csv or .html has them all"
        )
    return lines


def _wrapped(lead: str, name: str, text: str) -> list[str]:
    """The text in lines of `WIDTH`, indented behind its lead; a lead may hold colours, which take no place."""
    indent = len(name) + (4 if name else 6 if lead.startswith("    ") else 4)
    parts = textwrap.wrap(text, WIDTH - indent, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{lead}{name}{parts[0]}", *(" " * indent + part for part in parts[1:])]


def preflight_record(flight: Preflight, fail_on: Severity | None) -> dict[str, Any]:
    """The verdict as the JSON report has it."""
    corrected = flight.recipe.corrected()
    rehearsal = flight.rehearsal
    return {
        "go": is_go(flight, fail_on),
        "model": flight.model,
        "arguments": dict(flight.recipe.overrides),
        "areas": {line.area: {"mark": _WORDS[line.mark], "text": line.text} for line in area_lines(flight)},
        "concerns": [
            {"severity": c.severity.label, "what": c.what, "settle": c.settle, "rules": list(c.rules)}
            for c in concerns(flight)
        ],
        "run": run_words(flight),
        "rehearsal": None if rehearsal is None else {
            name: getattr(rehearsal, name)
            for name in ("steps", "not_finite", "clipped", "first_loss", "last_loss", "median_norm", "imgsz")
        },
        "corrected": corrected,
        "command": train_command(flight.report.data, flight.model, corrected),
    }  # fmt: skip


_WORDS = {"✓": "ok", "!": "warning", "✗": "error", "–": "not looked at"}
