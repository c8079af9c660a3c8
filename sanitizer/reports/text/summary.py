"""The end of the text report: the dataset in numbers, and what training would do with it, in plain words."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from sanitizer.findings.finding import Severity, count_by_severity
from sanitizer.reports.causes import tells_causes
from sanitizer.reports.common import rules_of
from sanitizer.reports.text.summary_counts import SummaryCounts
from sanitizer.util.counting import in_thousands, joined
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.report import Report
    from sanitizer.reports.text.summary_counts import Reasons
    from sanitizer.rules.language.pack import Rule

    Paint = Callable[[str, str], str]

REASONS_SHOWN = 4
_COST = ("crashes", "drops-image", "drops-row", "rewrites-file", "trains", "ignores")
"""What training does with a bad example, most costly first."""


def summary_lines(report: Report, paint: Paint) -> list[str]:
    """The summary. `paint(text, sgr)` colours a text, or returns it as it is."""
    verdict = verdict_lines(report, paint)
    if not report.findings:
        return [*verdict, *_without_findings(report, paint)]
    rules = rules_of(report)
    by_severity = [
        f"{n:,} {label if n == 1 or label == 'info' else label + 's'}" for label, n in _counts(report)
    ]
    has_task = report.summary.labels or report.task == "classify"
    task = f", task {report.task}" if has_task else ""
    counts = SummaryCounts(report, rules)
    lines = [
        *verdict,
        f"{_name(report)}: {_size(report)}{task}{_as_read(report)}, {_elapsed(report)}",
        f"Found {paint(joined(by_severity), '1')} under {in_thousands(len(counts.gravest), 'rule')}{_known(report)}.",
        *_training(report, counts),
    ]
    return [*lines, next_step(report, counts, rules, paint)]


def verdict_lines(report: Report, paint: Paint) -> list[str]:
    """The line that says that training would not start, and why; none where it would."""
    training = report.training
    if training is None or training.starts is not False:
        return []
    lead = paint("Training would not start", "1;31")
    return [f"{lead} ({legible(training.as_)}): {legible(training.stops_with or '')}"]


def _without_findings(report: Report, paint: Paint) -> list[str]:
    s = report.summary
    if not s.images and not s.labels:
        return [f"Nothing was checked: no images and no labels in {_name(report)} ({_elapsed(report)})."]
    unused = s.images_dropped_by_training or s.images_background or s.images_rewritten
    if report.would_stop:
        return [
            f"No findings under the selected rules{_known(report)}: {_size(report)} ({_elapsed(report)})."
        ]
    if report.suppressed:
        lead, tail = "Nothing new", _known(report)
    elif unused:
        lead, tail = "No findings under the selected rules", ""
    else:
        lead, tail = "All good", f"; training will use every one{_as_read(report)}" if s.images else ""
    return [
        f"{paint(lead, '1;32')}: {_size(report)}{tail} ({_elapsed(report)}).",
        *_training(report, SummaryCounts(report, {})),
    ]


def _counts(report: Report) -> list[tuple[str, int]]:
    return [(label, n) for label, n in count_by_severity(report.findings).items() if n]


def _name(report: Report) -> str:
    """The path that was scanned; of a folder that is named by dots alone, the folder's own name."""
    given = report.data if report.data.strip("./\\") else posixpath.basename(report.root)
    return legible(given or report.data)


def _size(report: Report) -> str:
    """As in "8 images, 8 labels, 30 boxes"; rows of other tasks than detection are objects.

    As in "train 6 images in 2 classes, val 2 images in 2 classes" or "8 images, 8 masks" for tasks without label files.
    """
    s = report.summary
    if not s.images and not s.labels:
        return "no images and no labels found"
    if report.task == "classify" and not report.files_only:
        return ", ".join(
            f"{legible(split.split)} {in_thousands(split.images, 'image')} in".lstrip()
            + f" {in_thousands(split.classes, 'class')}"
            for split in s.splits
            if split.images
        )
    if report.task == "semantic":
        return f"{in_thousands(s.images, 'image')}, {in_thousands(s.labels, 'mask')}"
    parts = [in_thousands(s.images, "image")] if s.images else []
    rows = in_thousands(s.boxes, "box" if report.task == "detect" else "object")
    return ", ".join([*parts, in_thousands(s.labels, "label"), rows])


def _elapsed(report: Report) -> str:
    return f"{report.summary.elapsed_s:.2f} s"


def _known(report: Report) -> str:
    if not report.suppressed:
        return ""
    return f"; {in_thousands(report.suppressed, 'known finding')} of the baseline left out"


def _training(report: Report, counts: SummaryCounts) -> list[str]:
    """The lines on what Ultralytics would do; empty where it would do nothing odd, and where the first line says it."""
    lines: list[str] = []
    if report.would_stop:
        return lines
    for consequence, reasons in consequences(report, counts):
        lines += [f"  • {consequence}", *([f"      {reasons}"] if reasons else [])]
    return ["Training (Ultralytics) would", *lines] if lines else []


