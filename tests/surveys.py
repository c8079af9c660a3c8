"""A survey of chunks that a test made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.rules.survey import SurveyBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.rules.survey import ChunkSummary, Survey


def surveyed(dataset: Dataset, spec: TaskSpec, summaries: Iterable[ChunkSummary]) -> Survey:
    """The survey of these chunks, which are all of the dataset in its order."""
    builder = SurveyBuilder(dataset, spec)
    for summary in summaries:
        builder.add(summary)
    return builder.finish()
