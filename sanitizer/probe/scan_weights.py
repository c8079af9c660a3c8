"""What the scan's findings add to an image's score: as much as they go with rows that are probably wrong."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.findings.finding import Finding
    from sanitizer.probe.judge import Judgement

_MOST = 16.0
"""Most that the scan's findings add to an image's score: as much as the evidence that is calibrated by twins."""
_PRIOR_ROWS = 8.0
"""A code on few rows is taken for one that says nothing: so many rows of the usual probability are added to them."""


def scan_codes(findings: Sequence[Finding]) -> tuple[dict[tuple[str, int], list[str]], dict[str, list[str]]]:
    """Codes of the scan's warnings and errors: by (label file, line), and by image. No code is there twice."""
    by_line: dict[tuple[str, int], list[str]] = {}
    by_image: dict[str, list[str]] = {}
    for f in findings:
        if f.severity >= Severity.WARNING:
            if f.label and f.line and f.rule not in by_line.setdefault((f.label, f.line), []):
                by_line[f.label, f.line].append(f.rule)
            if f.image and f.rule not in by_image.setdefault(f.image, []):
                by_image[f.image].append(f.rule)
    return by_line, by_image


def scan_weights(judgement: Judgement) -> dict[str, float]:
    """Code of each warning or error of the scan to what it adds to the score of an image, 0 to 16.

    A code counts more the fewer of the samples' images have it, and the likelier its rows are wrong: twice the log of
    the number of images over those with the code, and twice the log of the probability of its rows over the usual one.
    The rows of a code that is about no line are all rows of its images.
    """
    images = {judgement.dataset.relative(sample.image) for sample in judgement.samples}
    of_images = Counter(
        code for image, codes in judgement.by_image.items() if image in images for code in codes
    )
    weights = {code: 2 * np.log(len(images) / count) for code, count in of_images.items()}
    p = judgement.evidence.row_p
    usual = float(p.mean()) if len(p) else 0.0
    for code, rows in _rows_of_codes(judgement).items() if usual > 0 else ():
        often = (float(p[rows].sum()) + _PRIOR_ROWS * usual) / (len(rows) + _PRIOR_ROWS)
        weights[code] = weights.get(code, 0.0) + 2 * np.log(often / usual)
    return {code: float(np.clip(weight, 0, _MOST)) for code, weight in weights.items()}


def _rows_of_codes(judgement: Judgement) -> dict[str, list[int]]:
    """Code of the scan to numbers of its label rows, of all R rows."""
    evidence = judgement.evidence
    of_lines = {code for codes in judgement.by_line.values() for code in codes}
    rows: dict[str, list[int]] = {}
    for k, (n, row) in enumerate(zip(evidence.row_image.tolist(), evidence.row_number.tolist(), strict=True)):
        m = judgement.measured[n]
        of_image = (c for c in judgement.by_image.get(judgement.image(m), ()) if c not in of_lines)
        for code in {*judgement.codes_at(m, row), *of_image}:
            rows.setdefault(code, []).append(k)
    return rows
