"""Input and result of a probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.report import Report
    from sanitizer.probe.evidence import Evidence
    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.probe.judging.judgement import Judgement
    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.ultra.samples import Sample


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """A dataset that an earlier stage of the same command has found, scanned and read.

    Attributes:
        dataset: The dataset, without repeated pairs.
        scanned: The report of a scan with all rules and without a baseline.
        samples: The training images that `read_samples` returned.
    """

    dataset: Dataset
    scanned: Report
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a probe.

    Attributes:
        report: The scan's findings together with G001 to G008.
        steps: All steps of the warm-up.
        samples: The images of the splits that are measured.
        measured: The measured images, in the order of `samples`.
        evidence: Scores of the measured images, in the order of `measured`.
        judgement: Makes findings, scores and reasons from the evidence.
        imgsz: Input size, pixels.
        interrupted: Ctrl-C ended the probe early; the images measured before are in the result.
        elapsed_s: Wall time, seconds.
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
