"""What several formats say of causes: which are told, their counts, and all that is known of one in one text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sanitizer.util.counting import in_thousands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.findings.cause import Cause
    from sanitizer.findings.finding import Finding, Severity
    from sanitizer.findings.report import Report


class Told(NamedTuple):
    """A cause with the first finding that it explains, and the worst severity of all of them."""

    cause: Cause
    first: Finding
    severity: Severity


def tells_causes(report: Report) -> bool:
    """Whether causes are told before findings: not of single files, which a hook reports line by line."""
    return bool(report.causes) and not report.files_only


def told_causes(report: Report) -> Sequence[Told]:
    """The causes that are told before findings, in the order of the report."""
    first: dict[str, Finding] = {}
    worst: dict[str, Severity] = {}
    for f in report.findings if tells_causes(report) else ():
        if f.cause is not None:
            first.setdefault(f.cause, f)
            worst[f.cause] = max(worst.get(f.cause, f.severity), f.severity)
    return [Told(cause, first[cause.id], worst[cause.id]) for cause in report.causes if cause.id in first]


def untold_findings(report: Report) -> Iterator[Finding]:
    """The findings that no told cause explains, in the order of the report."""
    told = {cause.id for cause in report.causes} if tells_causes(report) else frozenset[str]()
    return (f for f in report.findings if f.cause not in told)


def counts_of(cause: Cause) -> str:
    """As in "48 findings in 8 files, frees 8 images for training"."""
    counts = f"{in_thousands(cause.explains, 'finding')} in {in_thousands(cause.files, 'file')}"
    return f"{counts}, frees {in_thousands(cause.images, 'image')} for training" if cause.images else counts


def cause_text(cause: Cause) -> str:
    """What happened, what training does, what speaks for it and the way out, one sentence after the other."""
    parts = (cause.sentence, cause.training, *cause.evidence, cause.way_out)
    return " ".join(f"{part.rstrip('. ')}." for part in parts if part)
