"""Limits so low that the smallest dataset goes to disk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = {
    "sanitizer.findings.findings_log.FINDINGS_HELD": 7,
    "sanitizer.findings.findings_log.MOST_RUNS": 3,
    "sanitizer.findings.findings_file.ROWS_AT_ONCE": 3,
    "sanitizer.findings.findings_file.ROWS_OF_GROUP": 5,
    "sanitizer.rules.survey.PAIRS_HELD": 5,
    "sanitizer.util.spill.BLOCK": 13,
    "sanitizer.util.spill.ROWS_HELD": 10,
    "sanitizer.rules.checks.copies.ROWS_HELD": 10,
    "sanitizer.util.name_set.NAMES_HELD": 4,
    "sanitizer.reports.text.summary_counts.UNITS_HELD": 3,
    "sanitizer.reports.parquet.ROWS_AT_ONCE": 3,
}


@contextlib.contextmanager
def small_limits() -> Iterator[None]:
    """Everything that may go to disk does."""
    with contextlib.ExitStack() as stack:
        for name, limit in LIMITS.items():
            stack.enter_context(patch(name, limit))
        yield


@contextlib.contextmanager
def small_chunks() -> Iterator[None]:
    """Many chunks, whatever is read of images: messages may speak of what else is in their chunk."""
    with patch.dict("sanitizer.dataset.model.PAIRS_PER_CHUNK", {"none": 16, "header": 16, "decode": 16}):
        yield
