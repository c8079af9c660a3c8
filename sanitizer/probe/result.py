"""What a probe is handed, and what it found, as tables, pages and the command line take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.report import Report
    from sanitizer.probe.evidence import Evidence
    from sanitizer.probe.gradients.measure import Measured
    from sanitizer.probe.judge import Judgement
    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.ultra.samples import Sample


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier stage of the same command knows of a dataset.

    Attributes:
        dataset: What it found, each pair once.
        scanned: What a scan with all rules and without a baseline found.
        samples: The training images, as `read_samples` gives them.
    """

    dataset: Dataset
    scanned: Report
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        report: The scan's findings and G001 to G006 together.
        steps: Every step of the warm-up.
        samples: The training images.
        measured: The images that were measured, in the order of measuring.
        evidence: How suspicious each is, aligned with `measured`.
        judgement: Makes findings, scores and reasons of it.
        imgsz: Input size, pixels.
        interrupted: Ctrl-C ended it early; what was measured is here.
        elapsed_s: Wall time.
    """

    report: Report
    steps: Sequence[StepRecord]
    samples: Sequence[Sample]
    measured: Sequence[Measured]
    evidence: Evidence
    judgement: Judgement
    imgsz: int
    interrupted: bool
    elapsed_s: float
