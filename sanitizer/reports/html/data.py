"""What the page is given: the report, its cards and its plots, as one plain value."""

from __future__ import annotations

import os
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sanitizer import __version__
from sanitizer.findings.cause import cause_record
from sanitizer.findings.finding import COLUMNS, count_by_rule, count_by_severity
from sanitizer.reports.causes import told_causes
from sanitizer.reports.common import plain, plain_record
from sanitizer.reports.html.preflight import preflight_part
from sanitizer.reports.text.summary import consequences, next_step, summary_lines, verdict_lines
from sanitizer.reports.text.summary_counts import SummaryCounts
from sanitizer.util.escape import encodable, legible
from sanitizer.util.paths import posix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.reports.html.cards import Card
    from sanitizer.rules.language.pack import Rule

MAX_CLASSES = 2000

_TRAINING = {
    "crashes": "Training stops with an error.",
    "drops-image": "Training leaves the whole image out.",
    "drops-row": "Training leaves the row out.",
    "rewrites-file": "Training rewrites the file on disk.",
    "ignores": "Training does not look at it.",
    "trains": "Training takes it as it is.",
}
"""What a rule without a note of its own says."""


def page_data(
    report: Report,
    shown: Sequence[Finding],
    cards: Sequence[Card],
    rules: Mapping[str, Rule],
    class_counts: Mapping[int, int],
    plots: Mapping[str, Any] | None,
    notes: Sequence[str],
    crops: str,
) -> dict[str, Any]:
    """The page's data object, but for twins (`twins.twin_pictures`) and what a probe adds (`probe.probe_part`).

    Args:
        report: The report as a whole; its counts go in the head of the page.
        shown: The findings that get a card.
        cards: One for each of them.
        rules: Code to rule, as far as known; a report may name others.
        class_counts: Class id to number of rows.
        plots: What `plots.plots` gives, None where the dataset cannot be read.
        notes: Sentences on what the page lacks.
        crops: Path of the folder with the crops, POSIX, relative to the page.
    """
    s = report.summary
    return {
        "title": title_of(report),
        "tool": f"sanitize {__version__}",
        "created": time.strftime("%Y-%m-%d %H:%M"),
        "task": report.task,
        "root": encodable(report.root),
        "id": digest_of(report),
        "images": s.images,
        "labels": s.labels,
        "boxes": s.boxes,
        "dropped": s.images_dropped_by_training,
        "severities": count_by_severity(report.findings),
        "verdict": next(iter(verdict_lines(report, _unpainted)), None),
        "preflight": preflight_part(report),
        "causes": _causes(report),
        "sentences": sentences_of(report, rules),
        "notes": [legible(note) for note in (*report.notes, *notes)],
        "rules": _rules(report, rules),
        "classes": _classes(report, class_counts),
        "splits": plain(_splits(report)),
        "plots": plots,
        "findings": _columns(shown, cards, crops),
    }


def title_of(report: Report) -> str:
    """The last two parts of what was scanned, as in bccd/data.yaml; the folder's name for single files."""
    folder = os.path.basename(report.root.rstrip("/"))
    given = "" if report.files_only else posix(report.data)
    parts = [part for part in given.split("/") if part.strip(".")]
    if len(parts) < 2:
        parts = [folder, *(part for part in parts if part != folder)]
    return legible("/".join(filter(None, parts[-2:]))) or "dataset"


def digest_of(report: Report) -> str:
    """Names the report: the same findings of the same dataset give the same digest."""
    fingerprints: Iterable[str] = (f.fingerprint for f in report.findings)
    if isinstance(report.findings, list | tuple):
        fingerprints = sorted(fingerprints)  # very many are not put in an order of their own
    digest = blake2b(_as_bytes(f"{report.root}\0{report.data}"), digest_size=10)
    for fingerprint in fingerprints:
        digest.update(_as_bytes(f"\0{fingerprint}"))
    return digest.hexdigest()


