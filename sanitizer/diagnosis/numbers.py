"""How the numbers of label rows are written: percent, pixels, corners, other tools' formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.findings.cause import Hypothesis


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Causes of this family that the dataset shows."""
    yield from ()
