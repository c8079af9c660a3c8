"""What the scan's findings add to an image's score: as much as they go with rows that are probably wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.findings.finding import Finding

_OF_A_LOG = 4.0
"""Points of an image's score for each unit of a natural logarithm."""
_MOST = 32.0
"""Most that the scan's findings add to an image's score: less than half of what all other evidence together can add."""
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


def scan_weights(
    p: NDArray[np.float64],
    rows_of_codes: Mapping[str, Sequence[int]],
    images_of_codes: Mapping[str, int],
    n_images: int,
) -> dict[str, float]:
    """Code of each warning or error of the scan to what it adds to the score of an image, 0 to 32.

    A code counts more the fewer images have it, and the likelier its rows are wrong: the log of the number of images
    over those with the code, and the log of the probability of its rows over the usual one, four points a unit.

    Args:
        p: float64 (R,) probability that each label row is wrong.
        rows_of_codes: Code to the numbers of its rows.
        images_of_codes: Code to the number of images that have it.
        n_images: Number of all images.
    """
    weights = {code: _OF_A_LOG * np.log(n_images / count) for code, count in images_of_codes.items()}
    usual = float(p.mean()) if len(p) else 0.0
    for code, rows in rows_of_codes.items() if usual > 0 else ():
        often = (float(p[rows].sum()) + _PRIOR_ROWS * usual) / (len(rows) + _PRIOR_ROWS)
        weights[code] = weights.get(code, 0.0) + _OF_A_LOG * np.log(often / usual)
    return {code: float(np.clip(weight, 0, _MOST)) for code, weight in weights.items()}