def _as_bytes(text: str) -> bytes:
    """UTF-8; bytes of a file name that are none as they are, and anything else that UTF-8 cannot write escaped."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return encodable(text).encode()


def sentences_of(report: Report, rules: Mapping[str, Rule]) -> list[str]:
    """What training would do, in the words of the text report."""
    if not report.findings:
        return [legible(line.strip()) for line in summary_lines(report, _unpainted)[:1]]
    counts = SummaryCounts(report, rules)
    lines = [
        f"{'It' if i else 'Training (Ultralytics)'} would {what}.{f' Behind it: {behind}.' if behind else ''}"
        for i, (what, behind) in enumerate(consequences(report, counts))
    ]
    return [legible(line) for line in (*lines, next_step(report, counts, rules, _unpainted))]


def _causes(report: Report) -> list[dict[str, Any]]:
    """What the page says of each cause, with the worst severity of the findings that it explains."""
    return [
        plain(cause_record(told.cause)) | {"severity": told.severity.label} for told in told_causes(report)
    ]


def _unpainted(text: str, sgr: str) -> str:
    return text


def _rules(report: Report, rules: Mapping[str, Rule]) -> dict[str, dict[str, Any]]:
    """Code to what the page says of a rule; of one that no pack has, what its findings tell."""
    first: dict[str, Finding] = {}
    for f in report.findings:
        if f.rule not in first or f.severity > first[f.rule].severity:
            first[f.rule] = f
    entries = {}
    for code, count in count_by_rule(report.findings).items():
        rule = rules.get(code)
        training = (rule.training_note or _TRAINING.get(rule.training or "", "")) if rule else ""
        entries[encodable(code)] = {
            "name": encodable(first[code].name),
            "severity": first[code].severity.label,
            "count": count,
            "why": _one_line(rule.why if rule else ""),
            "training": _one_line(training),
            "fix": rule.fix if rule else first[code].fix,
        }
    return entries


def _one_line(text: str) -> str:
    return encodable(" ".join(text.split()))


def _classes(report: Report, counts: Mapping[int, int]) -> list[dict[str, Any]]:
    """Every class with rows, findings or a name; the most frequent `MAX_CLASSES` where there are more."""
    names = dict(report.names)
    found: dict[int, int] = {}
    for f in report.findings:
        if f.class_id is not None:
            found[f.class_id] = found.get(f.class_id, 0) + 1
            if f.class_name is not None:
                names.setdefault(f.class_id, f.class_name)
    ids = sorted({*names, *counts, *found}, key=lambda c: (-found.get(c, 0), -counts.get(c, 0), c))
    return [
        {
            "id": c,
            "name": encodable(str(names.get(c, f"class {c}"))),
            "boxes": counts.get(c, 0),
            "findings": found.get(c, 0),
        }
        for c in sorted(ids[:MAX_CLASSES])
    ]


def _splits(report: Report) -> list[str]:
    """Names of the splits that hold anything or are found fault with, in the order of the dataset."""
    filled = [s.split for s in report.summary.splits if s.images or s.labels]
    return list(filter(None, dict.fromkeys([*filled, *dict.fromkeys(f.split for f in report.findings)])))


def _columns(shown: Sequence[Finding], cards: Sequence[Card], crops: str) -> dict[str, list[Any]]:
    """The findings, a column each: those of the reports but for the rule's name, then what the cards hold."""
    records = [plain_record(f) for f in shown]
    columns = {name: [r[name] for r in records] for name in COLUMNS if name != "name"}
    columns["twin"] = [plain(f.twin) for f in shown]
    columns["row"] = [plain(card.row) for card in cards]
    columns["crop"] = [None if card.crop is None else f"{crops}/{card.crop}" for card in cards]
    for name in ("crop_w", "crop_h", "shape", "points", "others"):
        columns[name] = [getattr(card, name) for card in cards]
    columns["about"] = [None if card.about is None else legible(card.about) for card in cards]
    return columns
