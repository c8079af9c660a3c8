"""What a scan found about each pair of a dataset: a view has no need to read these files again to judge them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set

    from sanitizer.dataset.model import Split
    from sanitizer.rules.survey import Survey


@dataclass(frozen=True, slots=True)
class Scanned:
    """A scan with image headers.

    Attributes:
        survey: Its survey.
        repaired: Digest, as in LabelTable, of each label file that is repaired: a link may lead there by another name.
    """

    survey: Survey
    repaired: Set[int]

    def facts(
        self, number: int, split: Split, start: int, stop: int
    ) -> list[tuple[int, int, bool, bool]] | None:
        """(label rows, digest of the label file, image rewritten, image dropped) of pairs start to stop of a split.

        None where they are not known: the scan took the split's repeated images out. Or where the number of classes
        follows from the labels that training keeps, of which a survey tells nothing.
        """
        survey = self.survey
        if len(survey.dataset.splits[number]) != len(split) or survey.dataset.nc is None:
            return None
        first = int(survey.split_start[number])
        pairs = slice(first + start, first + stop)
        columns = (survey.n_rows, survey.label_digest, survey.rewritten, survey.dropped)
        return list(zip(*(column[pairs].tolist() for column in columns), strict=True))
