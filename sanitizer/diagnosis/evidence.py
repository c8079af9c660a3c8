"""What families of causes look at: the dataset, its survey, findings in numbers, and a sample of its label rows."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.diagnosis.label_sample import LabelSample
    from sanitizer.rules.survey import Survey


@dataclass(frozen=True)
class Evidence:
    """A scanned dataset, before its findings have causes.

    Attributes:
        survey: The whole dataset, summed up.
        counts: (rule, split) to number of findings.
    """

    survey: Survey
    counts: Mapping[tuple[str, str | None], int]

    @property
    def dataset(self) -> Dataset:
        """What was found, with the pairs of packed files."""
        return self.survey.dataset

    @property
    def spec(self) -> TaskSpec:
        """What rows were judged as."""
        return self.survey.spec

    @property
    def shown_path(self) -> str:
        """What to type for the dataset in its folder, as for a shell: a report does not depend on where it lies."""
        yaml_path = self.dataset.yaml_path
        return shlex.quote(os.path.basename(yaml_path)) if yaml_path else "."

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(split.images for split in self.survey.splits)

    @property
    def dropped(self) -> int:
        """Number of images that training would leave out."""
        return sum(split.dropped for split in self.survey.splits)

    @property
    def class_rows(self) -> dict[int, int]:
        """Class id to number of rows, of the ids in use."""
        return {c: n for c, n in self.survey.class_counts.items() if n}

    def count(self, *rules: str) -> int:
        """Number of findings of these rules."""
        return sum(n for (rule, _), n in self.counts.items() if rule in rules)

    @cached_property
    def labels(self) -> LabelSample:
        """Rows of label files from all over the dataset, as they are written. Read when first asked for."""
        from sanitizer.diagnosis.label_sample import read_sample

        return read_sample(self.survey)
