"""What matters most about a run: findings that belong together, each with its evidence and with what settles it."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity
from sanitizer.preflight.correction import spelled, suggested
from sanitizer.reports.common import rules_of
from sanitizer.reports.text.summary_counts import read_by_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.finding import Finding
    from sanitizer.preflight.flight import Preflight
    from sanitizer.rules.language.pack import Rule

MESSAGES_SHOWN = 3
EVIDENCE_SHOWN = 1
"""Sentences of evidence of a cause; the report has all."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that matters.

    Attributes:
        what: What is wrong, with the evidence.
        settle: Train arguments, a command, or what to do by hand.
        severity: The worst of its findings.
        weight: Among concerns of one severity the heavier one matters more.
        rules: Codes of the rules that its findings are of.
    """

    what: str
    settle: str
    severity: Severity
    weight: float
    rules: tuple[str, ...] = ()


def concerns(flight: Preflight) -> list[Concern]:
    """Everything from warnings upwards, what matters most first."""
    rules, is_read = rules_of(flight.report), read_by_training(flight.report)
    causes = {cause.id: cause for cause in flight.report.causes}
    groups: dict[str, list[Finding]] = {}
    of_causes: dict[str, list[Finding]] = {}
    for finding in flight.report.findings:
        # Of a label file without image nothing matters but that its image is missing.
        if finding.severity < Severity.WARNING:
            continue
        if finding.cause in causes:
            of_causes.setdefault(finding.cause, []).append(finding)
        elif is_read(finding) or finding.kind == "no-image":
            groups.setdefault(_group(finding, flight, rules.get(finding.rule)), []).append(finding)
    found = [
        replace(
            _CONCERNS.get(name, _of_rule)(findings, flight), rules=tuple(sorted({f.rule for f in findings}))
        )
        for name, findings in groups.items()
    ]
    found += [_of_cause(causes[id_], findings, flight) for id_, findings in of_causes.items()]
    return sorted(found, key=lambda c: (-c.severity, -c.weight))


def _group(finding: Finding, flight: Preflight, rule: Rule | None) -> str:
    """Findings of one group are one concern: by what they cost, or else by their rule."""
    training = rule.training if rule else None
    if finding.about == "recipe":
        return "recipe"
    if finding.kind in ("not-finite", "not-finite-amp"):
        return "not-finite"
    if finding.about == "gradient":
        return "gradients"
    if training == "crashes" and finding.severity == Severity.ERROR:
        return "stops"
    if finding.image in flight.report.dropped and training in ("drops-image", "crashes"):
        return "drops"
    return "background" if finding.kind == "background" else finding.rule


def _of_cause(cause: Cause, findings: Sequence[Finding], flight: Preflight) -> Concern:
    what = " ".join(filter(None, (cause.sentence, cause.training, *cause.evidence[:EVIDENCE_SHOWN])))
    report, known = flight.report, rules_of(flight.report)
    rules = tuple(sorted({f.rule for f in findings}))
    if report.training is not None and report.would_stop and set(report.training.because) & set(rules):
        weight = 5.0
    else:
        drops = any(_group(f, flight, known.get(f.rule)) == "drops" for f in findings)
        weight = 3.0 if drops else 2.0 if cause.images else 1.5
        weight += min(cause.images / max(report.summary.images, 1), 1)
    return Concern(what, cause.way_out or _advice(findings, flight), _worst(findings), weight, rules)


def _stops(findings: Sequence[Finding], flight: Preflight) -> Concern:
    what = f"training would stop with an error: {_messages(findings)}"
    return Concern(what, _advice(findings, flight), Severity.ERROR, 5)


def _not_finite(findings: Sequence[Finding], flight: Preflight) -> Concern:
    what = f"{named(findings)}: {_place(findings[0])} {findings[0].message}"
    settle = "amp=False" if all(f.kind == "not-finite-amp" for f in findings) else _advice(findings, flight)
    return Concern(what, settle, _worst(findings), 4.5)


def _recipe(findings: Sequence[Finding], flight: Preflight) -> Concern:
    ranked = sorted(findings, key=lambda f: (-f.severity, f.rule))
    what = _messages(ranked)
    if flight.rehearsal and flight.rehearsal.sentence:
        what += f"; {flight.rehearsal.sentence}"
    return Concern(what, " ".join(spelled(suggested(ranked))), _worst(findings), 4)


def _drops(findings: Sequence[Finding], flight: Preflight) -> Concern:
    summary = flight.report.summary
    n, total = _images(findings, flight, summary.images_dropped_by_training), max(summary.images, 1)
    splits = [f"{s.split} {s.dropped:,} of {s.images:,}" for s in summary.splits if s.dropped]
    by_split = f" ({', '.join(splits)})" if len(summary.splits) > 1 else ""
    by_split = by_split if n == summary.images_dropped_by_training else ""  # causes tell of the others
    what = (
        f"training drops {n:,} of {total:,} images{by_split}: {named(findings)}, as in {_example(findings)}"
    )
    settle = f"{_advice(findings, flight)}; `sanitize train` leaves these images out"
    return Concern(what, settle, _worst(findings), 3 + n / total)


def _background(findings: Sequence[Finding], flight: Preflight) -> Concern:
    summary = flight.report.summary
    n, total = _images(findings, flight, summary.images_background), max(summary.images, 1)
    what = f"training reads {n:,} of {total:,} images as empty: {named(findings)}, as {_place(findings[0])}"
    return Concern(what, _advice(findings, flight), _worst(findings), 2 + n / total)


def _images(findings: Sequence[Finding], flight: Preflight, of_all: int) -> int:
    """Number of images that findings cost; `of_all`, without those that causes tell of."""
    return len({f.image or f.label for f in findings}) if flight.report.causes else of_all


def _gradients(findings: Sequence[Finding], flight: Preflight) -> Concern:
    measured = f" among {len(flight.probed.measured):,} measured images" if flight.probed else ""
    # The values of these rules are z-scores, probabilities and label weights: only probabilities compare.
    clearest = max(findings, key=lambda f: (f.severity, f.p or 0.0, f.line is not None))
    what = f"the model contradicts labels: {named(findings)}{measured}, most of all {_place(clearest)}: "
    what += clearest.message
    share = len({f.image for f in findings}) / max(flight.report.summary.images, 1)
    return Concern(
        what, "look at them: run this again with --output preflight.html", _worst(findings), 1.6 + share
    )


def _of_rule(findings: Sequence[Finding], flight: Preflight) -> Concern:
    summary = flight.report.summary
    of_images = findings[0].about in ("image", "dataset")
    share = len(findings) / max(summary.images if of_images else summary.boxes, 1)
    what = f"{named(findings)}, as in {_example(findings)}"
    return Concern(
        what, _advice(findings, flight), _worst(findings), (2 if of_images else 1.5) + min(share, 1)
    )


_CONCERNS: Mapping[str, Callable[[Sequence[Finding], Preflight], Concern]] = {
    "stops": _stops,
    "not-finite": _not_finite,
    "recipe": _recipe,
    "drops": _drops,
    "background": _background,
    "gradients": _gradients,
}


def named(findings: Iterable[Finding], most: int = 3) -> str:
    """Rules and how often each fired, the worst and most frequent first: "C001 class-out-of-range (120), …"."""
    counts = Counter((f.rule, f.name, f.severity) for f in findings)
    ranked = sorted(counts.items(), key=lambda item: (-item[0][2], -item[1], item[0][0]))
    shown = [f"{code} {name}" + (f" ({n:,})" if n > 1 else "") for (code, name, _), n in ranked[:most]]
    more = len(ranked) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _messages(findings: Sequence[Finding]) -> str:
    texts = list(dict.fromkeys(f.message for f in findings))
    more = f"; and {len(texts) - MESSAGES_SHOWN} more" if len(texts) > MESSAGES_SHOWN else ""
    return "; ".join(texts[:MESSAGES_SHOWN]) + more


def _example(findings: Sequence[Finding]) -> str:
    """Place and message of one of them: of a leak between splits, if there is one."""
    example = next((f for f in findings if f.kind == "leak"), findings[0])
    return f"{_place(example)}: {example.message}"


def _place(finding: Finding) -> str:
    file = finding.label if finding.line else finding.image or finding.label
    file = file or finding.file or "data.yaml"
    return f"{file}:{finding.line}" if finding.line else file


def _advice(findings: Sequence[Finding], flight: Preflight) -> str:
    """The command that repairs most of them where one is safe; else what the most frequent rule suggests."""
    data = shlex.quote(flight.report.data)
    (code, _), *_ = Counter(f.rule for f in findings).most_common(1)
    of_rule = [f for f in findings if f.rule == code]
    if all(f.fix == "safe" for f in of_rule):
        return f"sanitize fix {data}"
    given = {f.suggestion for f in of_rule}
    rule = rules_of(flight.report).get(code)
    text = (given.pop() if len(given) == 1 else rule.suggestion if rule else None) or f"sanitize rules {code}"
    text = text.rstrip(". ")
    repairs = any(f.fix == "unsafe" for f in of_rule)
    return f"{text}; `sanitize fix {data} --unsafe --diff` shows what can be repaired" if repairs else text


def _worst(findings: Sequence[Finding]) -> Severity:
    return max(f.severity for f in findings)