def _as_read(report: Report) -> str:
    """As in ", as Ultralytics 8.3.200 reads it"; empty for a report that does not say."""
    return f", as {legible(report.training.as_)} reads it" if report.training else ""


def consequences(report: Report, counts: SummaryCounts) -> list[tuple[str, str]]:
    """(what Ultralytics would do, the rules behind it or ""), most costly first; empty where nothing odd."""
    s = report.summary
    found: list[tuple[str, str]] = []
    if (
        report.training is not None and report.would_stop
    ):  # what it would do with rows and images comes to nothing
        return [(f"not start: {report.training.stops_with}", ", ".join(report.training.because))]
    if counts.crashes and (report.training is None or report.training.starts is None):
        found.append(("stop with an error", _reasons(counts.crashes)))
    if s.images_dropped_by_training:
        share, by_split = _share(report, "dropped")
        found.append((f"drop {share}{by_split}", _reasons(counts.drops)))
    if s.images_background:
        share, by_split = _share(report, "background")
        found.append((f"read {share} as background{by_split}", _reasons(counts.background)))
    if s.images_rewritten:
        found.append((f"rewrite {in_thousands(s.images_rewritten, 'image file')} on disk", ""))
    if counts.left_out:
        found.append(("leave out label rows", _reasons(counts.left_out)))
    if counts.doubtful:
        n_rows = sum(n for _, _, n in counts.doubtful)
        found.append((f"learn from {in_thousands(n_rows, 'doubtful row')}", _reasons(counts.doubtful)))
    return found


def _reasons(ranked: Reasons) -> str:
    """Codes and names, most frequent first, with their counts."""
    shown = [f"{legible(code)} {legible(name)} ({n:,})" for code, name, n in ranked[:REASONS_SHOWN]]
    rest = len(ranked) - len(shown)
    return ", ".join(shown) + (f" and {in_thousands(rest, 'more rule')}" if rest else "")


def _share(report: Report, what: str) -> tuple[str, str]:
    """As in ("120 of 567 images (21 %)", ": train 100 of 400, val 20 of 167"); the splits where there are several."""
    splits = [s for s in report.summary.splits if s.images]
    n, total = sum(getattr(s, what) for s in splits), sum(s.images for s in splits)
    percent = 100 * n / total if total else 0
    text = f"{n:,} of {in_thousands(total, 'image')}" + (f" ({percent:.0f} %)" if percent >= 1 else "")
    hit = [f"{legible(s.split)} {getattr(s, what):,} of {s.images:,}" for s in splits if getattr(s, what)]
    return text, f": {', '.join(hit)}" if len(splits) > 1 else ""


def next_step(report: Report, counts: SummaryCounts, rules: Mapping[str, Rule], paint: Paint) -> str:
    """The cause that training stops because of, or that frees most images, and its way out; without one, the rule most
    worth looking at.
    """
    because = report.training.because if report.training else ()
    cause = _next_of_causes(report, counts, because)
    return _next_rule(counts, rules, paint, because) if cause is None else _next_cause(cause, paint)


def _next_of_causes(report: Report, counts: SummaryCounts, because: Sequence[str]) -> Cause | None:
    """The cause to begin with; None where a finding without a cause matters more."""
    if not tells_causes(report):
        return None
    if because:
        stopping = {counts.cause_of.get(code) for code in because}
        return next((cause for cause in report.causes if cause.id in stopping), None)
    first = report.causes[0]
    return first if first.images or counts.worst_unexplained <= counts.worst_explained else None


def _next_cause(cause: Cause, paint: Paint) -> str:
    title = legible(cause.name or cause.id)
    name = paint(title[:1].upper() + title[1:], "1")
    frees = f" This frees {in_thousands(cause.images, 'image')} for training." if cause.images else ""
    way_out = legible(cause.way_out).rstrip(". ")
    return f"Next: {name}. {way_out}.{frees}" if way_out else f"Next: {name}.{frees}"


def _next_rule(counts: SummaryCounts, rules: Mapping[str, Rule], paint: Paint, because: Sequence[str]) -> str:
    """One that training stops `because` of, the worst severity, then what costs training most, then most findings."""
    n_findings: dict[str, int] = {}
    for (code, _), n in counts.tally.counts.items():
        n_findings[code] = n_findings.get(code, 0) + n

    def worth(code: str) -> tuple[bool, Severity, int, int]:
        training = rules[code].training if code in rules else None
        cost = _COST.index(training) if training in _COST else len(_COST)
        return code in because, counts.gravest[code], -cost, n_findings[code]

    # Of rules that are worth the same, the one that comes first in the report.
    code = max(counts.gravest, key=worth)
    # Advice for one finding alone, such as a corrected value, is none for the others.
    agreed = counts.agreed[code]
    suggestion = counts.advice[code] if agreed else rules[code].suggestion if code in rules else None
    advice = legible(suggestion or "").rstrip(". ")
    advice = f" {advice[0].upper()}{advice[1:]}." if advice else ""
    name, shown_code = legible(counts.tally.first[code].name), legible(code)
    return f"Next: {paint(f'{shown_code} {name}', '1')}.{advice} `sanitize rules {shown_code}` explains."
